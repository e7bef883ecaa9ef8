//! What a converter leaves behind: operators that change nothing or that
//! nobody reads.

use crate::graph::{Activation, DType, Graph, Node, Op, Tensor, TensorId};

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

#[cfg(test)]
mod tests;
