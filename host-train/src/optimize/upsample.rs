//! A nearest upsampling by whole factors and the convolution after it. Taps that read the
//! same cell of the small map have their weights added up: a factor of 2 makes four
//! kernels of 2 × 2 out of one of 3 × 3, and the large map is never stored.

use super::Pass;
use crate::graph::{Graph, Op, ResizeMode};

pub(crate) const PASS: Pass = Pass {
    name: "upsample",
    summary: "a nearest upsampling goes into the convolution after it, the weights of a cell added up",
    rewrite: None,
};

/// The convolution that alone reads the nearest upsampling `index`.
pub(crate) fn reader(graph: &Graph, index: usize) -> Option<usize> {
    let Op::Resize2d { mode: ResizeMode::Nearest, .. } = graph.nodes[index].op else {
        return None;
    };
    let reader = graph.sole_reader(index)?;
    matches!(graph.nodes[reader].op, Op::Conv2d { .. }).then_some(reader)
}
