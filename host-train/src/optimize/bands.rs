//! Layers run in bands of rows, alone or chained, where that makes the arena smaller: an
//! output grows over the input that was read, a map between two layers is kept only as far
//! as it is read. [`crate::plan`] chooses, `tests/tests/bands.rs` proves.

use super::Pass;

pub(crate) const PASS: Pass = Pass {
    name: "bands",
    summary: "layers run in bands of rows, outputs over inputs, where that saves memory",
    rewrite: None,
};
