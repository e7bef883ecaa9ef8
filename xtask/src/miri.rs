//! `cargo xtask miri`: the kernels' unit tests, the twins of the Cortex-M instructions among
//! them, under the interpreter that finds undefined behaviour.

use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::process;

/// The interpreter is part of nightly toolchains only.
const TOOLCHAIN: &str = "nightly";

/// Runs the tests, with fewer random cases each; installs what is missing.
///
/// # Errors
/// A test fails, or nightly Rust with Miri cannot be installed.
pub(crate) fn run() -> Result<()> {
    if process::find("rustup").is_none() {
        bail!("rustup is missing; install it from https://rustup.rs");
    }
    let there = nightly(&["miri", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !there {
        println!("setup: installing Miri for the {TOOLCHAIN} toolchain");
        let mut rustup = Command::new("rustup");
        rustup.args(["toolchain", "install", TOOLCHAIN, "--profile", "minimal"]);
        process::check(rustup.args(["--component", "miri", "--component", "rust-src"]))?;
    }
    process::check(&mut nightly(&["miri", "test", "--package", "microconv", "--lib"]))
}

fn nightly(arguments: &[&str]) -> Command {
    let mut command = Command::new("rustup");
    command.current_dir(process::root()).args(["run", TOOLCHAIN, "cargo"]).args(arguments);
    // Cargo sets these for its own toolchain; the vector extensions of `.cargo/config.toml`
    // are more than Miri interprets.
    command.env_remove("CARGO").env_remove("RUSTC").env_remove("RUSTDOC").env("RUSTFLAGS", "");
    command
}
