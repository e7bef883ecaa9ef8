//! Training: an architecture and images become weights.
//!
//! The settings are here for every build; the trainer itself, on
//! [Burn](https://burn.dev), only with the feature `train`.

use clap::ValueEnum;
use serde::Serialize;

#[cfg(feature = "train")]
mod fit;
#[cfg(feature = "train")]
mod initial;
#[cfg(feature = "train")]
mod network;
#[cfg(feature = "train")]
mod operators;
#[cfg(feature = "train")]
mod optimizer;

#[cfg(feature = "train")]
pub use fit::{Observer, Outcome, Trainer, check, fit};
#[cfg(feature = "train")]
pub use initial::initial_weights;

/// The optimisers, as Keras 3.15 defines them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum OptimizerKind {
    /// Zeiler's Adadelta: ρ 0.95, ε 1e-7.
    Adadelta,
    /// Kingma and Ba's Adam: β₁ 0.9, β₂ 0.999, ε 1e-7.
    Adam,
    /// Plain gradient descent.
    Sgd,
}

impl OptimizerKind {
    /// The step size that Keras uses when none is given.
    pub fn default_learning_rate(self) -> f32 {
        match self {
            Self::Adadelta | Self::Adam => 0.001,
            Self::Sgd => 0.01,
        }
    }
}

/// What is minimised: the mean over values and images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum LossKind {
    /// `−t · ln p − (1 − t) · ln(1 − p)`, for values in [0, 1].
    BinaryCrossentropy,
    /// Mean squared error.
    Mse,
}

/// How to train.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Settings {
    /// Passes over the training images.
    pub epochs: usize,
    /// Images per step; the last step of a pass takes the rest.
    pub batch_size: usize,
    /// How weights follow their gradients.
    pub optimizer: OptimizerKind,
    /// Step size.
    pub learning_rate: f32,
    /// What is minimised.
    pub loss: LossKind,
    /// Of initial weights, shuffles and dropout: a run is repeatable bit for bit.
    pub seed: u64,
}
