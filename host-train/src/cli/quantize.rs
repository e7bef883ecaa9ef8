//! `microconv quantize`: a run folder becomes an int8 (or float) blob.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use microconv::Model;

use crate::calibrate::calibrate;
use crate::cli::files::write_atomically;
use crate::cli::passes::{PassArgs, print_report};
use crate::cli::table::{Align, Table};
use crate::data;
use crate::evaluate::{LayerError, layer_errors};
use crate::export::{Exported, Options, Target, export};
use crate::graph::Graph;
use crate::optimize::{Passes, export_reported};
use crate::quantize::quantize;
use crate::run_folder;
use crate::runner::AlignedBytes;

/// Samples that the table of errors is computed from.
const ERROR_SAMPLES: usize = 16;

/// Quantises a trained network to int8 and writes it as one blob.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Run folder written by `microconv train`.
    #[arg(value_name = "RUN")]
    run: PathBuf,

    /// Blob to write.
    #[arg(long, short, value_name = "MODEL.mcv")]
    output: PathBuf,

    /// Images to calibrate on; a small MNIST subset without it.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// Training images that the ranges of activations are taken from.
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    calibration_samples: u32,

    /// Core to pack for: portable runs everywhere.
    #[arg(long, value_name = "T", default_value_t = Target::Portable)]
    target: Target,

    #[command(flatten)]
    passes: PassArgs,

    /// Write an f32 blob instead.
    #[arg(long)]
    float: bool,

    /// Leave out names and other notes for people.
    #[arg(long)]
    strip: bool,
}

pub(super) fn run(args: Args) -> Result<()> {
    let (architecture, graph) = run_folder::load(&args.run)?;
    let passes = args.passes.passes();
    let options = Options { target: args.target, passes, strip: args.strip };
    let at = || args.run.display().to_string();
    let float = export(&graph, Options { strip: false, ..options }).with_context(at)?;
    if args.float {
        let blob = if args.strip { export(&graph, options).with_context(at)? } else { float };
        write_atomically(&args.output, &blob.blob)?;
        println!("wrote {} (f32): {}", args.output.display(), sizes(&blob));
        return Ok(());
    }
    let dataset = data::load(args.data.as_deref(), &architecture.input, None)?;
    let count = (args.calibration_samples as usize).min(dataset.train.len());
    let samples: Vec<Vec<f32>> = (0..count).map(|i| dataset.train.image(i)).collect();
    let ranges = calibrate(&graph, &samples).with_context(at)?;
    let quantized = quantize(&graph, &ranges).with_context(at)?;
    let (exported, reports) = export_reported(&quantized, options, &[]).with_context(at)?;
    let tests = dataset.test.len().min(ERROR_SAMPLES);
    let tests: Vec<Vec<f32>> = (0..tests).map(|i| dataset.test.image(i)).collect();
    print_errors(&errors(&graph, &quantized, &tests)?);
    print_report(&reports);
    write_atomically(&args.output, &exported.blob)?;
    write_atomically(&float_twin(&args.output), &float.blob)?;
    println!(
        "wrote {} (int8, calibrated on {count} images of {}): {}",
        args.output.display(),
        dataset.source,
        sizes(&exported)
    );
    println!("wrote {} (f32, for `microconv evaluate`)", float_twin(&args.output).display());
    Ok(())
}

/// Where the float form of a quantised blob lies: `ae.mcv` has `ae.float.mcv` beside it.
pub(super) fn float_twin(path: &Path) -> PathBuf {
    path.with_extension("float.mcv")
}

fn sizes(exported: &Exported) -> String {
    format!("{} bytes of flash, {} bytes of arena", exported.blob.len(), exported.plan.bytes)
}

/// Errors layer by layer, of the unfused models so that every tensor is seen.
fn errors(float: &Graph, quantized: &Graph, samples: &[Vec<f32>]) -> Result<Vec<LayerError>> {
    let plain = Options { passes: Passes::NONE, ..Options::default() };
    let blobs = [export(float, plain)?, export(quantized, plain)?];
    let [float, quantized] = blobs.map(|exported| AlignedBytes::copy_of(&exported.blob));
    let (float, quantized) =
        (Model::from_bytes(float.as_slice())?, Model::from_bytes(quantized.as_slice())?);
    layer_errors(&float, &quantized, samples)
}

pub(super) fn print_errors(errors: &[LayerError]) {
    let mut table = Table::new(&[
        ("tensor", Align::Left),
        ("scale", Align::Right),
        ("rms error", Align::Right),
        ("max error", Align::Right),
        ("SQNR dB", Align::Right),
    ]);
    for error in errors {
        table.row(vec![
            error.name.clone(),
            format!("{:.6}", error.scale),
            format!("{:.6}", error.rmse),
            format!("{:.6}", error.max),
            format!("{:.1}", error.sqnr),
        ]);
    }
    print!("{table}");
}
