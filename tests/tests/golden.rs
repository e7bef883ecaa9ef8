//! TensorFlow's models, imported and run: int8 equals TFLite's reference kernels bit for bit.

use std::collections::BTreeSet;
use std::path::Path;

use conformance::golden::{Case, Source, committed_cases, shared_cases, shared_folder};
use host_train::export::{Options, Target, export};
use host_train::import::tflite;
use host_train::optimize::Passes;
use microconv::backend::{CortexM, Scalar, Wide};

/// A backend, the core that is exported for, and whether layers are fused.
type Configuration = (fn(&Case, Options) -> Result<(), String>, Target, bool);

const CONFIGURATIONS: [Configuration; 7] = [
    (Case::check::<Scalar>, Target::Portable, true),
    (Case::check::<Scalar>, Target::Portable, false),
    (Case::check::<Wide>, Target::Portable, true),
    (Case::check::<Wide>, Target::Native, true),
    (Case::check::<CortexM>, Target::CortexM, true),
    (Case::check::<CortexM>, Target::CortexM, false),
    (Case::check::<CortexM>, Target::Portable, true),
];

/// Every failure of every case, a line each.
fn failures(cases: &[Case], configurations: &[Configuration]) -> Vec<String> {
    let each = cases.iter().flat_map(|case| {
        configurations.iter().filter_map(move |&(check, target, optimize)| {
            check(case, Options { target, passes: Passes::all_if(optimize), strip: true }).err()
        })
    });
    each.collect()
}

#[test]
fn every_backend_gives_tensorflows_numbers() {
    let cases = committed_cases();
    assert!(cases.len() >= 590, "the golden vectors are missing");
    let failures = failures(&cases, &CONFIGURATIONS);
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

/// The builtins that the importer does not refuse as such, out of a model that
/// holds each of them once.
fn claimed(file: &str) -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(file);
    let description = tflite::describe(&std::fs::read(path).unwrap()).unwrap();
    let refused = |label: &str| {
        description.problems.iter().any(|p| p.starts_with(label) && p.contains("not supported"))
    };
    let names = description.operators.iter().filter(|o| {
        let label = format!("operator {} ({}", o.index, o.name);
        !refused(&label)
    });
    names.map(|o| o.name.clone()).collect()
}

/// The operators of the committed vectors that read or write tensors of this type.
fn proven(cases: &[Case], kind: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for case in cases {
        let Source::Tflite(model) = &case.source else { continue };
        for operator in tflite::describe(model).unwrap().operators {
            let data = operator.inputs.iter().flatten().chain(&operator.outputs);
            // Weights and shapes do not make an operator one of their type.
            if data.filter(|tensor| !tensor.constant).any(|tensor| tensor.kind == kind) {
                names.insert(operator.name);
            }
        }
    }
    names
}

/// Operators that the importer takes in floats only, as the converter writes them in int8 models.
const FLOATS_ONLY: &[&str] = &["NEG"];

#[test]
fn every_operator_that_the_importer_takes_has_vectors() {
    let (cases, operators) = (committed_cases(), claimed("builtins_f32.tflite"));
    assert!(operators.len() >= 47, "{operators:?}");
    for (kind, without) in [("float32", &[][..]), ("int8", FLOATS_ONLY)] {
        let proven = proven(&cases, kind);
        let missing: Vec<_> = operators
            .difference(&proven)
            .filter(|name| !without.contains(&name.as_str()))
            .collect();
        assert!(missing.is_empty(), "no {kind} vector of {missing:?}");
    }
    let arithmetic = claimed("builtins_i32.tflite");
    assert!(arithmetic.len() >= 19, "{arithmetic:?}");
    let missing: Vec<_> = arithmetic.difference(&proven(&cases, "int32")).cloned().collect();
    assert!(missing.is_empty(), "no vector of shape arithmetic with {missing:?}");
}

#[test]
fn the_samples_beside_the_workspace_are_met() {
    let Some(shared) = shared_folder() else {
        println!("skipped: there is no folder `shared` beside the workspace");
        return;
    };
    let cases = shared_cases(&shared);
    assert!(cases.len() >= 40, "{} samples only in {}", cases.len(), shared.display());
    let failures = failures(&cases, &CONFIGURATIONS);
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn broken_models_are_refused_without_a_panic() {
    let cases = committed_cases();
    let model = cases.into_iter().find(|case| case.name == "autoencoder_i8");
    let Some(Source::Tflite(bytes)) = model.map(|case| case.source) else {
        panic!("autoencoder_i8 is missing")
    };
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
