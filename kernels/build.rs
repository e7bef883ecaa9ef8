//! Finds out what the target's assembler accepts.
//!
//! On stable Rust no `target_feature` tells that a Cortex-M core has the DSP
//! extension (`thumbv7em`, or `-C target-cpu=cortex-m33`), so a file of one
//! instruction is assembled. A probe that does not build means "no", never an error.

use std::env;
use std::path::Path;
use std::process::{Command, Stdio};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let target = env::var("TARGET").unwrap_or_default();
    if target.starts_with("thumb") && assembles(&target, "smlad r0, r1, r2, r0") {
        println!("cargo::rustc-cfg=arm_dsp");
        if target.starts_with("thumbv8m") {
            println!("cargo::rustc-cfg=arm_v8m");
        }
    }
}

/// Whether rustc, called as cargo calls it for this target, assembles `instruction`.
fn assembles(target: &str, instruction: &str) -> bool {
    let (Ok(rustc), Ok(folder)) = (env::var("RUSTC"), env::var("OUT_DIR")) else { return false };
    let source = Path::new(&folder).join("probe.rs");
    let text = format!("#![no_std]\ncore::arch::global_asm!(\"{instruction}\");\n");
    if std::fs::write(&source, text).is_err() {
        return false;
    }
    // `CARGO_ENCODED_RUSTFLAGS` carries `-C target-cpu`, on which the answer depends.
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    Command::new(rustc)
        .args(flags.split('\u{1f}').filter(|flag| !flag.is_empty()))
        .args(["--crate-type=lib", "--crate-name=probe", "--edition=2024", "--emit=obj"])
        .args(["--target", target])
        .arg("-o")
        .arg(Path::new(&folder).join("probe.o"))
        .arg(&source)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
