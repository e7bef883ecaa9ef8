//! `microconv import`: a TensorFlow Lite model becomes a blob.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::cli::files::write_atomically;
use crate::cli::passes::{PassArgs, print_report};
use crate::export::{Options, Target};
use crate::import::tflite;
use crate::optimize::export_reported;

/// Imports a TensorFlow Lite model, float or full int8, as one blob.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Model written by the TensorFlow converter.
    #[arg(value_name = "MODEL.tflite")]
    model: PathBuf,

    /// Blob to write.
    #[arg(long, short, value_name = "MODEL.mcv")]
    output: PathBuf,

    /// Core to pack for: portable runs everywhere.
    #[arg(long, value_name = "T", default_value_t = Target::Portable)]
    target: Target,

    #[command(flatten)]
    passes: PassArgs,

    /// Leave out names and other notes for people.
    #[arg(long)]
    strip: bool,
}

pub(super) fn run(args: Args) -> Result<()> {
    let name = || args.model.display().to_string();
    let bytes =
        std::fs::read(&args.model).with_context(|| format!("{}: cannot be read", name()))?;
    let graph = tflite::read(&bytes).with_context(name)?;
    let passes = args.passes.passes();
    let options = Options { target: args.target, passes, strip: args.strip };
    let (exported, reports) = export_reported(&graph, options, &[])
        .map_err(|why| tflite::locate(&bytes, &why))
        .with_context(name)?;
    write_atomically(&args.output, &exported.blob)?;
    print_report(&reports);
    println!(
        "wrote {}: {} bytes of flash, {} bytes of arena",
        args.output.display(),
        exported.blob.len(),
        exported.plan.bytes
    );
    Ok(())
}
