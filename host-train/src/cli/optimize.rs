//! `microconv optimize`: a blob becomes one that does less work, with the same bits.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::cli::files::write_atomically;
use crate::cli::passes::{PassArgs, print_report};
use crate::export::{Notes, Options, Target};
use crate::import::blob;
use crate::optimize::export_reported;
use crate::runner::{parse, read_blob};

/// Rewrites a blob so that it does less work in less memory; int8 results keep every bit.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Blob to read: one with plain weights.
    #[arg(value_name = "IN.mcv")]
    model: PathBuf,

    /// Blob to write.
    #[arg(long, short, value_name = "OUT.mcv")]
    output: PathBuf,

    /// Core to pack for; without it the one that the blob was written for.
    #[arg(long, value_name = "T")]
    target: Option<Target>,

    #[command(flatten)]
    passes: PassArgs,

    /// Leave out names and other notes for people.
    #[arg(long)]
    strip: bool,
}

pub(super) fn run(args: Args) -> Result<()> {
    let name = || args.model.display().to_string();
    let bytes = read_blob(&args.model)?;
    let model = parse(&args.model, &bytes)?;
    let graph = blob::read(&model).with_context(name)?;
    let target = args.target.or(Target::from_code(model.target())).unwrap_or_default();
    let passes = args.passes.passes();
    let options = Options { target, passes, strip: args.strip };
    let (exported, reports) =
        export_reported(&graph, options, &Notes::read(&model).passes).with_context(name)?;
    write_atomically(&args.output, &exported.blob)?;
    print_report(&reports);
    println!(
        "wrote {}: {} → {} bytes of flash, {} → {} bytes of arena",
        args.output.display(),
        model.bytes().len(),
        exported.blob.len(),
        model.arena_bytes(),
        exported.plan.bytes
    );
    Ok(())
}
