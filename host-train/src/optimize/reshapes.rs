//! Reshapes out of the way of layers that belong together, as in one-dimensional
//! convolutions: behind the function of one value that follows, in front of the padding
//! before, and several in a row made one.

use super::Pass;
use crate::export::code_table;
use crate::graph::{Graph, Op, TensorId};

pub(super) const PASS: Pass = Pass {
    name: "reshapes",
    summary: "reshapes move behind activations and before paddings, so that layers meet",
    rewrite: Some(run),
};

fn run(graph: &mut Graph) {
    let mut at = 0;
    while at < graph.nodes.len() {
        if merge(graph, at) || skip(graph, at) {
            // What came before may meet what comes after now.
            at = 0;
        } else if behind_function(graph, at) || before_padding(graph, at) {
            at = at.saturating_sub(1);
        } else {
            at += 1;
        }
    }
}

fn is_reshape(graph: &Graph, index: usize) -> bool {
    matches!(graph.nodes[index].op, Op::Reshape { .. })
}

/// Takes out reshape `at` when another alone reads it.
fn merge(graph: &mut Graph, at: usize) -> bool {
    let Some(reader) = graph.sole_reader(at) else { return false };
    if !is_reshape(graph, at) || !is_reshape(graph, reader) {
        return false;
    }
    let gone = graph.nodes[at].clone();
    let node = &mut graph.nodes[reader];
    node.inputs.clone_from(&gone.inputs);
    node.folded.extend(gone.folded.into_iter().chain([gone.name]));
    graph.nodes.remove(at);
    true
}

/// Takes out reshape `at` when it gives the shape that it reads, and the caller
/// does not want its output.
fn skip(graph: &mut Graph, at: usize) -> bool {
    let node = &graph.nodes[at];
    let (x, y) = (node.inputs[0], node.outputs[0]);
    let alike = graph[x].shape == graph[y].shape && graph[x].quantization == graph[y].quantization;
    if !is_reshape(graph, at) || !alike || graph.outputs.contains(&y) {
        return false;
    }
    let gone = graph.nodes.remove(at);
    let host = graph.producer(x).or_else(|| graph.consumers(y).first().copied());
    for node in &mut graph.nodes {
        node.inputs.iter_mut().filter(|id| **id == y).for_each(|id| *id = x);
    }
    if let Some(host) = host {
        graph.nodes[host].folded.extend(gone.folded.into_iter().chain([gone.name]));
    }
    true
}

/// Whether node `index` changes each value for itself.
fn is_function(graph: &Graph, index: usize) -> bool {
    let node = &graph.nodes[index];
    matches!(node.op, Op::Activation(_)) || code_table(graph, node).is_some()
}

/// Swaps reshape `at`, which stands between a layer and a function that nobody else
/// sees, with the function.
fn behind_function(graph: &mut Graph, at: usize) -> bool {
    let Some(reader) = graph.sole_reader(at) else { return false };
    let (x, y) = (graph.nodes[at].inputs[0], graph.nodes[at].outputs[0]);
    let alone = graph.producer(x).and_then(|layer| graph.sole_reader(layer)) == Some(at);
    if !is_reshape(graph, at) || !alone || !is_function(graph, reader) {
        return false;
    }
    let result = graph.nodes[reader].outputs[0];
    between(graph, y, result, graph[x].shape.clone());
    let shape = graph[result].shape.clone();
    graph.nodes[at].op = Op::Reshape { shape };
    swap(graph, at, reader);
    true
}

/// Swaps padding `at` with the reshape after it that only adds axes of one.
fn before_padding(graph: &mut Graph, at: usize) -> bool {
    let Some(reader) = graph.sole_reader(at) else { return false };
    let Op::Pad { before, after, mode } = &graph.nodes[at].op else { return false };
    let (x, y) = (graph.nodes[at].inputs[0], graph.nodes[at].outputs[0]);
    let result = graph.nodes[reader].outputs[0];
    let Some(places) = places(&graph[y].shape, &graph[result].shape) else { return false };
    if !is_reshape(graph, reader) {
        return false;
    }
    let spread = |values: &[usize], rest: usize| {
        let mut all = vec![rest; graph[result].shape.len()];
        places.iter().zip(values).for_each(|(&place, &value)| all[place] = value);
        all
    };
    let (mode, shape) = (*mode, spread(&graph[x].shape, 1));
    let pad = Op::Pad { before: spread(before, 0), after: spread(after, 0), mode };
    graph.nodes[at].op = pad;
    graph.nodes[reader].op = Op::Reshape { shape: shape.clone() };
    between(graph, y, x, shape);
    swap(graph, at, reader);
    true
}

/// Where the axes of a shape are in one with more axes of extent 1; `None` when it has no more.
fn places(from: &[usize], to: &[usize]) -> Option<Vec<usize>> {
    let mut places = Vec::new();
    for (place, &extent) in to.iter().enumerate() {
        if from.get(places.len()) == Some(&extent) {
            places.push(place);
        } else if extent != 1 {
            return None;
        }
    }
    (places.len() == from.len() && to.len() > from.len()).then_some(places)
}

/// Makes tensor `id` one of this shape with the type and scale of `like`.
fn between(graph: &mut Graph, id: TensorId, like: TensorId, shape: Vec<usize>) {
    let (dtype, quantization) = (graph[like].dtype, graph[like].quantization.clone());
    let tensor = &mut graph.tensors[id.0];
    (tensor.shape, tensor.dtype, tensor.quantization) = (shape, dtype, quantization);
}

/// Lets nodes `first` and `second`, of which the second alone reads the first, change places.
fn swap(graph: &mut Graph, first: usize, second: usize) {
    let (x, y) = (graph.nodes[first].inputs[0], graph.nodes[first].outputs[0]);
    let result = graph.nodes[second].outputs[0];
    graph.nodes.swap(first, second);
    (graph.nodes[first].inputs[0], graph.nodes[first].outputs[0]) = (x, y);
    (graph.nodes[second].inputs[0], graph.nodes[second].outputs[0]) = (y, result);
}
