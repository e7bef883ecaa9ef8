//! A max-unpooling and the convolution after it, which visits the remembered places only
//! and never the zeros between them.

use super::Pass;
use crate::graph::{Graph, Op};

pub(crate) const PASS: Pass = Pass {
    name: "unpool",
    summary: "a max-unpooling goes into the convolution after it, which skips the zeros",
    rewrite: None,
};

/// The convolution that alone reads the unpooling `index`.
pub(crate) fn reader(graph: &Graph, index: usize) -> Option<usize> {
    let Op::MaxUnpool2d { .. } = graph.nodes[index].op else { return None };
    let reader = graph.sole_reader(index)?;
    matches!(graph.nodes[reader].op, Op::Conv2d { .. }).then_some(reader)
}
