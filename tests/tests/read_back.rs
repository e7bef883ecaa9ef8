//! Blobs read back into graphs: every golden model, with each layer on its own and with all
//! that can be fused, gives TensorFlow's numbers again after it is optimised anew.

use std::path::Path;

use conformance::golden::{Case, committed_cases};
use host_train::export::{Options, Target, export};
use host_train::import::{blob, tflite};
use host_train::optimize::Passes;
use host_train::runner::AlignedBytes;
use microconv::Model;
use microconv::backend::{CortexM, Scalar};

/// Failures of every case when its first blob is written with `first`.
fn failures(first: Passes) -> Vec<String> {
    let options = |target| Options { target, strip: true, ..Options::default() };
    let check = |case: &Case| {
        let portable = case.check_read_back::<Scalar>(first, options(Target::Portable));
        let packed = case.check_read_back::<CortexM>(first, options(Target::CortexM));
        portable.and(packed).err().map(|why| format!("{}: {why}", case.name))
    };
    committed_cases().iter().filter_map(check).collect()
}

#[test]
fn plain_blobs_are_read_back() {
    let failures = failures(Passes::NONE);
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn fused_blobs_are_read_back() {
    let failures = failures(Passes::ALL);
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

/// A golden model as a blob.
fn golden(name: &str, options: Options) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/vectors").join(name);
    export(&tflite::read(&std::fs::read(path).unwrap()).unwrap(), options).unwrap().blob
}

#[test]
fn packed_weights_are_refused() {
    let options = Options { target: Target::CortexM, ..Options::default() };
    let aligned = AlignedBytes::copy_of(&golden("conv2d_same_s2_i8.tflite", options));
    let model = Model::from_bytes(aligned.as_slice()).unwrap();
    let packed = (0..model.layers()).any(|i| model.layer_record(i).packing != 0);
    let read = blob::read(&model);
    assert!(packed && read.unwrap_err().message.contains("packed for a core"));
}

#[test]
fn what_was_optimised_stays_as_it_is() {
    for name in ["autoencoder_i8.tflite", "autoencoder_f32.tflite"] {
        let once = golden(name, Options { strip: true, ..Options::default() });
        let aligned = AlignedBytes::copy_of(&once);
        let graph = blob::read(&Model::from_bytes(aligned.as_slice()).unwrap()).unwrap();
        let again = export(&graph, Options { strip: true, ..Options::default() }).unwrap();
        assert_eq!(again.blob, once, "{name}");
    }
}
