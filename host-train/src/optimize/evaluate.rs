//! One operator over constants.
//!
//! It is exported as a model of its own and run on the portable kernels, so that the
//! result has the very bits that the layer would have computed.

use microconv::backend::Scalar;
use microconv::{Model, Session};

use super::Passes;
use crate::export::{Options, export};
use crate::graph::{DType, Data, Graph, Node, Tensor};
use crate::runner::AlignedBytes;

/// The values that a node of constant inputs computes; `None` when it stays a layer.
pub(crate) fn evaluate(graph: &Graph, node: &Node) -> Option<Vec<Data>> {
    let mut alone = Graph::new(&node.name);
    let mut add = |tensor: &Tensor| alone.add_tensor(tensor.clone());
    let inputs: Vec<_> = node.inputs.iter().map(|&id| add(&graph[id])).collect();
    let outputs: Vec<_> = node.outputs.iter().map(|&id| add(&graph[id])).collect();
    alone[*inputs.first()?].data = None;
    alone.inputs = vec![inputs[0]];
    alone.outputs.clone_from(&outputs);
    alone.nodes.push(Node { inputs, outputs, ..node.clone() });
    let exported =
        export(&alone, Options { passes: Passes::NONE, strip: true, ..Options::default() }).ok()?;
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
