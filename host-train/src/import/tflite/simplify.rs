//! What a converter leaves behind: operators that change nothing or that
//! nobody reads, and a padding in front of a convolution that can pad itself.

use crate::graph::{
    Activation, DType, Graph, Node, Op, PadMode, Padding, Tensor, TensorId, infer_shapes,
};

/// Removes operators whose outputs nobody reads.
pub(super) fn drop_unread(graph: &mut Graph) {
    let mut read = vec![false; graph.tensors.len()];
    graph.outputs.iter().for_each(|id| read[id.0] = true);
    let mut kept = Vec::new();
    for node in std::mem::take(&mut graph.nodes).into_iter().rev() {
        if node.outputs.iter().any(|id| read[id.0]) {
            node.inputs.iter().for_each(|id| read[id.0] = true);
            kept.push(node);
        }
    }
    kept.reverse();
    graph.nodes = kept;
}

/// Removes operators that give their input unchanged. A transpose that moves
/// axes of one element only becomes a reshape, which costs nothing.
pub(super) fn drop_identities(graph: &mut Graph) {
    let mut index = 0;
    while index < graph.nodes.len() {
        let node = &graph.nodes[index];
        if let Op::Transpose { perm } = &node.op
            && moves_only_ones(perm, &graph[node.inputs[0]].shape)
        {
            let shape = graph[node.outputs[0]].shape.clone();
            graph.nodes[index].op = Op::Reshape { shape };
        }
        if !(is_identity(graph, &graph.nodes[index]) && bypass(graph, index)) {
            index += 1;
        }
    }
}

fn moves_only_ones(perm: &[usize], shape: &[usize]) -> bool {
    let moved: Vec<usize> = perm.iter().copied().filter(|&axis| shape[axis] != 1).collect();
    moved.is_sorted()
}

/// Whether two tensors have the same type, shape and scale.
fn alike(a: &Tensor, b: &Tensor) -> bool {
    a.dtype == b.dtype && a.shape == b.shape && a.quantization == b.quantization
}

fn is_identity(graph: &Graph, node: &Node) -> bool {
    let (&[x], &[y]) = (node.inputs.as_slice(), node.outputs.as_slice()) else { return false };
    let (x, y) = (&graph[x], &graph[y]);
    alike(x, y)
        && match &node.op {
            Op::Reshape { .. }
            | Op::Tile { .. }
            | Op::Concat { .. }
            | Op::Pad { .. }
            | Op::Resize2d { .. }
            | Op::Activation(Activation::Linear) => true,
            Op::Quantize => x.dtype == DType::I8,
            Op::Transpose { perm } => perm.is_sorted(),
            // Of the whole extent, and not backwards.
            Op::Slice { strides, .. } => strides.iter().all(|&stride| stride > 0),
            Op::MaxPool2d { window, activation, .. }
            | Op::AveragePool2d { window, activation, .. } => {
                *window == [1, 1] && *activation == Activation::Linear
            }
            _ => false,
        }
}

/// Takes out node `index`, which gives its input unchanged; `false` when both
/// ends belong to the caller, so that the copy has to be made.
fn bypass(graph: &mut Graph, index: usize) -> bool {
    let (x, y) = (graph.nodes[index].inputs[0], graph.nodes[index].outputs[0]);
    let producer = graph.producer(x);
    let (gone, kept) = match producer {
        // The name of an output is the caller's.
        Some(_) if graph.outputs.contains(&y) && !graph.outputs.contains(&x) => (x, y),
        _ if graph.outputs.contains(&y) => return false,
        _ => (y, x),
    };
    let removed = graph.nodes.remove(index);
    let replace = |id: &mut TensorId| {
        if *id == gone {
            *id = kept;
        }
    };
    for node in &mut graph.nodes {
        node.inputs.iter_mut().chain(&mut node.outputs).for_each(replace);
    }
    // What stands before a removed node keeps its place.
    let host = producer.or_else(|| graph.consumers(kept).first().copied());
    if let Some(host) = host {
        graph.nodes[host].folded.extend(removed.folded.into_iter().chain([removed.name]));
    }
    true
}

/// Lets a convolution pad itself where a zero padding is all that stands
/// before it: the same products, one map less in memory.
pub(super) fn fold_padding(graph: &mut Graph) {
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
mod tests;
