//! A bed of nails before a convolution is a transposed convolution.
//!
//! With cells of `f`, output `o` of the convolution reads value `i` through tap
//! `t = i·f + pad − o`. A transposed convolution of stride `f` with its taps in reverse
//! order and a padding of `kernel − 1 − pad` reads the same, and never touches the zeros,
//! which are the padding of both.

use super::Pass;
use crate::graph::{Data, Graph, Node, Op, Padding, Tensor};

pub(super) const PASS: Pass = Pass {
    name: "nails",
    summary: "a bed of nails before a convolution becomes a transposed convolution",
    rewrite: Some(run),
};

fn run(graph: &mut Graph) {
    let mut at = 0;
    while at < graph.nodes.len() {
        if let Some((reader, node, weights)) = rewritten(graph, at) {
            let id = graph.add_tensor(weights);
            let mut node = node;
            node.inputs[1] = id;
            graph.nodes[reader] = node;
            graph.nodes.remove(at);
        } else {
            at += 1;
        }
    }
}

/// The convolution after bed of nails `at` by its place, what takes its place, and the
/// weights of that.
fn rewritten(graph: &Graph, at: usize) -> Option<(usize, Node, Tensor)> {
    let nails = &graph.nodes[at];
    let Op::BedOfNails2d { strides } = nails.op else { return None };
    let map = nails.outputs[0];
    let &[reader] = graph.consumers(map).as_slice() else { return None };
    let node = &graph.nodes[reader];
    let Op::Conv2d { strides: [1, 1], dilation: [1, 1], padding, groups: 1, activation } = node.op
    else {
        return None;
    };
    let same = graph[nails.inputs[0]].quantization == graph[map].quantization;
    if node.inputs[0] != map || graph.outputs.contains(&map) || !same {
        return None;
    }
    let weights = &graph[node.inputs[1]];
    let (&[_, kh, kw, depth], &[_, h, w, _]) =
        (weights.shape.as_slice(), graph[nails.inputs[0]].shape.as_slice())
    else {
        return None;
    };
    let (&[_, oh, ow, _], [ih, iw]) =
        (graph[node.outputs[0]].shape.as_slice(), [h * strides[0], w * strides[1]])
    else {
        return None;
    };
    let [pad_top, pad_left] = match padding {
        Padding::Valid => [0, 0],
        Padding::Same => [same_before(ih, kh), same_before(iw, kw)],
        Padding::Explicit { top, left, .. } => [top, left],
    };
    let (top, bottom) = pads(h, strides[0], kh, pad_top, oh)?;
    let (left, right) = pads(w, strides[1], kw, pad_left, ow)?;
    let op = Op::TransposedConv2d {
        strides,
        padding: Padding::Explicit { top, bottom, left, right },
        output_size: [oh, ow],
        activation,
    };
    let mut folded = vec![nails.name.clone()];
    folded.extend(node.folded.iter().cloned());
    let mut inputs = node.inputs.clone();
    inputs[0] = nails.inputs[0];
    let data = match weights.data.as_ref()? {
        Data::F32(values) => Data::F32(reversed(values, kh * kw, depth)),
        Data::I8(values) => Data::I8(reversed(values, kh * kw, depth)),
        Data::I32(_) => return None,
    };
    let weights = Tensor { data: Some(data), ..weights.clone() };
    let node = Node { name: node.name.clone(), op, inputs, outputs: node.outputs.clone(), folded };
    Some((reader, node, weights))
}

/// Padding before a map of stride 1 under SAME.
fn same_before(input: usize, kernel: usize) -> usize {
    (input + kernel - 1).saturating_sub(input) / 2
}

/// Padding before and after of the forward convolution from `output` cells to `input`.
fn pads(
    input: usize,
    stride: usize,
    kernel: usize,
    pad: usize,
    output: usize,
) -> Option<(usize, usize)> {
    let before = (kernel - 1).checked_sub(pad)?;
    let last = (input - 1) * stride;
    // `(output + before + after − kernel) / stride + 1` must be `input`.
    let after = (last + kernel).saturating_sub(output + before);
    let span = (output + before + after).checked_sub(kernel)?;
    (span / stride + 1 == input).then_some((before, after))
}

/// Taps in reverse order, the channels of each as they are.
fn reversed<T: Copy>(values: &[T], taps: usize, depth: usize) -> Vec<T> {
    let filters = values.chunks_exact(taps * depth);
    filters.flat_map(|filter| filter.chunks_exact(depth).rev().flatten().copied()).collect()
}
