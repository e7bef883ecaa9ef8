//! Producers write straight into their parts of a concatenated tensor, which then takes no
//! layer: the parts of a concatenation along the outermost axis that is not 1 lie in the
//! memory of the whole one after the other.
//!
//! A part begins at an address that tensors may have, is computed by a layer, and is part of
//! one tensor only; otherwise all parts are copied. Codes are the same, since a concatenation has
//! one scale.

use std::collections::BTreeMap;

use microconv::model::format::ALIGNMENT;

use super::Pass;
use crate::graph::{Activation, DType, Graph, Node, Op, TensorId};

pub(crate) const PASS: Pass = Pass {
    name: "concat",
    summary: "layers write straight into their parts of a concatenated tensor",
    rewrite: None,
};

/// Tensors that are parts of others: of which, and from which byte on.
pub(crate) type Parts = BTreeMap<TensorId, (TensorId, usize)>;

/// The parts of all concatenations that need no copy.
pub(crate) fn parts(graph: &Graph) -> Parts {
    let mut parts = Parts::new();
    for node in &graph.nodes {
        if let Some(found) = parts_of(graph, node, &parts) {
            parts.extend(found);
        }
    }
    parts
}

/// Whether the parts of this concatenation are among `parts`.
pub(crate) fn is_in_place(graph: &Graph, node: &Node, parts: &Parts) -> bool {
    let whole = |&id: &TensorId| parts.get(&source(graph, id)).map(|&(whole, _)| whole);
    node.inputs.iter().all(|id| whole(id) == Some(node.outputs[0]))
}

fn parts_of(graph: &Graph, node: &Node, known: &Parts) -> Option<Parts> {
    let Op::Concat { axis } = node.op else { return None };
    let whole = &graph[node.outputs[0]];
    if whole.shape[..axis].iter().any(|&extent| extent != 1) {
        return None;
    }
    let mut parts = Parts::new();
    let mut at = 0;
    for &input in &node.inputs {
        let (id, tensor) = (source(graph, input), &graph[input]);
        let computed = graph.producer(id).is_some() && tensor.data.is_none();
        let alike = tensor.dtype == whole.dtype && tensor.quantization == whole.quantization;
        let free = computed && alike && !known.contains_key(&id) && !graph.inputs.contains(&id);
        if !free || !at_multiple(at) || parts.insert(id, (node.outputs[0], at)).is_some() {
            return None;
        }
        at += tensor.len() * if tensor.dtype == DType::F32 { 4 } else { 1 };
    }
    Some(parts)
}

fn at_multiple(bytes: usize) -> bool {
    bytes.is_multiple_of(ALIGNMENT)
}

/// The tensor in whose memory `id` lies: what a reshape reads.
fn source(graph: &Graph, id: TensorId) -> TensorId {
    let producer = graph.producer(id).map(|index| &graph.nodes[index]);
    match producer {
        Some(Node {
            op: Op::Reshape { .. } | Op::Activation(Activation::Linear), inputs, ..
        }) => source(graph, inputs[0]),
        _ => id,
    }
}
