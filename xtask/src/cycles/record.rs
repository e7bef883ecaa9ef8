//! The committed counts of the list, and what a change may do to them.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::PathBuf};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use super::list::Measured;
use crate::process;

/// How much worse, or better without the file being updated, a layer may be.
const TOLERANCE: f64 = 0.02;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Record {
    /// Of a layer that is embedded.
    instructions: BTreeMap<String, u64>,
    /// Of one that is decoded at run time.
    run_time: BTreeMap<String, u64>,
}

fn path() -> PathBuf {
    process::root().join("benches/record/cortex-m4.toml")
}

/// Writes the counts.
///
/// # Errors
/// The file cannot be written.
pub(super) fn write(layers: &[Measured]) -> Result<()> {
    let mut text = String::from(
        "# Executed instructions on an emulated Cortex-M4: `cargo xtask cycles --update` writes this file.\n",
    );
    let mut table = |name: &str, count: fn(&Measured) -> u64| {
        let _ = writeln!(text, "\n[{name}]");
        for layer in layers {
            let _ = writeln!(text, "{} = {}", toml::Value::from(&*layer.name), count(layer));
        }
    };
    table("instructions", |layer| layer.instructions);
    table("run-time", |layer| layer.run_time);
    fs::write(path(), text).with_context(|| path().display().to_string())
}

/// Compares the counts with the file; prints where they are better than it says.
///
/// # Errors
/// A layer is not in the file, or needs over 2 % more instructions than it says.
pub(super) fn compare(layers: &[Measured]) -> Result<()> {
    let text = fs::read_to_string(path()).with_context(|| path().display().to_string())?;
    let record: Record = toml::from_str(&text).context("benches/record/cortex-m4.toml")?;
    let mut worse = Vec::new();
    for layer in layers {
        let Measured { name, instructions, run_time, .. } = layer;
        worse.extend(change(name, *instructions, record.instructions.get(name)));
        let name = format!("{name}, decoded at run time");
        worse.extend(change(&name, *run_time, record.run_time.get(&layer.name)));
    }
    if worse.is_empty() { Ok(()) } else { bail!("{}", worse.join("\n")) }
}

/// What is worse than the record about a count; prints what is better.
fn change(name: &str, now: u64, known: Option<&u64>) -> Option<String> {
    let Some(&known) = known else { return Some(format!("{name} is not in the record")) };
    let change = now as f64 / known as f64 - 1.0;
    let line = format!("{name}: {now} instructions, {known} recorded ({:+.1} %)", 100.0 * change);
    if change > TOLERANCE {
        return Some(line);
    }
    if change < -TOLERANCE {
        println!("better: {line}; run `cargo xtask cycles --update`");
    }
    None
}
