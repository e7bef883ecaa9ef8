//! The training loop.

use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use burn::tensor::{Device, Tensor, TensorData, activation};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::network::{Forward, Mode, Network};
use super::optimizer::Optimizer;
use super::{LossKind, Settings, initial_weights};
use crate::arch::{Architecture, Weights};
use crate::data::{Dataset, Images};
use crate::run_folder::{Epoch, History};

/// Keras clips probabilities to `[ε, 1 − ε]` before their logarithm.
const CLIP: f32 = 1e-7;

/// Follows the progress of [`fit`], and may end it.
pub trait Observer {
    /// After a step: `done` of `total` images of epoch `epoch` (from 0), and
    /// the mean loss since the epoch began.
    fn step(&mut self, epoch: usize, done: usize, total: usize, loss: f32);

    /// After epoch `number` (from 0).
    fn epoch(&mut self, number: usize, epoch: &Epoch);

    /// Whether to stop now; asked after every step.
    fn stop(&self) -> bool;
}

/// What [`fit`] leaves.
pub struct Outcome {
    /// After the last epoch that was finished.
    pub weights: Weights,
    /// One entry per finished epoch.
    pub history: History,
    /// Whether the observer ended it.
    pub stopped: bool,
}

/// Checks that `architecture` is one that [`fit`] trains: an autoencoder.
///
/// # Errors
/// When it does not give back the shape of its input.
pub fn check(architecture: &Architecture) -> Result<()> {
    ensure!(
        architecture.output_shape() == architecture.input,
        "{}: gives {:?} for an input of {:?}; an autoencoder must give back the shape of its input: change the last layers",
        architecture.file,
        architecture.output_shape(),
        architecture.input
    );
    Ok(())
}

/// A network, its optimiser and loss: one call is one step.
pub struct Trainer<'a> {
    network: Network<'a>,
    optimizer: Optimizer,
    loss: LossKind,
    device: Device,
    random: ChaCha8Rng,
}

impl<'a> Trainer<'a> {
    /// Starts from `weights`.
    ///
    /// # Errors
    /// When the network does not give back the shape of its input, or a
    /// weight is missing.
    pub fn new(
        architecture: &'a Architecture,
        weights: &Weights,
        settings: &Settings,
    ) -> Result<Self> {
        check(architecture)?;
        let device = Device::flex();
        let network = Network::new(architecture, weights, &device)?;
        let optimizer =
            Optimizer::new(settings.optimizer, settings.learning_rate, network.parameters.len());
        // Apart from the stream of the initial weights.
        let mut random = ChaCha8Rng::seed_from_u64(settings.seed);
        random.set_stream(1);
        Ok(Self { network, optimizer, loss: settings.loss, device, random })
    }

    /// The weights as they are now.
    ///
    /// # Errors
    /// When the device does not hand them out.
    pub fn weights(&self) -> Result<Weights> {
        self.network.weights()
    }

    fn batch(&self, values: Vec<f32>) -> Tensor<2> {
        let length: usize = self.network.architecture.input.iter().product();
        let count = values.len() / length;
        Tensor::from_data(TensorData::new(values, [count, length]), &self.device)
    }

    /// One step on images (`[batch, height, width, channels]`); returns the
    /// loss before it.
    ///
    /// # Errors
    /// When a layer cannot be trained.
    pub fn step(&mut self, images: Vec<f32>) -> Result<f32> {
        let target = self.batch(images);
        let leaves: Vec<Tensor<1>> = self
            .network
            .parameters
            .iter()
            .map(|p| {
                if p.trainable {
                    p.value.clone().autodiff().require_grad()
                } else {
                    p.value.clone()
                }
            })
            .collect();
        let input = target.clone().autodiff();
        let forward = self.network.forward(input, &leaves, Mode::Training(&mut self.random))?;
        let loss = loss(self.loss, &forward, target.autodiff());
        let mut gradients = loss.backward();
        self.optimizer.begin_step();
        for (index, leaf) in leaves.iter().enumerate() {
            if let Some(gradient) = leaf.grad_remove(&mut gradients) {
                let parameter = &mut self.network.parameters[index];
                parameter.value = self.optimizer.update(index, parameter.value.clone(), gradient);
            }
        }
        for (index, value) in forward.statistics {
            self.network.parameters[index].value = value;
        }
        Ok(loss.into_scalar::<f32>())
    }

    /// What the network makes of `images`, as many values.
    ///
    /// # Errors
    /// When a layer is not known to the trainer.
    pub fn restore(&self, images: Vec<f32>) -> Result<Vec<f32>> {
        let forward = self.infer(self.batch(images))?;
        Ok(output(&forward).try_into_vec_as::<f32>()?)
    }

    fn infer(&self, x: Tensor<2>) -> Result<Forward> {
        let values: Vec<_> = self.network.parameters.iter().map(|p| p.value.clone()).collect();
        self.network.forward(x, &values, Mode::Inference)
    }

    /// Mean loss over all `images`.
    ///
    /// # Errors
    /// When a layer is not known to the trainer.
    pub fn evaluate(&self, images: &Images, batch_size: usize) -> Result<f32> {
        let order: Vec<usize> = (0..images.len()).collect();
        let mut total = 0.0;
        for indices in order.chunks(batch_size) {
            let target = self.batch(images.gather(indices));
            let forward = self.infer(target.clone())?;
            let loss = loss(self.loss, &forward, target).into_scalar::<f32>();
            total += f64::from(loss) * indices.len() as f64;
        }
        Ok((total / images.len().max(1) as f64) as f32)
    }
}

fn output(forward: &Forward) -> Tensor<2> {
    let output = forward.output.clone();
    if forward.logits { activation::sigmoid(output) } else { output }
}

fn loss(kind: LossKind, forward: &Forward, target: Tensor<2>) -> Tensor<1> {
    match kind {
        LossKind::Mse => {
            let difference = output(forward) - target;
            (difference.clone() * difference).mean()
        }
        LossKind::BinaryCrossentropy if forward.logits => {
            // −t·ln σ(z) − (1 − t)·ln(1 − σ(z)), without leaving the logits.
            let z = forward.output.clone();
            ((-target + 1.0) * z.clone() - activation::log_sigmoid(z)).mean()
        }
        LossKind::BinaryCrossentropy => {
            let p = forward.output.clone().clamp(CLIP, 1.0 - CLIP);
            let other = -target.clone() + 1.0;
            -(target * p.clone().log() + other * (-p + 1.0).log()).mean()
        }
    }
}

/// Trains `architecture` to restore its input; validates on the test images
/// after each epoch.
///
/// # Errors
/// When the architecture cannot be trained, when the loss is no longer a
/// number, and when the observer stops before the first epoch is finished.
pub fn fit(
    architecture: &Architecture,
    data: &Dataset,
    settings: &Settings,
    observer: &mut dyn Observer,
) -> Result<Outcome> {
    let file = architecture.file.as_str();
    let start = initial_weights(architecture, settings.seed);
    let mut trainer = Trainer::new(architecture, &start, settings)?;
    let mut shuffles = ChaCha8Rng::seed_from_u64(settings.seed);
    shuffles.set_stream(2);
    let initial_val_loss = trainer.evaluate(&data.test, settings.batch_size)?;
    let mut history = History { epochs: vec![], initial_val_loss };
    let mut finished = None;
    let mut order: Vec<usize> = (0..data.train.len()).collect();
    for number in 0..settings.epochs {
        let clock = Instant::now();
        order.shuffle(&mut shuffles);
        let Some(loss) = epoch(&mut trainer, data, settings, &order, number, observer)? else {
            let weights = finished.with_context(|| {
                format!("{file}: stopped before the first epoch was finished; nothing was written")
            })?;
            return Ok(Outcome { weights, history, stopped: true });
        };
        let val_loss = trainer.evaluate(&data.test, settings.batch_size)?;
        let done = Epoch { loss, val_loss, seconds: clock.elapsed().as_secs_f64() };
        diverged(file, val_loss)?;
        observer.epoch(number, &done);
        history.epochs.push(done);
        finished = Some(trainer.weights()?);
    }
    let weights = finished.context("no epoch was asked for; give --epochs 1 or more")?;
    Ok(Outcome { weights, history, stopped: false })
}

/// One pass; the mean loss, or `None` if the observer stopped it.
fn epoch(
    trainer: &mut Trainer<'_>,
    data: &Dataset,
    settings: &Settings,
    order: &[usize],
    number: usize,
    observer: &mut dyn Observer,
) -> Result<Option<f32>> {
    let (mut total, mut done) = (0.0, 0);
    for indices in order.chunks(settings.batch_size) {
        let loss = trainer.step(data.train.gather(indices))?;
        diverged(&trainer.network.architecture.file, loss)?;
        total += f64::from(loss) * indices.len() as f64;
        done += indices.len();
        observer.step(number, done, order.len(), (total / done as f64) as f32);
        if observer.stop() {
            return Ok(None);
        }
    }
    Ok(Some((total / done.max(1) as f64) as f32))
}

fn diverged(file: &str, loss: f32) -> Result<()> {
    if loss.is_finite() {
        return Ok(());
    }
    bail!(
        "{file}: the loss is no longer a number; train with a smaller --learning-rate; nothing was written"
    )
}

#[cfg(test)]
mod tests;
