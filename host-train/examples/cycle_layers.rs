//! Makes the blobs that `firmware-demo`'s `layers` program measures: int8, each of one
//! layer of a list, with seeded weights, in files whose names are in its order.
//!
//! `cargo run -p host-train --no-default-features --example cycle_layers -- LIST.toml FOLDER [TEXT]`,
//! where TEXT is what their names contain.
//!
//! Prints a JSON array with an entry per blob: name, multiply-accumulates, scratch, arena,
//! bytes of weights and tables, and the CRC-32 of what the portable kernels make of bytes of
//! period 251.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use host_train::calibrate::Ranges;
use host_train::export::{Options, Target, export};
use host_train::graph::{Activation, DType, Graph, Op, Padding, ResizeMode, Tensor, TensorId};
use host_train::inspect::summarize;
use host_train::optimize::Passes;
use host_train::quantize::quantize;
use host_train::runner::{AlignedBytes, parse, read_blob};
use microconv::backend::Scalar;
use microconv::model::format::CRC;
use microconv::{Model, Session};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
struct List {
    layer: Vec<Layer>,
    #[serde(default)]
    model: Vec<ModelFile>,
}

/// A layer as the list describes it; activations are `[rows, columns, channels]`.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Layer {
    name: String,
    operator: String,
    input: [usize; 3],
    outputs: Option<usize>,
    #[serde(default = "one_by_one")]
    kernel: [usize; 2],
    #[serde(default = "one")]
    stride: usize,
    #[serde(default = "one")]
    dilation: usize,
    #[serde(default = "one")]
    scale: usize,
    #[serde(default)]
    relu: bool,
}

fn one() -> usize {
    1
}

fn one_by_one() -> [usize; 2] {
    [1, 1]
}

#[derive(Deserialize)]
struct ModelFile {
    name: String,
    file: String,
    macs: u64,
}

#[derive(Serialize)]
struct Entry {
    name: String,
    macs: u64,
    scratch: usize,
    arena: usize,
    weights: usize,
    checksum: u32,
}

fn main() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let usage = "usage: cycle_layers LIST.toml FOLDER [TEXT]";
    let list_path = arguments.next().context(usage)?;
    let folder = arguments.next().context(usage)?;
    let only = arguments.next().and_then(|text| text.into_string().ok()).unwrap_or_default();
    let list_path = Path::new(&list_path);
    let list: List = toml::from_str(&std::fs::read_to_string(list_path)?)?;
    let (mut blobs, mut entries) = (Vec::new(), Vec::new());
    let wanted = list.layer.iter().enumerate().filter(|(_, layer)| layer.name.contains(&only));
    for (seed, layer) in wanted {
        let graph = Builder::new(layer, seed as u64).build();
        let graph = graph.with_context(|| layer.name.clone())?;
        // Kernels are measured, not bands.
        let passes = Passes::DEFAULT.with_bands(false);
        let options = |strip| Options { target: Target::CortexM, passes, strip };
        let noted = AlignedBytes::copy_of(&export(&graph, options(false))?.blob);
        let blob = export(&graph, options(true))?.blob;
        entries.push(Entry { weights: blob.len(), ..entry(&layer.name, &noted)? });
        blobs.push(blob);
    }
    for model in list.model.iter().filter(|model| model.name.contains(&only)) {
        let path = list_path.parent().unwrap_or(Path::new(".")).join(&model.file);
        let blob = read_blob(&path)?;
        let entry = entry(&model.name, &blob)?;
        entries.push(Entry { macs: model.macs, ..entry });
        blobs.push(blob.as_slice().to_vec());
    }
    write(Path::new(&folder), &blobs)?;
    println!("{}", serde_json::to_string(&entries)?);
    Ok(())
}

/// Writes the blobs to a folder that holds nothing else then; a file that has not changed is
/// left alone, so that a build that embeds it is not done again.
fn write(folder: &Path, blobs: &[Vec<u8>]) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    let files: Vec<_> = (0..blobs.len()).map(|at| folder.join(format!("{at:03}.mcv"))).collect();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if !files.contains(&path) {
            std::fs::remove_file(path)?;
        }
    }
    for (file, blob) in files.iter().zip(blobs) {
        if std::fs::read(file).ok().as_ref() != Some(blob) {
            std::fs::write(file, blob).with_context(|| file.display().to_string())?;
        }
    }
    Ok(())
}

fn entry(name: &str, blob: &AlignedBytes) -> Result<Entry> {
    let model = parse(Path::new(name), blob)?;
    let summary = summarize(&model);
    Ok(Entry {
        name: name.to_owned(),
        macs: summary.macs,
        scratch: summary.layers.iter().map(|layer| layer.scratch).max().unwrap_or_default(),
        arena: summary.arena_bytes,
        weights: summary.flash_bytes,
        checksum: checksum(model)?,
    })
}

fn checksum(model: Model<'_>) -> Result<u32> {
    let mut arena = AlignedBytes::zeros(model.arena_bytes());
    let mut session = Session::<Scalar>::with_backend(model, arena.as_mut_slice())?;
    for input in 0..model.inputs() {
        for (at, byte) in session.input_bytes(input).iter_mut().enumerate() {
            *byte = (at % 251) as u8;
        }
    }
    session.run();
    let mut digest = CRC.digest();
    for output in 0..model.outputs() {
        digest.update(session.output_bytes(output));
    }
    Ok(digest.finalize())
}

/// The float graph of a layer, its weights, and ranges that leave sums room on both sides.
struct Builder<'a> {
    layer: &'a Layer,
    graph: Graph,
    ranges: Ranges,
    random: ChaCha8Rng,
}

impl<'a> Builder<'a> {
    fn new(layer: &'a Layer, seed: u64) -> Self {
        let random = ChaCha8Rng::seed_from_u64(seed);
        Self { layer, graph: Graph::new(&layer.name), ranges: Ranges::new(), random }
    }

    fn input(&mut self, name: &str, bound: f32) -> TensorId {
        let [h, w, c] = self.layer.input;
        let id = self.graph.add_tensor(Tensor::activation(name, vec![1, h, w, c], DType::F32));
        self.graph.inputs.push(id);
        self.ranges.insert(name.into(), (-bound, 0.9 * bound));
        id
    }

    fn values(&mut self, name: &str, shape: Vec<usize>) -> TensorId {
        let count = shape.iter().product();
        let values = (0..count).map(|_| self.random.random_range(-1.0..1.0f32)).collect();
        self.graph.add_tensor(Tensor::constant_f32(name, shape, values))
    }

    /// The layer's upsampling.
    fn nearest(&self) -> Op {
        let Layer { input: [h, w, _], scale, .. } = *self.layer;
        Op::Resize2d {
            size: [h * scale, w * scale],
            mode: ResizeMode::Nearest,
            align_corners: false,
            half_pixel_centers: false,
        }
    }

    /// An operator with weights of this shape and one bias per output, behind an upsampling where
    /// the layer has a scale.
    fn linear(&mut self, op: Op, weights: Vec<usize>, outputs: usize) -> Result<Vec<TensorId>> {
        let terms = weights.iter().product::<usize>() / outputs;
        let (least, most) = (-(terms as f32).sqrt(), (terms as f32).sqrt());
        let least = if self.layer.relu { 0.0 } else { least };
        self.ranges.insert("y".into(), (least, most));
        let mut x = self.input("x", 1.0);
        if self.layer.scale != 1 {
            self.ranges.insert("map".into(), (-1.0, 0.9));
            x = self.graph.push("map", self.nearest(), &[x])?[0];
        }
        let (weights, bias) = (self.values("weights", weights), self.values("bias", vec![outputs]));
        Ok(self.graph.push("y", op, &[x, weights, bias])?)
    }

    fn build(mut self) -> Result<Graph> {
        let outputs = match self.layer.operator.as_str() {
            "conv2d" | "depthwise-conv2d" | "transposed-conv2d" | "dense" => self.weighted()?,
            "add" | "concat" => {
                let (a, b) = (self.input("a", 1.0), self.input("b", 1.5));
                self.ranges.insert("y".into(), (-2.5, 2.2));
                let op = if self.layer.operator == "add" {
                    Op::Add { activation: Activation::Linear }
                } else {
                    self.ranges.insert("b".into(), (-1.0, 0.9));
                    self.ranges.insert("y".into(), (-1.0, 0.9));
                    Op::Concat { axis: 3 }
                };
                self.graph.push("y", op, &[a, b])?
            }
            _ => self.simple()?,
        };
        self.graph.outputs = outputs;
        Ok(quantize(&self.graph, &self.ranges)?)
    }

    fn weighted(&mut self) -> Result<Vec<TensorId>> {
        let &Layer { input: [h, w, channels], outputs, kernel, stride, dilation, relu, .. } =
            self.layer;
        let outputs = outputs.unwrap_or(channels);
        let activation = if relu { Activation::Relu } else { Activation::Linear };
        let (strides, dilation, padding) = ([stride; 2], [dilation; 2], Padding::Same);
        let [kh, kw] = kernel;
        match self.layer.operator.as_str() {
            "conv2d" => {
                let op = Op::Conv2d { strides, dilation, padding, groups: 1, activation };
                self.linear(op, vec![outputs, kh, kw, channels], outputs)
            }
            "depthwise-conv2d" => {
                let op =
                    Op::DepthwiseConv2d { strides, dilation, padding, multiplier: 1, activation };
                self.linear(op, vec![1, kh, kw, channels], channels)
            }
            "transposed-conv2d" => {
                let output_size = [h * stride, w * stride];
                let op = Op::TransposedConv2d { strides, padding, output_size, activation };
                self.linear(op, vec![outputs, kh, kw, channels], outputs)
            }
            _ => {
                let op = Op::Dense { keep_dims: false, activation };
                self.linear(op, vec![outputs, h * w * channels], outputs)
            }
        }
    }

    /// Operators of one input without weights.
    fn simple(&mut self) -> Result<Vec<TensorId>> {
        let &Layer { input: [h, w, _], kernel: window, stride, .. } = self.layer;
        let (strides, padding, activation) = ([stride; 2], Padding::Valid, Activation::Linear);
        let op = match self.layer.operator.as_str() {
            "max-pool2d" => Op::MaxPool2d { window, strides, padding, activation },
            "average-pool2d" => Op::AveragePool2d { window, strides, padding, activation },
            "max-pool2d-with-indices" => Op::MaxPool2dWithIndices { window, strides, padding },
            "max-unpool2d" => {
                let x = self.input("x", 1.0);
                let pool = Op::MaxPool2dWithIndices { window, strides, padding };
                let pooled = self.graph.push("pool", pool, &[x])?;
                let op = Op::MaxUnpool2d { window, strides, padding, output_size: [h, w] };
                return Ok(self.graph.push("y", op, &pooled)?);
            }
            "bed-of-nails2d" => Op::BedOfNails2d { strides },
            "resize-nearest" => self.nearest(),
            "mean" => {
                self.ranges.insert("y".into(), (-0.5, 0.5));
                Op::Mean { axes: vec![1, 2], keep_dims: true }
            }
            "softmax" => Op::Softmax { beta: 1.0 },
            "sigmoid" => Op::Activation(Activation::Sigmoid),
            other => bail!("{other}: no such operator"),
        };
        let x = self.input("x", 4.0);
        Ok(self.graph.push("y", op, &[x])?)
    }
}
