//! Cuts channels out of the weights around them.

use microconv::quant::Multiplier;

use super::bounds::{Bounds, constant};
use super::gone::Gone;
use super::layer::{Kind, Layer};
use crate::graph::{DType, Data, Graph, Op, Quantization, Tensor, TensorId};

/// Kernels are fastest for right shifts in this range and biases below this.
const SHIFTS: std::ops::RangeInclusive<i32> = -22..=-1;
const BIAS: u32 = 1 << 22;
/// `4 · code` times this is `code`, without a rounding.
const QUARTER: Multiplier = Multiplier { mantissa: 1 << 30, shift: -1 };

/// Cuts channels out of the weights of node `index`, and puts what they add into its biases.
pub(super) fn cut(graph: &mut Graph, index: usize, bounds: &Bounds, gone: &Gone) {
    let node = graph.nodes[index].clone();
    let Some(mut layer) = Layer::of(graph, &node) else { return };
    let (input, output) = (node.inputs[0], node.outputs[0]);
    let moderated = moderate(&mut layer, bounds, output);
    if !gone.contains_key(&input) && !gone.contains_key(&output) && !moderated {
        return;
    }
    let kept = |id: TensorId, channel: usize| gone.get(&id).is_none_or(|gone| !gone[channel]);
    let mut cut = Vec::new();
    for (i, &weight) in layer.weights.iter().enumerate() {
        let [to, _, from] = layer.place(i);
        if layer.kind == Kind::All && !kept(input, from) {
            // Where it is not constant, its weights are zero.
            let code = constant(bounds, input, from).map_or(layer.zero[0], i32::from);
            let added = i32::from(weight).wrapping_mul(code - layer.zero[0]);
            layer.bias[to] = layer.bias[to].wrapping_add(added);
        } else if kept(output, to) {
            cut.push(weight);
        }
    }
    let left: Vec<usize> = (0..layer.outputs).filter(|&o| kept(output, o)).collect();
    let weights = weights(&graph[node.inputs[1]], &layer, &left, cut, moderated);
    let mut vector = match node.inputs.get(2) {
        Some(&id) => graph[id].clone(),
        None => Tensor::activation(format!("{}:bias", node.name), Vec::new(), DType::I32),
    };
    let bias = left.iter().map(|&o| layer.bias[o]).collect();
    (vector.shape, vector.data) = (vec![left.len()], Some(Data::I32(bias)));
    narrow(vector.quantization.as_mut(), layer.outputs, &left);
    let inputs = vec![input, graph.add_tensor(weights), graph.add_tensor(vector)];
    let node = &mut graph.nodes[index];
    node.inputs = inputs;
    let gone = layer.outputs - left.len();
    if gone > 0 {
        node.folded.push(format!("{gone} constant channels"));
    }
}

/// Gives constant channels weights of zero and the same code by a multiplier that every kernel
/// takes, where theirs is not such a one; whether there are any.
fn moderate(layer: &mut Layer, bounds: &Bounds, output: TensorId) -> bool {
    let wild = |channel: usize| {
        layer.bias[channel].unsigned_abs() >= BIAS
            || !SHIFTS.contains(&layer.multiplier(channel).shift)
    };
    let code = |channel: usize| constant(bounds, output, channel).filter(|_| wild(channel));
    let codes: Vec<Option<i8>> = (0..layer.outputs).map(code).collect();
    if codes.iter().all(Option::is_none) {
        return false;
    }
    layer.by = (0..layer.outputs).map(|channel| layer.multiplier(channel)).collect();
    for i in 0..layer.weights.len() {
        if codes[layer.place(i)[0]].is_some() {
            layer.weights[i] = 0;
        }
    }
    for (channel, code) in codes.into_iter().enumerate() {
        if let Some(code) = code {
            layer.bias[channel] = 4 * (i32::from(code) - layer.zero[1]);
            layer.by[channel] = QUARTER;
        }
    }
    true
}

/// The tensor of the weights that are left.
fn weights(
    before: &Tensor,
    layer: &Layer,
    left: &[usize],
    cut: Vec<i8>,
    moderated: bool,
) -> Tensor {
    let mut tensor = before.clone();
    let depth = cut.len() / left.len();
    match (layer.kind, tensor.shape.as_mut_slice()) {
        (Kind::Each, [.., channels]) => *channels = left.len(),
        (Kind::All, [channels, between @ .., inputs]) => {
            *channels = left.len();
            *inputs = depth / between.iter().product::<usize>();
        }
        _ => {}
    }
    if let Some(q) = tensor.quantization.as_mut().filter(|_| moderated) {
        q.multipliers.clone_from(&layer.by);
    }
    narrow(tensor.quantization.as_mut(), layer.outputs, left);
    tensor.data = Some(Data::I8(cut));
    tensor
}

/// Keeps the parameters of the channels in `left`.
fn narrow(quantization: Option<&mut Quantization>, channels: usize, left: &[usize]) {
    let Some(q) = quantization else { return };
    if q.scales.len() == channels {
        q.scales = left.iter().map(|&o| q.scales[o]).collect();
        q.zero_points = vec![0; left.len()];
    }
    if q.multipliers.len() == channels {
        q.multipliers = left.iter().map(|&o| q.multipliers[o]).collect();
    }
}

/// Shapes of the maps without the channels.
pub(super) fn shapes(graph: &mut Graph, gone: &Gone) {
    for (id, gone) in gone {
        if let Some(channels) = graph[*id].shape.last_mut() {
            *channels = gone.iter().filter(|gone| !**gone).count();
        }
    }
    for index in 0..graph.nodes.len() {
        let output = graph.nodes[index].outputs[0];
        if !gone.contains_key(&output) {
            continue;
        }
        let now = graph[output].shape.clone();
        if let Op::Reshape { shape } = &mut graph.nodes[index].op {
            *shape = now;
        }
    }
}
