//! From a graph to a blob: layers lowered to the records that the kernels read,
//! data deduplicated, the arena planned.

mod apart;
mod arrange;
mod binary;
mod cost;
mod fuse;
mod layout;
mod linear;
mod lower;
mod notes;
mod program;
mod quantized;
mod reduce;
mod simple;
mod target;
mod writer;

pub(crate) use arrange::copy_records;
pub(crate) use binary::binary_record;
pub(crate) use linear::{bias_index, window};
pub use notes::{LayerNote, Notes};
pub(crate) use quantized::{clamp_of, multipliers};
pub(crate) use reduce::{mean_multiplier, reduce_record};
pub(crate) use simple::code_table;
pub use target::Target;

use crate::graph::{Graph, GraphError};
use crate::optimize::{PassReport, Passes, concat, optimize};
use crate::plan::Plan;

/// How to export.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The core to plan scratch and pack weights for.
    pub target: Target,
    /// What may be rewritten and fused.
    pub passes: Passes,
    /// Leave out names and other notes for people.
    pub strip: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { target: Target::Portable, passes: Passes::DEFAULT, strip: false }
    }
}

/// A blob and the plan behind it.
#[derive(Clone, Debug)]
pub struct Exported {
    /// The blob, a multiple of 16 bytes.
    pub blob: Vec<u8>,
    /// Where its tensors lie.
    pub plan: Plan,
    /// Multiply-accumulates of an inference.
    pub macs: u64,
    /// Values that an inference brings from one int8 scale to another.
    pub requantisations: u64,
    /// Bytes of the blob that are notes for people.
    pub notes: usize,
}

/// Layers that run together, band by band.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The first layer of the blob.
    pub first: usize,
    /// How many, at most [`microconv::model::CHAIN`].
    pub len: usize,
    /// Rows of the last one's output.
    pub bands: microconv::model::Bands,
}

/// [`export`] with these cuts instead of those that the planner chooses, all other layers
/// whole; `None` where the layers cannot be cut like that.
///
/// # Errors
/// As [`export`].
pub fn export_cut(
    graph: &Graph,
    options: Options,
    cuts: &[Cut],
) -> Result<Option<Exported>, GraphError> {
    let program = lowered(graph, options)?;
    writer::write_cut(&program, options, cuts).map(checked).transpose()
}

/// Exports a graph; quantised tensors make int8 layers, others f32 layers.
///
/// # Errors
/// [`GraphError`] names the layer that cannot be expressed and says why.
pub fn export(graph: &Graph, options: Options) -> Result<Exported, GraphError> {
    export_noting(graph, options, &[])
}

/// [`export`], with what the passes did in the notes.
pub(crate) fn export_noting(
    graph: &Graph,
    options: Options,
    passes: &[PassReport],
) -> Result<Exported, GraphError> {
    checked(writer::write(&lowered(graph, options)?, options, passes))
}

fn lowered(graph: &Graph, options: Options) -> Result<program::Program, GraphError> {
    graph.validate()?;
    let graph = &optimize(graph, options.passes);
    graph.validate()?;
    let program = apart::lower(graph, options)?;
    if !options.passes.has(&concat::PASS) || concat::parts(graph).is_empty() {
        return Ok(program);
    }
    // A tensor that is written in parts is in memory from its first part on.
    let copying = Options { passes: options.passes.without(&concat::PASS), ..options };
    let copies = apart::lower(graph, copying)?;
    let arena = |program, options| writer::write(program, options, &[]).plan.bytes;
    let smaller = arena(&copies, copying) < arena(&program, options);
    Ok(if smaller { copies } else { program })
}

fn checked(exported: Exported) -> Result<Exported, GraphError> {
    microconv::Model::parse(&exported.blob).map_err(|why| {
        GraphError::new("", format!("the exported blob is not valid ({why}); this is a bug"))
    })?;
    Ok(exported)
}
