//! `cargo xtask test`: what continuous integration runs.

use std::{fs, time::Instant};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;

use crate::{
    board, cycles, exported, firmware, footprint, process,
    selftest::{self, Vectors},
    setup, simd,
};

/// Boards with the memory for the demo, by core: M3, M4, M7, M33.
const BOARDS: [&str; 4] = ["mps2-an385", "mps2-an386", "mps2-an500", "mps2-an505"];

/// Boards that run the golden vectors: also a Cortex-M0, whose 8 KiB hold one at a time.
const SELFTESTS: [&str; 6] =
    ["host", "microbit", "mps2-an385", "mps2-an386", "mps2-an500", "mps2-an505"];

/// The MLPerf Tiny models that fit a Cortex-M4 with 1 MiB, with inputs and TFLite's outputs.
const MLPERF: [&str; 5] = ["kws_int8", "ad01_int8", "resnet_int8", "vww_96_int8", "str_ww_int8"];

/// A name and what it does.
type Step = (String, Box<dyn FnOnce() -> Result<()>>);

/// What `cargo xtask test` takes.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Only the steps whose name contains this.
    only: Option<String>,
}

/// Runs the steps and reports all that failed.
///
/// # Errors
/// Some step failed, or none has such a name.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut steps: Vec<Step> = vec![
        step("formatting", || cargo(&["fmt", "--all", "--check"])),
        step("lints", || {
            cargo(&["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"])
        }),
        step("lints without training", || {
            cargo(&[
                "clippy",
                "-p",
                "host-train",
                "--no-default-features",
                "--all-targets",
                "--quiet",
                "--",
                "-D",
                "warnings",
            ])
        }),
        step("lints of the Cortex-M kernels", || {
            // The instructions and their proofs are compiled for the chip only.
            const TARGET: &str = "thumbv7em-none-eabihf";
            setup::target(TARGET)?;
            cargo(&[
                "clippy",
                "-p",
                "microconv",
                "--target",
                TARGET,
                "--quiet",
                "--",
                "-D",
                "warnings",
            ])
        }),
        step("tests on the host", || cargo(&["test", "--workspace", "--quiet"])),
        step("the desktop backend under SSE2", || {
            if std::env::consts::ARCH != "x86_64" {
                println!("skipped: this core is not an x86-64");
                return Ok(());
            }
            println!("{}", simd::suite(simd::Vectors::Sse2, None)?);
            Ok(())
        }),
        step("documentation", || {
            let mut doc = process::cargo();
            doc.env("RUSTDOCFLAGS", "-D warnings");
            process::check(doc.args(["doc", "--workspace", "--no-deps", "--quiet"]))
        }),
        step("host firmware", || restored("host").map(|_| ())),
    ];
    for name in BOARDS {
        steps.push(step(&format!("firmware on {name}"), move || same_bytes(name)));
    }
    steps.push(step("instructions per layer on a Cortex-M4", cycles::gate));
    steps.push(step("code size on a Cortex-M4", footprint::gate));
    steps.push(step("exported crates on Cortex-M0 and M4", exported::build));
    for name in SELFTESTS {
        steps.push(step(&format!("golden vectors on {name}"), move || {
            let text = selftest::run(&board::named(name)?, &Vectors::Committed)?;
            println!("{}", text.lines().last().unwrap_or_default());
            Ok(())
        }));
    }
    steps.push(step("a wrong bit fails the self-test", || {
        selftest::notices_a_wrong_bit(&board::named("mps2-an386")?)
    }));
    steps.push(step("MLPerf Tiny models on mps2-an386", || {
        if !process::root().join("../shared/models").is_dir() {
            println!("skipped: there is no ../shared/models");
            return Ok(());
        }
        let board = board::named("mps2-an386")?;
        print!("{}", selftest::run(&board, &Vectors::Shared(&MLPERF))?);
        Ok(())
    }));
    if let Some(part) = &arguments.only {
        steps.retain(|(name, _)| name.contains(part));
        ensure!(!steps.is_empty(), "{part}: no step of this name");
    }
    let (mut passed, mut failed) = (0, Vec::new());
    for (name, work) in steps {
        println!("== {name}");
        let start = Instant::now();
        match work() {
            Ok(()) => passed += 1,
            Err(error) => {
                println!("failed: {error:#}");
                failed.push(name.clone());
            }
        }
        println!("== {name}: {:.0} s", start.elapsed().as_secs_f64());
    }
    println!("{passed} passed, {} failed", failed.len());
    if failed.is_empty() { Ok(()) } else { bail!("failed: {}", failed.join(", ")) }
}

fn step<F: FnOnce() -> Result<()> + 'static>(
    name: &str,
    work: F,
) -> (String, Box<dyn FnOnce() -> Result<()>>) {
    (name.to_owned(), Box::new(work))
}

fn cargo(arguments: &[&str]) -> Result<()> {
    process::check(process::cargo().args(arguments))
}

/// Runs the demo program with the model that ships and returns the bytes it restored.
fn restored(name: &str) -> Result<Vec<u8>> {
    let board = board::named(name)?;
    let program = firmware::build(&board, "firmware-demo", None)?;
    let output = firmware::folder(&board)?.join("restored.bin");
    // Bytes of an earlier run must not pass for this one's.
    let _ = fs::remove_file(&output);
    process::output(&mut firmware::launch(&board, &program)?)?;
    fs::read(&output).with_context(|| output.display().to_string())
}

/// A chip restores the digits to the very bytes that the host does.
fn same_bytes(name: &str) -> Result<()> {
    // Made anew for each board: a step that runs alone has no earlier one to rely on.
    ensure!(restored(name)? == restored("host")?, "the board's bytes differ from the host's");
    Ok(())
}
