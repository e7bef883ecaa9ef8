//! A sum or a product reads first what is computed last, so that it can follow the layer
//! before it band by band: the sum of a residual block then grows in the place of the map that
//! it adds, and the map of the convolution is never stored as a whole. Sums and products give the
//! same bits either way round: each operand keeps its own zero point and multiplier.
//!
//! The chain itself is for [`super::bands`] to choose.

use super::Pass;
use crate::graph::{Graph, Op};

pub(super) const PASS: Pass = Pass {
    name: "residual",
    summary: "a sum takes its operands in the order in which it can follow a convolution by bands",
    rewrite: Some(run),
};

fn run(graph: &mut Graph) {
    for index in 0..graph.nodes.len() {
        let node = &graph.nodes[index];
        let (Op::Add { .. } | Op::Mul { .. }, &[first, second]) =
            (&node.op, node.inputs.as_slice())
        else {
            continue;
        };
        // Constants and inputs of the model come before all nodes.
        if graph.producer(first) < graph.producer(second) {
            graph.nodes[index].inputs.swap(0, 1);
        }
    }
}
