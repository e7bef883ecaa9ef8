//! `cargo xtask setup`: the Rust targets and the emulator.

use std::{path::PathBuf, process::Command};

use anyhow::{Result, bail};

use crate::{board, process};

/// Package managers in the order in which they are looked for: the program, the
/// arguments that install QEMU for Arm, and whether it needs an administrator.
const MANAGERS: [(&str, &[&str], bool); 6] = [
    ("apt-get", &["install", "--yes", "--no-install-recommends", "qemu-system-arm"], true),
    ("dnf", &["install", "--assumeyes", "qemu-system-arm"], true),
    ("pacman", &["-S", "--noconfirm", "qemu-system-arm"], true),
    ("zypper", &["--non-interactive", "install", "qemu-arm"], true),
    ("apk", &["add", "qemu-system-arm"], true),
    ("brew", &["install", "qemu"], false),
];

/// Installs whatever any board needs.
///
/// # Errors
/// Something is missing and cannot be installed; the message is the command to type.
pub(crate) fn run() -> Result<()> {
    let mut triples: Vec<String> =
        board::all()?.into_iter().filter(|board| !board.is_host()).map(|b| b.triple).collect();
    triples.sort();
    triples.dedup();
    for triple in &triples {
        target(triple)?;
    }
    let emulator = qemu()?;
    println!("ready: {} and {}", triples.join(", "), emulator.display());
    Ok(())
}

/// Installs the Rust target unless it is there.
///
/// # Errors
/// It is missing and rustup cannot install it.
pub(crate) fn target(triple: &str) -> Result<()> {
    let mut rustc = Command::new("rustc");
    rustc.current_dir(process::root()).args(["--print", "sysroot"]);
    let sysroot = PathBuf::from(process::output(&mut rustc)?.trim());
    if sysroot.join("lib/rustlib").join(triple).join("lib").is_dir() {
        return Ok(());
    }
    let mut rustup = Command::new("rustup");
    rustup.current_dir(process::root()).args(["target", "add", triple]);
    if process::find("rustup").is_none() {
        bail!(
            "the Rust target {triple} is missing and so is rustup; install it from https://rustup.rs, then run `rustup target add {triple}`"
        );
    }
    println!("setup: installing the Rust target {triple}");
    process::check(&mut rustup)
}

/// The emulator, installed if it is missing.
///
/// # Errors
/// It is missing, and installing it fails or needs rights that this process lacks.
pub(crate) fn qemu() -> Result<PathBuf> {
    const PROGRAM: &str = "qemu-system-arm";
    if let Some(path) = process::find(PROGRAM) {
        return Ok(path);
    }
    let Some((manager, arguments, administrator)) =
        MANAGERS.into_iter().find(|(manager, ..)| process::find(manager).is_some())
    else {
        bail!("{PROGRAM} is missing; install QEMU from https://www.qemu.org/download");
    };
    let typed = format!("{manager} {}", arguments.join(" "));
    let mut prefix: &[&str] = &[];
    if administrator && !is_root() {
        if !can_sudo() {
            bail!("{PROGRAM} is missing; install it with `sudo {typed}`");
        }
        prefix = &["sudo", "-n"];
    }
    println!("setup: installing {PROGRAM} with {manager}");
    if manager == "apt-get" {
        process::check(&mut prefixed(prefix, manager, &["update"]))?;
    }
    process::check(&mut prefixed(prefix, manager, arguments))?;
    match process::find(PROGRAM) {
        Some(path) => Ok(path),
        None => bail!("{PROGRAM} is still missing after `{typed}`"),
    }
}

fn prefixed(prefix: &[&str], program: &str, arguments: &[&str]) -> Command {
    let words: Vec<&str> =
        prefix.iter().copied().chain([program]).chain(arguments.iter().copied()).collect();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).env("DEBIAN_FRONTEND", "noninteractive");
    command
}

fn is_root() -> bool {
    process::output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}

fn can_sudo() -> bool {
    process::find("sudo").is_some()
        && Command::new("sudo").args(["-n", "true"]).status().is_ok_and(|status| status.success())
}
