//! Functions of one code that follow each other are one table; a function that changes
//! nothing is none.

use super::Pass;
use crate::export::code_table;
use crate::graph::{Graph, Node, Op};

pub(super) const PASS: Pass = Pass {
    name: "requantize",
    summary: "requantisations and activations that follow each other become one table",
    rewrite: Some(run),
};

fn run(graph: &mut Graph) {
    let mut at = 0;
    while at < graph.nodes.len() {
        if let Some((reader, node)) = joined(graph, at) {
            graph.nodes[reader] = node;
            graph.nodes.remove(at);
        } else {
            at += 1;
        }
    }
    for index in 0..graph.nodes.len() {
        if changes_nothing(graph, index) {
            let shape = graph[graph.nodes[index].outputs[0]].shape.clone();
            graph.nodes[index].op = Op::Reshape { shape };
        }
    }
}

/// The function that alone reads function `at`, by its place, and both as one.
fn joined(graph: &Graph, at: usize) -> Option<(usize, Node)> {
    let first = &graph.nodes[at];
    let reader = graph.sole_reader(at)?;
    let second = &graph.nodes[reader];
    let (from, to) = (code_table(graph, first)?, code_table(graph, second)?);
    let table = from.map(|code| to[(i32::from(code) + 128) as usize]);
    let mut node = second.clone();
    node.op = Op::Table(Box::new(table));
    node.inputs.clone_from(&first.inputs);
    node.folded.extend(first.folded.iter().cloned().chain([first.name.clone()]));
    Some((reader, node))
}

/// Whether a function gives every code as it is, on the same scale.
fn changes_nothing(graph: &Graph, index: usize) -> bool {
    let node = &graph.nodes[index];
    let Some(table) = code_table(graph, node) else { return false };
    let same = graph[node.inputs[0]].quantization == graph[node.outputs[0]].quantization;
    same && table.iter().zip(-128i32..).all(|(&code, own)| i32::from(code) == own)
}
