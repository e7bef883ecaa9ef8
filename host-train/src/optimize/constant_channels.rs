//! Channels of an int8 map that are the same for every input are not computed.
//!
//! A convolution whose weights for a channel are all zero writes the code of its bias there.
//! Where everything that reads the channel can take the constant into its biases, the channel
//! is cut out: exact, since the sums are integers and a constant tap adds a constant. A tap in
//! the padding reads the zero point instead, so a constant other than the zero point stays
//! where windows touch the padding.

use std::collections::BTreeMap;

use microconv::quant::requantize;

use super::Pass;
use crate::export::{clamp_of, multipliers};
use crate::graph::{DType, Data, Graph, Node, Op, Padding, Quantization, TensorId};

/// The code of each channel that is constant.
type Codes = Vec<Option<i8>>;

pub(super) const PASS: Pass = Pass {
    name: "constant-channels",
    summary: "channels that are the same for every input are folded into the biases after them",
    rewrite: Some(run),
};

fn run(graph: &mut Graph) {
    let mut constant: BTreeMap<TensorId, Codes> = BTreeMap::new();
    for node in &graph.nodes {
        if let Some(codes) = codes(graph, node, &constant)
            && codes.iter().any(Option::is_some)
        {
            constant.insert(node.outputs[0], codes);
        }
    }
    keep_what_is_needed(graph, &mut constant);
    for index in 0..graph.nodes.len() {
        cut(graph, index, &constant);
    }
    for (id, codes) in &constant {
        let kept = codes.iter().filter(|code| code.is_none()).count();
        if let Some(channels) = graph[*id].shape.last_mut() {
            *channels = kept;
        }
    }
}

/// Scale and zero point of an int8 activation.
fn quantization(graph: &Graph, id: TensorId) -> Option<&Quantization> {
    graph[id].quantization.as_ref().filter(|_| graph[id].dtype == DType::I8)
}

fn i8_data(graph: &Graph, id: TensorId) -> Option<&[i8]> {
    match &graph[id].data {
        Some(Data::I8(values)) => Some(values),
        _ => None,
    }
}

/// Biases of a layer; `None` where they are no integers.
fn biases(graph: &Graph, node: &Node, channels: usize) -> Option<Vec<i32>> {
    match node.inputs.get(2).map(|&id| &graph[id].data) {
        None => Some(vec![0; channels]),
        Some(Some(Data::I32(values))) => Some(values.clone()),
        _ => None,
    }
}

/// Whether no window of an ordinary or depthwise convolution touches the padding.
fn unpadded(graph: &Graph, node: &Node) -> bool {
    let (Op::Conv2d { padding, .. } | Op::DepthwiseConv2d { padding, .. }) = node.op else {
        return false;
    };
    let kernel = &graph[node.inputs[1]].shape[1..3];
    padding == Padding::Valid || kernel == [1, 1]
}

/// Which output channels of `node` are constant.
fn codes(graph: &Graph, node: &Node, known: &BTreeMap<TensorId, Codes>) -> Option<Codes> {
    let input = *node.inputs.first()?;
    match node.op {
        Op::MaxPool2d { activation, .. } | Op::AveragePool2d { activation, .. } => {
            let plain = activation.bounds() == (f32::NEG_INFINITY, f32::INFINITY);
            known.get(&input).filter(|_| plain).cloned()
        }
        Op::Conv2d { groups: 1, activation, .. }
        | Op::DepthwiseConv2d { multiplier: 1, activation, .. } => {
            let (x, y) = (quantization(graph, input)?, quantization(graph, node.outputs[0])?);
            let weights = i8_data(graph, node.inputs[1])?;
            let tensors = [input, node.inputs[1], node.outputs[0]].map(|id| &graph[id]);
            let by = multipliers(tensors[0], tensors[1], tensors[2]).ok()?;
            let channels = *graph[node.outputs[0]].shape.last()?;
            let biases = biases(graph, node, channels)?;
            let depthwise = matches!(node.op, Op::DepthwiseConv2d { .. });
            let inputs = *graph[input].shape.last()?;
            let zero = x.zero_point();
            let unpadded = unpadded(graph, node);
            let constant = known.get(&input);
            // The constant part of each sum; `None` when some tap may vary.
            let fixed = |channel: usize| {
                let mut sum = biases[channel];
                let taps = if depthwise {
                    channel_taps(weights, channel, channels)
                } else {
                    let depth = weights.len() / channels;
                    weights[channel * depth..(channel + 1) * depth].to_vec()
                };
                for (i, &weight) in taps.iter().enumerate().filter(|(_, weight)| **weight != 0) {
                    let from = if depthwise { channel } else { i % inputs };
                    let code = i32::from(constant.and_then(|codes| codes[from])?);
                    if code != zero && !unpadded {
                        return None;
                    }
                    sum = sum.wrapping_add(i32::from(weight) * (code - zero));
                }
                Some(sum)
            };
            let (min, max) = clamp_of(activation, &graph[node.outputs[0]]).ok()?;
            let code = |channel: usize| {
                let by = by[if by.len() == 1 { 0 } else { channel }];
                fixed(channel).map(|sum| requantize(sum, by, y.zero_point(), min, max))
            };
            Some((0..channels).map(code).collect())
        }
        _ => None,
    }
}

/// Taps of one channel of depthwise weights.
fn channel_taps(weights: &[i8], channel: usize, channels: usize) -> Vec<i8> {
    weights.iter().skip(channel).step_by(channels).copied().collect()
}

/// Whether channels pass through `node` one by one.
fn tied(op: &Op) -> bool {
    matches!(
        op,
        Op::DepthwiseConv2d { multiplier: 1, .. } | Op::MaxPool2d { .. } | Op::AveragePool2d { .. }
    )
}

/// Forgets the constants that some reader cannot do without, until nothing changes.
fn keep_what_is_needed(graph: &Graph, constant: &mut BTreeMap<TensorId, Codes>) {
    let ids: Vec<TensorId> = constant.keys().copied().collect();
    loop {
        let mut changed = false;
        for &id in &ids {
            let before = constant[&id].clone();
            let keeps = |channel: usize| !can_go(graph, constant, id, channel);
            let mut after: Codes = (0..before.len())
                .map(|channel| before[channel].filter(|_| !keeps(channel)))
                .collect();
            // A map has at least one channel.
            if after.iter().all(Option::is_some) {
                after[0] = None;
            }
            if after != before {
                constant.insert(id, after);
                changed = true;
            }
        }
        if !changed {
            return;
        }
    }
}

/// Whether a constant channel can be cut out: its producer and all its readers do without.
fn can_go(
    graph: &Graph,
    constant: &BTreeMap<TensorId, Codes>,
    id: TensorId,
    channel: usize,
) -> bool {
    let Some(code) = constant[&id][channel] else { return false };
    let gone = |id: TensorId| constant.get(&id).is_some_and(|codes| codes[channel].is_some());
    let Some(producer) = graph.producer(id) else { return false };
    let producer = &graph.nodes[producer];
    if graph.outputs.contains(&id) || (tied(&producer.op) && !gone(producer.inputs[0])) {
        return false;
    }
    let readers = graph.consumers(id);
    !readers.is_empty()
        && readers.iter().all(|&reader| {
            let node = &graph.nodes[reader];
            if node.inputs[0] != id {
                return false;
            }
            if tied(&node.op) {
                return gone(node.outputs[0]);
            }
            let Op::Conv2d { groups: 1, .. } = node.op else { return false };
            let zero = quantization(graph, id).map(Quantization::zero_point);
            let integers = i8_data(graph, node.inputs[1]).is_some()
                && biases(graph, node, graph[node.inputs[1]].shape[0]).is_some();
            integers && (zero == Some(i32::from(code)) || unpadded(graph, node))
        })
}

/// Cuts the channels out of the weights of node `index`, and puts what they add into its biases.
fn cut(graph: &mut Graph, index: usize, constant: &BTreeMap<TensorId, Codes>) {
    let node = graph.nodes[index].clone();
    let depthwise = match node.op {
        Op::Conv2d { groups: 1, .. } => false,
        Op::DepthwiseConv2d { multiplier: 1, .. } => true,
        _ => return,
    };
    let (input, output) = (node.inputs[0], node.outputs[0]);
    let (before, after) = (constant.get(&input), constant.get(&output));
    if before.is_none() && after.is_none() {
        return;
    }
    let kept =
        |codes: Option<&Codes>, channel: usize| codes.is_none_or(|codes| codes[channel].is_none());
    let Some(values) = i8_data(graph, node.inputs[1]).map(<[i8]>::to_vec) else { return };
    let weights = graph[node.inputs[1]].clone();
    let channels = if depthwise { weights.shape[3] } else { weights.shape[0] };
    let inputs = weights.shape[3];
    let Some(mut bias) = biases(graph, &node, channels) else { return };
    let zero = quantization(graph, input).map_or(0, Quantization::zero_point);
    let depth = values.len() / channels;
    let mut cut = Vec::new();
    for (i, &weight) in values.iter().enumerate() {
        let (o, c) = if depthwise { (i % channels, i % channels) } else { (i / depth, i % inputs) };
        match before.and_then(|codes| codes[c]) {
            Some(code) if !depthwise => {
                let added = i32::from(weight) * (i32::from(code) - zero);
                bias[o] = bias[o].wrapping_add(added);
            }
            _ if kept(after, o) => cut.push(weight),
            _ => {}
        }
    }
    let left: Vec<usize> = (0..channels).filter(|&o| kept(after, o)).collect();
    let mut tensor = weights;
    if depthwise {
        tensor.shape[3] = left.len();
    } else {
        tensor.shape[0] = left.len();
        tensor.shape[3] = (0..inputs).filter(|&c| kept(before, c)).count();
    }
    if let Some(q) = tensor.quantization.as_mut().filter(|q| q.scales.len() == channels) {
        q.scales = left.iter().map(|&o| q.scales[o]).collect();
        q.zero_points = vec![0; left.len()];
    }
    if let Some(q) = tensor.quantization.as_mut().filter(|q| q.multipliers.len() == channels) {
        q.multipliers = left.iter().map(|&o| q.multipliers[o]).collect();
    }
    tensor.data = Some(Data::I8(cut));
    let bias = Data::I32(left.iter().map(|&o| bias[o]).collect());
    let mut inputs = node.inputs.clone();
    let mut vector = match node.inputs.get(2) {
        Some(&id) => graph[id].clone(),
        None => {
            crate::graph::Tensor::activation(format!("{}:bias", node.name), Vec::new(), DType::I32)
        }
    };
    (vector.shape, vector.data) = (vec![left.len()], Some(bias));
    if let Some(q) = vector.quantization.as_mut().filter(|q| q.scales.len() == channels) {
        q.scales = left.iter().map(|&o| q.scales[o]).collect();
        q.zero_points = vec![0; left.len()];
    }
    inputs[1] = graph.add_tensor(tensor);
    inputs.truncate(2);
    inputs.push(graph.add_tensor(vector));
    graph.nodes[index].inputs = inputs;
    let gone = channels - left.len();
    if gone > 0 {
        graph.nodes[index].folded.push(format!("{gone} constant channels"));
    }
}
