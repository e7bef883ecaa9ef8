//! `cargo xtask cycles`: executed instructions per layer on an emulated board.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde::{Deserialize, Serialize};

use crate::{board, firmware, process};

/// What `cargo xtask cycles` takes.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A folder of firmware-demo/boards whose board.toml names instructions-per-tick.
    #[arg(long, default_value = "mps2-an386")]
    board: String,
    /// The blob to measure instead of the one that ships with the demo.
    #[arg(long, value_name = "FILE.mcv")]
    model: Option<PathBuf>,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

/// What is wanted of `microconv inspect --json`.
#[derive(Debug, Deserialize)]
struct Summary {
    layers: Vec<LayerSummary>,
    macs: u64,
    flash_bytes: u64,
    arena_bytes: u64,
}

#[derive(Debug, Deserialize)]
struct LayerSummary {
    name: String,
    operator: String,
    macs: u64,
    scratch: u64,
}

#[derive(Debug, Serialize)]
struct Layer {
    name: String,
    operator: String,
    instructions: u64,
    macs: u64,
    scratch: u64,
}

#[derive(Debug, Serialize)]
struct Report {
    board: String,
    elf: PathBuf,
    layers: Vec<Layer>,
    instructions: u64,
    macs: u64,
    stack: u64,
    code: u64,
    blob: u64,
    arena: u64,
}

/// Builds, runs on the emulator and prints.
///
/// # Errors
/// The board counts no instructions, the model is wrong, or a build fails.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let board = board::named(&arguments.board)?;
    if board.qemu.as_ref().is_none_or(|qemu| qemu.instructions_per_tick.is_none()) {
        bail!("{}: this board counts no instructions; use mps2-an386", board.name);
    }
    let shipped = process::root().join("firmware-demo/model/upsample.mcv");
    let model = arguments.model.as_deref().unwrap_or(&shipped);
    let summary = inspect(model)?;
    let elf = firmware::build(&board, "cycles", Some(model))?;
    let text = process::output(&mut firmware::launch(&board, &elf)?)?;
    let number = |words: &[&str]| {
        let line = text.lines().find_map(|line| {
            let mut rest = line.split_whitespace();
            words.iter().all(|word| rest.next() == Some(word)).then(|| rest.next())?
        });
        line.and_then(|word| word.parse::<u64>().ok())
            .with_context(|| format!("the program printed no `{}`", words.join(" ")))
    };
    let mut layers = Vec::new();
    for (index, layer) in summary.layers.into_iter().enumerate() {
        let instructions = number(&["layer", &index.to_string()])?;
        let LayerSummary { name, operator, macs, scratch } = layer;
        layers.push(Layer { name, operator, instructions, macs, scratch });
    }
    let report = Report {
        board: board.name.clone(),
        elf,
        layers,
        instructions: number(&["whole"])?,
        macs: summary.macs,
        stack: number(&["stack"])?,
        code: number(&["memory"])?,
        blob: summary.flash_bytes,
        arena: summary.arena_bytes,
    };
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print(&report);
    }
    Ok(())
}

fn inspect(model: &Path) -> Result<Summary> {
    let path = model.canonicalize().with_context(|| model.display().to_string())?;
    let mut command = process::cargo();
    command
        .args(["run", "--quiet", "--release", "--package", "host-train", "--no-default-features"])
        .args(["--bin", "microconv", "--", "inspect", "--json"])
        .arg(path);
    Ok(serde_json::from_str(&process::output(&mut command)?)?)
}

fn print(report: &Report) {
    let per_mac = |instructions: u64, macs: u64| {
        if macs == 0 { "-".into() } else { format!("{:.2}", instructions as f64 / macs as f64) }
    };
    println!(
        "{:<24} {:>12} {:>10} {:>8} {:>8}",
        "layer", "instructions", "MACs", "per MAC", "scratch"
    );
    for layer in &report.layers {
        let name = format!("{} {}", layer.name, layer.operator);
        let ratio = per_mac(layer.instructions, layer.macs);
        println!(
            "{name:<24} {:>12} {:>10} {ratio:>8} {:>8}",
            layer.instructions, layer.macs, layer.scratch
        );
    }
    let ratio = per_mac(report.instructions, report.macs);
    println!(
        "{:<24} {:>12} {:>10} {ratio:>8}",
        "whole inference", report.instructions, report.macs
    );
    println!(
        "{}: code {} B, blob {} B, arena {} B, stack {} B",
        report.board, report.code, report.blob, report.arena, report.stack
    );
    if report.macs == 0 {
        println!("the blob was written with --strip, so its MACs are not known");
    }
    println!("{}", report.elf.display());
}
