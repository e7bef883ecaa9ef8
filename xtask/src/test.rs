//! `cargo xtask test`: what continuous integration runs.

use std::{fs, time::Instant};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{board, cycles, firmware, process};

/// Boards with the memory for the demo, by core: M3, M4, M7, M33.
const BOARDS: [&str; 4] = ["mps2-an385", "mps2-an386", "mps2-an500", "mps2-an505"];

/// A name and what it does.
type Step = (String, Box<dyn FnOnce() -> Result<()>>);

/// Runs every step and reports all that failed.
///
/// # Errors
/// Some step failed.
pub(crate) fn run() -> Result<()> {
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
        step("tests on the host", || cargo(&["test", "--workspace", "--quiet"])),
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
    let path = firmware::folder(&board::named("host")?)?.join("restored.bin");
    let host = fs::read(&path).with_context(|| path.display().to_string())?;
    ensure!(restored(name)? == host, "the board's bytes differ from the host's");
    Ok(())
}
