//! The list of single layers and whole models, measured by one program.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

use super::{Arguments, estimate, number, optional, per_mac, record};
use crate::{
    board::{self, Board},
    firmware, process,
};

/// What another library takes, as far as it is known.
#[derive(Debug, Clone, Copy, Default, Deserialize, Serialize)]
struct Peer {
    instructions: Option<u64>,
    cycles: Option<u64>,
    scratch: Option<u64>,
    stack: Option<u64>,
}

/// What is wanted of `firmware-demo/cycles/layers.toml`.
#[derive(Deserialize)]
struct List {
    layer: Vec<Listed>,
    model: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    name: String,
    #[serde(default)]
    peer: Peer,
}

/// What host-train's example `cycle_layers` prints per blob.
#[derive(Deserialize)]
struct Entry {
    name: String,
    macs: u64,
    scratch: u64,
    arena: u64,
    weights: u64,
    checksum: u64,
}

/// A layer or model of the list.
#[derive(Debug, Serialize)]
pub(super) struct Measured {
    pub(super) name: String,
    /// Of the embedded blob.
    pub(super) instructions: u64,
    /// Of the blob that is decoded at run time.
    pub(super) run_time: u64,
    cycles: Option<u64>,
    macs: u64,
    scratch: u64,
    stack: u64,
    arena: u64,
    /// Bytes of the blob: weights, tables and records.
    weights: u64,
    peer: Peer,
}

#[derive(Debug, Serialize)]
struct Report {
    board: String,
    elf: PathBuf,
    layers: Vec<Measured>,
    /// Bytes of code: all operators once more for every blob.
    code: u64,
}

/// Measures the list and prints it; updates the record where asked.
///
/// # Errors
/// A build or the program fails.
pub(super) fn run(board: &Board, arguments: &Arguments) -> Result<()> {
    let report = measure(board, arguments.layer.as_deref(), arguments.estimator.as_deref())?;
    if arguments.update {
        record::write(&report.layers)?;
    }
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print(&report);
    }
    Ok(())
}

/// Compares the list on a Cortex-M4 with the committed counts.
///
/// # Errors
/// A layer is over 2 % worse, or the list cannot be measured.
pub(crate) fn gate() -> Result<()> {
    let board = board::named("mps2-an386")?;
    record::compare(&measure(&board, None, None)?.layers)
}

/// Layers whose names contain `only`, or all.
fn measure(board: &Board, only: Option<&str>, estimator: Option<&Path>) -> Result<Report> {
    let path = process::root().join("firmware-demo/cycles/layers.toml");
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let list: List = toml::from_str(&text).with_context(|| path.display().to_string())?;
    let mut peers: HashMap<String, Peer> =
        list.layer.into_iter().chain(list.model).map(|listed| (listed.name, listed.peer)).collect();

    let blobs = firmware::folder(board)?.join("layers");
    let mut command = process::cargo();
    command
        .args(["run", "--quiet", "--package", "host-train", "--no-default-features"])
        .args(["--example", "cycle_layers", "--"])
        .args([&path, &blobs])
        .args(only);
    let entries: Vec<Entry> = serde_json::from_str(&process::output(&mut command)?)?;

    ensure!(!entries.is_empty(), "no layer of {} has this in its name", path.display());
    let elf = firmware::build_with(board, "layers", "MICROCONV_LIST", Some(&blobs))?;
    let text = process::output(&mut firmware::launch(board, &elf)?)?;
    let estimates = estimate::regions(estimator, &elf)?;
    let mut layers = Vec::new();
    for (index, entry) in entries.into_iter().enumerate() {
        let at = index.to_string();
        let instructions = number(&text, &["layer", &at])?;
        let words = ["layer", &at, &instructions.to_string()];
        let stack = number(&text, &words)?;
        let run_time = number(&text, &[&words[..], &[&stack.to_string()]].concat())?;
        let cycles = estimates.get(&index).copied();
        let Entry { name, macs, scratch, arena, weights, checksum } = entry;
        ensure!(
            number(&text, &["checksum", &at])? == checksum,
            "{name}: {} and the portable kernels disagree",
            board.name
        );
        let peer = peers.remove(&name).unwrap_or_default();
        layers.push(Measured {
            name,
            instructions,
            run_time,
            cycles,
            macs,
            scratch,
            stack,
            arena,
            weights,
            peer,
        });
    }
    ensure!(
        only.is_some() || peers.is_empty(),
        "two layers of the list share a name, or one was not measured"
    );
    let code = number(&text, &["memory"])?;
    Ok(Report { board: board.name.clone(), elf, layers, code })
}

fn print(report: &Report) {
    println!(
        "{:<44} {:>12} {:>9} {:>12} {:>6} {:>10} {:>10} {:>9} {:>7} {:>7} {:>6} {:>7}",
        "layer",
        "instructions",
        "run time",
        "CMSIS-NN",
        "ratio",
        "cycles",
        "CMSIS-NN",
        "MACs",
        "per MAC",
        "scratch",
        "stack",
        "weights"
    );
    for layer in &report.layers {
        let ratio = layer
            .peer
            .instructions
            .map_or("-".into(), |peer| format!("{:.2}", peer as f64 / layer.instructions as f64));
        println!(
            "{:<44} {:>12} {:>9} {:>12} {:>6} {:>10} {:>10} {:>9} {:>7} {:>7} {:>6} {:>7}",
            layer.name,
            layer.instructions,
            format!("+{}", layer.run_time.saturating_sub(layer.instructions)),
            optional(layer.peer.instructions),
            ratio,
            optional(layer.cycles),
            optional(layer.peer.cycles),
            layer.macs,
            per_mac(layer.instructions, layer.macs),
            layer.scratch,
            layer.stack,
            layer.weights
        );
    }
    println!(
        "{}: {} B of code, each layer's own and all operators; {}",
        report.board,
        report.code,
        report.elf.display()
    );
}
