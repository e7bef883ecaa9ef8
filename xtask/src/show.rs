//! `cargo xtask show`: what the optimiser gains, before → after, on an emulated board.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::{
    board::{self, Board},
    cycles, firmware, process,
};

/// What `cargo xtask show` takes.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A folder of firmware-demo/boards whose board.toml names instructions-per-tick.
    #[arg(long, default_value = "mps2-an386")]
    board: String,
    /// A model (.tflite, or .mcv with plain weights) instead of the built-in autoencoders;
    /// give it several times for several.
    #[arg(long, value_name = "FILE")]
    model: Vec<PathBuf>,
}

/// Writes every model with nothing rewritten and with everything, runs both and prints.
///
/// # Errors
/// The board counts no instructions, a model is refused, or a build fails.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let board = board::named(&arguments.board)?;
    if board.qemu.as_ref().is_none_or(|qemu| qemu.instructions_per_tick.is_none()) {
        bail!("{}: this board counts no instructions; use mps2-an386", board.name);
    }
    let folder = firmware::folder(&board)?.join("show");
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let models = match arguments.model.as_slice() {
        [] => built_in(&folder)?,
        given => given.to_vec(),
    };
    let head = ["MACs", "requantisations", "instructions", "arena", "blob", "code"];
    print!("{:<20}", "");
    head.iter().for_each(|name| print!(" {name:>20}"));
    println!();
    for model in &models {
        let numbers = |flags: &[&str]| -> Result<[u64; 6]> {
            let blob = folder.join("model.mcv");
            write(&board, model, &blob, flags)?;
            let cost = cycles::cost(&board, &blob)?;
            Ok([
                cost.macs,
                cost.requantisations,
                cost.instructions,
                cost.arena,
                cost.blob,
                cost.code,
            ])
        };
        let (before, after) = (numbers(&["--no-optimize"])?, numbers(&[])?);
        let name = model.file_stem().unwrap_or_default().to_string_lossy();
        print!("{name:<20}");
        for (before, after) in before.iter().zip(after) {
            let cell = format!("{before} → {after}");
            print!(" {cell:>20}");
        }
        println!();
    }
    println!("{}: bytes of RAM (arena) and flash (blob, code); weights packed for it", board.name);
    Ok(())
}

/// Builds an example or runs the command of host-train, without the trainer.
fn host_train(kind: [&str; 2]) -> std::process::Command {
    let mut command = process::cargo();
    command
        .args(["run", "--quiet", "--package", "host-train", "--no-default-features"])
        .args(kind)
        .arg("--");
    command
}

/// The built-in architectures with random weights.
fn built_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let folder = folder.join("built-in");
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    process::output(host_train(["--example", "builtin_models"]).arg(&folder))?;
    let entries = std::fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
    let mut models = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    models.sort();
    Ok(models)
}

/// Imports or optimises a model for the board.
fn write(board: &Board, model: &Path, blob: &Path, flags: &[&str]) -> Result<()> {
    let model = model.canonicalize().with_context(|| model.display().to_string())?;
    let tflite = model.extension().is_some_and(|extension| extension == "tflite");
    let mut command = host_train(["--bin", "microconv"]);
    command.arg(if tflite { "import" } else { "optimize" }).arg(model).arg("-o").arg(blob);
    process::output(command.args(["--target", board.target()]).args(flags))?;
    Ok(())
}
