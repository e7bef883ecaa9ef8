//! Weights before training, as Keras draws them.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::arch::{Architecture, Init, WeightTensor, Weights};

/// Glorot-uniform kernels, zero biases; the same for the same seed.
pub fn initial_weights(architecture: &Architecture, seed: u64) -> Weights {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    architecture
        .weights()
        .map(|(name, spec)| {
            let values = match spec.init {
                Init::Zeros => vec![0.0; spec.len()],
                Init::Ones => vec![1.0; spec.len()],
                Init::GlorotUniform { fan_in, fan_out } => {
                    let limit = (6.0 / (fan_in + fan_out) as f32).sqrt();
                    (0..spec.len()).map(|_| random.random_range(-limit..limit)).collect()
                }
            };
            (name, WeightTensor { shape: spec.shape.clone(), values })
        })
        .collect()
}
