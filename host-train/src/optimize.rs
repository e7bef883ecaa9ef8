//! Rewrites of a graph that change no int8 code: fewer products for the same results.
//!
//! The export applies them unless `--no-optimize` is given. What is fused while layers are
//! written (activations, pools, upsampling) is decided in the export.

mod constant_channels;
mod nails;

use crate::graph::Graph;

/// A rewrite with its name.
#[derive(Clone, Copy, Debug)]
pub struct Pass {
    /// Name, for people.
    pub name: &'static str,
    /// What it does.
    pub summary: &'static str,
    run: fn(&mut Graph),
}

/// All rewrites, in the order in which they run.
pub const PASSES: [Pass; 2] = [
    Pass {
        name: "constant-channels",
        summary: "channels that are the same for every input are folded into the biases after them",
        run: constant_channels::run,
    },
    Pass {
        name: "nails",
        summary: "a bed of nails before a convolution becomes a transposed convolution",
        run: nails::run,
    },
];

/// The graph after all rewrites.
#[must_use]
pub fn optimize(graph: &Graph) -> Graph {
    let mut graph = graph.clone();
    PASSES.iter().for_each(|pass| (pass.run)(&mut graph));
    graph
}
