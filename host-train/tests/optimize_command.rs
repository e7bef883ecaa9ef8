//! `microconv optimize` and `inspect --plan` as a user meets them.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn microconv(arguments: &[&dyn AsRef<OsStr>]) -> Output {
    let arguments = arguments.iter().map(|argument| argument.as_ref());
    Command::new(env!("CARGO_BIN_EXE_microconv")).args(arguments).output().unwrap()
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden").join(name)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Imports the golden autoencoder with these flags.
fn import(folder: &Path, name: &str, flags: &[&str]) -> PathBuf {
    let blob = folder.join(name);
    let model = golden("vectors/autoencoder_i8.tflite");
    let mut arguments: Vec<&dyn AsRef<OsStr>> = vec![&"import", &model, &"-o", &blob];
    arguments.extend(flags.iter().map(|flag| flag as &dyn AsRef<OsStr>));
    let result = microconv(&arguments);
    assert!(result.status.success(), "{}", text(&result.stderr));
    blob
}

fn inspect(blob: &Path) -> serde_json::Value {
    serde_json::from_slice(&microconv(&[&"inspect", &blob, &"--json"]).stdout).unwrap()
}

#[test]
fn a_plain_blob_becomes_what_import_would_have_written() {
    let folder = tempfile::tempdir().unwrap();
    let plain = import(folder.path(), "plain.mcv", &["--no-optimize", "--strip"]);
    for target in ["portable", "cortex-m4"] {
        let want = import(folder.path(), "want.mcv", &["--strip", "--target", target]);
        let got = folder.path().join("got.mcv");
        let result =
            microconv(&[&"optimize", &plain, &"-o", &got, &"--target", &target, &"--strip"]);
        assert!(result.status.success(), "{}", text(&result.stderr));
        assert!(std::fs::read(&want).unwrap() == std::fs::read(&got).unwrap(), "{target}");
        assert!(text(&result.stdout).contains("requantisations"));
    }
}

#[test]
fn one_pass_alone_is_done_reported_and_noted() {
    let folder = tempfile::tempdir().unwrap();
    let plain = import(folder.path(), "plain.mcv", &["--no-optimize"]);
    assert_eq!(inspect(&plain)["passes"], serde_json::Value::from(Vec::<u8>::new()));
    let pooled = folder.path().join("pooled.mcv");
    let result = microconv(&[&"optimize", &plain, &"-o", &pooled, &"--only", &"pool"]);
    let report = text(&result.stdout);
    assert!(report.lines().nth(1).unwrap().starts_with("pool "), "{report}");
    let summary = inspect(&pooled);
    let passes = summary["passes"].as_array().unwrap();
    assert_eq!(passes.len(), 1);
    assert_eq!(passes[0]["pass"], "pool");
    let count = |side: &str| passes[0][side]["requantisations"].as_u64().unwrap();
    assert!(count("after") < count("before"));
    assert_eq!(summary["requantisations"].as_u64(), Some(count("after")));
}

#[test]
fn what_cannot_be_read_back_is_refused_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let packed = import(folder.path(), "packed.mcv", &["--target", "cortex-m4"]);
    let files = || std::fs::read_dir(folder.path()).unwrap().count();
    let before = files();
    let output = folder.path().join("out.mcv");
    let tflite = golden("vectors/autoencoder_i8.tflite");
    for (model, why) in [(&packed, "packed for a core"), (&tflite, "give a .mcv file")] {
        let result = microconv(&[&"optimize", model, &"-o", &output]);
        let message = text(&result.stderr);
        assert_eq!(result.status.code(), Some(1), "{message}");
        assert!(message.contains(why) && message.matches('\n').count() == 1, "{message}");
        assert_eq!(files(), before);
    }
    let usage = microconv(&[&"optimize", &packed, &"-o", &output, &"--only", &"magic"]);
    assert_eq!(usage.status.code(), Some(2));
    assert!(text(&usage.stderr).contains("constant-channels"), "{}", text(&usage.stderr));
}

#[test]
fn the_plan_is_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let blob = import(folder.path(), "model.mcv", &[]);
    let [svg, png, other] =
        ["plan.svg", "plan.png", "plan.txt"].map(|name| folder.path().join(name));
    let draw = |path: &PathBuf| microconv(&[&"inspect", &blob, &"--plan", path]);
    assert!(draw(&svg).status.success());
    let drawn = std::fs::read_to_string(&svg).unwrap();
    let slots = inspect(&blob)["plan"].as_array().unwrap().len();
    // The background, and two rectangles per buffer.
    assert!(drawn.matches("<rect").count() >= 2 * slots, "{drawn}");
    assert!(drawn.contains("bytes of arena"), "{drawn}");
    assert!(draw(&png).status.success());
    let picture = image::open(&png).unwrap().into_rgb8();
    let coloured = |p: &&image::Rgb<u8>| p.0.iter().max().unwrap() - p.0.iter().min().unwrap() > 40;
    assert!(picture.pixels().filter(coloured).count() > 10_000);
    let refused = draw(&other);
    assert_eq!(refused.status.code(), Some(1));
    assert!(!other.exists());
}
