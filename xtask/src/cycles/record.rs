//! The committed counts of the list, and what a change may do to them.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::PathBuf};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use super::list::Measured;
use crate::process;

/// How much worse, or better without the file being updated, a layer may be.
const TOLERANCE: f64 = 0.02;

#[derive(Deserialize)]
struct Record {
    instructions: BTreeMap<String, u64>,
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
        "# Executed instructions on an emulated Cortex-M4: `cargo xtask cycles --update` writes this file.\n\n[instructions]\n",
    );
    for layer in layers {
        let _ = writeln!(text, "{} = {}", toml::Value::from(&*layer.name), layer.instructions);
    }
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
        let Some(&known) = record.instructions.get(&layer.name) else {
            worse.push(format!("{} is not in the record", layer.name));
            continue;
        };
        let change = layer.instructions as f64 / known as f64 - 1.0;
        let line = || {
            let (name, now) = (&layer.name, layer.instructions);
            format!("{name}: {now} instructions, {known} recorded ({:+.1} %)", 100.0 * change)
        };
        if change > TOLERANCE {
            worse.push(line());
        } else if change < -TOLERANCE {
            println!("better: {}; run `cargo xtask cycles --update`", line());
        }
    }
    if worse.is_empty() { Ok(()) } else { bail!("{}", worse.join("\n")) }
}
