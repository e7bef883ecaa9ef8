//! A convolution and the max-pool after it. Requantisation does not change an order, so
//! the maximum is taken of the sums, one value a pool is requantised, and the map between
//! is never stored.

use super::Pass;
use crate::graph::{Graph, Op};

pub(crate) const PASS: Pass = Pass {
    name: "pool",
    summary: "a max-pool goes into the convolution before it, which requantises the maxima only",
    rewrite: None,
};

/// The max-pool that alone reads what node `last` of a convolution writes.
pub(crate) fn after(graph: &Graph, last: usize) -> Option<usize> {
    let reader = graph.sole_reader(last)?;
    matches!(graph.nodes[reader].op, Op::MaxPool2d { .. }).then_some(reader)
}
