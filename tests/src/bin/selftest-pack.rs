//! Writes the file that the self-test of the firmware runs; `cargo xtask` calls it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use conformance::golden::{Pack, committed_cases, shared_cases, shared_folder};
use host_train::export::{Options, Target, export};
use host_train::import::tflite;

/// Runs per model that comes without inputs.
const RUNS: usize = 3;

/// Packs golden vectors, or a model with random inputs and the host's outputs.
#[derive(Debug, Parser)]
struct Arguments {
    /// The file to write.
    #[arg(long)]
    output: PathBuf,
    /// The core to export for.
    #[arg(long)]
    target: Target,
    /// Bytes that the board has for a blob and its arena.
    #[arg(long)]
    room: usize,
    /// A `.mcv` or `.tflite` to pack instead of the committed vectors.
    #[arg(long, conflicts_with = "shared")]
    model: Option<PathBuf>,
    /// Samples beside the workspace, by folder, to pack instead.
    #[arg(long, value_delimiter = ',')]
    shared: Vec<String>,
}

fn main() -> ExitCode {
    match write(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}

fn write(arguments: &Arguments) -> Result<(), String> {
    let mut pack = Pack::new(arguments.room);
    if let Some(model) = &arguments.model {
        let (name, blob) = read(model, arguments.target)?;
        pack.blob(&name, &blob, RUNS)?;
        if !pack.left_out.is_empty() {
            return Err(format!(
                "{}: its blob ({} bytes) and arena do not fit the {} bytes of the board (selftest-bytes in board.toml)",
                model.display(),
                blob.len(),
                arguments.room
            ));
        }
    } else if arguments.shared.is_empty() {
        for case in committed_cases() {
            pack.case(&case, arguments.target)?;
        }
    } else {
        let folder = shared_folder().ok_or("there is no folder `shared` beside the workspace")?;
        let cases = shared_cases(&folder);
        for wanted in &arguments.shared {
            let case = cases.iter().find(|case| case.name.split('/').next() == Some(wanted));
            let case = case.ok_or_else(|| format!("{wanted}: no such sample"))?;
            pack.case(case, arguments.target)?;
        }
    }
    println!("{} vectors, {} do not fit the board", pack.vectors(), pack.left_out.len());
    let path = &arguments.output;
    std::fs::write(path, pack.into_bytes()).map_err(|error| format!("{}: {error}", path.display()))
}

/// The name of a model and its blob, imported where it is TensorFlow's.
fn read(path: &Path, target: Target) -> Result<(String, Vec<u8>), String> {
    let fail = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
    let bytes = std::fs::read(path).map_err(|error| fail(&error))?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    if !tflite::is_tflite(&bytes) {
        return Ok((name, bytes));
    }
    let graph = tflite::read(&bytes).map_err(|error| fail(&error))?;
    let options = Options { target, ..Options::default() };
    Ok((name, export(&graph, options).map_err(|error| fail(&error))?.blob))
}
