//! `microconv train`: an architecture and images become a run folder.

use std::path::PathBuf;

#[cfg(feature = "train")]
use clap::ValueEnum;

use crate::train::{LossKind, OptimizerKind};

#[cfg(feature = "train")]
mod progress;

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
    #[arg(long, value_enum, default_value_t = OptimizerKind::Adadelta)]
    optimizer: OptimizerKind,

    /// Step size; Keras' default for the optimiser without it (adadelta and adam 0.001, sgd 0.01).
    #[arg(long, value_name = "X", value_parser = positive)]
    learning_rate: Option<f32>,

    /// What to minimise.
    #[arg(long, value_enum, default_value_t = LossKind::BinaryCrossentropy)]
    loss: LossKind,

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
#[cfg(not(feature = "train"))]
pub(super) fn run(args: Args) -> anyhow::Result<()> {
    anyhow::bail!(
        "{}: this microconv was built without training; build it with the feature `train`",
        args.output.display()
    )
}

/// Runs the command.
#[cfg(feature = "train")]
pub(super) fn run(args: Args) -> anyhow::Result<()> {
    use crate::run_folder::{Destination, Run};
    use crate::{arch::Architecture, data, train};

    // Everything that can be wrong is found before the first step.
    let architecture = Architecture::load(&args.model)?;
    train::check(&architecture)?;
    let destination = Destination::prepare(&args.output)?;
    let mut data = data::load(args.data.as_deref(), &architecture.input, args.validation_split)?;
    if let Some(limit) = args.limit {
        data.train = data.train.first(limit as usize);
    }
    let settings = args.settings();
    print_summary(&args, &architecture, &data, &settings);

    let mut progress = progress::Progress::start(settings.epochs, data.train.len())?;
    let outcome = train::fit(&architecture, &data, &settings, &mut progress)?;
    drop(progress);

    let trainer = train::Trainer::new(&architecture, &outcome.weights, &settings)?;
    let originals = data.test.first(10);
    let restored = trainer.restore(originals.gather(&(0..originals.len()).collect::<Vec<_>>()))?;
    let training = args.record(&data, &settings, outcome.stopped)?;
    destination.write(&Run {
        architecture: &architecture,
        weights: &outcome.weights,
        history: &outcome.history,
        training,
        originals: &originals,
        restored: &restored,
    })?;
    if outcome.stopped {
        println!("stopped; the last finished epoch, {}, is kept", outcome.history.epochs.len());
    }
    println!("wrote {}", args.output.display());
    Ok(())
}

#[cfg(feature = "train")]
impl Args {
    fn settings(&self) -> crate::train::Settings {
        crate::train::Settings {
            epochs: self.epochs as usize,
            batch_size: self.batch_size as usize,
            optimizer: self.optimizer,
            learning_rate: self
                .learning_rate
                .unwrap_or_else(|| self.optimizer.default_learning_rate()),
            loss: self.loss,
            seed: self.seed,
        }
    }

    /// What `training.json` says of the run.
    fn record(
        &self,
        data: &crate::data::Dataset,
        settings: &crate::train::Settings,
        stopped: bool,
    ) -> anyhow::Result<serde_json::Value> {
        let mut record = serde_json::to_value(settings)?;
        let more = serde_json::json!({
            "model": self.model,
            "data": data.source,
            "training_images": data.train.len(),
            "test_images": data.test.len(),
            "limit": self.limit,
            "validation_split": self.validation_split,
            "stopped": stopped,
            "microconv": env!("CARGO_PKG_VERSION"),
        });
        if let (Some(record), serde_json::Value::Object(more)) = (record.as_object_mut(), more) {
            record.extend(more);
        }
        Ok(record)
    }
}

#[cfg(feature = "train")]
fn print_summary(
    args: &Args,
    architecture: &crate::arch::Architecture,
    data: &crate::data::Dataset,
    settings: &crate::train::Settings,
) {
    let (trainable, fixed) = architecture.parameters();
    println!("model      {}: {} parameters", architecture.name, trainable + fixed);
    println!(
        "data       {}: {} training and {} test images",
        data.source,
        data.train.len(),
        data.test.len()
    );
    println!(
        "optimizer  {} with learning rate {}, {} images a step, seed {}",
        settings
            .optimizer
            .to_possible_value()
            .map_or_else(String::new, |v| v.get_name().to_owned()),
        settings.learning_rate,
        settings.batch_size,
        settings.seed
    );
    if settings.optimizer == OptimizerKind::Adadelta && args.learning_rate.is_none() {
        eprintln!(
            "note: 0.001 is Keras 3's default for Adadelta, a thousandth of the step its author meant: a few epochs train almost nothing; use --learning-rate 1.0"
        );
    }
}
