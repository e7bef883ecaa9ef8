//! The notes for people at the end of a blob: names, what was folded, counts.

use serde::{Deserialize, Serialize};

use super::program::Program;
use crate::optimize::PassReport;

/// What `inspect` shows of a layer beside its record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerNote {
    /// Name in the source model.
    pub name: String,
    /// Operator in the words of Keras.
    pub kind: String,
    /// Source layers that it took in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub folded: Vec<String>,
    /// Parameters in the source, equal to Keras' `count_params`.
    pub parameters: usize,
    /// Multiply-accumulates that the layer computes; a fused layer may do with fewer than its parts.
    pub macs: u64,
    /// Values brought from one int8 scale to another.
    #[serde(default)]
    pub requantisations: u64,
    /// Bytes of the map inside a fused layer, which is never stored.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unstored: usize,
}

fn is_zero(value: &usize) -> bool {
    *value == 0
}

/// The notes of a blob.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notes {
    /// Name of the model.
    pub name: String,
    /// One per layer.
    pub layers: Vec<LayerNote>,
    /// Names of the tensors.
    pub tensors: Vec<String>,
    /// What the passes of the optimiser did, where the command line wrote the blob.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passes: Vec<PassReport>,
}

impl Notes {
    pub(super) fn of(program: &Program, passes: &[PassReport]) -> Self {
        let layers = program.layers.iter().map(|layer| LayerNote {
            name: layer.name.clone(),
            kind: layer.kind.clone(),
            folded: layer.folded.clone(),
            parameters: layer.parameters,
            macs: layer.macs,
            requantisations: layer.requantisations,
            unstored: layer.unstored,
        });
        Self {
            name: program.name.clone(),
            layers: layers.collect(),
            tensors: program.tensors.iter().map(|t| t.name.clone()).collect(),
            passes: passes.to_vec(),
        }
    }

    /// The notes of a blob; empty when it was stripped.
    pub fn read(model: &microconv::Model<'_>) -> Self {
        serde_json::from_slice(model.notes()).unwrap_or_default()
    }
}
