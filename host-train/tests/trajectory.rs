//! The trainer follows Keras step by step: 20 recorded steps per optimiser.
#![cfg(feature = "train")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use host_train::arch::{Architecture, WeightTensor, Weights};
use host_train::data::{self, Images};
use host_train::train::{LossKind, OptimizerKind, Settings, Trainer};
use serde::Deserialize;

/// Largest difference of a loss to Keras': 20 steps add up rounding.
const LOSS_TOLERANCE: f32 = 1e-4;
/// Largest difference of a weight after 20 steps. Adam divides by the root of
/// the squared gradient, which amplifies rounding where gradients are tiny.
const WEIGHT_TOLERANCE: f32 = 2e-3;

const SETTINGS: [(&str, OptimizerKind, f32); 4] = [
    ("adam", OptimizerKind::Adam, 0.001),
    ("adadelta_default", OptimizerKind::Adadelta, 0.001),
    ("adadelta_lr1", OptimizerKind::Adadelta, 1.0),
    ("sgd_lr0.5", OptimizerKind::Sgd, 0.5),
];

#[derive(Deserialize)]
struct Tensor {
    shape: Vec<usize>,
    values: Vec<f32>,
}

#[derive(Deserialize)]
struct Run {
    losses: Vec<f32>,
    r#final: BTreeMap<String, Tensor>,
}

#[derive(Deserialize)]
struct Trajectory {
    batch: usize,
    initial: BTreeMap<String, Tensor>,
    runs: BTreeMap<String, Run>,
}

fn weights(tensors: &BTreeMap<String, Tensor>) -> Weights {
    tensors
        .iter()
        .map(|(name, t)| {
            let tensor = WeightTensor { shape: t.shape.clone(), values: t.values.clone() };
            (name.clone(), tensor)
        })
        .collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

/// Follows `run` and returns the weights after it.
fn follow(start: &Weights, images: &Images, batch: usize, name: &str, losses: &[f32]) -> Weights {
    let (_, optimizer, learning_rate) =
        *SETTINGS.iter().find(|(setting, ..)| *setting == name).expect("a known setting");
    let architecture = Architecture::load("upsample").unwrap();
    let loss = LossKind::BinaryCrossentropy;
    let settings =
        Settings { epochs: 1, batch_size: batch, optimizer, learning_rate, loss, seed: 0 };
    let mut trainer = Trainer::new(&architecture, start, &settings).unwrap();
    let mut worst = 0.0_f32;
    for (step, expected) in losses.iter().enumerate() {
        let indices: Vec<usize> = (step * batch..(step + 1) * batch).collect();
        let found = trainer.step(images.gather(&indices)).unwrap();
        worst = worst.max((found - expected).abs());
        assert!(
            (found - expected).abs() <= LOSS_TOLERANCE,
            "{name}, step {step}: loss {found}, Keras {expected}"
        );
    }
    println!("{name}: largest difference of a loss {worst:.2e}");
    trainer.weights().unwrap()
}

#[test]
fn steps_follow_the_committed_trajectory() {
    let file = root().join("tests/golden/trajectory/upsample.json");
    let trajectory: Trajectory = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let images = data::mnist_subset().unwrap().train;
    assert_eq!(trajectory.runs.len(), SETTINGS.len());
    for (name, run) in &trajectory.runs {
        assert_eq!(run.losses.len(), 20);
        let start = weights(&trajectory.initial);
        let end = follow(&start, &images, trajectory.batch, name, &run.losses);
        for (weight, expected) in weights(&run.r#final) {
            let difference = end[&weight]
                .values
                .iter()
                .zip(&expected.values)
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f32::max);
            assert!(difference <= WEIGHT_TOLERANCE, "{name}: {weight} is off by {difference}");
        }
    }
}

/// The same on the recording that the project was started with, over the
/// full MNIST files, where both are there.
#[test]
fn steps_follow_the_shared_trajectory() {
    let shared = root().join("../shared");
    let folder = shared.join("golden/trajectory");
    if !folder.join("A.json").is_file() || !shared.join("mnist").is_dir() {
        println!("no shared trajectory here; the committed one is followed");
        return;
    }
    let record: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.join("A.json")).unwrap()).unwrap();
    let mut archive = npyz::npz::NpzArchive::open(folder.join("A_init.npz")).unwrap();
    let mut names: Vec<String> = archive.array_names().map(str::to_owned).collect();
    names.sort();
    let slots = ["conv2d", "conv2d_1", "conv2d_2"]
        .iter()
        .flat_map(|layer| [format!("{layer}/kernel"), format!("{layer}/bias")]);
    let mut start = Weights::new();
    for (slot, name) in slots.zip(names) {
        let array = archive.by_name(&name).unwrap().expect("an array");
        let shape: Vec<usize> = array.shape().iter().map(|&extent| extent as usize).collect();
        let values: Vec<f32> = array.into_vec().unwrap();
        start.insert(slot, ohwi(&shape, &values));
    }
    let images = data::load(Some(&shared.join("mnist")), &[28, 28, 1], None).unwrap().train;
    for name in ["adam", "adadelta_default", "adadelta_lr1"] {
        let losses: Vec<f32> = serde_json::from_value(record[name].clone()).unwrap();
        assert_eq!(losses.len(), 20);
        follow(&start, &images, 256, name, &losses);
    }
}

/// A kernel of Keras (HWIO) in the graph's layout; a bias as it is.
fn ohwi(shape: &[usize], values: &[f32]) -> WeightTensor {
    let &[h, w, i, o] = shape else {
        return WeightTensor { shape: shape.to_vec(), values: values.to_vec() };
    };
    let values =
        (0..o).flat_map(|o_at| (0..h * w * i).map(move |rest| values[rest * o + o_at])).collect();
    WeightTensor { shape: vec![o, h, w, i], values }
}
