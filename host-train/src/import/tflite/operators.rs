//! Each TFLite operator as an operator of the graph.

use super::constant::{Ints, axis_of, strided_slice};
use super::lower::Lowering;
use super::rearrange;
use super::schema::Operator;
use crate::graph::{Activation, DType, Data, Op, PadMode, Padding, ResizeMode, Tensor, TensorId};
use crate::import::ImportError;

pub(super) fn text(error: ImportError) -> String {
    error.to_string()
}

fn flag(operator: &Operator<'_>, index: usize) -> Result<bool, String> {
    operator.option(index, false).map_err(text)
}

pub(super) fn int(operator: &Operator<'_>, index: usize, default: i32) -> Result<i32, String> {
    operator.option(index, default).map_err(text)
}

fn positive(operator: &Operator<'_>, index: usize, default: i32) -> Result<usize, String> {
    let value = int(operator, index, default)?;
    usize::try_from(value)
        .ok()
        .filter(|&v| v > 0)
        .ok_or_else(|| format!("a stride, dilation or window of {value}"))
}

fn padding(operator: &Operator<'_>) -> Result<Padding, String> {
    match operator.option::<i8>(0, 0).map_err(text)? {
        0 => Ok(Padding::Same),
        1 => Ok(Padding::Valid),
        other => Err(format!("padding {other}")),
    }
}

fn activation(operator: &Operator<'_>, index: usize) -> Result<Activation, String> {
    match operator.option::<i8>(index, 0).map_err(text)? {
        0 => Ok(Activation::Linear),
        1 => Ok(Activation::Relu),
        2 => Ok(Activation::ReluN1To1),
        3 => Ok(Activation::Relu6),
        4 => Err("a fused tanh is not supported".into()),
        other => Err(format!("the fused activation {other} is not supported")),
    }
}

/// Rows and columns out of the options `w` and `h`.
fn pair(operator: &Operator<'_>, h: usize, w: usize, default: i32) -> Result<[usize; 2], String> {
    Ok([positive(operator, h, default)?, positive(operator, w, default)?])
}

/// Most biases of a layer; a transposed convolution has one for each stride phase and channel.
const MAX_BIASES: usize = 1 << 20;

pub(super) type Lowered = Result<(), String>;

/// Lowers an operator that is not shape arithmetic.
pub(super) fn lower<'a>(l: &mut Lowering<'_, 'a>, o: &Operator<'a>) -> Lowered {
    match o.code {
        3 | 4 | 9 | 67 => linear(l, o),
        1 | 17 => pool(l, o),
        0 | 18 | 41 | 54 => binary(l, o),
        14 => unary(l, o, Op::Activation(Activation::Sigmoid)),
        19 => unary(l, o, Op::Activation(Activation::Relu)),
        20 => unary(l, o, Op::Activation(Activation::ReluN1To1)),
        21 => unary(l, o, Op::Activation(Activation::Relu6)),
        28 => unary(l, o, Op::Activation(Activation::Tanh)),
        98 => {
            let alpha = o.option(0, 0.0f32).map_err(text)?;
            unary(l, o, Op::Activation(Activation::LeakyRelu { alpha }))
        }
        111 => unary(l, o, Op::Activation(Activation::Elu { alpha: 1.0 })),
        117 => unary(l, o, Op::Activation(Activation::HardSwish)),
        25 => {
            let beta = o.option(0, 1.0f32).map_err(text)?;
            unary(l, o, Op::Softmax { beta })
        }
        59 => negative(l, o),
        6 => unary(l, o, Op::Dequantize),
        114 => unary(l, o, Op::Quantize),
        23 | 97 => resize(l, o),
        2 => concat(l, o),
        34 | 60 | 100 => pad(l, o),
        22 | 43 | 70 => reshape(l, o),
        39 => {
            let x = l.tensor(o, 0)?;
            let perm = l.ints(o, 1)?.axes(l.graph[x].shape.len())?;
            l.output(o, 0, Op::Transpose { perm }, &[x])
        }
        45 => slice(l, o),
        65 => begin_size(l, o),
        69 => {
            let x = l.tensor(o, 0)?;
            let multiples = l.ints(o, 1)?.extents()?;
            l.output(o, 0, Op::Tile { multiples }, &[x])
        }
        40 | 82 => reduce(l, o),
        5 | 26 | 36..=38 | 49 | 83 | 88 | 102 | 105 | 130 => rearrange::lower(l, o),
        94 => {
            let shape = l.ints(o, 0)?.extents()?;
            let value = l.tensor(o, 1)?;
            l.fill(o, shape, value)
        }
        _ => Err(refusal(o.code).unwrap_or("this operator is not supported").into()),
    }
}

/// Why an operator is refused whatever it reads; `None` for those that have no
/// reason of their own.
pub(super) fn refusal(code: i32) -> Option<&'static str> {
    match code {
        31 | 118 | 119 => Some(
            "control flow is not supported; unroll loops and leave out branches before converting",
        ),
        129 | 142..=144 => Some("state between runs (a variable) is not supported"),
        16 | 24 | 35 | 44 | 46 | 52 => Some("recurrent layers are not supported"),
        32 => Some(
            "custom operators and Select TF operators (Flex) are not supported; use TensorFlow Lite's builtin operators",
        ),
        _ => None,
    }
}

fn unary<'a>(l: &mut Lowering<'_, 'a>, o: &Operator<'a>, op: Op) -> Lowered {
    let x = l.tensor(o, 0)?;
    if op == Op::Dequantize && l.graph[x].data.is_some() {
        return l.dequantized(o, x);
    }
    l.output(o, 0, op, &[x])
}

/// NEG: floats times −1. The converter keeps int8 models in floats there.
fn negative<'a>(l: &mut Lowering<'_, 'a>, o: &Operator<'a>) -> Lowered {
    let x = l.tensor(o, 0)?;
    if l.graph[x].dtype != DType::F32 {
        return Err("int8 data are not supported, only float32".into());
    }
    let mut factor = Tensor::activation("-1", vec![1], DType::F32);
    factor.data = Some(Data::F32(vec![-1.0]));
    let factor = l.graph.add_tensor(factor);
    l.output(o, 0, Op::Mul { activation: Activation::Linear }, &[x, factor])
}

fn linear<'a>(l: &mut Lowering<'_, 'a>, o: &Operator<'a>) -> Lowered {
    let transposed = o.code == 67;
    let (x, weights) = (l.tensor(o, if transposed { 2 } else { 0 })?, l.tensor(o, 1)?);
    let (kind, of) = (l.graph[x].dtype, l.graph[weights].dtype);
    if kind != of {
        return Err("hybrid: float activations with int8 weights (dynamic range) are not supported; give the converter a representative dataset, or no optimizations".into());
    }
    let mut inputs = vec![x, weights];
    inputs.extend(l.bias(o, if transposed { 3 } else { 2 })?);
    let shape = l.graph[weights].shape.clone();
    let op = match o.code {
        3 => {
            let channels = l.graph[x].shape.last().copied().unwrap_or(0);
            let depth = shape.last().copied().unwrap_or(0).max(1);
            if !channels.is_multiple_of(depth) {
                return Err(format!("{channels} input channels do not fit weights {shape:?}"));
            }
            Op::Conv2d {
                strides: pair(o, 2, 1, 1)?,
                dilation: pair(o, 5, 4, 1)?,
                padding: padding(o)?,
                groups: channels / depth,
                activation: activation(o, 3)?,
            }
        }
        4 => {
            let channels = l.graph[x].shape.last().copied().unwrap_or(1).max(1);
            Op::DepthwiseConv2d {
                strides: pair(o, 2, 1, 1)?,
                dilation: pair(o, 6, 5, 1)?,
                padding: padding(o)?,
                multiplier: shape.last().copied().unwrap_or(0) / channels,
                activation: activation(o, 4)?,
            }
        }
        67 => {
            let size = l.ints(o, 0)?.extents()?;
            let &[_, h, w, _] = size.as_slice() else {
                return Err(format!("an output shape of {size:?}"));
            };
            let strides = pair(o, 2, 1, 1)?;
            // A bias for each phase of each channel is stored.
            let biases = strides[0]
                .saturating_mul(strides[1])
                .saturating_mul(shape.first().copied().unwrap_or(1).max(1));
            if biases > MAX_BIASES {
                return Err(format!("strides of {strides:?} are too large"));
            }
            Op::TransposedConv2d {
                strides,
                padding: padding(o)?,
                output_size: [h, w],
                activation: activation(o, 3)?,
            }
        }
        _ => {
            if o.option::<i8>(1, 0).map_err(text)? != 0 {
                return Err("shuffled weights are not supported".into());
            }
            Op::Dense { keep_dims: flag(o, 2)?, activation: activation(o, 0)? }
        }
    };
    l.output(o, 0, op, &inputs)
}

fn pool<'a>(l: &mut Lowering<'_, 'a>, o: &Operator<'a>) -> Lowered {
    let x = l.tensor(o, 0)?;
    let (window, strides) = (pair(o, 4, 3, 0)?, pair(o, 2, 1, 0)?);
    let (padding, activation) = (padding(o)?, activation(o, 5)?);
    let op = if o.code == 17 {
        Op::MaxPool2d { window, strides, padding, activation }
    } else {
        Op::AveragePool2d { window, strides, padding, activation }
    };
    l.output(o, 0, op, &[x])
}

fn binary<'a>(l: &mut Lowering<'_, 'a>, o: &Operator<'a>) -> Lowered {
    let inputs = [l.tensor(o, 0)?, l.tensor(o, 1)?];
    let op = match o.code {
        0 => Op::Add { activation: activation(o, 0)? },
        18 => Op::Mul { activation: activation(o, 0)? },
        41 => Op::Sub { activation: activation(o, 0)? },
        _ => Op::Prelu,
    };
    l.output(o, 0, op, &inputs)
}

fn resize<'a>(l: &mut Lowering<'_, 'a>, o: &Operator<'a>) -> Lowered {
    let x = l.tensor(o, 0)?;
    let size = l.ints(o, 1)?.extents()?;
    let &[h, w] = size.as_slice() else { return Err(format!("a size of {size:?}")) };
    let (mode, first) =
        if o.code == 97 { (ResizeMode::Nearest, 0) } else { (ResizeMode::Bilinear, 2) };
    let (align_corners, half_pixel_centers) = (flag(o, first)?, flag(o, first + 1)?);
    l.output(o, 0, Op::Resize2d { size: [h, w], mode, align_corners, half_pixel_centers }, &[x])
}

fn concat<'a>(l: &mut Lowering<'_, 'a>, o: &Operator<'a>) -> Lowered {
    if activation(o, 1)? != Activation::Linear {
        return Err("a fused activation is not supported here".into());
    }
    let inputs =
        (0..o.inputs.len()).map(|i| l.tensor(o, i)).collect::<Result<Vec<TensorId>, _>>()?;
    let rank = inputs.first().map_or(0, |&id| l.graph[id].shape.len());
    let axis = axis_of(i64::from(int(o, 0, 0)?), rank)?;
    l.output(o, 0, Op::Concat { axis }, &inputs)
}

fn pad<'a>(l: &mut Lowering<'_, 'a>, o: &Operator<'a>) -> Lowered {
    let x = l.tensor(o, 0)?;
    let cells = l.ints(o, 1)?.extents()?;
    let (before, after) = cells.chunks(2).map(|c| (c[0], c.get(1).copied().unwrap_or(0))).unzip();
    let mode = match o.code {
        100 if o.option::<i8>(0, 0).map_err(text)? == 0 => PadMode::Reflect,
        100 => PadMode::Symmetric,
        60 => {
            let value = l.tensor(o, 2)?;
            let tensor = &l.graph[value];
            let real = match &tensor.data {
                Some(Data::F32(v)) => v.first().copied(),
                Some(Data::I8(v)) => v.first().map(|&code| {
                    let q = tensor.quantization.as_ref();
                    q.map_or(0.0, |q| q.scale() * (i32::from(code) - q.zero_point()) as f32)
                }),
                _ => None,
            };
            PadMode::Constant(real.ok_or("the padding value must be a constant")?)
        }
        _ => PadMode::Constant(0.0),
    };
    l.output(o, 0, Op::Pad { before, after, mode }, &[x])
}

fn reshape<'a>(l: &mut Lowering<'_, 'a>, o: &Operator<'a>) -> Lowered {
    let x = l.tensor(o, 0)?;
    let from = l.graph[x].shape.clone();
    let count: usize = from.iter().product();
    let shape = match o.code {
        22 => {
            let wanted: Vec<i64> = if o.inputs.len() > 1 {
                l.ints(o, 1)?.values
            } else {
                o.option_vector(0).map_err(text)?.into_iter().map(i64::from).collect()
            };
            let known =
                wanted.iter().filter(|&&v| v != -1).try_fold(1i64, |a, &b| a.checked_mul(b));
            if wanted.iter().filter(|&&v| v == -1).count() > 1 {
                return Err(format!("a shape of {wanted:?}"));
            }
            let known = known
                .and_then(|k| usize::try_from(k).ok())
                .filter(|&k| k > 0)
                .ok_or("a shape of zero")?;
            let one = |&v: &i64| {
                if v == -1 {
                    Ok(count / known)
                } else {
                    usize::try_from(v).map_err(|_| format!("an extent of {v}"))
                }
            };
            wanted.iter().map(one).collect::<Result<Vec<_>, _>>()?
        }
        43 => {
            let axes = o.option_vector(0).map_err(text)?.into_iter().map(i64::from).collect();
            let axes = Ints::vector(axes).axes(from.len())?;
            let keep = |i: &usize| from[*i] != 1 || !(axes.is_empty() || axes.contains(i));
            (0..from.len()).filter(keep).map(|i| from[i]).collect()
        }
        _ => {
            let axis = l.ints(o, 1)?.values.first().copied().ok_or("no axis")?;
            let mut shape = from.clone();
            shape.insert(axis_of(axis, from.len() + 1)?, 1);
            shape
        }
    };
    l.output(o, 0, Op::Reshape { shape }, &[x])
}

fn slice<'a>(l: &mut Lowering<'_, 'a>, o: &Operator<'a>) -> Lowered {
    let x = l.tensor(o, 0)?;
    let (begin, end, strides) = (l.ints(o, 1)?, l.ints(o, 2)?, l.ints(o, 3)?);
    let slice = strided_slice(o, &l.graph[x].shape.clone(), [&begin, &end, &strides])?;
    let kept = slice.size.iter().zip(&slice.shrink).filter(|(_, shrink)| !**shrink);
    let shape: Vec<usize> = kept.map(|(size, _)| *size).collect();
    let op = Op::Slice { begin: slice.begin, size: slice.size.clone(), strides: slice.strides };
    if shape.len() == slice.size.len() {
        return l.output(o, 0, op, &[x]);
    }
    let sliced = l.step(o, op, &[x])?;
    l.output(o, 0, Op::Reshape { shape }, &[sliced])
}

fn begin_size<'a>(l: &mut Lowering<'_, 'a>, o: &Operator<'a>) -> Lowered {
    let x = l.tensor(o, 0)?;
    let begin = l.ints(o, 1)?.extents()?;
    let sizes = l.ints(o, 2)?.values;
    let shape = &l.graph[x].shape;
    if begin.len() != shape.len() || sizes.len() != shape.len() {
        return Err(format!("{} indices for {} axes", begin.len(), shape.len()));
    }
    let size = (0..shape.len())
        .map(|i| usize::try_from(sizes[i]).unwrap_or_else(|_| shape[i].saturating_sub(begin[i])));
    let size = size.collect();
    let strides = vec![1; begin.len()];
    l.output(o, 0, Op::Slice { begin, size, strides }, &[x])
}

fn reduce<'a>(l: &mut Lowering<'_, 'a>, o: &Operator<'a>) -> Lowered {
    let x = l.tensor(o, 0)?;
    let axes = l.ints(o, 1)?.axes(l.graph[x].shape.len())?;
    let keep_dims = flag(o, 0)?;
    if l.graph[x].dtype == DType::I8 && axes.is_empty() {
        return Err("a reduction over no axis".into());
    }
    let op =
        if o.code == 40 { Op::Mean { axes, keep_dims } } else { Op::ReduceMax { axes, keep_dims } };
    l.output(o, 0, op, &[x])
}
