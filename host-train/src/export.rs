//! From a graph to a blob: layers lowered to the records that the kernels read,
//! data deduplicated, the arena planned.

mod arrange;
mod binary;
mod fuse;
mod linear;
mod lower;
mod notes;
mod program;
mod quantized;
mod reduce;
mod simple;
mod target;
mod writer;

pub use notes::{LayerNote, Notes};
pub(crate) use quantized::clamp_of;
pub use target::Target;

use crate::graph::{Graph, GraphError};
use crate::optimize::optimize;
use crate::plan::Plan;

/// How to export.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The core to plan scratch and pack weights for.
    pub target: Target,
    /// Fold activations into the layers before them.
    pub optimize: bool,
    /// Leave out names and other notes for people.
    pub strip: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { target: Target::Portable, optimize: true, strip: false }
    }
}

/// A blob and the plan behind it.
#[derive(Clone, Debug)]
pub struct Exported {
    /// The blob, a multiple of 16 bytes.
    pub blob: Vec<u8>,
    /// Where its tensors lie.
    pub plan: Plan,
}

/// Exports a graph; quantised tensors make int8 layers, others f32 layers.
///
/// # Errors
/// [`GraphError`] names the layer that cannot be expressed and says why.
pub fn export(graph: &Graph, options: Options) -> Result<Exported, GraphError> {
    graph.validate()?;
    let optimized = options.optimize.then(|| optimize(graph));
    let graph = optimized.as_ref().unwrap_or(graph);
    graph.validate()?;
    let program = lower::lower(graph, options)?;
    let exported = writer::write(program, options);
    microconv::Model::parse(&exported.blob).map_err(|why| {
        GraphError::new("", format!("the exported blob is not valid ({why}); this is a bug"))
    })?;
    Ok(exported)
}
