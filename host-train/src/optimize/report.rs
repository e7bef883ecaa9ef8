//! What each pass gained: the model exported with one pass more each time.

use serde::{Deserialize, Serialize};

use super::{PASSES, Passes};
use crate::export::{Exported, Options, export, export_noting};
use crate::graph::{Graph, GraphError};

/// What an inference takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Multiply-accumulates.
    pub macs: u64,
    /// Values brought from one int8 scale to another.
    pub requantisations: u64,
    /// Bytes of the blob but for its notes.
    pub flash: usize,
    /// Bytes of arena.
    pub arena: usize,
}

impl Counts {
    /// Of an exported model.
    #[must_use]
    pub fn of(exported: &Exported) -> Self {
        Self {
            macs: exported.macs,
            requantisations: exported.requantisations,
            flash: exported.blob.len() - exported.notes.next_multiple_of(16),
            arena: exported.plan.bytes,
        }
    }
}

/// What one pass changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassReport {
    /// Name of the pass.
    pub pass: String,
    /// With the passes before it.
    pub before: Counts,
    /// With it as well.
    pub after: Counts,
}

/// Exports a graph and says what each of its passes changed, in the order in which they
/// run; a pass that found nothing to do is left out. The blob notes the same, after what
/// was done to the graph `earlier`.
///
/// # Errors
/// As [`export`].
pub fn export_reported(
    graph: &Graph,
    options: Options,
    earlier: &[PassReport],
) -> Result<(Exported, Vec<PassReport>), GraphError> {
    let with = |passes| export(graph, Options { passes, strip: true, ..options });
    let mut before = Counts::of(&with(Passes::NONE)?);
    let mut reports = Vec::new();
    for (index, pass) in PASSES.iter().enumerate().filter(|(_, pass)| options.passes.has(pass)) {
        let after = Counts::of(&with(options.passes.first(index + 1))?);
        if after != before {
            reports.push(PassReport { pass: pass.name.into(), before, after });
        }
        before = after;
    }
    let old = earlier.iter().filter(|old| reports.iter().all(|new| new.pass != old.pass));
    let noted: Vec<PassReport> = old.chain(&reports).cloned().collect();
    Ok((export_noting(graph, options, &noted)?, reports))
}
