//! TensorFlow's models, imported and run: int8 equals TFLite's reference kernels bit for bit.

use std::path::{Path, PathBuf};

use host_train::export::{Options, Target, export};
use host_train::import::tflite;
use host_train::runner::AlignedBytes;
use microconv::backend::{Backend, CortexM, Scalar, Wide};
use microconv::{Model, Session};
use npyz::npz::NpzArchive;

/// Relative error of f32 models: sums of up to a few hundred products in another order.
const F32_TOLERANCE: f32 = 1e-5;

fn vectors() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/vectors");
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut models: Vec<_> =
        entries.filter(|p| p.extension().is_some_and(|e| e == "tflite")).collect();
    models.sort();
    models
}

/// An array of a case as bytes, and its number of runs.
fn array(case: &Path, name: &str, int8: bool) -> (Vec<u8>, usize) {
    let mut archive = NpzArchive::open(case.with_extension("npz")).unwrap();
    let file = archive.by_name(name).unwrap().unwrap();
    let runs = file.shape()[0] as usize;
    let bytes = if int8 {
        bytemuck::cast_slice(&file.into_vec::<i8>().unwrap()).to_vec()
    } else {
        bytemuck::cast_slice(&file.into_vec::<f32>().unwrap()).to_vec()
    };
    (bytes, runs)
}

fn run<B: Backend>(case: &Path, target: Target, optimize: bool) {
    let name = format!("{} on {} ({target}, optimize {optimize})", case.display(), B::NAME);
    let int8 = case.to_string_lossy().ends_with("_i8.tflite");
    let graph = tflite::read(&std::fs::read(case).unwrap()).unwrap();
    let exported = export(&graph, Options { target, optimize, strip: true }).unwrap();
    let blob = AlignedBytes::copy_of(&exported.blob);
    let model = Model::from_bytes(blob.as_slice()).unwrap();
    let mut arena = AlignedBytes::zeros(model.arena_bytes());
    let mut session = Session::<B>::with_backend(model, arena.as_mut_slice()).unwrap();
    let ((inputs, runs), (expected, _)) =
        (array(case, "input0", int8), array(case, "expected0", int8));
    let (size_in, size_out) = (inputs.len() / runs, expected.len() / runs);
    for (input, expected) in inputs.chunks(size_in).zip(expected.chunks(size_out)) {
        session.input_bytes(0).copy_from_slice(input);
        session.run();
        let got = session.output_bytes(0);
        if int8 {
            assert_eq!(got, expected, "{name}");
            continue;
        }
        let floats = |bytes: &[u8]| bytemuck::pod_collect_to_vec::<u8, f32>(bytes);
        for (a, b) in floats(got).into_iter().zip(floats(expected)) {
            assert!((a - b).abs() <= F32_TOLERANCE * b.abs().max(1.0), "{name}: {a} {b}");
        }
    }
}

#[test]
fn every_backend_gives_tensorflows_numbers() {
    let models = vectors();
    assert!(models.len() >= 30, "the golden vectors are missing");
    for case in &models {
        run::<Scalar>(case, Target::Portable, true);
        run::<Scalar>(case, Target::Portable, false);
        run::<Wide>(case, Target::Portable, true);
        run::<CortexM>(case, Target::CortexM, true);
        run::<CortexM>(case, Target::Portable, true);
    }
}

#[test]
fn broken_models_are_refused_without_a_panic() {
    let model = vectors().into_iter().find(|p| p.ends_with("autoencoder_i8.tflite")).unwrap();
    let bytes = std::fs::read(model).unwrap();
    let import = |bytes: &[u8]| {
        if let Ok(graph) = tflite::read(bytes) {
            // What is accepted is well formed; exporting it may still be refused.
            let _ = export(&graph, Options::default());
        }
    };
    for length in (0..bytes.len()).step_by(3) {
        import(&bytes[..length]);
    }
    assert!(tflite::read(&bytes[..bytes.len() / 2]).is_err());
    for at in 0..bytes.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[at] ^= flip;
            import(&damaged);
        }
    }
    for word in 0..bytes.len() / 4 {
        for value in [0, 1, 0x7f, 0xffff, 0x7fff_ffff, 0x8000_0000, u32::MAX, 0x0100_0000] {
            let mut damaged = bytes.clone();
            damaged[4 * word..4 * word + 4].copy_from_slice(&value.to_le_bytes());
            import(&damaged);
        }
    }
    assert!(tflite::read(b"not a model at all").is_err());
}
