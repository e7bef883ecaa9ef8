//! `microconv import` and `inspect` of TensorFlow Lite models as a user meets
//! them: messages, exit statuses, files.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn microconv(arguments: &[&Path]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_microconv")).args(arguments).output().unwrap()
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden").join(name)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Models of `tests/golden/refused`, the start of what follows the file's name
/// in the message, and what it says further on.
const REFUSED: &[(&str, &str, &str)] = &[
    ("conv3d", "operator 0 (CONV_3D): ", "not supported"),
    ("cumsum", "operator 1 (CUMSUM): ", "not supported"),
    ("custom", "operator 1 (CUSTOM Cross): custom operators", "not supported"),
    ("cycle", "operator 0 (CONV_2D): reads ", "a cycle"),
    ("dynamic_batch_and_width", "operator 0 (RELU): input `x` ", "dynamic shape [-1, 4, -1, 3]"),
    ("dynamic_height", "operator 0 (MAX_POOL_2D): input `x` ", "dynamic shape [1, -1, -1, 3]"),
    ("dynamic_range_conv", "operator 0 (CONV_2D): hybrid: ", "representative dataset"),
    ("dynamic_range_dense", "operator 0 (FULLY_CONNECTED): hybrid: ", "representative dataset"),
    ("embedding", "operator 0 (CAST): ", "not supported"),
    ("flex", "operator 1 (CUSTOM FlexMatrixInverse): ", "Select TF operators (Flex)"),
    ("float16", "operator 0 (DEQUANTIZE): tensor ", "float16 weights are not supported"),
    ("if", "operator 2 (IF): control flow", "not supported"),
    ("int16x8", "operator 0 (CONV_2D): tensor ", "int16 activations (int16x8)"),
    ("int16x8_float_ends", "operator 0 (QUANTIZE): tensor ", "int16 activations (int16x8)"),
    ("integer_input", "operator 0 (MUL): tensor `x`: int32 ", "shape arithmetic only"),
    ("lstm", "operator 1 (WHILE): control flow", "unroll"),
    ("matmul", "operator 0 (BATCH_MATMUL): ", "not supported"),
    ("no_scale", "operator 0 (CONV_2D): tensor ", "no scale"),
    ("no_weight_scale", "operator 0 (CONV_2D): tensor ", "no scale"),
    ("sparse", "operator 0 (CONV_2D): tensor ", "sparse weights"),
    ("swapped", "operator 0 (MAX_POOL_2D): reads ", "before it is computed"),
    ("two_signatures", "has 2 subgraphs", "signatures `decode`, `encode`"),
    ("uint8", "operator 0 (QUANTIZE): tensor ", "uint8 is not supported"),
    ("variable", "operator 0 (CALL_ONCE): state between runs", "not supported"),
    ("while", "operator 0 (WHILE): control flow", "not supported"),
];

#[test]
fn what_cannot_be_imported_is_answered_with_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("model.mcv");
    for (name, start, feature) in REFUSED {
        let model = golden(&format!("refused/{name}.tflite"));
        let result = microconv(&[Path::new("import"), &model, Path::new("-o"), &output]);
        let message = text(&result.stderr);
        assert_eq!(result.status.code(), Some(1), "{name}: {message}");
        let expected = format!("error: {}: {start}", model.display());
        assert!(message.starts_with(&expected), "{message}");
        assert!(
            message[expected.len()..].contains(feature) || start.contains(feature),
            "{message}"
        );
        assert_eq!(message.matches('\n').count(), 1, "{message}");
        assert!(result.stdout.is_empty(), "{name}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "{name} left a file");
    }
}

#[test]
fn every_refused_model_has_its_message() {
    let files = std::fs::read_dir(golden("refused")).unwrap();
    let mut names: Vec<String> = files
        .map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_string())
        .collect();
    names.sort();
    assert_eq!(names, REFUSED.iter().map(|(name, ..)| *name).collect::<Vec<_>>());
}

#[test]
fn inspect_shows_what_import_refuses() {
    for (name, start, _) in REFUSED {
        let result = microconv(&[Path::new("inspect"), &golden(&format!("refused/{name}.tflite"))]);
        let shown = text(&result.stdout);
        assert!(result.status.success(), "{name}: {}", text(&result.stderr));
        let refusals: Vec<&str> =
            shown.lines().filter_map(|line| line.strip_prefix("cannot be imported: ")).collect();
        assert!(refusals.iter().any(|line| line.starts_with(start)), "{name}: {shown}");
    }
}

#[test]
fn inspect_names_operators_shapes_types_and_scales() {
    let model = golden("vectors/autoencoder_i8.tflite");
    let result = microconv(&[Path::new("inspect"), &model, Path::new("--json")]);
    let shown: serde_json::Value = serde_json::from_slice(&result.stdout).unwrap();
    let names: Vec<&str> = shown["operators"]
        .as_array()
        .unwrap()
        .iter()
        .map(|operator| operator["name"].as_str().unwrap())
        .collect();
    let expected = ["CONV_2D", "MAX_POOL_2D", "TRANSPOSE_CONV", "RELU", "CONV_2D", "LOGISTIC"];
    assert_eq!(names, expected);
    let conv = &shown["operators"][0];
    assert_eq!(conv["inputs"][0]["shape"], serde_json::json!([1, 12, 12, 1]));
    assert_eq!(conv["inputs"][1]["type"], "int8");
    assert_eq!(conv["inputs"][1]["quantization"]["scales"], 4);
    assert_eq!(conv["options"]["activation"], "RELU");
    assert_eq!(conv["options"]["stride_w"], "1");
    // 3×3 weights of 4 channels and their biases; one product a tap and output.
    assert_eq!(conv["parameters"], 40);
    assert_eq!(conv["macs"], 12 * 12 * 4 * 9);
    assert_eq!(shown["operators"][2]["macs"], 6 * 6 * 4 * 3 * 9);
    assert_eq!(shown["parameters"], 176);
    assert_eq!(shown["problems"], serde_json::json!([]));

    let plain = text(&microconv(&[Path::new("inspect"), &model]).stdout);
    assert!(plain.contains("can be imported"), "{plain}");
    assert!(plain.contains("1×12×12×1"), "{plain}");
    assert!(plain.contains("4 scales along axis 0"), "{plain}");
}

#[test]
fn a_file_of_another_format_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in [("empty.tflite", &b""[..]), ("text.tflite", b"not a model at all")] {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        for command in ["import", "inspect"] {
            let output = folder.path().join("out.mcv");
            let mut arguments = vec![Path::new(command), &path];
            if command == "import" {
                arguments.extend([Path::new("-o"), &output]);
            }
            let result = microconv(&arguments);
            assert_eq!(result.status.code(), Some(1));
            let message = text(&result.stderr);
            assert!(message.contains("is no TensorFlow Lite model"), "{message}");
            assert_eq!(message.matches('\n').count(), 1);
            assert!(!output.exists());
        }
    }
}
