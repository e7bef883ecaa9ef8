//! `cargo xtask bench`: criterion's benches, or microconv beside its peers.
//!
//! `--peers` puts TensorFlow Lite (with XNNPACK and without) and ONNX Runtime into a
//! virtual environment under `target/peers`, and asks every runtime in turn for the
//! same layer, so that what disturbs the machine disturbs all of them. The shortest
//! run of all rounds counts. The table and a chart go to `benches/record/`.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde::{Deserialize, Serialize};

use crate::process;

const PEERS: [&str; 3] = ["XNNPACK", "TFLite", "ONNX Runtime"];
const PACKAGES: [&str; 4] = ["tensorflow-cpu", "onnx", "onnxruntime", "matplotlib"];

/// What `cargo xtask bench` takes.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Compares with TensorFlow Lite, XNNPACK and ONNX Runtime, instead of running criterion's benches.
    #[arg(long)]
    peers: bool,
    /// Rounds over all runtimes; the shortest run counts.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of each measurement of a round.
    #[arg(long, default_value_t = 0.3)]
    seconds: f64,
}

#[derive(Debug, Deserialize)]
struct Answer {
    microseconds: Option<f64>,
    exact: Option<bool>,
}

#[derive(Debug, Serialize)]
struct Row {
    case: String,
    #[serde(rename = "type")]
    kind: String,
    macs: u64,
    ours: f64,
    exact: Option<bool>,
    peers: BTreeMap<String, Option<f64>>,
    peers_exact: BTreeMap<String, Option<bool>>,
}

#[derive(Debug, Serialize)]
struct Table {
    machine: String,
    date: String,
    /// What else the machine was doing.
    load: String,
    /// GMAC/s of this core by type.
    peak: BTreeMap<String, f64>,
    rows: Vec<Row>,
}

/// A runtime that answers lines.
struct Worker {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Worker {
    fn start(command: &mut Command) -> Result<Self> {
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("`{}` cannot be started", process::shown(command)))?;
        let (input, output) = (process.stdin.take(), process.stdout.take());
        let (Some(input), Some(output)) = (input, output) else { bail!("no pipe to a worker") };
        Ok(Self { process, input, output: BufReader::new(output) })
    }

    fn ask(&mut self, line: &str) -> Result<String> {
        writeln!(self.input, "{line}")?;
        self.input.flush()?;
        let mut answer = String::new();
        if self.output.read_line(&mut answer)? == 0 {
            bail!("a runtime stopped at `{line}`");
        }
        Ok(answer)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Runs the benches.
///
/// # Errors
/// Something cannot be installed, built or run.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if !arguments.peers {
        return process::check(process::cargo().args(["bench", "--package", "benches"]));
    }
    let folder = process::target_folder().join("peers");
    let models = folder.join("models");
    fs::create_dir_all(&models)?;
    let python = environment(&folder)?;
    let worker = process::root().join("benches/peers/worker.py");
    println!("bench: building the models with TensorFlow");
    // Its converter talks on both streams; what it says matters when it fails.
    let mut build = Command::new(&python);
    let done = build.arg(&worker).arg("build").arg(&models).output()?;
    if !done.status.success() {
        let text = String::from_utf8_lossy(&done.stderr).into_owned();
        bail!("`{}` failed: {}", process::shown(&build), text.lines().last().unwrap_or_default());
    }
    let macs = import(&models)?;
    let mut build = process::cargo();
    build.args(["build", "--quiet", "--release", "--package", "benches", "--example", "ours"]);
    process::check(&mut build)?;
    let table = measure(arguments, &python, &worker, &models, &macs)?;
    record(&table, &python, &worker)
}

/// The interpreter of a virtual environment that has the peers.
fn environment(folder: &Path) -> Result<PathBuf> {
    let python = folder.join("venv/bin/python");
    let ready = "import tensorflow, onnx, onnxruntime, matplotlib";
    let quiet = |command: &mut Command| {
        command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
    };
    if python.is_file() && quiet(Command::new(&python).args(["-c", ready])) {
        return Ok(python);
    }
    let Some(system) = process::find("python3") else {
        bail!("python3 is missing; install it with its module `venv`, then run this again");
    };
    println!("bench: installing {} into {}", PACKAGES.join(", "), folder.join("venv").display());
    process::check(Command::new(system).args(["-m", "venv"]).arg(folder.join("venv")))?;
    process::check(Command::new(&python).args(["-m", "pip", "install", "--quiet"]).args(PACKAGES))?;
    Ok(python)
}

/// Imports every model for this machine; multiply-accumulates by file name.
fn import(models: &Path) -> Result<BTreeMap<String, u64>> {
    let mut build = process::cargo();
    build.args(["build", "--quiet", "--release", "--package", "host-train"]);
    build.args(["--no-default-features", "--bin", "microconv"]);
    process::check(&mut build)?;
    let microconv = process::target_folder().join("release/microconv");
    let mut macs = BTreeMap::new();
    for entry in fs::read_dir(models)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "tflite") {
            continue;
        }
        let blob = path.with_extension("mcv");
        let mut command = Command::new(&microconv);
        command.arg("import").arg(&path).arg("-o").arg(&blob).args(["--target", "native"]);
        process::output(&mut command)?;
        let text =
            process::output(Command::new(&microconv).arg("inspect").arg(&blob).arg("--json"))?;
        let value: serde_json::Value = serde_json::from_str(&text)?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        macs.insert(name, value["macs"].as_u64().unwrap_or(0));
    }
    Ok(macs)
}

fn measure(
    arguments: &Arguments,
    python: &Path,
    script: &Path,
    models: &Path,
    macs: &BTreeMap<String, u64>,
) -> Result<Table> {
    let load = load();
    let ours = process::target_folder().join("release/examples/ours");
    let mut ours = Worker::start(Command::new(ours).arg(models))?;
    let mut peers = Vec::new();
    for peer in PEERS {
        let mut command = Command::new(python);
        command.arg(script).args(["serve", peer]).arg(models);
        peers.push((peer, Worker::start(&mut command)?));
    }
    let mut peak: BTreeMap<String, f64> = serde_json::from_str(&ours.ask("peak")?)?;
    let mut rows = Vec::new();
    for (name, &macs) in macs {
        let Some((case, kind)) = name.rsplit_once('.') else { continue };
        let case = case.replace('_', " ");
        let line = format!("{case}\t{kind}\t{}", arguments.seconds);
        let mut row = Row {
            case,
            kind: kind.to_string(),
            macs,
            ours: f64::INFINITY,
            exact: None,
            peers: BTreeMap::new(),
            peers_exact: BTreeMap::new(),
        };
        for _ in 0..arguments.rounds.max(1) {
            let answer: Answer = serde_json::from_str(&ours.ask(&line)?)?;
            row.ours = row.ours.min(answer.microseconds.unwrap_or(f64::INFINITY));
            row.exact = answer.exact;
            for (peer, worker) in &mut peers {
                let answer: Answer = serde_json::from_str(&worker.ask(&line)?)?;
                let best = row.peers.entry((*peer).to_string()).or_insert(None);
                *best = match (*best, answer.microseconds) {
                    (Some(a), Some(b)) => Some(a.min(b)),
                    (a, b) => a.or(b),
                };
                row.peers_exact.insert((*peer).to_string(), answer.exact);
            }
        }
        println!("{}", line_of(&row, &peak));
        rows.push(row);
    }
    // The machine may have been busy the first time.
    let again: BTreeMap<String, f64> = serde_json::from_str(&ours.ask("peak")?)?;
    for (kind, value) in again {
        let best = peak.entry(kind).or_insert(0.0);
        *best = best.max(value);
    }
    let date = process::output(Command::new("date").arg("+%F"))?.trim().to_string();
    Ok(Table { machine: machine(), date, load, peak, rows })
}

/// The processor's own name.
fn machine() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find(|line| line.starts_with("model name"));
    let name = model.and_then(|line| line.split_once(": ")).map(|(_, name)| name.trim());
    name.unwrap_or(std::env::consts::ARCH).to_string()
}

/// The load average, which says whether the machine had other work.
fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, |count| count.get());
    match text.split(' ').next() {
        Some(load) if !load.is_empty() => format!("{load} on {cores} cores"),
        _ => "not known".into(),
    }
}

/// One row of the Markdown table.
fn line_of(row: &Row, peak: &BTreeMap<String, f64>) -> String {
    let cell = |name: &str| match row.peers.get(name).copied().flatten() {
        Some(time) => {
            let inexact = row.peers_exact.get(name) == Some(&Some(false));
            let mark = if inexact { " ≠" } else { "" };
            format!("{time:.2}{mark} ({:.2}×)", time / row.ours)
        }
        None => "–".to_string(),
    };
    let share = match peak.get(&row.kind) {
        Some(peak) if row.macs > 0 => {
            format!("{:.0} %", 100.0 * row.macs as f64 / row.ours / 1e3 / peak)
        }
        _ => "–".to_string(),
    };
    let exact = match row.exact {
        Some(true) => " =",
        Some(false) => " ≠",
        None => "",
    };
    let peers: Vec<String> = PEERS.iter().map(|peer| cell(peer)).collect();
    format!(
        "| {} | {} | {:.2}{exact} | {share} | {} |",
        row.case,
        row.kind,
        row.ours,
        peers.join(" | ")
    )
}

fn record(table: &Table, python: &Path, script: &Path) -> Result<()> {
    let keep = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let slug: String = table.machine.chars().map(keep).collect();
    let slug = slug.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-");
    let folder = process::root().join("benches/record").join(slug);
    fs::create_dir_all(&folder)?;
    let base = folder.join(&table.date);
    fs::write(base.with_extension("json"), serde_json::to_string_pretty(table)? + "\n")?;
    let mut text = format!(
        "# microconv beside its peers\n\n{}, {}. Made by `cargo xtask bench --peers`: one thread, microseconds of the shortest run, runtimes in turn.\nIn brackets, the peer's time by ours: above 1, microconv is faster. `=` and `≠`: the int8 output equals TensorFlow Lite's reference kernels bit for bit, or does not; ONNX Runtime's u8 arithmetic rounds otherwise and is not compared. The peers are called from Python; the row `a call` says what that costs at least. Load average when it began: {}; what runs beside it costs all runtimes alike, and the shortest run of each counts.\n\nPeak of this core: {:.0} GMAC/s in f32 (fused multiply-add), {:.0} GMAC/s in int8 (pairs of i16 products, added).\n\n| layer | type | microconv | of peak | {} |\n|---|---|---:|---:|{}\n",
        table.machine,
        table.date,
        table.load,
        table.peak.get("f32").copied().unwrap_or(0.0),
        table.peak.get("i8").copied().unwrap_or(0.0),
        PEERS.join(" | "),
        "---:|".repeat(PEERS.len()),
    );
    for row in &table.rows {
        text += &line_of(row, &table.peak);
        text.push('\n');
    }
    text += &format!("\n![ratios]({}.png)\n", table.date);
    fs::write(base.with_extension("md"), text)?;
    let (json, png) = (base.with_extension("json"), base.with_extension("png"));
    process::check(Command::new(python).arg(script).arg("chart").args([&json, &png]))?;
    println!("wrote {} and {}", base.with_extension("md").display(), png.display());
    Ok(())
}
