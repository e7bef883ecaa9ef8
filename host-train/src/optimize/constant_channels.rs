//! Channels of an int8 map that are the same for every input are not computed.
//!
//! Each layer's sums have bounds that follow from its weights, its biases and the codes that
//! its input can hold; rounding and clamp keep their order. Where both bounds give one
//! code, the channel is constant: all weights zero, or a bias that the weights cannot move over
//! a rounding boundary, or sums that the clamp hides. Where everything that reads a channel
//! can take the constant into its biases, the channel is cut out: exact, since the sums are
//! integers and a constant tap adds a constant. A tap in the padding reads the zero point
//! instead, so a constant other than the zero point stays where windows touch the padding.
//! What only feeds channels that are cut out is cut out with them, constant or not. Pools,
//! means and maxima over a map hand channels on one by one.
//!
//! A constant channel that stays gets weights of zero and a multiplier that any kernel takes,
//! with the same code.

mod bounds;
mod cut;
mod gone;
mod layer;

use super::Pass;
use crate::graph::Graph;

pub(super) const PASS: Pass = Pass {
    name: "constant-channels",
    summary: "channels that are the same for every input are folded into the biases after them",
    rewrite: Some(run),
};

fn run(graph: &mut Graph) {
    let bounds = bounds::of(graph);
    let gone = gone::of(graph, &bounds);
    for index in 0..graph.nodes.len() {
        cut::cut(graph, index, &bounds, &gone);
    }
    cut::shapes(graph, &gone);
}
