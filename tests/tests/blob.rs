//! Blobs: what was written is read back, and a damaged one is a `FormatError`, never a panic.

use host_train::arch::{Architecture, Weights};
use host_train::export::{Options, export};
use host_train::runner::AlignedBytes;
use microconv::model::format::CRC;
use microconv::{FormatError, Model, Session};

/// A small network of several kinds of layers, with weights that are all different.
fn blob() -> Vec<u8> {
    let text = r#"
        name = "small"
        input = [6, 5, 2]
        [[layers]]
        type = "Conv2D"
        filters = 3
        kernel_size = 3
        padding = "same"
        activation = "relu"
        [[layers]]
        type = "MaxPooling2D"
        name = "pool"
        pool_size = 2
        padding = "same"
        [[layers]]
        type = "Conv2DTranspose"
        filters = 2
        kernel_size = 3
        strides = 2
        padding = "same"
        [[layers]]
        type = "Flatten"
        [[layers]]
        type = "Dense"
        units = 4
        activation = "sigmoid"
    "#;
    let architecture = Architecture::parse(text, "small.toml").unwrap();
    let mut weights = Weights::default();
    for (name, spec) in architecture.weights() {
        let count: usize = spec.shape.iter().product();
        let values = (0..count).map(|i| (i as f32 * 0.37).sin() * 0.5).collect();
        weights.insert(name, host_train::arch::WeightTensor { shape: spec.shape.clone(), values });
    }
    export(&architecture.lower(&weights).unwrap(), Options::default()).unwrap().blob
}

/// Whatever is read runs without a panic.
fn try_to_run(bytes: &[u8]) -> Result<(), FormatError> {
    let aligned = AlignedBytes::copy_of(bytes);
    let model = Model::from_bytes(aligned.as_slice())?;
    let mut arena = AlignedBytes::zeros(model.arena_bytes().min(1 << 20));
    if let Ok(mut session) = Session::new(model, arena.as_mut_slice()) {
        session.run();
    }
    Ok(())
}

fn reseal(blob: &mut [u8]) {
    let end = blob.len() - 4;
    let checksum = CRC.checksum(&blob[..end]);
    blob[end..].copy_from_slice(&checksum.to_le_bytes());
}

#[test]
fn an_exported_blob_is_read_back() {
    let aligned = AlignedBytes::copy_of(&blob());
    let model = Model::from_bytes(aligned.as_slice()).unwrap();
    assert_eq!(model.input(0).shape(), [1, 6, 5, 2]);
    assert_eq!(model.output(0).shape(), [1, 4]);
    // The pool is part of the convolution before it.
    assert_eq!(model.layers(), 3);
}

#[test]
fn every_truncation_is_refused() {
    let blob = blob();
    for length in 0..blob.len() {
        assert!(try_to_run(&blob[..length]).is_err(), "{length} bytes were accepted");
    }
    let mut longer = blob.clone();
    longer.extend([0; 16]);
    assert_eq!(try_to_run(&longer), Err(FormatError::TrailingBytes));
}

#[test]
fn every_flipped_bit_is_refused() {
    let blob = blob();
    for bit in 0..8 * blob.len() {
        let mut damaged = blob.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(try_to_run(&damaged).is_err(), "bit {bit} was accepted");
    }
}

#[test]
fn hostile_words_with_a_right_checksum_never_panic() {
    let blob = blob();
    let hostile =
        [0, 1, 2, 5, 0x7f, 0xff, 0x7fff_ffff, 0x8000_0000, u32::MAX, 0x7f80_0000, 0x0001_0000];
    let mut refused = 0;
    for word in 0..blob.len() / 4 - 1 {
        for value in hostile {
            let mut damaged = blob.clone();
            damaged[4 * word..4 * word + 4].copy_from_slice(&value.to_le_bytes());
            reseal(&mut damaged);
            refused += u32::from(try_to_run(&damaged).is_err());
        }
    }
    assert!(refused > 500, "only {refused} were refused");
}

#[test]
fn misalignment_and_another_version_are_named() {
    let blob = blob();
    let mut shifted = AlignedBytes::zeros(blob.len() + 1);
    shifted.as_mut_slice()[1..].copy_from_slice(&blob);
    let result = Model::from_bytes(&shifted.as_slice()[1..]);
    assert_eq!(result.err(), Some(FormatError::Alignment));
    let mut newer = blob.clone();
    newer[4] = 9;
    reseal(&mut newer);
    assert_eq!(try_to_run(&newer), Err(FormatError::Version(9)));
    let mut other = blob;
    other[0] = b'X';
    assert_eq!(try_to_run(&other), Err(FormatError::Magic));
}
