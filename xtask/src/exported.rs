//! What `microconv export` writes, built for the chips that it is meant for.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};

use crate::{process, setup};

/// A core without and one with the DSP extension: the target of rustc, the target of the export.
const CORES: [(&str, &str); 2] =
    [("thumbv6m-none-eabi", "portable"), ("thumbv7em-none-eabihf", "cortex-m4")];

/// Exports the built-in autoencoder as a crate and as C and builds both for each core.
///
/// # Errors
/// An export fails, does not compile, or lacks its function.
pub(crate) fn build() -> Result<()> {
    for (triple, packing) in CORES {
        setup::target(triple)?;
        let folder = process::target_folder().join("exported").join(triple);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder)?;
        let blob = folder.join("autoencoder.mcv");
        let run = process::root().join("firmware-demo/model/run");
        microconv(&["quantize", "--strip", "--target", packing, "-o"], &[&blob, &run])?;
        microconv(&["export", "--rust"], &[&folder.join("crate"), &blob])?;
        microconv(&["export", "--c"], &[&folder.join("c"), &blob])?;
        workspace(&folder)?;
        let mut cargo = process::cargo();
        cargo.current_dir(&folder).args(["build", "--quiet", "--release", "--offline"]);
        process::check(cargo.args(["--target", triple, "--target-dir"]).arg(folder.join("out")))?;
        let library = folder.join("out").join(triple).join("release/libautoencoder.a");
        let bytes = fs::read(&library).with_context(|| library.display().to_string())?;
        let name = b"autoencoder_run";
        ensure!(
            bytes.windows(name.len()).any(|part| part == name),
            "{}: has no autoencoder_run",
            library.display()
        );
        println!("{triple}: crate and static library built");
    }
    Ok(())
}

fn microconv(words: &[&str], paths: &[&PathBuf]) -> Result<()> {
    let mut command = process::cargo();
    command
        .args(["run", "--quiet", "--package", "host-train", "--no-default-features"])
        .args(["--bin", "microconv", "--"])
        .args(words)
        .args(paths);
    process::output(&mut command).map(|_| ())
}

/// A workspace around both, on the kernels of this one and with its locked versions.
fn workspace(folder: &Path) -> Result<()> {
    let kernels = process::root().join("kernels");
    let text = format!(
        "[workspace]\nresolver = \"3\"\nmembers = [\"crate\", \"c/runtime\"]\n\n\
         [patch.crates-io]\nmicroconv = {{ path = {kernels:?} }}\n\n\
         [profile.release]\npanic = \"abort\"\nlto = true\ncodegen-units = 1\n"
    );
    fs::write(folder.join("Cargo.toml"), text)?;
    fs::copy(process::root().join("Cargo.lock"), folder.join("Cargo.lock"))?;
    Ok(())
}
