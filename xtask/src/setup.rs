//! `cargo xtask setup`: the Rust targets and the emulator.

use std::{path::PathBuf, process::Command};

use anyhow::{Result, bail};

use crate::{board, process};

/// Package managers in the order in which they are looked for: the program, the
/// arguments before the packages, and whether it needs an administrator.
const MANAGERS: [(&str, &[&str], bool); 6] = [
    ("apt-get", &["install", "--yes", "--no-install-recommends"], true),
    ("dnf", &["install", "--assumeyes"], true),
    ("pacman", &["-S", "--noconfirm"], true),
    ("zypper", &["--non-interactive", "install"], true),
    ("apk", &["add"], true),
    ("brew", &["install"], false),
];

/// A program of another project, and where it comes from.
pub(crate) struct Program {
    name: &'static str,
    /// Packages by manager, in the order of [`MANAGERS`]; none where it does not have them.
    packages: [&'static [&'static str]; 6],
    /// For those who have to install it themselves.
    home: &'static str,
}

/// The emulator of the boards.
const QEMU: Program = Program {
    name: "qemu-system-arm",
    packages: [
        &["qemu-system-arm"],
        &["qemu-system-arm"],
        &["qemu-system-arm"],
        &["qemu-arm"],
        &["qemu-system-arm"],
        &["qemu"],
    ],
    home: "https://www.qemu.org/download",
};

/// The emulator of AArch64 programs for Linux.
pub(crate) const QEMU_AARCH64: Program = Program {
    name: "qemu-aarch64",
    packages: [
        &["qemu-user"],
        &["qemu-user"],
        &["qemu-user"],
        &["qemu-linux-user"],
        &["qemu-aarch64"],
        &[],
    ],
    home: "https://www.qemu.org/download",
};

/// The linker of AArch64 programs, with their C library.
pub(crate) const GCC_AARCH64: Program = Program {
    name: "aarch64-linux-gnu-gcc",
    packages: [
        &["gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"],
        &[],
        &["aarch64-linux-gnu-gcc"],
        &[],
        &[],
        &[],
    ],
    home: "https://gcc.gnu.org/install/binaries.html",
};

/// What runs WebAssembly programs.
pub(crate) const NODE: Program = Program {
    name: "node",
    packages: [&["nodejs"], &["nodejs"], &["nodejs"], &["nodejs"], &["nodejs"], &["node"]],
    home: "https://nodejs.org",
};

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

/// The emulator of the boards, installed if it is missing.
///
/// # Errors
/// It is missing, and installing it fails or needs rights that this process lacks.
pub(crate) fn qemu() -> Result<PathBuf> {
    program(&QEMU)
}

/// A program, installed if it is missing.
///
/// # Errors
/// It is missing, and installing it fails or needs rights that this process lacks.
pub(crate) fn program(wanted: &Program) -> Result<PathBuf> {
    let Program { name, packages, home } = wanted;
    if let Some(path) = process::find(name) {
        return Ok(path);
    }
    let found = MANAGERS
        .into_iter()
        .zip(packages)
        .find(|((manager, ..), packages)| !packages.is_empty() && process::find(manager).is_some());
    let Some(((manager, arguments, administrator), packages)) = found else {
        bail!("{name} is missing; install it from {home}");
    };
    let arguments = [arguments, packages].concat();
    let typed = format!("{manager} {}", arguments.join(" "));
    let mut prefix: &[&str] = &[];
    if administrator && !is_root() {
        if !can_sudo() {
            bail!("{name} is missing; install it with `sudo {typed}`");
        }
        prefix = &["sudo", "-n"];
    }
    println!("setup: installing {name} with {manager}");
    if manager == "apt-get" {
        process::check(&mut prefixed(prefix, manager, &["update"]))?;
    }
    process::check(&mut prefixed(prefix, manager, &arguments))?;
    match process::find(name) {
        Some(path) => Ok(path),
        None => bail!("{name} is still missing after `{typed}`"),
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
