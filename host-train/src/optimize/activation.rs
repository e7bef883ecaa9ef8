//! A function of one value after a layer with weights: the last step of the layer's sums,
//! in int8 a table over its codes.

use super::Pass;
use crate::export::code_table;
use crate::graph::{Activation, DType, Graph, Op};

pub(crate) const PASS: Pass = Pass {
    name: "activation",
    summary: "an activation or requantisation goes into the layer with weights before it",
    rewrite: None,
};

/// The function that alone reads what node `index` writes, when the layer can take it in.
pub(crate) fn follower(graph: &Graph, index: usize) -> Option<usize> {
    let node = &graph.nodes[index];
    let takes = matches!(
        node.op,
        Op::Conv2d { .. }
            | Op::DepthwiseConv2d { .. }
            | Op::TransposedConv2d { .. }
            | Op::Dense { .. }
    );
    if !takes {
        return None;
    }
    let next = graph.sole_reader(index)?;
    // A float layer clamps before its activation, so any one function fits; a
    // quantised one reads a table, so any function of the code fits.
    let fits = match graph.nodes[next].op {
        Op::Activation(Activation::Linear) => false,
        Op::Activation(activation) if graph[node.outputs[0]].dtype == DType::F32 => {
            !activation.is_clamp()
        }
        _ => code_table(graph, &graph.nodes[next]).is_some(),
    };
    fits.then_some(next)
}
