//! `microconv export`: the sources compile against the kernels and give the model's numbers.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use host_train::runner::AlignedBytes;
use microconv::{Model, Session};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {stderr}");
    output
}

fn microconv() -> Command {
    Command::new(env!("CARGO_BIN_EXE_microconv"))
}

/// Imports a golden model of two inputs and two outputs.
fn import(folder: &Path) -> PathBuf {
    let blob = folder.join("Two-in 2.mcv");
    let model = root().join("tests/golden/importer/two_in_two_out_i8.tflite");
    succeed(microconv().arg("import").arg(model).arg("-o").arg(&blob));
    blob
}

/// What the program below feeds its inputs with.
fn pattern(input: usize, i: usize) -> u8 {
    (i * 37 + input * 11) as u8
}

/// The outputs of a blob over the pattern, a line of bytes each.
fn expected(blob: &Path) -> String {
    let bytes = AlignedBytes::copy_of(&std::fs::read(blob).unwrap());
    let model = Model::from_bytes(bytes.as_slice()).unwrap();
    let mut arena = AlignedBytes::zeros(model.arena_bytes());
    let mut session = Session::new(model, arena.as_mut_slice()).unwrap();
    for input in 0..model.inputs() {
        let cells = session.input_bytes(input).iter_mut().enumerate();
        cells.for_each(|(i, byte)| *byte = pattern(input, i));
    }
    session.run();
    let line = |output| {
        let bytes = session.output_bytes(output).iter();
        bytes.map(|byte| format!("{byte} ")).collect::<String>() + "\n"
    };
    (0..model.outputs()).map(line).collect()
}

/// A workspace of what was exported, on the kernels of this one and with its locked versions.
fn workspace(folder: &Path, members: &str) {
    let kernels = root().join("kernels");
    let text = format!(
        "[workspace]\nresolver = \"3\"\nmembers = [{members}]\n\n\
         [patch.crates-io]\nmicroconv = {{ path = {kernels:?} }}\n\n\
         [profile.dev]\npanic = \"abort\"\n"
    );
    std::fs::write(folder.join("Cargo.toml"), text).unwrap();
    std::fs::copy(root().join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
}

/// Builds in a target folder that is kept from one run to the next.
fn build(folder: &Path) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("export");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--offline", "--target-dir"]).arg(&target);
    succeed(cargo.current_dir(folder).env_remove("RUSTFLAGS"));
    target.join("debug")
}

const PROGRAM: &str = r#"
use two_in_2::{Arena, Model, input0, output0, output1, session};

fn main() {
    assert_eq!(input0::SHAPE, [1, 4, 3, 2]);
    let count = |shape: &[usize]| shape.iter().product::<usize>();
    assert_eq!(count(&output0::SHAPE) + count(&output1::SHAPE), 24 + 3);
    assert!(input0::SCALE > 0.0 && size_of::<Arena>() == Model::ARENA_BYTES);
    let mut arena = Arena::new();
    let mut session = session(&mut arena);
    for input in 0..2 {
        let cells = session.input_bytes(input).iter_mut().enumerate();
        cells.for_each(|(i, byte)| *byte = (i * 37 + input * 11) as u8);
    }
    session.run();
    for output in 0..2 {
        session.output_bytes(output).iter().for_each(|byte| print!("{byte} "));
        println!();
    }
}
"#;

#[test]
fn the_rust_crate_compiles_and_runs() {
    let folder = tempfile::tempdir().unwrap();
    let blob = import(folder.path());
    let exported = folder.path().join("exported");
    succeed(microconv().arg("export").arg(&blob).arg("--rust").arg(&exported));
    let app = folder.path().join("app");
    std::fs::create_dir_all(app.join("src")).unwrap();
    std::fs::write(app.join("src/main.rs"), PROGRAM).unwrap();
    let manifest = "[package]\nname = \"app\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n\
                    [dependencies]\ntwo-in-2 = { path = \"../exported\" }\n";
    std::fs::write(app.join("Cargo.toml"), manifest).unwrap();
    workspace(folder.path(), "\"exported\", \"app\"");
    let program = build(folder.path()).join("app");
    let output = succeed(&mut Command::new(program));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected(&blob));
}

const C_PROGRAM: &str = r#"
#include <stdio.h>
#include <string.h>
#include "two_in_2.h"

static _Alignas(16) unsigned char arena[TWO_IN_2_ARENA_BYTES + 16];
static unsigned char a[TWO_IN_2_INPUT0_BYTES], b[TWO_IN_2_INPUT1_BYTES];
static unsigned char y[TWO_IN_2_OUTPUT0_BYTES], z[TWO_IN_2_OUTPUT1_BYTES];

int main(void) {
    const void *inputs[] = {a, b};
    void *outputs[] = {y, z};
    if ((size_t)two_in_2_blob % TWO_IN_2_ALIGNMENT || memcmp(two_in_2_blob, "MCNV", 4)) return 2;
    for (size_t i = 0; i < sizeof a; i++) a[i] = (unsigned char)(i * 37);
    for (size_t i = 0; i < sizeof b; i++) b[i] = (unsigned char)(i * 37 + 11);
    if (two_in_2_run(arena + 4, inputs, outputs) != -1) return 3;
    if (two_in_2_run(0, inputs, outputs) != -1) return 4;
    if (two_in_2_run(arena, inputs, outputs) != 0) return 5;
    for (size_t i = 0; i < sizeof y; i++) printf("%d ", y[i]);
    printf("\n");
    for (size_t i = 0; i < sizeof z; i++) printf("%d ", z[i]);
    printf("\n");
    return 0;
}
"#;

#[test]
#[cfg(unix)]
fn the_c_sources_compile_and_run() {
    let folder = tempfile::tempdir().unwrap();
    let blob = import(folder.path());
    let exported = folder.path().join("exported");
    succeed(microconv().arg("export").arg(&blob).arg("--c").arg(&exported));
    workspace(folder.path(), "\"exported/runtime\"");
    let library = build(folder.path()).join("libtwo_in_2.a");
    std::fs::write(folder.path().join("main.c"), C_PROGRAM).unwrap();
    let program = folder.path().join("program");
    let mut cc = Command::new("cc");
    cc.args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-I"]).arg(&exported);
    cc.arg(folder.path().join("main.c")).arg(exported.join("two_in_2.c")).arg(library);
    succeed(cc.arg("-o").arg(&program));
    let output = succeed(&mut Command::new(program));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected(&blob));
}

#[test]
fn wrong_usage_and_wrong_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let blob = import(folder.path());
    let usage = microconv().arg("export").arg(&blob).output().unwrap();
    assert_eq!(usage.status.code(), Some(2));
    let model = root().join("tests/golden/importer/two_in_two_out_i8.tflite");
    let wrong = microconv().arg("export").arg(model).arg("--c").arg("out").output().unwrap();
    assert_eq!(wrong.status.code(), Some(1));
    let message = String::from_utf8(wrong.stderr).unwrap();
    assert!(message.contains("give a .mcv file"), "{message}");
    assert!(!Path::new("out").exists());
}
