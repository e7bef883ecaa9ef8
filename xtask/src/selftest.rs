//! `--bin selftest`: packs vectors for a board, runs them there, and judges.

use std::{fs, path::Path, process::Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::{board::Board, firmware, process};

/// The program of firmware-demo.
pub(crate) const PROGRAM: &str = "selftest";

/// Where the board's programs run.
const FILE: &str = "selftest.pack";

/// What is run.
pub(crate) enum Vectors<'a> {
    /// `tests/golden`.
    Committed,
    /// A `.mcv` or `.tflite` with random inputs, against the host's outputs.
    Model(&'a Path),
    /// Samples of the folder `shared` beside the workspace.
    Shared(&'a [&'a str]),
}

/// Builds the self-test, packs, runs, and returns what the board printed.
///
/// # Errors
/// A build fails, a vector fails, or the board ran fewer vectors than were packed.
pub(crate) fn run(board: &Board, vectors: &Vectors<'_>) -> Result<String> {
    let program = firmware::build(board, PROGRAM, None)?;
    let packed = pack(board, vectors)?;
    let (text, ended_well) = launch(board, &program)?;
    let failures: Vec<&str> = text.lines().filter(|line| !line.ends_with(": pass")).collect();
    ensure!(ended_well, "the self-test failed on {}: {}", board.name, failures.join("; "));
    let passed = text.lines().filter(|line| line.ends_with(": pass")).count() as u64;
    ensure!(passed == packed, "{passed} vectors passed on {}, {packed} were packed", board.name);
    let backend = text.lines().find_map(|line| line.strip_prefix("backend "));
    ensure!(
        board.is_host() || backend == Some(&*board.backend),
        "{} ran the backend {}, board.toml says {}",
        board.name,
        backend.unwrap_or("?"),
        board.backend
    );
    Ok(text)
}

/// Runs the golden vectors with one bit of the last expected output turned over.
///
/// # Errors
/// The self-test does not fail, or fails for another reason.
pub(crate) fn notices_a_wrong_bit(board: &Board) -> Result<()> {
    let program = firmware::build(board, PROGRAM, None)?;
    let packed = pack(board, &Vectors::Committed)?;
    let path = firmware::folder(board)?.join(FILE);
    let mut bytes = fs::read(&path).with_context(|| path.display().to_string())?;
    // In a float this is the highest bit of the exponent.
    *bytes.last_mut().context("an empty pack")? ^= 0x40;
    fs::write(&path, bytes).with_context(|| path.display().to_string())?;
    let (text, ended_well) = launch(board, &program)?;
    let expected = format!("error: 1 of {packed} vectors failed");
    ensure!(!ended_well && text.lines().any(|line| line == expected), "a wrong bit went unnoticed");
    Ok(())
}

/// What the program printed, and whether it ended with success.
fn launch(board: &Board, program: &Path) -> Result<(String, bool)> {
    let mut command = firmware::launch(board, program)?;
    let done = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("`{}` cannot be started", process::shown(&command)))?;
    Ok((String::from_utf8_lossy(&done.stdout).into_owned(), done.status.success()))
}

/// Writes `selftest.pack` where the board's programs run; the number of vectors in it.
fn pack(board: &Board, vectors: &Vectors<'_>) -> Result<u64> {
    let output = firmware::folder(board)?.join(FILE);
    let mut command = process::cargo();
    command
        .args(["run", "--quiet", "--package", "conformance", "--bin", "selftest-pack", "--"])
        .args(["--target", board.target(), "--room", &board.selftest_bytes.to_string()])
        .arg("--output")
        .arg(output);
    match vectors {
        Vectors::Committed => {}
        Vectors::Model(model) => {
            let model = model.canonicalize().with_context(|| model.display().to_string())?;
            command.arg("--model").arg(model);
        }
        Vectors::Shared(names) => {
            command.args(["--shared", &names.join(",")]);
        }
    }
    // The vectors are packed on the host, whatever board is selected.
    let text = process::output(command.env_remove("MICROCONV_BOARD"))?;
    print!("{text}");
    let count = text.split_whitespace().next().and_then(|word| word.parse().ok());
    count.context("selftest-pack did not say how many vectors it packed")
}
