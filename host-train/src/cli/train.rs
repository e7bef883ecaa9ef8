//! `microconv train`: an architecture and images become a run folder.

use std::path::PathBuf;

use anyhow::bail;
use clap::ValueEnum;

/// Trains a network and writes a run folder: weights, history and pictures.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Built-in architecture (upsample, transpose, …) or a TOML file.
    #[arg(long, value_name = "NAME|FILE")]
    model: String,

    /// Folder to write the run to; an earlier run there is replaced.
    #[arg(long, short, value_name = "RUN")]
    output: PathBuf,

    /// Folder of IDX files, .npy files or images; a small MNIST subset without it.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// Passes over the training images.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    epochs: u32,

    /// Images per optimiser step.
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..))]
    batch_size: u32,

    /// Optimiser, as Keras defines it.
    #[arg(long, value_enum, default_value_t = OptimizerName::Adadelta)]
    optimizer: OptimizerName,

    /// Step size; Keras' default for the optimiser without it (adadelta and adam 0.001, sgd 0.01).
    #[arg(long, value_name = "X", value_parser = positive)]
    learning_rate: Option<f32>,

    /// What to minimise.
    #[arg(long, value_enum, default_value_t = LossName::BinaryCrossentropy)]
    loss: LossName,

    /// Part of the images held back for validation where the data has no test set.
    #[arg(long, value_name = "FRACTION", value_parser = fraction)]
    validation_split: Option<f32>,

    /// Seed of the initial weights and of the shuffles.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,

    /// Train on the first N images only.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum OptimizerName {
    Adadelta,
    Adam,
    Sgd,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LossName {
    BinaryCrossentropy,
    Mse,
}

fn positive(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(x) if x > 0.0 && x.is_finite() => Ok(x),
        _ => Err("expected a positive number".into()),
    }
}

fn fraction(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(x) if x > 0.0 && x < 1.0 => Ok(x),
        _ => Err("expected a number between 0 and 1".into()),
    }
}

/// Runs the command.
pub(super) fn run(args: Args) -> anyhow::Result<()> {
    bail!("{}: this build cannot train yet (asked for {args:?})", args.model)
}
