//! `cargo xtask cycles`: executed instructions per layer on an emulated board.
//!
//! Of one model, or of the list of layers ([`list`]) beside what CMSIS-NN takes. The
//! counts are exact, so the list's are kept in a file ([`record`]) that the test suite
//! compares with.

mod estimate;
mod list;
mod record;

pub(crate) use list::gate;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde::{Deserialize, Serialize};

use crate::{
    board::{self, Board},
    firmware, process,
};

/// What `cargo xtask cycles` takes.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A folder of firmware-demo/boards whose board.toml names instructions-per-tick.
    #[arg(long, default_value = "mps2-an386")]
    board: String,
    /// The blob to measure, layer by layer, instead of the list of single layers.
    #[arg(long, value_name = "FILE.mcv")]
    model: Option<PathBuf>,
    /// Only layers of the list whose names contain this.
    #[arg(long, value_name = "TEXT", conflicts_with = "model")]
    layer: Option<String>,
    /// The cycle estimator m4cycles.py (Python with unicorn and capstone): adds its cycles.
    #[arg(long, value_name = "FILE.py")]
    estimator: Option<PathBuf>,
    /// Writes the list's counts to the file that `cargo xtask test` compares with.
    #[arg(long, conflicts_with_all = ["model", "layer"])]
    update: bool,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

/// What is wanted of `microconv inspect --json`.
#[derive(Debug, Deserialize)]
struct Summary {
    layers: Vec<LayerSummary>,
    macs: u64,
    requantisations: u64,
    flash_bytes: u64,
    notes_bytes: u64,
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
    cycles: Option<u64>,
    macs: u64,
    scratch: u64,
}

#[derive(Debug, Serialize)]
struct Report {
    board: String,
    elf: PathBuf,
    layers: Vec<Layer>,
    instructions: u64,
    cycles: Option<u64>,
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
    match &arguments.model {
        Some(model) => of_model(&board, model, arguments),
        None => list::run(&board, arguments),
    }
}

/// The number after these words on a line of a program's output.
fn number(text: &str, words: &[&str]) -> Result<u64> {
    let line = text.lines().find_map(|line| {
        let mut rest = line.split_whitespace();
        words.iter().all(|word| rest.next() == Some(word)).then(|| rest.next())?
    });
    line.and_then(|word| word.parse::<u64>().ok())
        .with_context(|| format!("the program printed no `{}`", words.join(" ")))
}

/// Every layer of one model.
fn of_model(board: &Board, model: &Path, arguments: &Arguments) -> Result<()> {
    let summary = inspect(model)?;
    let elf = firmware::build(board, "cycles", Some(model))?;
    let text = process::output(&mut firmware::launch(board, &elf)?)?;
    let estimates = estimate::regions(arguments.estimator.as_deref(), &elf)?;
    let mut layers = Vec::new();
    for (index, layer) in summary.layers.into_iter().enumerate() {
        let instructions = number(&text, &["layer", &index.to_string()])?;
        let LayerSummary { name, operator, macs, scratch } = layer;
        let cycles = estimates.get(&index).copied();
        layers.push(Layer { name, operator, instructions, cycles, macs, scratch });
    }
    let report = Report {
        board: board.name.clone(),
        elf,
        layers,
        instructions: number(&text, &["whole"])?,
        cycles: estimates.get(&WHOLE).copied(),
        macs: summary.macs,
        stack: number(&text, &["stack"])?,
        code: number(&text, &["memory"])?,
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

/// What an inference takes on a board, and its memory.
#[derive(Debug)]
pub(crate) struct Cost {
    pub(crate) macs: u64,
    pub(crate) requantisations: u64,
    pub(crate) instructions: u64,
    /// Bytes of RAM.
    pub(crate) arena: u64,
    /// Bytes of flash without the notes.
    pub(crate) blob: u64,
    /// Bytes of flash.
    pub(crate) code: u64,
}

/// Runs a blob on a board that counts instructions.
///
/// # Errors
/// The blob is refused, or the build or the program fails.
pub(crate) fn cost(board: &Board, model: &Path) -> Result<Cost> {
    let summary = inspect(model)?;
    let elf = firmware::build(board, "cycles", Some(model))?;
    let text = process::output(&mut firmware::launch(board, &elf)?)?;
    Ok(Cost {
        macs: summary.macs,
        requantisations: summary.requantisations,
        instructions: number(&text, &["whole"])?,
        arena: summary.arena_bytes,
        blob: summary.flash_bytes - summary.notes_bytes,
        code: number(&text, &["memory"])?,
    })
}

/// The region of a whole inference, as firmware-demo numbers it.
const WHOLE: usize = 1000;

fn inspect(model: &Path) -> Result<Summary> {
    let path = model.canonicalize().with_context(|| model.display().to_string())?;
    let mut command = process::cargo();
    command
        .args(["run", "--quiet", "--package", "host-train", "--no-default-features"])
        .args(["--bin", "microconv", "--", "inspect", "--json"])
        .arg(path);
    Ok(serde_json::from_str(&process::output(&mut command)?)?)
}

/// A count per multiply-accumulate, `-` where there are none.
fn per_mac(instructions: u64, macs: u64) -> String {
    if macs == 0 { "-".into() } else { format!("{:.2}", instructions as f64 / macs as f64) }
}

/// A count that may be unknown.
fn optional(count: Option<u64>) -> String {
    count.map_or("-".into(), |count| count.to_string())
}

fn print(report: &Report) {
    println!(
        "{:<32} {:>12} {:>10} {:>10} {:>8} {:>8}",
        "layer", "instructions", "cycles", "MACs", "per MAC", "scratch"
    );
    let line = |name: &str, counts: (u64, Option<u64>, u64), scratch: &str| {
        let (instructions, cycles, macs) = counts;
        let (cycles, ratio) = (optional(cycles), per_mac(instructions, macs));
        println!("{name:<32} {instructions:>12} {cycles:>10} {macs:>10} {ratio:>8} {scratch:>8}");
    };
    for layer in &report.layers {
        let name = format!("{} {}", layer.name, layer.operator);
        let counts = (layer.instructions, layer.cycles, layer.macs);
        line(&name, counts, &layer.scratch.to_string());
    }
    line("whole inference", (report.instructions, report.cycles, report.macs), "");
    println!(
        "{}: code {} B, blob {} B, arena {} B, stack {} B",
        report.board, report.code, report.blob, report.arena, report.stack
    );
    if report.macs == 0 {
        println!("the blob was written with --strip, so its MACs are not known");
    }
    println!("{}", report.elf.display());
}
