//! Writes every built-in architecture with random weights as an int8 blob, each layer on its
//! own: `builtin_models FOLDER`. What an inference takes does not depend on the weights.

use std::path::Path;

use anyhow::{Context, Result};
use host_train::arch::{Architecture, WeightTensor, Weights};
use host_train::calibrate::calibrate;
use host_train::export::{Options, export};
use host_train::optimize::Passes;
use host_train::quantize::quantize;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn main() -> Result<()> {
    let folder = std::env::args_os().nth(1).context("usage: builtin_models FOLDER")?;
    for name in Architecture::built_in_names() {
        let path = Path::new(&folder).join(format!("{name}.mcv"));
        std::fs::write(&path, blob(name)?).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

fn blob(name: &str) -> Result<Vec<u8>> {
    let architecture = Architecture::load(name)?;
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut weights = Weights::default();
    for (name, spec) in architecture.weights() {
        let count: usize = spec.shape.iter().product();
        let values = (0..count).map(|_| random.random_range(-0.3..0.3)).collect();
        weights.insert(name, WeightTensor { shape: spec.shape.clone(), values });
    }
    let float = architecture.lower(&weights)?;
    let pixels: usize = architecture.input.iter().product();
    let mut sample = || (0..pixels).map(|_| random.random_range(0.0..1.0)).collect();
    let samples: Vec<Vec<f32>> = (0..4).map(|_| sample()).collect();
    let quantized = quantize(&float, &calibrate(&float, &samples)?)?;
    Ok(export(&quantized, Options { passes: Passes::NONE, ..Options::default() })?.blob)
}
