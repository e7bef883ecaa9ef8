//! Operators over constants, computed once at import.
//!
//! Each is exported as a model of its own and run on the portable kernels, so
//! that a constant has the very bits that the layer would have computed.

use microconv::backend::Scalar;
use microconv::{Model, Session};

use crate::export::{Options, export};
use crate::graph::{DType, Data, Graph, Node, Tensor};
use crate::runner::AlignedBytes;

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

/// The values that a node of constant inputs computes; `None` when it stays a layer.
fn evaluate(graph: &Graph, node: &Node) -> Option<Vec<Data>> {
    let mut alone = Graph::new(&node.name);
    let mut add = |tensor: &Tensor| alone.add_tensor(tensor.clone());
    let inputs: Vec<_> = node.inputs.iter().map(|&id| add(&graph[id])).collect();
    let outputs: Vec<_> = node.outputs.iter().map(|&id| add(&graph[id])).collect();
    alone[*inputs.first()?].data = None;
    alone.inputs = vec![inputs[0]];
    alone.outputs.clone_from(&outputs);
    alone.nodes.push(Node { inputs, outputs, ..node.clone() });
    let exported =
        export(&alone, Options { optimize: false, strip: true, ..Options::default() }).ok()?;
    let blob = AlignedBytes::copy_of(&exported.blob);
    let model = Model::from_bytes(blob.as_slice()).ok()?;
    let mut arena = AlignedBytes::zeros(model.arena_bytes());
    let mut session = Session::<Scalar>::with_backend(model, arena.as_mut_slice()).ok()?;
    let given = match graph[node.inputs[0]].data.as_ref()? {
        Data::F32(values) => bytemuck::cast_slice(values),
        Data::I8(values) => bytemuck::cast_slice(values),
        Data::I32(_) => return None,
    };
    session.input_bytes(0).copy_from_slice(given);
    session.run();
    let values = alone.outputs.iter().enumerate().map(|(i, &id)| {
        let bytes = session.output_bytes(i);
        match alone[id].dtype {
            DType::F32 => Some(Data::F32(bytemuck::pod_collect_to_vec(bytes))),
            DType::I8 => Some(Data::I8(bytemuck::cast_slice(bytes).to_vec())),
            DType::I32 | DType::U32 => None,
        }
    });
    values.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Activation, Op};

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
