//! `microconv train` as a user meets it: files, messages, exit statuses.
#![cfg(feature = "train")]

use std::path::Path;
use std::process::{Command, Output, Stdio};

fn train(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_microconv"));
    command.arg("train").args(arguments);
    command
}

fn output(arguments: &[&str]) -> Output {
    train(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn entries(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_run_is_repeatable_and_says_what_it_did() {
    let dir = tempfile::tempdir().unwrap();
    let run = |name: &str, seed: &str| {
        let path = dir.path().join(name);
        let path = path.to_str().unwrap();
        let limits = ["--limit", "300", "--batch-size", "100", "--epochs", "2"];
        let arguments = ["--model", "upsample", "--output", path, "--seed", seed];
        let output = output(&[&arguments[..], &limits[..]].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
        let stdout = text(&output.stdout);
        assert!(stdout.contains("upsample: 777 parameters"), "{stdout}");
        assert!(stdout.contains("300 training and 1000 test images"), "{stdout}");
        assert_eq!(stdout.matches("val_loss").count(), 2, "a plain line per epoch:\n{stdout}");
        assert!(text(&output.stderr).contains("--learning-rate 1.0"), "the note on Adadelta");
        std::fs::read(Path::new(path).join("weights.safetensors")).unwrap()
    };
    let first = run("a", "7");
    assert_eq!(first, run("b", "7"), "bit for bit");
    assert_ne!(first, run("c", "8"));
    let files = [
        "architecture.toml",
        "history.json",
        "loss.png",
        "reconstructions.png",
        "training.json",
        "weights.safetensors",
    ];
    assert_eq!(entries(&dir.path().join("a")), files);
    let (_, graph) = host_train::run_folder::load(&dir.path().join("a")).unwrap();
    assert_eq!(graph.nodes.len(), 6);
    let history = std::fs::read(dir.path().join("a/history.json")).unwrap();
    let history: serde_json::Value = serde_json::from_slice(&history).unwrap();
    assert_eq!(history["epochs"].as_array().unwrap().len(), 2);
    assert!(history["epochs"][1]["val_loss"].as_f64().unwrap() < 1.0);
}

#[test]
fn bad_input_is_one_line_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("wrong.toml"), "input = [28, 28, 1]\n[[layers]]\ntype = \"Conv\"\n")
        .unwrap();
    std::fs::write(path("narrow.toml"), "input = [28, 28, 1]\n[[layers]]\ntype = \"Flatten\"\n")
        .unwrap();
    std::fs::create_dir(path("cut")).unwrap();
    std::fs::write(path("cut/train-images-idx3-ubyte"), [0, 0, 8, 3, 0, 0]).unwrap();
    let before = entries(dir.path());
    let cases = [
        (
            ["--model", "upsampel", "--data", &path("cut")],
            "neither a built-in architecture nor a file",
        ),
        (
            ["--model", &path("wrong.toml"), "--data", &path("cut")],
            "wrong.toml: line 3: unknown layer type `Conv`",
        ),
        (
            ["--model", &path("narrow.toml"), "--data", &path("cut")],
            "must give back the shape of its input",
        ),
        (["--model", "upsample", "--data", &path("none")], "no such folder"),
        (["--model", "upsample", "--data", &path("cut")], "train-images-idx3-ubyte: is cut short"),
        (["--model", "upsample", "--learning-rate", "1e30"], "smaller --learning-rate"),
    ];
    for (arguments, expected) in cases {
        let run = path("run");
        let rest = ["--output", &run, "--optimizer", "sgd", "--limit", "600"];
        let output = output(&[&arguments[..], &rest[..]].concat());
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.starts_with("error: ") && stderr.contains(expected), "{stderr}");
        assert_eq!(stderr.trim_end().lines().count(), 1, "{stderr}");
        assert_eq!(entries(dir.path()), before);
    }
    let usage = output(&["--model", "upsample", "--output", &path("run"), "--epochs", "none"]);
    assert_eq!(usage.status.code(), Some(2));
    let occupied = output(&["--model", "upsample", "--output", &path("cut")]);
    assert!(text(&occupied.stderr).contains("left alone"), "{}", text(&occupied.stderr));
}

#[cfg(unix)]
#[test]
fn an_interrupt_keeps_the_last_finished_epoch_and_a_closed_pipe_is_no_matter() {
    use std::io::{BufRead, BufReader};

    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let arguments = [
        "--model",
        "upsample",
        "--output",
        run.to_str().unwrap(),
        "--limit",
        "600",
        "--epochs",
        "1000",
    ];
    let mut child = train(&arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let first = stdout.lines().map(Result::unwrap).find(|line| line.starts_with("epoch 1/1000"));
    assert!(first.is_some());
    // The reader of stdout is gone by now; the process must not mind.
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    assert!(child.wait().unwrap().success());
    let record = std::fs::read(run.join("training.json")).unwrap();
    let record: serde_json::Value = serde_json::from_slice(&record).unwrap();
    assert_eq!(record["stopped"], true);
    let epochs = host_train::run_folder::load_history(&run).unwrap().epochs.len();
    assert!((1..1000).contains(&epochs));
}
