//! Which channels can be cut out.

use std::collections::BTreeMap;

use super::bounds::{Bounds, constant};
use super::layer::{Kind, Layer, Passage};
use crate::graph::{Graph, Node, TensorId};

/// Whether each channel of a map goes.
pub(super) type Gone = BTreeMap<TensorId, Vec<bool>>;

/// How a node hands channels on.
enum Role {
    /// Channel by channel.
    Tied,
    /// A layer that reads all of them.
    Sums(Box<Layer>),
    Other,
}

fn role(graph: &Graph, node: &Node) -> Role {
    match Layer::of(graph, node) {
        Some(layer) if layer.kind == Kind::All => Role::Sums(Box::new(layer)),
        Some(_) => Role::Tied,
        None if Passage::through(graph, node).is_some() => Role::Tied,
        None => Role::Other,
    }
}

/// The channels that nothing needs: all are taken to go, and those that something needs come
/// back until nothing changes.
pub(super) fn of(graph: &Graph, bounds: &Bounds) -> Gone {
    let roles: Vec<Role> = graph.nodes.iter().map(|node| role(graph, node)).collect();
    let mut gone: Gone =
        bounds.iter().map(|(&id, channels)| (id, vec![true; channels.len()])).collect();
    loop {
        let mut changed = false;
        for &id in bounds.keys() {
            let before = gone[&id].clone();
            let goes = |channel: usize| {
                before[channel] && can_go(graph, &roles, bounds, &gone, id, channel)
            };
            let mut after: Vec<bool> = (0..before.len()).map(goes).collect();
            // A map has at least one channel.
            if after.iter().all(|&gone| gone) {
                after[0] = false;
            }
            changed |= after != before;
            gone.insert(id, after);
        }
        if !changed {
            gone.retain(|_, channels| channels.contains(&true));
            return gone;
        }
    }
}

/// Whether its producer and all its readers do without a channel.
fn can_go(
    graph: &Graph,
    roles: &[Role],
    bounds: &Bounds,
    gone: &Gone,
    id: TensorId,
    channel: usize,
) -> bool {
    let goes = |id: TensorId| gone.get(&id).is_some_and(|channels| channels[channel]);
    let Some(producer) = graph.producer(id) else { return false };
    if matches!(roles[producer], Role::Tied) && !goes(graph.nodes[producer].inputs[0]) {
        return false;
    }
    let readers = graph.consumers(id);
    let without = |&reader: &usize| {
        let node = &graph.nodes[reader];
        if node.inputs[0] != id || node.inputs[1..].contains(&id) {
            return false;
        }
        match &roles[reader] {
            Role::Tied => goes(node.outputs[0]),
            Role::Sums(layer) => match constant(bounds, id, channel) {
                Some(code) if i32::from(code) == layer.zero[0] || layer.is_unpadded() => true,
                _ => !layer.reads(channel),
            },
            Role::Other => false,
        }
    };
    !graph.outputs.contains(&id) && !readers.is_empty() && readers.iter().all(without)
}
