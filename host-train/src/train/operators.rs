//! Operators of the graph on Burn's tensors, differentiable. Maps are NCHW
//! here, as Burn wants them; weights keep the graph's layouts.

use anyhow::{Result, bail, ensure};
use burn::tensor::module;
use burn::tensor::ops::{
    AvgPoolOptions, ConvOptions, ConvTransposeOptions, InterpolateMode, InterpolateOptions,
    MaxPoolOptions,
};
use burn::tensor::{IndexingUpdateOp, Int, Tensor, activation, s};

use crate::graph::{Activation, Op, PadMode, Padding, ResizeMode};

/// An activation, batch first.
#[derive(Clone)]
pub(super) enum Value {
    /// `[batch, channels, height, width]`.
    Map(Tensor<4>),
    /// `[batch, values]`.
    Flat(Tensor<2>),
}

/// Where each maximum of a pool stood: `row · width + column` in its input.
pub(super) type Indices = Tensor<4, Int>;

impl Value {
    pub(super) fn map(self) -> Result<Tensor<4>> {
        match self {
            Self::Map(x) => Ok(x),
            Self::Flat(_) => bail!("a map was expected, not a vector"),
        }
    }

    /// `[batch, values]`, a map in the order height, width, channels.
    pub(super) fn flat(self) -> Tensor<2> {
        match self {
            Self::Flat(x) => x,
            Self::Map(x) => {
                let [n, c, h, w] = x.dims();
                x.permute([0, 2, 3, 1]).reshape([n, h * w * c])
            }
        }
    }

    /// From values in the order height, width, channels.
    pub(super) fn from_flat(x: Tensor<2>, shape: &[usize]) -> Self {
        match *shape {
            [h, w, c] => {
                let n = x.dims()[0];
                Self::Map(x.reshape([n, h, w, c]).permute([0, 3, 1, 2]))
            }
            _ => Self::Flat(x),
        }
    }

    fn each(self, f: impl ElementWise) -> Self {
        match self {
            Self::Map(x) => Self::Map(f.apply(x)),
            Self::Flat(x) => Self::Flat(f.apply(x)),
        }
    }
}

/// A function of any rank: closures cannot be generic.
trait ElementWise {
    fn apply<const D: usize>(self, x: Tensor<D>) -> Tensor<D>;
}

impl ElementWise for Activation {
    fn apply<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Linear => x,
            Self::Relu => activation::relu(x),
            Self::Relu6 => x.clamp(0.0, 6.0),
            Self::ReluN1To1 => x.clamp(-1.0, 1.0),
            Self::LeakyRelu { alpha } => activation::leaky_relu(x, f64::from(alpha)),
            Self::Elu { alpha } => activation::elu(x, f64::from(alpha)),
            Self::Sigmoid => activation::sigmoid(x),
            Self::Tanh => activation::tanh(x),
            Self::HardSwish => x.clone() * (x + 3.0).clamp(0.0, 6.0) / 6.0,
        }
    }
}

/// Weights of an operator as flat vectors with their extents.
pub(super) type Weight<'a> = (&'a [usize], Tensor<1>);

/// Applies `op`; a pool with indices returns them too, an unpool reads them.
pub(super) fn apply(
    op: &Op,
    x: Value,
    weights: &[Weight<'_>],
    indices: Option<Indices>,
) -> Result<(Value, Option<Indices>)> {
    let value = match op {
        Op::Conv2d { activation, .. } | Op::DepthwiseConv2d { activation, .. } => {
            Value::Map(convolution(op, x.map()?, weights)?).each(*activation)
        }
        Op::TransposedConv2d { strides, padding, output_size, activation } => {
            let y = transposed_convolution(x.map()?, weights, *strides, *padding, *output_size)?;
            Value::Map(y).each(*activation)
        }
        Op::Dense { activation, .. } => dense(x, weights)?.each(*activation),
        Op::MaxPool2d { window, strides, padding, activation } => {
            let x = x.map()?;
            let options = max_pool(&x, *window, *strides, *padding);
            Value::Map(module::max_pool2d(x, options)).each(*activation)
        }
        Op::MaxPool2dWithIndices { window, strides, padding } => {
            let x = x.map()?;
            let options = max_pool(&x, *window, *strides, *padding);
            let (y, indices) = module::max_pool2d_with_indices(x, options);
            return Ok((Value::Map(y), Some(indices)));
        }
        Op::AveragePool2d { window, strides, padding, activation } => {
            let x = x.map()?;
            let options = AvgPoolOptions::new(*window)
                .with_stride(*strides)
                .with_padding_pairs(border(&x, *window, *strides, [1, 1], *padding))
                .with_count_include_pad(false);
            Value::Map(module::avg_pool2d(x, options)).each(*activation)
        }
        Op::MaxUnpool2d { window, strides, output_size, .. } => {
            ensure!(
                window.iter().zip(strides).all(|(window, stride)| window <= stride),
                "cannot be trained: windows of its pool overlap, and the value of a cell would depend on their order; make the pool's strides at least its pool_size"
            );
            match indices {
                Some(indices) => Value::Map(unpool(x.map()?, indices, *output_size)),
                None => bail!("its pool left no indices"),
            }
        }
        Op::BedOfNails2d { strides: [sh, sw] } => {
            let x = x.map()?;
            let [n, c, h, w] = x.dims();
            let zeros = Tensor::zeros([n, c, h * sh, w * sw], &x.device());
            Value::Map(zeros.slice_assign(s![.., .., ..;*sh as isize, ..;*sw as isize], x))
        }
        Op::Resize2d { size, mode, .. } => {
            let mode = match mode {
                ResizeMode::Nearest => InterpolateMode::Nearest,
                ResizeMode::Bilinear => InterpolateMode::Bilinear,
            };
            let options =
                InterpolateOptions::new(mode).with_align_corners(false).with_output_size(*size);
            Value::Map(module::interpolate(x.map()?, options))
        }
        Op::Activation(activation) => x.each(*activation),
        Op::Softmax { .. } => match x {
            Value::Map(x) => Value::Map(activation::softmax(x, 1)),
            Value::Flat(x) => Value::Flat(activation::softmax(x, 1)),
        },
        Op::Reshape { shape } => Value::from_flat(x.flat(), &shape[1..]),
        Op::Mean { keep_dims, .. } => global(x.map()?.mean_dims(&[2, 3]), *keep_dims),
        Op::ReduceMax { keep_dims, .. } => global(x.map()?.max_dims(&[2, 3]), *keep_dims),
        Op::Pad { before, after, mode: PadMode::Constant(value) } => {
            let pairs = [(before[1], after[1]), (before[2], after[2])];
            Value::Map(x.map()?.pad(pairs, *value))
        }
        Op::Slice { begin, size, .. } => {
            let (rows, columns) = (begin[1]..begin[1] + size[1], begin[2]..begin[2] + size[2]);
            Value::Map(x.map()?.slice(s![.., .., rows, columns]))
        }
        other => bail!("{} cannot be trained", other.name()),
    };
    Ok((value, None))
}

fn global(x: Tensor<4>, keep_dims: bool) -> Value {
    let [n, c, ..] = x.dims();
    if keep_dims { Value::Map(x) } else { Value::Flat(x.reshape([n, c])) }
}

/// Cells added before and after, rows then columns.
fn border(
    x: &Tensor<4>,
    kernel: [usize; 2],
    strides: [usize; 2],
    dilation: [usize; 2],
    padding: Padding,
) -> [(usize, usize); 2] {
    let [_, _, h, w] = x.dims();
    let same =
        |input: usize, axis: usize| same_border(input, kernel[axis], strides[axis], dilation[axis]);
    match padding {
        Padding::Same => [same(h, 0), same(w, 1)],
        Padding::Valid => [(0, 0); 2],
        Padding::Explicit { top, bottom, left, right } => [(top, bottom), (left, right)],
    }
}

/// TensorFlow's SAME: the total is halved, the odd cell goes to the end.
fn same_border(input: usize, kernel: usize, stride: usize, dilation: usize) -> (usize, usize) {
    let reach = (input.div_ceil(stride) - 1) * stride + (kernel - 1) * dilation + 1;
    let total = reach.saturating_sub(input);
    (total / 2, total - total / 2)
}

fn max_pool(
    x: &Tensor<4>,
    window: [usize; 2],
    strides: [usize; 2],
    padding: Padding,
) -> MaxPoolOptions<2> {
    MaxPoolOptions::new(window).with_stride(strides).with_padding_pairs(border(
        x,
        window,
        strides,
        [1, 1],
        padding,
    ))
}

/// The kernel `[o, kh, kw, i]` and the bias.
fn kernel_and_bias(weights: &[Weight<'_>]) -> Result<(Tensor<4>, [usize; 4], Option<Tensor<1>>)> {
    let Some((shape, kernel)) = weights.first() else { bail!("has no kernel") };
    let shape: [usize; 4] = (*shape).try_into()?;
    let bias = weights.get(1).map(|(_, bias)| bias.clone());
    Ok((kernel.clone().reshape(shape), shape, bias))
}

fn convolution(op: &Op, x: Tensor<4>, weights: &[Weight<'_>]) -> Result<Tensor<4>> {
    let (kernel, [_, kh, kw, _], bias) = kernel_and_bias(weights)?;
    let (kernel, strides, dilation, padding, groups) = match *op {
        Op::Conv2d { strides, dilation, padding, groups, .. } => {
            (kernel.permute([0, 3, 1, 2]), strides, dilation, padding, groups)
        }
        // `[1, kh, kw, i · m]`: one group per input channel.
        Op::DepthwiseConv2d { strides, dilation, padding, .. } => {
            (kernel.permute([3, 0, 1, 2]), strides, dilation, padding, x.dims()[1])
        }
        _ => bail!("{} is no convolution", op.name()),
    };
    let border = border(&x, [kh, kw], strides, dilation, padding);
    let options = ConvOptions::new_with_padding(strides, border, dilation, groups);
    Ok(module::conv2d(x, kernel, bias, options))
}

/// The whole transposed convolution, cut (or, where the stride is past the
/// kernel, filled up with zeros) to `output`.
fn transposed_convolution(
    x: Tensor<4>,
    weights: &[Weight<'_>],
    strides: [usize; 2],
    padding: Padding,
    output: [usize; 2],
) -> Result<Tensor<4>> {
    let (kernel, [filters, kh, kw, _], bias) = kernel_and_bias(weights)?;
    let before = match padding {
        Padding::Same => [
            same_border(output[0], kh, strides[0], 1).0,
            same_border(output[1], kw, strides[1], 1).0,
        ],
        Padding::Valid => [0, 0],
        Padding::Explicit { top, left, .. } => [top, left],
    };
    let options = ConvTransposeOptions::new(strides, [0, 0], [0, 0], [1, 1], 1);
    let y = module::conv_transpose2d(x, kernel.permute([3, 0, 1, 2]), None, options);
    let [_, _, h, w] = y.dims();
    let end = [before[0] + output[0], before[1] + output[1]];
    let y = y.slice(s![.., .., before[0]..end[0].min(h), before[1]..end[1].min(w)]);
    let missing = [end[0].saturating_sub(h), end[1].saturating_sub(w)];
    let y = if missing == [0, 0] { y } else { y.pad([(0, missing[0]), (0, missing[1])], 0.0) };
    Ok(match bias {
        Some(bias) => y + bias.reshape([1, filters, 1, 1]),
        None => y,
    })
}

fn dense(x: Value, weights: &[Weight<'_>]) -> Result<Value> {
    let Some((&[units, depth], kernel)) = weights.first().map(|(shape, w)| (*shape, w)) else {
        bail!("has no kernel");
    };
    let kernel = kernel.clone().reshape([units, depth]).transpose();
    let bias = weights.get(1).map(|(_, bias)| bias.clone().reshape([1, units]));
    let linear = |x: Tensor<2>| {
        let y = x.matmul(kernel);
        match bias {
            Some(bias) => y + bias,
            None => y,
        }
    };
    Ok(match x {
        Value::Flat(x) => Value::Flat(linear(x)),
        Value::Map(x) => {
            let [n, c, h, w] = x.dims();
            let y = linear(x.permute([0, 2, 3, 1]).reshape([n * h * w, c]));
            Value::Map(y.reshape([n, h, w, units]).permute([0, 3, 1, 2]))
        }
    })
}

fn unpool(x: Tensor<4>, indices: Indices, [height, width]: [usize; 2]) -> Tensor<4> {
    let [n, c, h, w] = x.dims();
    let zeros = Tensor::zeros([n, c, height * width], &x.device());
    let (x, indices) = (x.reshape([n, c, h * w]), indices.reshape([n, c, h * w]));
    // No two windows share a cell, so adding to zero is placing.
    zeros.scatter(2, indices, x, IndexingUpdateOp::Add).reshape([n, c, height, width])
}
