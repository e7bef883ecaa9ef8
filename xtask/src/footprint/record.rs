//! The committed sizes of code, and what a change may do to them.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::process;

/// The board that the record is about.
pub(super) const BOARD: &str = "mps2-an386";

/// How much larger, or smaller without the file being updated, code may be.
const TOLERANCE: f64 = 0.02;

/// Bytes of flash but for the model.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Sizes {
    /// With the autoencoder known to the compiler.
    pub(super) embedded: u64,
    /// With a blob that arrives at run time: every operator.
    pub(super) run_time: u64,
}

fn path() -> PathBuf {
    process::root().join("benches/record/cortex-m4-footprint.toml")
}

/// Writes the sizes.
///
/// # Errors
/// The file cannot be written.
pub(super) fn write(sizes: &Sizes) -> Result<()> {
    let text = format!(
        "# Flash of a Cortex-M4, less the model: `cargo xtask footprint --update` writes this file.\n\n{}",
        toml::to_string(sizes)?
    );
    fs::write(path(), text).with_context(|| path().display().to_string())
}

/// Compares sizes with the file; prints where they are smaller than it says.
///
/// # Errors
/// A program is over 2 % larger than the file says.
pub(super) fn compare(sizes: &Sizes) -> Result<()> {
    let text = fs::read_to_string(path()).with_context(|| path().display().to_string())?;
    let known: Sizes = toml::from_str(&text).with_context(|| path().display().to_string())?;
    let programs = [
        ("the embedded autoencoder", sizes.embedded, known.embedded),
        ("the executor", sizes.run_time, known.run_time),
    ];
    for (name, now, known) in programs {
        let change = now as f64 / known as f64 - 1.0;
        let line =
            format!("{name}: {now} bytes of code, {known} recorded ({:+.1} %)", 100.0 * change);
        ensure!(change <= TOLERANCE, "{line}");
        println!("{line}");
        if change < -TOLERANCE {
            println!("better: run `cargo xtask footprint --update`");
        }
    }
    Ok(())
}
