//! TensorFlow Lite models: the flatbuffer read and checked, shape arithmetic
//! folded, operators lowered to the graph, Keras' upsampling recognised.

mod constant;
mod describe;
mod dilation;
mod flatbuffer;
mod fold;
mod lower;
mod names;
mod operators;
mod options;
mod rearrange;
mod rewrite;
mod schema;
mod simplify;

pub use describe::{Description, OperatorSummary, QuantizationSummary, TensorSummary, describe};

use super::ImportError;
use crate::graph::{Graph, GraphError};

/// Largest tensor accepted, elements: keeps a hostile file from asking for all memory.
const MAX_ELEMENTS: usize = 1 << 28;

/// Reads a model. Constants are folded, operators that change nothing are dropped and
/// Keras' upsampling is one layer; what else can be done exactly is left to
/// [`crate::optimize`].
///
/// # Errors
/// [`ImportError`] names the operator, its index and the feature that is not
/// supported, or what is broken in the file.
pub fn read(bytes: &[u8]) -> Result<Graph, ImportError> {
    let model = schema::Model::read(bytes)?;
    let mut graph = lower::lower(&model)?;
    simplify::drop_unread(&mut graph);
    graph.validate().map_err(|error| named(&model, &error))?;
    fold::fold_constants(&mut graph);
    dilation::recognise_dilation(&mut graph);
    simplify::drop_identities(&mut graph);
    rewrite::recognise_upsampling(&mut graph);
    graph.validate().map_err(|error| named(&model, &error))?;
    Ok(graph)
}

/// An error about a graph that [`read`] made of `bytes`, with the operator of
/// the file that it is about.
pub fn locate(bytes: &[u8], error: &GraphError) -> ImportError {
    match schema::Model::read(bytes) {
        Ok(model) => named(&model, error),
        Err(_) => ImportError::new(error.to_string()),
    }
}

fn named(model: &schema::Model<'_>, error: &GraphError) -> ImportError {
    // A node is called after the tensor that it computes; a step on the way has a suffix.
    let node = error.node.strip_suffix(lower::STEP_SUFFIX).unwrap_or(&error.node);
    let writes = |o: &&schema::Operator<'_>| {
        o.outputs.iter().any(|&id| model.tensors[id as usize].name == node)
    };
    match model.operators.iter().find(writes) {
        Some(operator) if !node.is_empty() => {
            ImportError::new(format!("{}: {}", names::label(operator), error.message))
        }
        _ => ImportError::new(error.to_string()),
    }
}

/// Whether these bytes claim to be a TensorFlow Lite model.
pub fn is_tflite(bytes: &[u8]) -> bool {
    bytes.get(4..8) == Some(b"TFL3")
}
