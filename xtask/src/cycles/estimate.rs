//! Cycles by an estimator that knows the markers of firmware-demo's programs.

use std::{collections::HashMap, path::Path, process::Command};

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::process;

/// What is wanted of the estimator's JSON.
#[derive(Deserialize)]
struct Output {
    regions: HashMap<usize, Region>,
}

#[derive(Deserialize)]
struct Region {
    calls: u64,
    cycles: u64,
}

/// Estimated cycles per region; none without an estimator. `PYTHON` names the
/// interpreter, `python3` by default.
///
/// # Errors
/// The estimator cannot be started, or fails.
pub(super) fn regions(estimator: Option<&Path>, elf: &Path) -> Result<HashMap<usize, u64>> {
    let Some(estimator) = estimator else { return Ok(HashMap::new()) };
    let output = elf.with_extension("cycles.json");
    let python = std::env::var_os("PYTHON").unwrap_or_else(|| "python3".into());
    let mut command = Command::new(python);
    command.arg(estimator).arg(elf).arg("--quiet").arg("--json").arg(&output);
    process::output(&mut command)?;
    let text = std::fs::read_to_string(&output).with_context(|| output.display().to_string())?;
    let parsed: Output = serde_json::from_str(&text).context("the estimator's JSON")?;
    Ok(parsed.regions.into_iter().map(|(id, r)| (id, r.cycles / r.calls.max(1))).collect())
}
