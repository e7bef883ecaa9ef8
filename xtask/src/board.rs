//! The boards: one folder each under `firmware-demo/boards`, read from `board.toml`.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::process;

/// The contents of `board.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Board {
    /// The name of the folder.
    #[serde(skip)]
    pub(crate) name: String,
    /// The board and its core, for people.
    pub(crate) description: String,
    /// The Rust target, or `host`.
    pub(crate) triple: String,
    /// Flags of the compiler: the core.
    #[serde(default)]
    pub(crate) rustflags: Vec<String>,
    /// The backend that a build for this core selects.
    pub(crate) backend: String,
    /// The buffer that the self-test reads a model into and runs it in.
    pub(crate) selftest_bytes: u64,
    /// How the emulator runs it.
    pub(crate) qemu: Option<Qemu>,
}

/// The emulated machine.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Qemu {
    /// The value of `-machine`.
    pub(crate) machine: String,
    /// What SysTick counts under `-icount shift=0`; absent where that is no
    /// whole number of instructions, so that the board counts none.
    pub(crate) instructions_per_tick: Option<f64>,
}

/// Every board, by name.
///
/// # Errors
/// A `board.toml` cannot be read or is wrong.
pub(crate) fn all() -> Result<Vec<Board>> {
    let folder = folder();
    let entries = fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
    let mut names = Vec::new();
    for entry in entries {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    names.into_iter().map(load).collect()
}

/// The board of this name.
///
/// # Errors
/// There is none; the message lists those that exist.
pub(crate) fn named(name: &str) -> Result<Board> {
    if folder().join(name).join("board.toml").is_file() {
        return load(name.to_owned());
    }
    let known: Vec<String> = all()?.into_iter().map(|board| board.name).collect();
    bail!("{name}: no such board; the boards are {}", known.join(", "))
}

fn folder() -> PathBuf {
    process::root().join("firmware-demo/boards")
}

fn load(name: String) -> Result<Board> {
    let path = folder().join(&name).join("board.toml");
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let mut board: Board = toml::from_str(&text)
        .map_err(|error| anyhow::anyhow!("{}: {}", path.display(), error.message()))?;
    board.name = name;
    Ok(board)
}

impl Board {
    /// Whether the board is the machine that builds.
    pub(crate) fn is_host(&self) -> bool {
        self.triple == "host"
    }

    /// The export target whose scratch and weights suit this board.
    pub(crate) fn target(&self) -> &'static str {
        match self.backend.as_str() {
            "cortex_m" => "cortex-m4",
            "native" => "native",
            _ => "portable",
        }
    }

    /// Cargo, told which board, target and core to build for.
    pub(crate) fn cargo(&self, verb: &str) -> Command {
        let mut command = process::cargo();
        command.arg(verb).env("MICROCONV_BOARD", &self.name);
        if !self.is_host() {
            let variable = self.triple.replace(['-', '.'], "_").to_uppercase();
            command
                .args(["--target", &self.triple])
                .env(format!("CARGO_TARGET_{variable}_RUSTFLAGS"), self.rustflags.join(" "));
        }
        command
    }
}
