//! How well a model restores images, and what quantisation costs.

use std::collections::HashMap;

use anyhow::{Result, ensure};
use microconv::Model;
use microconv::model::{DType, Observer, Tensors};

use crate::data::Images;
use crate::export::Notes;
use crate::runner::{BackendName, Values, dequantize, observe, run_all};

/// Loss, error and fidelity over a set of images.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quality {
    /// Mean binary cross-entropy, probabilities clipped to 1e-7 as Keras does.
    pub loss: f64,
    /// Mean squared error.
    pub mse: f64,
    /// `10 · log10(1 / mse)`, dB.
    pub psnr: f64,
}

impl Quality {
    /// Of `restored` against `originals`, both in [0, 1].
    pub fn of(originals: &[f32], restored: &[f32]) -> Self {
        let count = originals.len().max(1) as f64;
        let (mut loss, mut squares) = (0.0, 0.0);
        for (&t, &p) in originals.iter().zip(restored) {
            let (t, p) = (f64::from(t), f64::from(p));
            let clipped = p.clamp(1e-7, 1.0 - 1e-7);
            loss -= t * clipped.ln() + (1.0 - t) * (1.0 - clipped).ln();
            squares += (t - p) * (t - p);
        }
        Self { loss: loss / count, mse: squares / count, psnr: psnr(squares / count) }
    }
}

/// Peak signal-to-noise ratio of values in [0, 1], dB.
pub fn psnr(mse: f64) -> f64 {
    -10.0 * mse.max(1e-20).log10()
}

/// What a model makes of images, as reals.
///
/// # Errors
/// When the model has other than one input and output, or sizes do not fit.
pub fn restore(
    model: &Model<'_>,
    images: &Images,
    backend: BackendName,
    done: &(dyn Fn() + Sync),
) -> Result<Vec<f32>> {
    ensure!(
        model.inputs() == 1 && model.outputs() == 1,
        "the model has {} inputs and {} outputs, expected one of each",
        model.inputs(),
        model.outputs()
    );
    ensure!(
        model.input(0).count() == images.image_len(),
        "the model takes {:?}, an image has {} values",
        model.input(0).shape(),
        images.image_len()
    );
    let indices: Vec<usize> = (0..images.len()).collect();
    let inputs = [Values::F32(images.gather(&indices))];
    let mut outputs = run_all(model, &inputs, images.len(), backend, done)?;
    dequantize(&model.output(0), outputs.swap_remove(0))
}

/// The error of one quantised tensor against the float model.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerError {
    /// Name of the tensor.
    pub name: String,
    /// Root of the mean squared error, reals.
    pub rmse: f64,
    /// Largest error, reals.
    pub max: f64,
    /// Signal over error, dB.
    pub sqnr: f64,
    /// Step of a code, reals.
    pub scale: f32,
}

/// Reals of every float or int8 tensor that the layers write, by name.
struct Record<'a> {
    model: Model<'a>,
    names: &'a [String],
    values: HashMap<String, Vec<f32>>,
}

impl Observer for Record<'_> {
    fn end(&mut self, layer: usize, tensors: Tensors<'_>) {
        for id in self.model.layer_record(layer).outputs {
            let id = id as usize;
            if id >= self.names.len() {
                continue;
            }
            let (info, bytes) = (tensors.info(id), tensors.bytes(id));
            let values = match info.dtype {
                DType::F32 => Values::F32(bytemuck::pod_collect_to_vec(bytes)),
                DType::I8 => Values::I8(bytemuck::cast_slice(bytes).to_vec()),
                _ => continue,
            };
            if let Ok(reals) = dequantize(&info, values) {
                self.values.insert(self.names[id].clone(), reals);
            }
        }
    }
}

/// Squares of errors, squares of signals, largest error, count.
#[derive(Clone, Copy, Default)]
struct Sums {
    errors: f64,
    signals: f64,
    max: f64,
    count: usize,
}

/// The error that quantisation adds, tensor by tensor, in the order of the quantised layers.
///
/// # Errors
/// When a sample does not fit one of the models.
pub fn layer_errors(
    float: &Model<'_>,
    quantized: &Model<'_>,
    samples: &[Vec<f32>],
) -> Result<Vec<LayerError>> {
    let names = [Notes::read(float).tensors, Notes::read(quantized).tensors];
    let mut sums: HashMap<String, Sums> = HashMap::new();
    for sample in samples {
        let mut reals = [HashMap::new(), HashMap::new()];
        for ((model, names), reals) in [float, quantized].into_iter().zip(&names).zip(&mut reals) {
            let mut record = Record { model: *model, names, values: HashMap::new() };
            observe(model, sample, &mut record)?;
            *reals = record.values;
        }
        for (name, quantized) in &reals[1] {
            let Some(float) = reals[0].get(name) else { continue };
            let sum = sums.entry(name.clone()).or_default();
            for (&a, &b) in float.iter().zip(quantized) {
                let error = f64::from(a) - f64::from(b);
                sum.errors += error * error;
                sum.signals += f64::from(a) * f64::from(a);
                sum.max = sum.max.max(error.abs());
                sum.count += 1;
            }
        }
    }
    let written = (0..quantized.layers()).flat_map(|layer| quantized.layer_record(layer).outputs);
    let rows = written.filter_map(|id| {
        let name = names[1].get(id as usize)?;
        let sum = sums.get(name)?;
        Some(LayerError {
            name: name.clone(),
            rmse: (sum.errors / sum.count.max(1) as f64).sqrt(),
            max: sum.max,
            sqnr: 10.0 * (sum.signals.max(1e-20) / sum.errors.max(1e-20)).log10(),
            scale: quantized.tensor(id as usize).scale,
        })
    });
    Ok(rows.collect())
}
