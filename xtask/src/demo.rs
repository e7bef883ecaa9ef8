//! `cargo xtask demo`: from MNIST to ten digits restored on an emulated Cortex-M4.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use clap::Args;

use crate::{
    board::{self, Board},
    firmware, process,
};

/// Settings of the training that the demo does: a few seconds on two cores.
const TRAINING: [&str; 8] =
    ["--optimizer", "adam", "--learning-rate", "0.01", "--batch-size", "64", "--epochs", "5"];
const DIGITS: usize = 10;
const PIXELS: usize = 28 * 28;

/// What `cargo xtask demo` takes.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The board: a folder of firmware-demo/boards.
    #[arg(long, default_value = "mps2-an386", value_name = "NAME")]
    board: String,
    /// Built-in architecture of 28×28 images.
    #[arg(long, default_value = "upsample", value_name = "NAME")]
    model: String,
    /// Folder of MNIST files; the subset that ships with the repository without it.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// Trains, quantises, runs on the board, compares with the host, shows pictures and numbers.
///
/// # Errors
/// A step fails, or the board's bytes are not the host's.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let board = board::named(&arguments.board)?;
    let microconv = Microconv::build()?;
    let folder = process::target_folder().join("demo");
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let (run, blob) = (folder.join("run"), folder.join("autoencoder.mcv"));
    let data: Vec<&Path> = match &arguments.data {
        Some(data) => vec![Path::new("--data"), data],
        None => vec![],
    };

    println!("\n== train {} on the host", arguments.model);
    let mut train = microconv.command();
    train.args(["train", "--model", &arguments.model, "--output"]).arg(&run);
    process::check(train.args(TRAINING).args(&data))?;

    println!("\n== quantise to int8, write one blob");
    let mut quantize = microconv.command();
    quantize.arg("quantize").arg(&run).arg("-o").arg(&blob);
    process::check(quantize.args(["--strip", "--target", board.target()]).args(&data))?;

    println!("\n== restore ten digits on {}", board.description);
    let program = firmware::build(&board, "firmware-demo", Some(&blob))?;
    process::check(&mut firmware::launch(&board, &program)?)?;
    let chip = firmware::folder(&board)?;

    println!("\n== the same ten digits on the host");
    let host = restore_on_host(&microconv, &folder, &blob)?;
    let restored = fs::read(chip.join("restored.bin")).context("restored.bin of the board")?;
    ensure!(
        restored == host,
        "{}: the board's {} bytes differ from the host's",
        chip.join("restored.bin").display(),
        restored.len()
    );
    println!("{} bytes from the board, equal to the host's", restored.len());

    let picture = folder.join("restored.png");
    let mut evaluate = microconv.command();
    process::check(evaluate.arg("evaluate").arg(&blob).args(&data).arg("--picture").arg(&picture))?;
    show(&board, &chip, &blob, &[&run.join("loss.png"), &run.join("reconstructions.png"), &picture])
}

/// The `microconv` binary, built for speed.
pub(crate) struct Microconv(PathBuf);

impl Microconv {
    pub(crate) fn build() -> Result<Self> {
        println!("building microconv (training takes some minutes to compile the first time)");
        let mut cargo = process::cargo();
        process::check(cargo.args(["build", "--quiet", "--release", "--package", "host-train"]))?;
        let name = format!("microconv{}", std::env::consts::EXE_SUFFIX);
        Ok(Self(process::target_folder().join("release").join(name)))
    }

    pub(crate) fn command(&self) -> Command {
        Command::new(&self.0)
    }
}

/// Runs the firmware's digits through `microconv run` and returns the output codes.
fn restore_on_host(microconv: &Microconv, folder: &Path, blob: &Path) -> Result<Vec<u8>> {
    let digits = process::root().join("firmware-demo/model/digits.bin");
    let pixels = fs::read(&digits).with_context(|| digits.display().to_string())?;
    ensure!(pixels.len() == DIGITS * PIXELS, "{}: is damaged", digits.display());
    let (input, output) = (folder.join("digits.npy"), folder.join("restored.npy"));
    let mut array = npy_header(&format!(
        "'descr': '<f4', 'fortran_order': False, 'shape': ({DIGITS}, 28, 28, 1), "
    ));
    array.extend(pixels.iter().flat_map(|&pixel| (f32::from(pixel) / 255.0).to_le_bytes()));
    fs::write(&input, array).with_context(|| input.display().to_string())?;
    let mut run = microconv.command();
    process::check(
        run.arg("run").arg(blob).arg("--input").arg(&input).arg("--output").arg(&output),
    )?;
    let bytes = fs::read(&output).with_context(|| output.display().to_string())?;
    let start = bytes.len().saturating_sub(DIGITS * PIXELS);
    Ok(bytes[start..].to_vec())
}

/// The head of a version 1.0 `.npy` file, padded so that the data is aligned to 64 bytes.
fn npy_header(fields: &str) -> Vec<u8> {
    let mut header = format!("{{{fields}}}");
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.into_bytes());
    bytes
}

/// Prints the numbers of the run and where the pictures are.
fn show(board: &Board, chip: &Path, blob: &Path, pictures: &[&Path]) -> Result<()> {
    let path = chip.join("numbers.txt");
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let numbers: BTreeMap<&str, &str> =
        text.lines().filter_map(|line| line.split_once(' ')).collect();
    let weights = fs::metadata(blob).with_context(|| blob.display().to_string())?.len();
    let number = |name: &str| numbers.get(name).copied().unwrap_or("not measured").to_string();
    println!("\n== {}", board.description);
    let rows = [
        ("instructions per inference", number("instructions")),
        ("flash, code", number("code-bytes")),
        ("flash, constants with the blob", number("constant-bytes")),
        ("flash, the blob", weights.to_string()),
        ("RAM, arena", number("arena-bytes")),
        ("RAM, variables with the arena", number("variable-bytes")),
        ("RAM, stack", number("stack-bytes")),
        ("anomaly score of a digit (MSE)", number("digit-score")),
        ("anomaly score of noise (MSE)", number("noise-score")),
    ];
    for (name, value) in rows {
        println!("{name:<32}{value:>12}");
    }
    println!();
    for picture in pictures {
        println!("picture {}", picture.display());
    }
    Ok(())
}
