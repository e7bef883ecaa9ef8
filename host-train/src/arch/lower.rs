//! Architecture and weights to the float graph.

use anyhow::{Context, Result, bail, ensure};

use super::layer::{LayerActivation, LayerKind, Stage, WeightSpec};
use super::{Architecture, Layer, WeightTensor, Weights};
use crate::graph::{Activation, DType, Data, Graph, Op, Tensor, TensorId};

pub(super) fn lower(architecture: &Architecture, weights: &Weights) -> Result<Graph> {
    let mut graph = Graph::new(&architecture.name);
    let shape = [1].iter().chain(&architecture.input).copied().collect();
    let input = graph.add_tensor(Tensor::activation("input", shape, DType::F32));
    graph.inputs.push(input);
    let mut lowering = Lowering {
        graph,
        weights,
        current: input,
        foldable: None,
        indices: vec![None; architecture.layers.len()],
    };
    for (index, layer) in architecture.layers.iter().enumerate() {
        lowering.layer(index, layer)?;
    }
    lowering.graph.outputs.push(lowering.current);
    lowering.graph.validate().context("lowering the architecture")?;
    Ok(lowering.graph)
}

struct Lowering<'a> {
    graph: Graph,
    weights: &'a Weights,
    current: TensorId,
    /// The node that wrote `current`, while it is linear and takes a batch
    /// norm or a clamp into itself.
    foldable: Option<usize>,
    /// By layer: what a pool remembered.
    indices: Vec<Option<TensorId>>,
}

impl Lowering<'_> {
    fn layer(&mut self, index: usize, layer: &Layer) -> Result<()> {
        if let LayerKind::BatchNormalization { epsilon, .. } = layer.kind {
            return self.batch_normalization(layer, epsilon);
        }
        if let LayerKind::Activation(LayerActivation::Elementwise(activation)) = layer.kind
            && (self.fuse(layer, activation) || activation == Activation::Linear)
        {
            return Ok(());
        }
        for stage in &layer.stages {
            let name = match stage.suffix {
                "" => layer.name.clone(),
                suffix => format!("{}/{suffix}", layer.name),
            };
            let mut inputs = vec![self.current];
            if let Some(pool) = layer.pool {
                inputs.push(self.indices[pool].context("a pool without indices")?);
            }
            for spec in &stage.weights {
                let tensor = self.constant(layer, spec)?;
                inputs.push(self.graph.add_tensor(tensor));
            }
            let outputs = self.graph.push(name, stage.op.clone(), &inputs)?;
            self.current = outputs[0];
            self.indices[index] = outputs.get(1).copied();
            self.foldable = takes_a_fold(stage).then(|| self.graph.nodes.len() - 1);
        }
        Ok(())
    }

    /// The weight `spec`, checked.
    fn weight(&self, layer: &Layer, spec: &WeightSpec) -> Result<&WeightTensor> {
        let name = layer.weight_name(spec);
        let weight =
            self.weights.get(&name).with_context(|| format!("weight `{name}` is missing"))?;
        ensure!(
            weight.shape == spec.shape && weight.values.len() == spec.len(),
            "weight `{name}` has shape {:?}, the architecture asks for {:?}",
            weight.shape,
            spec.shape
        );
        Ok(weight)
    }

    fn constant(&self, layer: &Layer, spec: &WeightSpec) -> Result<Tensor> {
        let WeightTensor { shape, values } = self.weight(layer, spec)?.clone();
        Ok(Tensor::constant_f32(layer.weight_name(spec), shape, values))
    }

    /// Fuses a clamp that directly follows a linear operator.
    fn fuse(&mut self, layer: &Layer, clamp: Activation) -> bool {
        let Some(node) = self.foldable.filter(|_| clamp.is_clamp()) else {
            return false;
        };
        let node = &mut self.graph.nodes[node];
        let Some(activation) = activation_mut(&mut node.op) else {
            return false;
        };
        *activation = clamp;
        node.folded.push(layer.name.clone());
        if clamp != Activation::Linear {
            self.foldable = None;
        }
        true
    }

    /// `y = x · a + b` with `a = gamma / √(variance + ε)`, `b = beta − mean · a`.
    fn batch_normalization(&mut self, layer: &Layer, epsilon: f32) -> Result<()> {
        let (mut factor, mut offset) = (vec![], vec![]);
        for channel in 0..*layer.input_shape.last().context("a batch norm of no channels")? {
            let mut value = [1.0, 0.0, 0.0, 1.0]; // gamma, beta, mean, variance
            for spec in layer.weights() {
                let slot = ["gamma", "beta", "moving_mean", "moving_variance"]
                    .iter()
                    .position(|name| *name == spec.name)
                    .context("an unknown weight of a batch norm")?;
                value[slot] = self.weight(layer, spec)?.values[channel];
            }
            let [gamma, beta, mean, variance] = value;
            let scale = gamma / (variance + epsilon).sqrt();
            factor.push(scale);
            offset.push(beta - mean * scale);
        }
        if let Some(node) = self.foldable {
            return self.fold(node, layer, &factor, &offset);
        }
        let channels = vec![factor.len()];
        let op = [
            ("mul", Op::Mul { activation: Activation::Linear }, factor),
            ("add", Op::Add { activation: Activation::Linear }, offset),
        ];
        for (suffix, op, values) in op {
            let name = format!("{}/{suffix}", layer.name);
            let constant =
                Tensor::constant_f32(format!("{name}/constant"), channels.clone(), values);
            let constant = self.graph.add_tensor(constant);
            self.current = self.graph.push(name, op, &[self.current, constant])?[0];
        }
        // The Add that ends it takes a clamp; a second batch norm would need the pair.
        self.foldable = None;
        Ok(())
    }

    /// Multiplies the output channels of `node` by `factor` and moves its bias.
    fn fold(&mut self, node: usize, layer: &Layer, factor: &[f32], offset: &[f32]) -> Result<()> {
        let kernel = self.graph.nodes[node].inputs[1];
        let last = matches!(self.graph.nodes[node].op, Op::DepthwiseConv2d { .. });
        let channels = factor.len();
        let Some(Data::F32(values)) = &mut self.graph[kernel].data else {
            bail!("the kernel before `{}` is no float constant", layer.name);
        };
        let per_channel = values.len() / channels;
        for (i, value) in values.iter_mut().enumerate() {
            *value *= factor[if last { i % channels } else { i / per_channel }];
        }
        match self.graph.nodes[node].inputs.get(2).copied() {
            Some(bias) => {
                let Some(Data::F32(values)) = &mut self.graph[bias].data else {
                    bail!("the bias before `{}` is no float constant", layer.name);
                };
                for (value, (a, b)) in values.iter_mut().zip(factor.iter().zip(offset)) {
                    *value = *value * a + b;
                }
            }
            None => {
                let name = format!("{}/bias", self.graph.nodes[node].name);
                let bias = Tensor::constant_f32(name, vec![channels], offset.to_vec());
                let bias = self.graph.add_tensor(bias);
                self.graph.nodes[node].inputs.push(bias);
            }
        }
        self.graph.nodes[node].folded.push(layer.name.clone());
        Ok(())
    }
}

/// Whether the operator is linear and ends each output channel on its own.
fn takes_a_fold(stage: &Stage) -> bool {
    match &stage.op {
        Op::Conv2d { activation, .. }
        | Op::DepthwiseConv2d { activation, .. }
        | Op::TransposedConv2d { activation, .. }
        | Op::Dense { activation, .. } => *activation == Activation::Linear,
        _ => false,
    }
}

fn activation_mut(op: &mut Op) -> Option<&mut Activation> {
    match op {
        Op::Conv2d { activation, .. }
        | Op::DepthwiseConv2d { activation, .. }
        | Op::TransposedConv2d { activation, .. }
        | Op::Dense { activation, .. } => Some(activation),
        _ => None,
    }
}
