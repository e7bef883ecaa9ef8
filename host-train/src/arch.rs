//! Architectures as data: a TOML file with Keras' layer names and arguments.
//!
//! An [`Architecture`] is parsed and checked once, every layer's shape
//! included; with [`Weights`] it lowers to the float [`Graph`](crate::graph::Graph).

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};

mod arguments;
mod kind;
mod layer;
mod lower;
mod parse;
mod stages;

pub use layer::{Border, Init, LayerActivation, LayerKind, Stage, WeightSpec};

/// Names and texts of the architectures that ship with the crate.
const BUILT_IN: [(&str, &str); 7] = [
    ("upsample", include_str!("../models/upsample.toml")),
    ("transpose", include_str!("../models/transpose.toml")),
    ("strided-transpose", include_str!("../models/strided-transpose.toml")),
    ("max-unpool", include_str!("../models/max-unpool.toml")),
    ("bed-of-nails", include_str!("../models/bed-of-nails.toml")),
    ("dense", include_str!("../models/dense.toml")),
    ("dilated", include_str!("../models/dilated.toml")),
];

/// A network: layers in a row, all shapes known.
#[derive(Clone, Debug)]
pub struct Architecture {
    /// Name of the model.
    pub name: String,
    /// Extents of the input without the batch: height, width, channels, or one.
    pub input: Vec<usize>,
    /// In the order of the data.
    pub layers: Vec<Layer>,
    /// The TOML text.
    pub text: String,
    /// The file (or built-in name) that the text comes from, for messages.
    pub file: String,
}

/// One layer of an [`Architecture`].
#[derive(Clone, Debug)]
pub struct Layer {
    /// Unique; Keras' default (`conv2d_1`) or the one given.
    pub name: String,
    /// What it does.
    pub kind: LayerKind,
    /// Line of the file that it starts on.
    pub line: usize,
    /// Extents of the input without the batch.
    pub input_shape: Vec<usize>,
    /// Extents of the output without the batch.
    pub output_shape: Vec<usize>,
    /// The operators that it stands for, in order; empty for dropout.
    pub stages: Vec<Stage>,
    /// Index of the layer that a max-unpool takes its indices from.
    pub pool: Option<usize>,
}

impl Layer {
    /// The weights of all its stages.
    pub fn weights(&self) -> impl Iterator<Item = &WeightSpec> {
        self.stages.iter().flat_map(|stage| &stage.weights)
    }

    /// Parameters that training moves and that it does not: together Keras'
    /// `count_params`.
    pub fn parameters(&self) -> (usize, usize) {
        let count = |trainable| {
            self.weights().filter(|w| w.trainable == trainable).map(WeightSpec::len).sum()
        };
        (count(true), count(false))
    }

    /// Full name of one of its weights: `conv2d_1/kernel`.
    pub fn weight_name(&self, spec: &WeightSpec) -> String {
        format!("{}/{}", self.name, spec.name)
    }
}

/// Weights by full name (`conv2d_1/kernel`), in the layouts that
/// [`Op`](crate::graph::Op) documents.
pub type Weights = BTreeMap<String, WeightTensor>;

/// Extents and values of one weight, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightTensor {
    /// Extents.
    pub shape: Vec<usize>,
    /// As many values as the extents ask for.
    pub values: Vec<f32>,
}

impl Architecture {
    /// The built-in called `model`, or the TOML file at that path.
    ///
    /// # Errors
    /// Names the file, the line, what is wrong and what was expected.
    pub fn load(model: &str) -> Result<Self> {
        if let Some((_, text)) = BUILT_IN.iter().find(|(name, _)| *name == model) {
            return Self::parse(text, model);
        }
        let path = Path::new(model);
        if !path.exists() {
            let names: Vec<_> = Self::built_in_names().collect();
            bail!(
                "{model}: neither a built-in architecture nor a file; give one of {} or the path of a TOML file",
                names.join(", ")
            );
        }
        let text = std::fs::read_to_string(path).with_context(|| {
            format!("{model}: cannot read the architecture; give a readable TOML file")
        })?;
        Self::parse(&text, model)
    }

    /// Parses the text of the file called `file`.
    ///
    /// # Errors
    /// As [`Architecture::load`].
    pub fn parse(text: &str, file: &str) -> Result<Self> {
        parse::parse(text, file)
    }

    /// Names that [`Architecture::load`] knows.
    pub fn built_in_names() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().map(|(name, _)| *name)
    }

    /// Extents of the output without the batch.
    pub fn output_shape(&self) -> &[usize] {
        self.layers.last().map_or(&self.input, |layer| &layer.output_shape)
    }

    /// Parameters that training moves and that it does not, over all layers.
    pub fn parameters(&self) -> (usize, usize) {
        self.layers.iter().map(Layer::parameters).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1))
    }

    /// Every weight with its full name, in the order of the layers.
    pub fn weights(&self) -> impl Iterator<Item = (String, &WeightSpec)> {
        self.layers.iter().flat_map(|layer| layer.weights().map(|w| (layer.weight_name(w), w)))
    }

    /// The float graph (batch 1): dropout gone, batch norm folded into the
    /// linear layer before it, clamps fused, other activations on their own.
    ///
    /// # Errors
    /// When a weight is missing or has another shape; names it.
    pub fn lower(&self, weights: &Weights) -> Result<crate::graph::Graph> {
        lower::lower(self, weights)
    }

    /// Whether a max-unpool takes its indices from layer `index`.
    pub fn remembers_indices(&self, index: usize) -> bool {
        self.layers.iter().any(|layer| layer.pool == Some(index))
    }
}

#[cfg(test)]
mod tests;
