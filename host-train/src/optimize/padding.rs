//! A padding with zeros in front of a convolution that can pad itself: the same products,
//! one map less in memory.

use super::Pass;
use crate::graph::{DType, Graph, Op, PadMode, Padding, Tensor, infer_shapes};

pub(super) const PASS: Pass = Pass {
    name: "padding",
    summary: "a padding with zeros goes into the convolution after it",
    rewrite: Some(run),
};

fn run(graph: &mut Graph) {
    let mut index = 0;
    while index < graph.nodes.len() {
        match padded(graph, index) {
            Some((conv, padding)) => {
                let pad = graph.nodes[index].clone();
                let node = &mut graph.nodes[conv];
                set_padding(&mut node.op, padding);
                node.inputs[0] = pad.inputs[0];
                node.folded.extend(pad.folded.into_iter().chain([pad.name]));
                graph.nodes.remove(index);
            }
            None => index += 1,
        }
    }
}

fn set_padding(op: &mut Op, to: Padding) {
    if let Op::Conv2d { padding, .. } | Op::DepthwiseConv2d { padding, .. } = op {
        *padding = to;
    }
}

/// The convolution that alone reads padding `index` and how it pads when it
/// takes that in.
fn padded(graph: &Graph, index: usize) -> Option<(usize, Padding)> {
    let pad = &graph.nodes[index];
    let Op::Pad { before, after, mode: PadMode::Constant(value) } = &pad.op else { return None };
    let (&[x], &[y]) = (pad.inputs.as_slice(), pad.outputs.as_slice()) else { return None };
    let (&[_, top, left, _], &[_, bottom, right, _]) = (before.as_slice(), after.as_slice()) else {
        return None;
    };
    let maps_only = [before[0], before[3], after[0], after[3]] == [0; 4];
    let same_codes = graph[x].quantization == graph[y].quantization;
    if !maps_only || !same_codes || !is_zero(*value, &graph[y]) || graph.outputs.contains(&y) {
        return None;
    }
    let &[conv] = graph.consumers(y).as_slice() else { return None };
    let node = &graph.nodes[conv];
    let (Op::Conv2d { strides, dilation, padding, .. }
    | Op::DepthwiseConv2d { strides, dilation, padding, .. }) = &node.op
    else {
        return None;
    };
    if node.inputs[0] != y || node.inputs[1..].contains(&y) {
        return None;
    }
    let weights = &graph[node.inputs[1]].shape;
    let own = |axis: usize| {
        let (input, kernel) = (graph[y].shape[1 + axis], weights[1 + axis]);
        border(input, kernel, strides[axis], dilation[axis], *padding, axis)
    };
    let ([above, below], [before, after]) = (own(0), own(1));
    let padding = Padding::Explicit {
        top: top + above,
        bottom: bottom + below,
        left: left + before,
        right: right + after,
    };
    let mut op = node.op.clone();
    set_padding(&mut op, padding);
    let mut inputs = graph.input_tensors(&node.inputs);
    inputs[0] = &graph[x];
    let shapes = infer_shapes(&op, &inputs).ok()?;
    (shapes == [graph[node.outputs[0]].shape.clone()]).then_some((conv, padding))
}

/// Whether padding with this value is what a convolution pads with: the code of zero.
fn is_zero(value: f32, tensor: &Tensor) -> bool {
    match &tensor.quantization {
        Some(q) if tensor.dtype == DType::I8 => {
            microconv::quant::Affine::new(q.scale(), q.zero_point())
                .is_ok_and(|q| i32::from(q.quantize(value)) == q.zero_point)
        }
        _ => value == 0.0,
    }
}

/// Cells that a convolution adds before and after along one axis.
fn border(
    input: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
    padding: Padding,
    axis: usize,
) -> [usize; 2] {
    match padding {
        Padding::Valid => [0, 0],
        Padding::Explicit { top, bottom, left, right } => {
            if axis == 0 {
                [top, bottom]
            } else {
                [left, right]
            }
        }
        Padding::Same => {
            let reach = (kernel - 1) * dilation + 1;
            let total = ((input.div_ceil(stride) - 1) * stride + reach).saturating_sub(input);
            [total / 2, total - total / 2]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Activation, Data, Quantization};

    /// A padding of this value in front of an int8 convolution of zero point 5.
    fn padded_convolution(value: f32) -> Graph {
        let mut graph = Graph::new("test");
        let x = graph.add_tensor(Tensor::activation("x", vec![1, 4, 4, 1], DType::F32));
        graph.inputs.push(x);
        let scale = Quantization::per_tensor(0.5, 5);
        let pad = Op::Pad {
            before: vec![0, 1, 0, 0],
            after: vec![0, 0, 2, 0],
            mode: PadMode::Constant(value),
        };
        let y = graph.push("pad", pad, &[x]).unwrap()[0];
        let mut weights = Tensor::activation("w", vec![1, 3, 3, 1], DType::I8);
        weights.data = Some(Data::I8(vec![1; 9]));
        weights.quantization = Some(Quantization::per_tensor(1.0, 0));
        let weights = graph.add_tensor(weights);
        let conv = Op::Conv2d {
            strides: [2, 1],
            dilation: [1, 1],
            padding: Padding::Same,
            groups: 1,
            activation: Activation::Linear,
        };
        let z = graph.push("conv", conv, &[y, weights]).unwrap()[0];
        for id in [x, y, z] {
            graph[id].dtype = DType::I8;
            graph[id].quantization = Some(scale.clone());
        }
        graph.outputs.push(z);
        graph
    }

    #[test]
    fn a_convolution_takes_in_the_padding_before_it() {
        let mut graph = padded_convolution(0.0);
        run(&mut graph);
        graph.validate().unwrap();
        assert_eq!(graph.nodes.len(), 1);
        assert_eq!(graph.nodes[0].folded, ["pad"]);
        let Op::Conv2d { padding, .. } = graph.nodes[0].op else { panic!() };
        // SAME over 5 rows by 2 adds one each; over 6 columns by 1, one each.
        assert_eq!(padding, Padding::Explicit { top: 2, bottom: 1, left: 1, right: 3 });
    }

    #[test]
    fn a_padding_of_another_value_or_of_another_reader_stays() {
        let mut other = padded_convolution(1.0);
        run(&mut other);
        assert_eq!(other.nodes.len(), 2);

        let mut shared = padded_convolution(0.0);
        let y = shared.nodes[0].outputs[0];
        shared.outputs.push(y);
        run(&mut shared);
        assert_eq!(shared.nodes.len(), 2);
    }
}
