//! An architecture with its parameters on a device, run forwards.

use std::cell::RefCell;
use std::collections::BTreeMap;

use anyhow::{Context, Result};
use burn::tensor::{Device, Tensor, TensorData};
use rand::{Rng, RngExt};

use super::operators::{Value, Weight, apply};
use crate::arch::{Architecture, Layer, LayerActivation, LayerKind, WeightTensor, Weights};
use crate::graph::{Activation, Op};

/// A weight of the network, as a flat vector.
pub(super) struct Parameter {
    pub(super) name: String,
    shape: Vec<usize>,
    pub(super) trainable: bool,
    pub(super) value: Tensor<1>,
}

/// What differs between training and inference.
pub(super) enum Mode<'r> {
    /// Dropout draws from the generator; batch norm takes the statistics of the batch.
    Training(&'r mut dyn Rng),
    /// Dropout is the identity; batch norm takes the moving statistics.
    Inference,
}

/// What a forward pass gives.
pub(super) struct Forward {
    /// `[batch, values]`, in the order height, width, channels: the output, or
    /// what its final sigmoid is applied to.
    pub(super) output: Tensor<2>,
    /// Whether a sigmoid still has to follow.
    pub(super) logits: bool,
    /// New moving statistics, by parameter.
    pub(super) statistics: Vec<(usize, Tensor<1>)>,
}

/// An architecture and the values of its weights.
pub(super) struct Network<'a> {
    pub(super) architecture: &'a Architecture,
    pub(super) parameters: Vec<Parameter>,
    index: BTreeMap<String, usize>,
    /// Layer whose final sigmoid only reshapes follow.
    sigmoid: Option<usize>,
}

impl<'a> Network<'a> {
    /// # Errors
    /// When a weight is missing.
    pub(super) fn new(
        architecture: &'a Architecture,
        weights: &Weights,
        device: &Device,
    ) -> Result<Self> {
        let mut parameters = Vec::new();
        for (name, spec) in architecture.weights() {
            let weight =
                weights.get(&name).with_context(|| format!("weight `{name}` is missing"))?;
            let data = TensorData::new(weight.values.clone(), [spec.len()]);
            let value = Tensor::from_data(data, device);
            let shape = spec.shape.clone();
            parameters.push(Parameter { name, shape, trainable: spec.trainable, value });
        }
        let index = parameters.iter().enumerate().map(|(i, p)| (p.name.clone(), i)).collect();
        let sigmoid = final_sigmoid(architecture);
        Ok(Self { architecture, parameters, index, sigmoid })
    }

    /// The weights as they are now.
    pub(super) fn weights(&self) -> Result<Weights> {
        self.parameters
            .iter()
            .map(|p| {
                let values = p.value.clone().try_into_vec_as::<f32>()?;
                Ok((p.name.clone(), WeightTensor { shape: p.shape.clone(), values }))
            })
            .collect()
    }

    /// Runs `x` (`[batch, values]`) through all layers with `values` in place
    /// of the parameters.
    pub(super) fn forward(
        &self,
        x: Tensor<2>,
        values: &[Tensor<1>],
        mode: Mode<'_>,
    ) -> Result<Forward> {
        let mut pass = Pass {
            network: self,
            values,
            mode: RefCell::new(mode),
            statistics: Vec::new(),
            indices: vec![None; self.architecture.layers.len()],
        };
        let mut value = Value::from_flat(x, &self.architecture.input);
        for (i, layer) in self.architecture.layers.iter().enumerate() {
            value = pass.layer(i, layer, value).with_context(|| {
                format!("{}: line {}: layer `{}`", self.architecture.file, layer.line, layer.name)
            })?;
        }
        let statistics = pass.statistics;
        Ok(Forward { output: value.flat(), logits: self.sigmoid.is_some(), statistics })
    }

    fn position(&self, layer: &Layer, weight: &str) -> Option<usize> {
        self.index.get(&format!("{}/{weight}", layer.name)).copied()
    }
}

fn final_sigmoid(architecture: &Architecture) -> Option<usize> {
    let reshapes = |layer: &Layer| {
        matches!(
            layer.kind,
            LayerKind::Flatten | LayerKind::Reshape { .. } | LayerKind::Dropout { .. }
        )
    };
    let last = architecture.layers.iter().rposition(|layer| !reshapes(layer))?;
    let sigmoid = LayerActivation::Elementwise(Activation::Sigmoid);
    (architecture.layers[last].kind.activation() == Some(sigmoid)).then_some(last)
}

struct Pass<'p, 'a, 'r> {
    network: &'p Network<'a>,
    values: &'p [Tensor<1>],
    mode: RefCell<Mode<'r>>,
    statistics: Vec<(usize, Tensor<1>)>,
    indices: Vec<Option<super::operators::Indices>>,
}

impl Pass<'_, '_, '_> {
    fn layer(&mut self, index: usize, layer: &Layer, x: Value) -> Result<Value> {
        match layer.kind {
            LayerKind::Dropout { rate } => Ok(self.dropout(x, rate)),
            LayerKind::BatchNormalization { momentum, epsilon, .. } => {
                self.batch_normalization(layer, x, momentum, epsilon)
            }
            _ => self.stages(index, layer, x),
        }
    }

    fn stages(&mut self, index: usize, layer: &Layer, mut x: Value) -> Result<Value> {
        for stage in &layer.stages {
            let stays_logits = self.network.sigmoid == Some(index)
                && stage.op == Op::Activation(Activation::Sigmoid);
            if stays_logits {
                continue;
            }
            let weights: Vec<Weight<'_>> = stage
                .weights
                .iter()
                .map(|spec| {
                    let at = self.network.position(layer, spec.name).context("no such weight")?;
                    Ok((spec.shape.as_slice(), self.values[at].clone()))
                })
                .collect::<Result<_>>()?;
            let indices = layer.pool.and_then(|pool| self.indices[pool].clone());
            let (y, remembered) = apply(&stage.op, x, &weights, indices)?;
            self.indices[index] = remembered;
            x = y;
        }
        Ok(x)
    }

    fn dropout(&self, x: Value, rate: f32) -> Value {
        let mut mode = self.mode.borrow_mut();
        let Mode::Training(random) = &mut *mode else {
            return x;
        };
        let mut mask = |length: usize| -> Vec<f32> {
            let keep = 1.0 / (1.0 - rate);
            (0..length).map(|_| if random.random::<f32>() < rate { 0.0 } else { keep }).collect()
        };
        match x {
            Value::Map(x) => {
                let shape = x.shape();
                let mask = TensorData::new(mask(shape.num_elements()), shape);
                Value::Map(x.clone() * Tensor::from_data(mask, &x.device()))
            }
            Value::Flat(x) => {
                let shape = x.shape();
                let mask = TensorData::new(mask(shape.num_elements()), shape);
                Value::Flat(x.clone() * Tensor::from_data(mask, &x.device()))
            }
        }
    }

    /// Over all axes but the channels, with the biased variance.
    fn batch_normalization(
        &mut self,
        layer: &Layer,
        x: Value,
        momentum: f32,
        epsilon: f32,
    ) -> Result<Value> {
        let (x, flat) = match x {
            Value::Map(x) => (x, false),
            Value::Flat(x) => {
                let [n, c] = x.dims();
                (x.reshape([n, c, 1, 1]), true)
            }
        };
        let [n, c, ..] = x.dims();
        let position = |name| self.network.position(layer, name);
        let value = |name| position(name).map(|at| self.values[at].clone().reshape([1, c, 1, 1]));
        let missing = "a batch norm without statistics";
        let (mean, variance) = match &*self.mode.borrow() {
            Mode::Inference => {
                (value("moving_mean").context(missing)?, value("moving_variance").context(missing)?)
            }
            Mode::Training(_) => {
                let mean = x.clone().mean_dims(&[0, 2, 3]);
                let centred = x.clone() - mean.clone();
                let variance = (centred.clone() * centred).mean_dims(&[0, 2, 3]);
                for (name, new) in [("moving_mean", &mean), ("moving_variance", &variance)] {
                    let at = position(name).context(missing)?;
                    let old = self.network.parameters[at].value.clone();
                    let new = new.clone().inner().reshape([c]);
                    self.statistics.push((at, old * momentum + new * (1.0 - momentum)));
                }
                (mean, variance)
            }
        };
        let mut y = (x - mean) / (variance + epsilon).sqrt();
        if let Some(gamma) = value("gamma") {
            y = y * gamma;
        }
        if let Some(beta) = value("beta") {
            y = y + beta;
        }
        Ok(if flat { Value::Flat(y.reshape([n, c])) } else { Value::Map(y) })
    }
}
