//! `cargo xtask footprint`: what a model costs in flash and RAM.
//!
//! The least firmware around the embedded model is built and run; its image tells the sizes.
//! Linked code is exact, so that of the built-in autoencoder, and of the executor with every
//! operator, is kept in a file ([`record`]) that the test suite compares with.

mod image;
mod record;

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use serde::Serialize;

use crate::{
    board::{self, Board},
    firmware, process,
};
use image::{Image, Symbol};

/// What `cargo xtask footprint` takes.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A folder of firmware-demo/boards.
    #[arg(long, default_value = "mps2-an386")]
    board: String,
    /// The blob to embed instead of the built-in autoencoder, packed for the board.
    #[arg(long, value_name = "FILE.mcv")]
    model: Option<PathBuf>,
    /// Takes the blob at run time, so that the parser and every operator are linked.
    #[arg(long)]
    run_time: bool,
    /// How many of the largest symbols are listed.
    #[arg(long, default_value_t = 20, value_name = "N")]
    symbols: usize,
    /// Writes what `cargo xtask test` compares with.
    #[arg(long, conflicts_with_all = ["model", "run_time"])]
    update: bool,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

/// The program with the model known to the compiler, and the one that is given a blob.
const EMBEDDED: &str = "footprint";
const RUN_TIME: &str = "executor";

#[derive(Debug, Serialize)]
struct Report {
    board: String,
    elf: PathBuf,
    /// Bytes of flash but for the model: code, constants, vector table.
    code: u64,
    /// Bytes of the blob.
    model: u64,
    /// Bytes of variables, the arena among them.
    ram: u64,
    /// Bytes of stack below the call of the inference; not known on a host.
    stack: Option<u64>,
    symbols: Vec<Symbol>,
}

/// Builds, runs on the emulator, reads the image and prints.
///
/// # Errors
/// The board is unknown, the model is wrong, or a build or the program fails.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let board = board::named(&arguments.board)?;
    if arguments.update {
        return record::write(&recorded(&board)?);
    }
    let model = match &arguments.model {
        Some(model) => model.clone(),
        None => autoencoder(&board)?,
    };
    let program = if arguments.run_time { RUN_TIME } else { EMBEDDED };
    let mut report = measure(&board, program, &model)?;
    report.symbols.truncate(arguments.symbols);
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print(&report);
    }
    Ok(())
}

/// Compares code on a Cortex-M4 with the committed sizes.
///
/// # Errors
/// A program is over 2 % larger than recorded, or cannot be built.
pub(crate) fn gate() -> Result<()> {
    record::compare(&recorded(&board::named(record::BOARD)?)?)
}

fn recorded(board: &Board) -> Result<record::Sizes> {
    let model = autoencoder(board)?;
    let code = |program| measure(board, program, &model).map(|report| report.code);
    Ok(record::Sizes { embedded: code(EMBEDDED)?, run_time: code(RUN_TIME)? })
}

/// The trained autoencoder that ships with the demo, packed for the board.
fn autoencoder(board: &Board) -> Result<PathBuf> {
    let blob = firmware::folder(board)?.join("footprint.mcv");
    let mut command = process::cargo();
    command
        .args(["run", "--quiet", "--package", "host-train", "--no-default-features"])
        .args(["--bin", "microconv", "--", "quantize", "--strip", "--target", board.target()])
        .arg(process::root().join("firmware-demo/model/run"))
        .arg("-o")
        .arg(&blob);
    process::output(&mut command)?;
    Ok(blob)
}

fn measure(board: &Board, program: &str, model: &Path) -> Result<Report> {
    let elf = firmware::build(board, program, Some(model))?;
    let stack = printed(&mut firmware::launch(board, &elf)?)?;
    let Image { flash, ram, symbols } = image::read(&elf)?;
    let model = std::fs::metadata(model).with_context(|| model.display().to_string())?.len();
    Ok(Report {
        board: board.name.clone(),
        elf,
        code: flash.saturating_sub(model),
        model,
        ram,
        stack,
        symbols,
    })
}

/// The hexadecimal number that a program prints; an emulator's console is standard error.
fn printed(command: &mut Command) -> Result<Option<u64>> {
    let done = command
        .output()
        .with_context(|| format!("`{}` cannot be started", process::shown(command)))?;
    let text = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
    ensure!(done.status.success(), "`{}` failed: {}", process::shown(command), text.trim());
    match text.trim() {
        "" => Ok(None),
        number => {
            let number = u64::from_str_radix(number, 16);
            number.map(Some).with_context(|| format!("no number: {}", text.trim()))
        }
    }
}

fn print(report: &Report) {
    println!("{:>8}  largest symbols", "bytes");
    for symbol in &report.symbols {
        println!("{:>8}  {}", symbol.bytes, symbol.name);
    }
    let stack = report.stack.map_or("unknown".into(), |stack| format!("{stack} B"));
    println!(
        "{}: code {} B, model {} B, RAM {} B, stack {stack}",
        report.board, report.code, report.model, report.ram
    );
    println!("{}", report.elf.display());
}
