//! Operators over constants, computed once at import.
//!
//! A constant has the very bits that the layer would have computed.

use crate::graph::Graph;
use crate::optimize::evaluate::evaluate;

/// Most elements that all computed constants have; what is beyond stays a layer.
const MOST: usize = 1 << 22;

/// Replaces every node whose inputs are all constant by constants. Constants
/// that the model gives out stay computed.
pub(super) fn fold_constants(graph: &mut Graph) {
    let mut left = MOST;
    for node in std::mem::take(&mut graph.nodes) {
        let constant = node.inputs.iter().all(|&id| graph[id].data.is_some())
            && !node.outputs.iter().any(|id| graph.outputs.contains(id));
        let size = node.outputs.iter().map(|&id| graph[id].len()).max().unwrap_or(0);
        match (constant && size <= left).then(|| evaluate(graph, &node)).flatten() {
            Some(values) => {
                left -= size;
                for (&id, values) in node.outputs.iter().zip(values) {
                    graph[id].data = Some(values);
                }
            }
            None => graph.nodes.push(node),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Activation, DType, Op, Tensor};

    #[test]
    fn a_chain_of_constants_becomes_one() {
        let mut graph = Graph::new("constants");
        let x = graph.add_tensor(Tensor::activation("x", vec![1, 4], DType::F32));
        graph.inputs.push(x);
        let c = graph.add_tensor(Tensor::constant_f32("c", vec![2, 1], vec![-1.0, 2.0]));
        let relu = graph.push("relu", Op::Activation(Activation::Relu), &[c]).unwrap()[0];
        let tile = graph.push("tile", Op::Tile { multiples: vec![1, 2] }, &[relu]).unwrap()[0];
        let flat = graph.push("flat", Op::Reshape { shape: vec![1, 4] }, &[tile]).unwrap()[0];
        let add = Op::Add { activation: Activation::Linear };
        let sum = graph.push("sum", add, &[x, flat]).unwrap()[0];
        graph.outputs.push(sum);
        fold_constants(&mut graph);
        graph.validate().unwrap();
        assert_eq!(graph.nodes.len(), 1);
        assert_eq!(graph[flat].f32_data(), Some(&[0.0, 0.0, 2.0, 2.0][..]));
    }

    #[test]
    fn a_constant_that_the_model_gives_out_stays_computed() {
        let mut graph = Graph::new("output");
        let c = graph.add_tensor(Tensor::constant_f32("c", vec![1, 2], vec![-1.0, 2.0]));
        let y = graph.push("relu", Op::Activation(Activation::Relu), &[c]).unwrap()[0];
        graph.outputs.push(y);
        fold_constants(&mut graph);
        assert_eq!(graph.nodes.len(), 1);
    }
}
