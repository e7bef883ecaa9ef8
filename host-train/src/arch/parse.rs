//! TOML to [`Architecture`]: every layer is read, named and given its shapes.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use toml::de::{DeTable, DeValue};

use super::arguments::{Arguments, Source, nearest};
use super::kind::kind_of;
use super::layer::{LayerKind, Stage};
use super::{Architecture, Layer};
use crate::graph::{DType, Op, Tensor, infer_shapes};

/// Most values a map or a weight may hold: keeps every product far from overflow.
const MOST_VALUES: usize = 1 << 28;

/// The layer types, the start of their default names, and their arguments.
const LAYERS: [(&str, &str, &[&str]); 22] = [
    (
        "Conv2D",
        "conv2d",
        &[
            "filters",
            "kernel_size",
            "strides",
            "padding",
            "dilation_rate",
            "groups",
            "activation",
            "use_bias",
        ],
    ),
    (
        "Conv2DTranspose",
        "conv2d_transpose",
        &[
            "filters",
            "kernel_size",
            "strides",
            "padding",
            "output_padding",
            "activation",
            "use_bias",
        ],
    ),
    (
        "DepthwiseConv2D",
        "depthwise_conv2d",
        &[
            "kernel_size",
            "strides",
            "padding",
            "dilation_rate",
            "depth_multiplier",
            "activation",
            "use_bias",
        ],
    ),
    (
        "SeparableConv2D",
        "separable_conv2d",
        &[
            "filters",
            "kernel_size",
            "strides",
            "padding",
            "dilation_rate",
            "depth_multiplier",
            "activation",
            "use_bias",
        ],
    ),
    ("MaxPooling2D", "max_pooling2d", &["pool_size", "strides", "padding"]),
    ("AveragePooling2D", "average_pooling2d", &["pool_size", "strides", "padding"]),
    ("GlobalAveragePooling2D", "global_average_pooling2d", &["keepdims"]),
    ("GlobalMaxPooling2D", "global_max_pooling2d", &["keepdims"]),
    ("UpSampling2D", "up_sampling2d", &["size", "interpolation"]),
    ("MaxUnpooling2D", "max_unpooling2d", &["pool"]),
    ("BedOfNails2D", "bed_of_nails2d", &["size"]),
    ("Dense", "dense", &["units", "activation", "use_bias"]),
    ("Flatten", "flatten", &[]),
    ("Reshape", "reshape", &["target_shape"]),
    ("Activation", "activation", &["activation"]),
    ("ReLU", "re_lu", &["max_value", "negative_slope"]),
    ("LeakyReLU", "leaky_re_lu", &["negative_slope"]),
    ("Softmax", "softmax", &[]),
    ("BatchNormalization", "batch_normalization", &["momentum", "epsilon", "center", "scale"]),
    ("ZeroPadding2D", "zero_padding2d", &["padding"]),
    ("Cropping2D", "cropping2d", &["cropping"]),
    ("Dropout", "dropout", &["rate"]),
];

pub(super) fn parse(text: &str, file: &str) -> Result<Architecture> {
    let source = Source { file, text };
    let root = DeTable::parse(text).map_err(|error| {
        let line = error.span().map_or(1, |span| source.line(&span));
        source.error(line, format!("is no valid TOML: {}", error.message()))
    })?;
    let top = Arguments { source, what: "the architecture", line: 1, table: root.get_ref() };
    top.only(&["name", "input", "layers"])?;
    let input = input(&top)?;
    let stem = || {
        let path = std::path::Path::new(file);
        path.file_stem().map_or_else(|| "model".into(), |stem| stem.to_string_lossy().into_owned())
    };
    let name = top.text("name")?.unwrap_or_else(stem);

    let tables = layer_tables(&top)?;
    let mut reader =
        LayerReader { source, input: input.clone(), layers: vec![], used: BTreeMap::new() };
    for (line, table) in &tables {
        reader.push(*line, table)?;
    }
    reader.finish()?;
    Ok(Architecture {
        name,
        input,
        layers: reader.layers,
        text: text.to_owned(),
        file: file.to_owned(),
    })
}

fn input(top: &Arguments<'_, '_>) -> Result<Vec<usize>> {
    let extents = top.extents("input")?.ok_or_else(|| top.missing("input", "[28, 28, 1]"))?;
    let known: Option<Vec<usize>> = extents.into_iter().collect();
    match known {
        Some(input) if matches!(input.len(), 1 | 3) && values(&input).is_some() => Ok(input),
        _ => {
            let line = top.table.get("input").map_or(1, |v| top.source.line(&v.span()));
            let message =
                "`input` must be [height, width, channels] or [values], without the batch";
            Err(top.source.error(line, message))
        }
    }
}

/// Product of the extents, unless it is past what a model may hold.
pub(super) fn values(shape: &[usize]) -> Option<usize> {
    shape
        .iter()
        .try_fold(1_usize, |n, &extent| n.checked_mul(extent))
        .filter(|&n| (1..=MOST_VALUES).contains(&n))
}

fn layer_tables<'a, 'i>(top: &Arguments<'a, 'i>) -> Result<Vec<(usize, &'a DeTable<'i>)>> {
    let missing = || top.missing("layers", "[[layers]]").context("no layer");
    let value = top.table.get("layers").ok_or_else(missing)?;
    let line = top.source.line(&value.span());
    let wrong = |line| top.source.error(line, "`layers` must be tables, each headed [[layers]]");
    let array = value.get_ref().as_array().ok_or_else(|| wrong(line))?;
    if array.is_empty() {
        return Err(missing());
    }
    array
        .iter()
        .map(|item| {
            let line = top.source.line(&item.span());
            let table = match item.get_ref() {
                DeValue::Table(table) => table,
                _ => return Err(wrong(line)),
            };
            Ok((line, table))
        })
        .collect()
}

struct LayerReader<'a> {
    source: Source<'a>,
    input: Vec<usize>,
    layers: Vec<Layer>,
    /// How often each default name was given.
    used: BTreeMap<&'static str, usize>,
}

impl LayerReader<'_> {
    fn push(&mut self, line: usize, table: &DeTable<'_>) -> Result<()> {
        let untyped = Arguments { source: self.source, what: "a layer", line, table };
        let kind = untyped.text("type")?.ok_or_else(|| untyped.missing("type", "\"Conv2D\""))?;
        let type_line = table.get("type").map_or(line, |v| self.source.line(&v.span()));
        let types: Vec<_> = LAYERS.iter().map(|(name, ..)| *name).collect();
        let (what, stem, arguments) =
            LAYERS.iter().find(|(name, ..)| *name == kind).ok_or_else(|| {
                let meant = nearest(&kind, &types)
                    .map(|name| format!("did you mean `{name}`? "))
                    .unwrap_or_default();
                let known = types.join(", ");
                self.source
                    .error(type_line, format!("unknown layer type `{kind}`; {meant}known: {known}"))
            })?;
        let known: Vec<&str> = arguments.iter().copied().chain(["type", "name"]).collect();
        let arguments = Arguments { source: self.source, what, line, table };
        arguments.only(&known)?;
        let name = self.name(&arguments, stem)?;
        let pool = self.pool(&arguments)?;
        let kind = kind_of(&arguments, self.shape(), pool.map(|index| &self.layers[index]))?;
        let layer = Layer {
            name,
            kind,
            line,
            input_shape: self.shape().to_vec(),
            output_shape: vec![],
            stages: vec![],
            pool,
        };
        self.layers.push(layer);
        self.infer(self.layers.len() - 1, false)
    }

    /// Once all layers are known, pools that an unpool names remember their indices.
    fn finish(&mut self) -> Result<()> {
        let named: BTreeSet<usize> = self.layers.iter().filter_map(|layer| layer.pool).collect();
        named.into_iter().try_for_each(|index| self.infer(index, true))
    }

    /// Output of the last layer.
    fn shape(&self) -> &[usize] {
        self.layers.last().map_or(&self.input, |layer| &layer.output_shape)
    }

    fn name(&mut self, arguments: &Arguments<'_, '_>, stem: &'static str) -> Result<String> {
        let given = arguments.text("name")?;
        let name = match &given {
            Some(name) => name.clone(),
            None => {
                let count = self.used.entry(stem).or_default();
                *count += 1;
                if *count == 1 { stem.to_owned() } else { format!("{stem}_{}", *count - 1) }
            }
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        if name.is_empty() || !name.chars().all(plain) {
            let message = format!("the name `{name}` must be letters, digits, `_`, `-` and `.`");
            return Err(self.source.error(arguments.line, message));
        }
        if let Some(other) = self.layers.iter().find(|layer| layer.name == name) {
            let message = format!(
                "the name `{name}` is taken by the layer on line {}; choose another",
                other.line
            );
            return Err(self.source.error(arguments.line, message));
        }
        Ok(name)
    }

    fn pool(&self, arguments: &Arguments<'_, '_>) -> Result<Option<usize>> {
        if arguments.what != "MaxUnpooling2D" {
            return Ok(None);
        }
        let name = arguments
            .text("pool")?
            .ok_or_else(|| arguments.missing("pool", "\"max_pooling2d\""))?;
        let is_pool = |layer: &Layer| matches!(layer.kind, LayerKind::MaxPooling2d { .. });
        let found = self.layers.iter().position(|layer| layer.name == name && is_pool(layer));
        found.map(Some).ok_or_else(|| {
            let pools: Vec<_> =
                self.layers.iter().filter(|l| is_pool(l)).map(|l| l.name.as_str()).collect();
            let pools = if pools.is_empty() { "none".into() } else { pools.join(", ") };
            let message = format!(
                "no MaxPooling2D called `{name}` stands before this layer; there are: {pools}"
            );
            self.source.error(arguments.line, message)
        })
    }

    /// Sets the stages and the output shape of layer `index`.
    fn infer(&mut self, index: usize, indices: bool) -> Result<()> {
        let layer = &self.layers[index];
        let fail = |message: String| {
            let what = format!("layer `{}`: {message}", layer.name);
            self.source.error(layer.line, what)
        };
        let stages = layer.kind.stages(&layer.input_shape, indices).map_err(fail)?;
        let mut shape = layer.input_shape.clone();
        let remembered = layer.pool.map(|pool| self.layers[pool].output_shape.as_slice());
        for stage in &stages {
            if stage.weights.iter().any(|w| values(&w.shape).is_none()) {
                return Err(fail("has more weights than a model may hold".into()));
            }
            shape = output_shape(stage, &shape, remembered).map_err(fail)?;
        }
        if !matches!(shape.len(), 1 | 3) || values(&shape).is_none() {
            return Err(fail(format!(
                "gives {shape:?}; a layer must give [height, width, channels] or [values], at most {MOST_VALUES} values"
            )));
        }
        let layer = &mut self.layers[index];
        (layer.stages, layer.output_shape) = (stages, shape);
        Ok(())
    }
}

/// Extents, without the batch, that `stage` makes of `input`.
fn output_shape(
    stage: &Stage,
    input: &[usize],
    indices: Option<&[usize]>,
) -> Result<Vec<usize>, String> {
    let activation = |shape: &[usize], dtype| {
        Tensor::activation("input", [1].iter().chain(shape).copied().collect(), dtype)
    };
    let mut tensors = vec![activation(input, DType::F32)];
    tensors.extend(indices.map(|shape| activation(shape, DType::U32)));
    // Batch norm has more weights than its Mul has inputs; all have one length.
    let weights =
        if matches!(stage.op, Op::Mul { .. }) { &stage.weights[..1] } else { &stage.weights };
    tensors.extend(weights.iter().map(|w| Tensor::activation(w.name, w.shape.clone(), DType::F32)));
    let shapes = infer_shapes(&stage.op, &tensors.iter().collect::<Vec<_>>())?;
    Ok(shapes[0][1..].to_vec())
}
