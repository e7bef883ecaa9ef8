//! TensorFlow Lite models: the flatbuffer read and checked, shape arithmetic
//! folded, operators lowered to the graph, Keras' upsampling recognised.

mod constant;
mod lower;
mod operators;
mod rewrite;
mod schema;

use super::ImportError;
use crate::graph::Graph;

/// Largest tensor accepted, elements: keeps a hostile file from asking for all memory.
const MAX_ELEMENTS: usize = 1 << 28;

/// Reads a model.
///
/// # Errors
/// [`ImportError`] names the operator, its index and the feature that is not
/// supported, or what is broken in the file.
pub fn read(bytes: &[u8]) -> Result<Graph, ImportError> {
    let model = schema::Model::read(bytes)?;
    let mut graph = lower::lower(&model)?;
    rewrite::recognise_upsampling(&mut graph);
    graph.validate().map_err(|error| ImportError::new(error.to_string()))?;
    Ok(graph)
}
