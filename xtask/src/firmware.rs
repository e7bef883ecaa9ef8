//! `cargo xtask firmware`: builds a program for a board and runs it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};
use clap::Args;

use crate::{
    board::{self, Board},
    process, selftest, setup,
};

/// What `cargo xtask firmware` takes.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A folder of firmware-demo/boards.
    board: String,
    /// The program: firmware-demo, cycles or layers.
    #[arg(long, default_value = "firmware-demo", value_name = "NAME")]
    bin: String,
    /// The blob to embed instead of the one that ships with the demo; for selftest
    /// the .mcv or .tflite to run instead of the golden vectors.
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Runs the program: on the emulator, or here for the board `host`.
    #[arg(long)]
    run: bool,
}

/// Builds, prints the path of the program, and runs it where asked.
///
/// # Errors
/// The board is unknown, the build fails, or the program does.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let board = board::named(&arguments.board)?;
    if arguments.bin == selftest::PROGRAM && arguments.run {
        let vectors = match &arguments.model {
            Some(model) => selftest::Vectors::Model(model),
            None => selftest::Vectors::Committed,
        };
        print!("{}", selftest::run(&board, &vectors)?);
        return Ok(());
    }
    let program = build(&board, &arguments.bin, arguments.model.as_deref())?;
    println!("{}: {}", board.description, program.display());
    if arguments.run {
        process::check(&mut launch(&board, &program)?)?;
    }
    Ok(())
}

/// Builds one program and copies it to `target/boards/<board>/`, where a build
/// for another board with the same target does not replace it.
///
/// # Errors
/// The target cannot be installed or the build fails.
pub(crate) fn build(board: &Board, bin: &str, model: Option<&Path>) -> Result<PathBuf> {
    build_with(board, bin, "MICROCONV_MODEL", model)
}

/// [`build`], with the file to embed in the environment variable `variable`.
///
/// # Errors
/// As [`build`].
pub(crate) fn build_with(
    board: &Board,
    bin: &str,
    variable: &str,
    embedded: Option<&Path>,
) -> Result<PathBuf> {
    let mut cargo = board.cargo("build");
    cargo.args(["--quiet", "--package", "firmware-demo", "--bin", bin]);
    if let Some(file) = embedded {
        let path = file.canonicalize().with_context(|| file.display().to_string())?;
        cargo.env(variable, path);
    }
    let built = if board.is_host() {
        cargo.arg("--release");
        process::target_folder().join("release")
    } else {
        setup::target(&board.triple)?;
        cargo.args(["--profile", "firmware"]);
        process::target_folder().join(&board.triple).join("firmware")
    };
    process::check(&mut cargo)?;
    let folder = folder(board)?;
    let suffix = if board.is_host() { std::env::consts::EXE_SUFFIX } else { ".elf" };
    let program = folder.join(format!("{bin}{suffix}"));
    let source = built.join(if board.is_host() { format!("{bin}{suffix}") } else { bin.into() });
    fs::copy(&source, &program).with_context(|| source.display().to_string())?;
    Ok(program)
}

/// The folder of a board's programs, which is also where they run.
///
/// # Errors
/// It cannot be made.
pub(crate) fn folder(board: &Board) -> Result<PathBuf> {
    let folder = process::target_folder().join("boards").join(&board.name);
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    Ok(folder)
}

/// The command that runs a program: the emulator counts one nanosecond of the
/// board's time per instruction, so that a timer of the board counts instructions.
///
/// # Errors
/// The emulator is missing and cannot be installed.
pub(crate) fn launch(board: &Board, program: &Path) -> Result<Command> {
    let mut command = match &board.qemu {
        None => Command::new(program),
        Some(qemu) => {
            let mut command = Command::new(setup::qemu()?);
            command
                .args(["-machine", &qemu.machine, "-nographic", "-monitor", "none"])
                .args(["-serial", "none", "-semihosting-config", "enable=on,target=native"])
                .args(["-icount", "shift=0", "-kernel"])
                .arg(program);
            command
        }
    };
    command.current_dir(folder(board)?);
    Ok(command)
}
