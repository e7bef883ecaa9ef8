//! Post-training quantisation of a float graph to TensorFlow Lite's int8.
//!
//! Weights are symmetric per output channel, activations asymmetric from
//! calibrated ranges, biases int32. Operators that move or compare codes keep
//! the scale of their input; sigmoid, tanh and softmax have the fixed output
//! scales of the specification.

use crate::calibrate::Ranges;
use crate::graph::{
    Activation, DType, Data, Graph, GraphError, Node, Op, Quantization, Tensor, TensorId,
};

/// Largest magnitude of a bias, so that sums stay far from wrapping.
const MAX_BIAS: f64 = (1i64 << 30) as f64;

/// Quantises a float graph whose activations have these ranges.
///
/// # Errors
/// [`GraphError`] names the layer that cannot be quantised, or the tensor without a range.
pub fn quantize(graph: &Graph, ranges: &Ranges) -> Result<Graph, GraphError> {
    let mut quantizer = Quantizer { graph: graph.clone(), ranges, nodes: Vec::new() };
    for id in graph.inputs.clone() {
        quantizer.activation(id, "")?;
    }
    for node in graph.nodes.clone() {
        quantizer.node(node)?;
    }
    quantizer.graph.nodes = quantizer.nodes;
    Ok(quantizer.graph)
}

/// Scale and zero point of a range, zero included (the converter's rule).
pub fn affine_of(min: f32, max: f32) -> Quantization {
    let (min, max) = (f64::from(min.min(0.0)), f64::from(max.max(0.0)));
    if max - min < 1e-9 {
        return Quantization::per_tensor(1.0 / 255.0, -128);
    }
    let scale = ((max - min) / 255.0) as f32;
    let zero_point = (-128.0 - min / f64::from(scale)).round().clamp(-128.0, 127.0);
    Quantization::per_tensor(scale, zero_point as i32)
}

struct Quantizer<'r> {
    graph: Graph,
    ranges: &'r Ranges,
    nodes: Vec<Node>,
}

impl Quantizer<'_> {
    /// Gives activation `id` the scale of its calibrated range.
    fn activation(&mut self, id: TensorId, node: &str) -> Result<(), GraphError> {
        let tensor = &self.graph[id];
        let Some(&(min, max)) = self.ranges.get(&tensor.name) else {
            let message = format!("`{}` has no calibrated range", tensor.name);
            return Err(GraphError::new(node, message));
        };
        let bound = self.saturation(id);
        self.set(id, affine_of(min.max(-bound), max.min(bound)));
        Ok(())
    }

    /// Beyond this magnitude a tensor that only sigmoids or only tanhs read makes
    /// no difference to their codes, so its codes are better spent below it.
    fn saturation(&self, id: TensorId) -> f32 {
        let consumers = self.graph.consumers(id);
        let all = |activation| {
            let is = |&i: &usize| self.graph.nodes[i].op == Op::Activation(activation);
            !consumers.is_empty() && consumers.iter().all(is) && !self.graph.outputs.contains(&id)
        };
        if all(Activation::Sigmoid) {
            // sigmoid(−x) = 1/2048, an eighth of a step of its output.
            2047f32.ln()
        } else if all(Activation::Tanh) {
            // 1 − tanh(x) = 1/1024, an eighth of a step of its output.
            0.5 * 2047f32.ln()
        } else {
            f32::INFINITY
        }
    }

    fn set(&mut self, id: TensorId, quantization: Quantization) {
        let tensor = &mut self.graph[id];
        tensor.dtype = DType::I8;
        tensor.quantization = Some(quantization);
    }

    fn inherit(&mut self, to: TensorId, from: TensorId) {
        if let Some(quantization) = self.graph[from].quantization.clone() {
            self.set(to, quantization);
        }
    }

    fn node(&mut self, mut node: Node) -> Result<(), GraphError> {
        let (first, output) = (node.inputs[0], node.outputs[0]);
        match &node.op {
            Op::Conv2d { .. }
            | Op::DepthwiseConv2d { .. }
            | Op::TransposedConv2d { .. }
            | Op::Dense { .. } => {
                self.activation(output, &node.name)?;
                self.weights(&mut node)?;
            }
            Op::Activation(Activation::Sigmoid) | Op::Softmax { .. } => {
                self.set(output, Quantization::per_tensor(1.0 / 256.0, -128));
            }
            Op::Activation(Activation::Tanh) => {
                self.set(output, Quantization::per_tensor(1.0 / 128.0, 0));
            }
            Op::Activation(Activation::Linear)
            | Op::MaxPool2d { .. }
            | Op::MaxPool2dWithIndices { .. }
            | Op::AveragePool2d { .. }
            | Op::MaxUnpool2d { .. }
            | Op::BedOfNails2d { .. }
            | Op::Resize2d { .. }
            | Op::Pad { .. }
            | Op::Slice { .. }
            | Op::Reshape { .. }
            | Op::Transpose { .. }
            | Op::Tile { .. }
            | Op::ReduceMax { .. } => self.inherit(output, first),
            Op::Concat { .. } => {
                self.activation(output, &node.name)?;
                self.requantize_inputs(&mut node);
            }
            Op::Add { .. } | Op::Sub { .. } | Op::Mul { .. } | Op::Prelu => {
                self.activation(output, &node.name)?;
                let symmetric = node.op == Op::Prelu;
                for input in node.inputs.clone() {
                    self.constant(input, symmetric);
                }
            }
            Op::Mean { .. } | Op::Activation(_) => self.activation(output, &node.name)?,
            Op::Quantize | Op::Dequantize | Op::Table(_) => {
                return Err(GraphError::new(&node.name, "the graph is quantised already"));
            }
        }
        self.nodes.push(node);
        Ok(())
    }

    /// Concatenation copies codes, so inputs of other scales are requantised before it.
    fn requantize_inputs(&mut self, node: &mut Node) {
        let output = node.outputs[0];
        for (i, input) in node.inputs.iter_mut().enumerate() {
            if self.graph[*input].quantization == self.graph[output].quantization {
                continue;
            }
            let mut tensor = self.graph[*input].clone();
            tensor.name = format!("{}:input{i}", node.name);
            tensor.quantization.clone_from(&self.graph[output].quantization);
            let id = self.graph.add_tensor(tensor);
            self.nodes.push(Node {
                name: format!("{}_requantize{i}", node.name),
                op: Op::Quantize,
                inputs: vec![*input],
                outputs: vec![id],
                folded: Vec::new(),
            });
            *input = id;
        }
    }

    /// A constant operand, quantised per tensor.
    fn constant(&mut self, id: TensorId, symmetric: bool) {
        let Some(values) = self.graph[id].f32_data().map(<[f32]>::to_vec) else { return };
        let min = values.iter().copied().fold(0.0, f32::min);
        let max = values.iter().copied().fold(0.0, f32::max);
        let quantization = if symmetric {
            let largest = max.max(-min);
            Quantization::per_tensor(if largest > 0.0 { largest / 127.0 } else { 1.0 }, 0)
        } else {
            affine_of(min, max)
        };
        let (scale, zero) = (quantization.scale(), quantization.zero_point());
        let code =
            |&value: &f32| ((value / scale).round() + zero as f32).clamp(-128.0, 127.0) as i8;
        let codes = values.iter().map(code).collect();
        self.set(id, quantization);
        self.graph[id].data = Some(Data::I8(codes));
    }

    /// Weights per output channel, and the bias in the scale of the sums. A layer
    /// whose weights are shared with another gets its own copies.
    fn weights(&mut self, node: &mut Node) -> Result<(), GraphError> {
        let fail = |message: &str| GraphError::new(&node.name, message);
        let axis = if matches!(node.op, Op::DepthwiseConv2d { .. }) { 3 } else { 0 };
        let weights = self.graph[node.inputs[1]].clone();
        let values = weights.f32_data().ok_or_else(|| fail("weights must be constant floats"))?;
        let bias = match node.inputs.get(2) {
            None => None,
            Some(&id) => {
                let bias = self.graph[id].f32_data();
                Some(bias.ok_or_else(|| fail("the bias must be constant floats"))?.to_vec())
            }
        };
        let input = self.graph[node.inputs[0]].quantization.clone();
        let input = input.ok_or_else(|| fail("its input is not quantised"))?.scale();
        let channels = weights.shape[axis];
        let inner: usize = weights.shape[axis + 1..].iter().product();
        let channel = |index: usize| index / inner % channels;
        let mut largest = vec![0.0f32; channels];
        for (index, value) in values.iter().enumerate() {
            let largest = &mut largest[channel(index)];
            *largest = largest.max(value.abs());
        }
        let scales: Vec<f32> = (0..channels)
            .map(|c| {
                let bias = bias.as_ref().map_or(0.0, |bias| f64::from(bias[c].abs()));
                let least = (bias / MAX_BIAS / f64::from(input)) as f32;
                let scale = (largest[c] / 127.0).max(least);
                if scale > 0.0 { scale } else { 1.0 }
            })
            .collect();
        let codes = values
            .iter()
            .enumerate()
            .map(|(i, value)| (value / scales[channel(i)]).round().clamp(-127.0, 127.0) as i8);
        let data = Some(Data::I8(codes.collect()));
        if let (Some(bias), Some(slot)) = (bias, node.inputs.get_mut(2)) {
            let sum = |(c, value): (usize, f32)| {
                (f64::from(value) / (f64::from(input) * f64::from(scales[c]))).round() as i32
            };
            let codes = bias.into_iter().enumerate().map(sum).collect();
            let template = self.graph[*slot].clone();
            *slot = self.graph.add_tensor(Tensor {
                dtype: DType::I32,
                data: Some(Data::I32(codes)),
                ..template
            });
        }
        let quantization = Some(Quantization::per_channel(scales, axis));
        let tensor = Tensor { dtype: DType::I8, quantization, data, ..weights };
        node.inputs[1] = self.graph.add_tensor(tensor);
        Ok(())
    }
}
