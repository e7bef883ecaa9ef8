use std::iter::zip;

use super::*;
use crate::arch::WeightTensor;
use crate::train::OptimizerKind;

fn settings(optimizer: OptimizerKind, learning_rate: f32, loss: LossKind) -> Settings {
    Settings { epochs: 2, batch_size: 16, optimizer, learning_rate, loss, seed: 3 }
}

/// Images with structure in every direction, and no two equal values.
fn images(shape: [usize; 3], count: usize) -> Images {
    let length = shape.iter().product::<usize>() * count;
    let values = (0..length)
        .map(|i| 0.5 + 0.45 * ((i * i % 8191) as f32 * 0.37 + i as f32 * 0.011).sin())
        .collect();
    Images::from_floats(shape, values).unwrap()
}

struct Quiet {
    stop_after: usize,
    steps: usize,
}

impl Observer for Quiet {
    fn step(&mut self, _: usize, _: usize, _: usize, _: f32) {
        self.steps += 1;
    }
    fn epoch(&mut self, _: usize, _: &Epoch) {}
    fn stop(&self) -> bool {
        self.steps >= self.stop_after
    }
}

fn quiet() -> Quiet {
    Quiet { stop_after: usize::MAX, steps: 0 }
}

/// Layers whose gradients must be right, over a 7×6 map of two channels; the
/// last convolution brings back the shape of the input.
const CASES: [(&str, &str); 12] = [
    (
        "same, even kernel",
        "type = 'Conv2D'\nfilters = 3\nkernel_size = [2, 4]\npadding = 'same'\nactivation = 'tanh'",
    ),
    (
        "dilated",
        "type = 'Conv2D'\nfilters = 3\nkernel_size = 3\npadding = 'same'\ndilation_rate = [2, 3]\nactivation = 'relu'",
    ),
    (
        "groups",
        "type = 'Conv2D'\nfilters = 4\nkernel_size = 3\npadding = 'same'\ngroups = 2\nactivation = 'elu'",
    ),
    (
        "depthwise",
        "type = 'DepthwiseConv2D'\nkernel_size = 3\npadding = 'same'\ndepth_multiplier = 2\nactivation = 'leaky_relu'",
    ),
    (
        "separable",
        "type = 'SeparableConv2D'\nfilters = 3\nkernel_size = 3\npadding = 'same'\nactivation = 'hard_swish'",
    ),
    ("batch norm", "type = 'BatchNormalization'"),
    (
        "bilinear",
        "type = 'UpSampling2D'\nsize = 2\ninterpolation = 'bilinear'\n[[layers]]\ntype = 'AveragePooling2D'\npool_size = 2",
    ),
    ("average, same", "type = 'AveragePooling2D'\npool_size = 3\nstrides = 1\npadding = 'same'"),
    (
        "strided and transposed",
        "type = 'Conv2D'\nfilters = 3\nkernel_size = 3\nstrides = 2\npadding = 'same'\n[[layers]]\ntype = 'Conv2DTranspose'\nfilters = 3\nkernel_size = 3\nstrides = 2\npadding = 'same'\n[[layers]]\ntype = 'Cropping2D'\ncropping = [[0, 1], [0, 0]]",
    ),
    (
        "unpool",
        "type = 'Conv2D'\nfilters = 3\nkernel_size = 3\npadding = 'same'\n[[layers]]\ntype = 'MaxPooling2D'\nname = 'p'\npadding = 'same'\n[[layers]]\ntype = 'Conv2D'\nfilters = 3\nkernel_size = 1\n[[layers]]\ntype = 'MaxUnpooling2D'\npool = 'p'",
    ),
    (
        "bed of nails",
        "type = 'Conv2D'\nfilters = 2\nkernel_size = 3\nstrides = 2\npadding = 'same'\n[[layers]]\ntype = 'BedOfNails2D'\nsize = 2\n[[layers]]\ntype = 'Cropping2D'\ncropping = [[0, 1], [0, 0]]",
    ),
    (
        "dense on a map, flat",
        "type = 'Dense'\nunits = 3\nactivation = 'softmax'\n[[layers]]\ntype = 'Flatten'\n[[layers]]\ntype = 'Dense'\nunits = 84\n[[layers]]\ntype = 'Reshape'\ntarget_shape = [7, 6, 2]",
    ),
];

fn case(layers: &str) -> Architecture {
    let text = format!(
        "input = [7, 6, 2]\n[[layers]]\n{layers}\n[[layers]]\ntype = 'Conv2D'\nfilters = 2\nkernel_size = 3\npadding = 'same'\nactivation = 'sigmoid'\n"
    );
    Architecture::parse(&text, "case.toml").unwrap()
}

/// A step of gradient descent with rate 1 gives the gradient; the slope of
/// the loss along it, and along a direction that has nothing to do with it,
/// must agree.
#[test]
fn gradients_agree_with_finite_differences() {
    let batch = images([7, 6, 2], 5).gather(&[0, 1, 2, 3, 4]);
    let settings = settings(OptimizerKind::Sgd, 1.0, LossKind::BinaryCrossentropy);
    for (name, layers) in CASES {
        let architecture = case(layers);
        let start = initial_weights(&architecture, 5);
        let mut trainer = Trainer::new(&architecture, &start, &settings).unwrap();
        trainer.step(batch.clone()).unwrap();
        let after = trainer.weights().unwrap();
        for (weight, _) in architecture.weights().filter(|(_, spec)| spec.trainable) {
            let gradient: Vec<f32> =
                zip(&start[&weight].values, &after[&weight].values).map(|(a, b)| a - b).collect();
            let other: Vec<f32> =
                (0..gradient.len()).map(|i| (i as f32 * 2.4 + 0.3).sin()).collect();
            for direction in [&gradient, &other] {
                let norm = dot(direction, direction).sqrt();
                if norm < 1e-5 {
                    continue; // a bias that the batch norm after it takes away
                }
                let h = 4e-3 / norm;
                let loss_at = |distance: f32| {
                    let mut moved = start.clone();
                    let values = &mut moved.get_mut(&weight).unwrap().values;
                    zip(values, direction).for_each(|(value, d)| *value += distance * d);
                    let mut trainer = Trainer::new(&architecture, &moved, &settings).unwrap();
                    trainer.step(batch.clone()).unwrap()
                };
                let found = (loss_at(h) - loss_at(-h)) / (2.0 * h) / norm;
                let expected = dot(&gradient, direction) / norm;
                assert!(
                    (found - expected).abs() < 0.03 * expected.abs() + 2e-4,
                    "{name}: {weight}: slope {found}, by the gradient {expected}"
                );
            }
        }
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    zip(a, b).map(|(a, b)| a * b).sum()
}

#[test]
fn losses_are_what_their_formulas_say() {
    let text = "input = [4]\n[[layers]]\ntype = 'Dense'\nunits = 4\nuse_bias = false\nactivation = 'sigmoid'";
    let batch = vec![0.0, 0.25, 0.75, 1.0, 1.0, 0.5, 0.125, 0.0];
    let kernel: Vec<f32> = (0..16).map(|i| (i as f32 * 0.7).sin() * 2.0).collect();
    let mean = |f: &dyn Fn(f64, f64) -> f64| {
        let mut total = 0.0;
        for row in batch.chunks(4) {
            for unit in 0..4 {
                let z: f64 = (0..4).map(|i| f64::from(row[i] * kernel[unit * 4 + i])).sum();
                total += f(1.0 / (1.0 + (-z).exp()), f64::from(row[unit]));
            }
        }
        (total / 8.0) as f32
    };
    let cross = mean(&|p, t| -(t * p.ln() + (1.0 - t) * (1.0 - p).ln()));
    let square = mean(&|p, t| (p - t) * (p - t));
    // Without a sigmoid at the end the loss is taken from the probabilities.
    let hidden = text.replace("'sigmoid'", "'sigmoid'\n[[layers]]\ntype = 'LeakyReLU'");
    for (text, kind, expected) in [
        (text, LossKind::BinaryCrossentropy, cross),
        (text, LossKind::Mse, square),
        (&hidden, LossKind::BinaryCrossentropy, cross),
    ] {
        let architecture = Architecture::parse(text, "d.toml").unwrap();
        let weight = WeightTensor { shape: vec![4, 4], values: kernel.clone() };
        let weights = Weights::from([("dense/kernel".to_owned(), weight)]);
        let settings = settings(OptimizerKind::Sgd, 0.1, kind);
        let mut trainer = Trainer::new(&architecture, &weights, &settings).unwrap();
        let loss = trainer.step(batch.clone()).unwrap();
        assert!((loss - expected).abs() < 1e-6, "{kind:?}: {loss} {expected}");
    }
}

#[test]
fn a_seed_gives_the_same_bits_on_any_number_of_threads() {
    let architecture = Architecture::load("strided-transpose").unwrap();
    let data = crate::data::mnist_subset().unwrap();
    let data = Dataset { train: data.train.first(200), test: data.test.first(50), ..data };
    let train = |seed, threads| {
        let settings = Settings {
            seed,
            batch_size: 64,
            ..settings(OptimizerKind::Adam, 0.001, LossKind::BinaryCrossentropy)
        };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| fit(&architecture, &data, &settings, &mut quiet()).unwrap().weights)
    };
    let first = train(1, 2);
    assert_eq!(first, train(1, 2));
    assert_eq!(first, train(1, 1));
    assert_ne!(first, train(2, 2));
}

#[test]
fn a_stop_keeps_the_last_finished_epoch() {
    let architecture = case("type = 'Dropout'\nrate = 0.25");
    let data = Dataset {
        train: images([7, 6, 2], 40),
        test: images([7, 6, 2], 10),
        source: "a formula".into(),
    };
    let settings = settings(OptimizerKind::Adam, 0.01, LossKind::Mse);
    let whole =
        fit(&architecture, &data, &Settings { epochs: 1, ..settings.clone() }, &mut quiet());
    let whole = whole.unwrap();
    // Three steps an epoch: stopped in the second.
    let mut observer = Quiet { stop_after: 5, steps: 0 };
    let stopped = fit(&architecture, &data, &settings, &mut observer).unwrap();
    assert!(stopped.stopped && stopped.history.epochs.len() == 1);
    assert_eq!(stopped.weights, whole.weights);
    let mut observer = Quiet { stop_after: 2, steps: 0 };
    let error = fit(&architecture, &data, &settings, &mut observer).err().unwrap().to_string();
    assert!(error.contains("nothing was written"), "{error}");
}

#[test]
fn what_cannot_be_trained_is_refused() {
    let settings = settings(OptimizerKind::Sgd, 1e30, LossKind::Mse);
    let narrow = "input = [7, 6, 2]\n[[layers]]\ntype = 'Flatten'";
    let architecture = Architecture::parse(narrow, "n.toml").unwrap();
    let start = initial_weights(&architecture, 1);
    let error = Trainer::new(&architecture, &start, &settings).err().unwrap().to_string();
    assert!(error.contains("gives [84] for an input of [7, 6, 2]"), "{error}");

    let data =
        Dataset { train: images([7, 6, 2], 40), test: images([7, 6, 2], 4), source: "f".into() };
    let linear = "input = [7, 6, 2]\n[[layers]]\ntype = 'Conv2D'\nfilters = 2\nkernel_size = 3\npadding = 'same'";
    let architecture = Architecture::parse(linear, "l.toml").unwrap();
    let error = fit(&architecture, &data, &settings, &mut quiet()).err().unwrap().to_string();
    assert!(error.contains("smaller --learning-rate"), "{error}");
}

/// What the trainer computes, the kernels compute from the lowered graph:
/// layouts, borders, folded batch norms and all.
#[test]
fn the_kernels_run_what_was_trained() {
    use crate::runner::{AlignedBytes, BackendName, Values, run_all};

    let cases = CASES.map(|(name, layers)| (name, case(layers)));
    let built_in =
        Architecture::built_in_names().map(|name| (name, Architecture::load(name).unwrap()));
    for (name, architecture) in cases.into_iter().chain(built_in) {
        let shape: [usize; 3] = architecture.input.as_slice().try_into().unwrap();
        let batch = images(shape, 3).gather(&[0, 1, 2]);
        let settings = settings(OptimizerKind::Adam, 0.01, LossKind::Mse);
        let start = initial_weights(&architecture, 9);
        let mut trainer = Trainer::new(&architecture, &start, &settings).unwrap();
        for _ in 0..3 {
            trainer.step(batch.clone()).unwrap();
        }
        let expected = trainer.restore(batch.clone()).unwrap();
        let graph = architecture.lower(&trainer.weights().unwrap()).unwrap();
        let blob = crate::export::export(&graph, Default::default()).unwrap().blob;
        let bytes = AlignedBytes::copy_of(&blob);
        let model = microconv::model::Model::from_bytes(bytes.as_slice()).unwrap();
        let found = run_all(&model, &[Values::F32(batch)], 3, BackendName::Scalar, &|| ()).unwrap();
        let [Values::F32(found)] = found.as_slice() else { panic!("{name}: one float output") };
        assert_eq!(found.len(), expected.len(), "{name}");
        let worst = zip(found, &expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        // Sums of up to 784 products, in another order, before a sigmoid.
        assert!(worst < 2e-6, "{name}: off by {worst}");
    }
}
