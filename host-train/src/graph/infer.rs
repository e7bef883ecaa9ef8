//! Output shapes of every operator, and what its inputs must be.

use super::op::{Op, PadMode, Padding};
use super::tensor::Tensor;

type Inferred = Result<Vec<Vec<usize>>, String>;

/// Shapes of the outputs of `op` over `inputs`.
///
/// # Errors
/// What does not fit and what was expected, for the user.
pub fn infer_shapes(op: &Op, inputs: &[&Tensor]) -> Inferred {
    let (least, most) = arity(op);
    if inputs.len() < least || inputs.len() > most {
        return Err(format!("{} takes {least} inputs, got {}", op.name(), inputs.len()));
    }
    if let Some(t) = inputs.iter().find(|t| t.is_empty()) {
        return Err(format!("input `{}` is empty: {:?}", t.name, t.shape));
    }
    let x = &inputs[0].shape;
    let one = |shape: Vec<usize>| Ok(vec![shape]);
    match op {
        Op::Conv2d { .. } | Op::DepthwiseConv2d { .. } | Op::TransposedConv2d { .. } => {
            convolution(op, inputs)
        }
        Op::Dense { keep_dims, .. } => dense(*keep_dims, inputs),
        Op::MaxPool2d { window, strides, padding, .. }
        | Op::AveragePool2d { window, strides, padding, .. } => {
            one(pooled(x, *window, *strides, *padding)?)
        }
        Op::MaxPool2dWithIndices { window, strides, padding } => {
            let shape = pooled(x, *window, *strides, *padding)?;
            Ok(vec![shape.clone(), shape])
        }
        Op::MaxUnpool2d { window, strides, padding, output_size: [h, w] } => {
            let [n, _, _, c] = nhwc(x)?;
            let output = vec![n, *h, *w, c];
            let pool = pooled(&output, *window, *strides, *padding)?;
            if &pool != x || inputs[1].shape != *x {
                return Err(format!(
                    "input {x:?} and indices {:?} do not fit a pool of {output:?}, which gives {pool:?}",
                    inputs[1].shape
                ));
            }
            one(output)
        }
        Op::BedOfNails2d { strides: [sh, sw] } => {
            let [n, h, w, c] = nhwc(x)?;
            positive(&[*sh, *sw], "strides")?;
            one(vec![n, h * sh, w * sw, c])
        }
        Op::Resize2d { size: [h, w], .. } => {
            let [n, _, _, c] = nhwc(x)?;
            positive(&[*h, *w], "size")?;
            one(vec![n, *h, *w, c])
        }
        Op::Prelu => {
            if broadcast(x, &inputs[1].shape)? != *x {
                return Err(format!("slopes {:?} do not broadcast to {x:?}", inputs[1].shape));
            }
            one(x.clone())
        }
        Op::Activation(_) | Op::Softmax { .. } | Op::Quantize | Op::Dequantize | Op::Table(_) => {
            one(x.clone())
        }
        Op::Add { .. } | Op::Sub { .. } | Op::Mul { .. } => one(broadcast(x, &inputs[1].shape)?),
        Op::Concat { axis } => concat(*axis, inputs),
        Op::Pad { before, after, mode } => pad(x, before, after, *mode),
        Op::Slice { begin, size, strides } => slice(x, begin, size, strides),
        Op::Reshape { shape } => {
            let (from, to) = (inputs[0].len(), shape.iter().product::<usize>());
            if from != to {
                return Err(format!("cannot reshape {x:?} ({from} values) to {shape:?} ({to})"));
            }
            one(shape.clone())
        }
        Op::Transpose { perm } => {
            let mut sorted = perm.clone();
            sorted.sort_unstable();
            if sorted != (0..x.len()).collect::<Vec<_>>() {
                return Err(format!("{perm:?} is no permutation of the {} axes", x.len()));
            }
            one(perm.iter().map(|&axis| x[axis]).collect())
        }
        Op::Tile { multiples } => {
            if multiples.len() != x.len() {
                return Err(format!("{} multiples for {} axes", multiples.len(), x.len()));
            }
            positive(multiples, "multiples")?;
            one(x.iter().zip(multiples).map(|(extent, times)| extent * times).collect())
        }
        Op::Mean { axes, keep_dims } | Op::ReduceMax { axes, keep_dims } => {
            reduced(x, axes, *keep_dims)
        }
    }
}

fn arity(op: &Op) -> (usize, usize) {
    match op {
        Op::Conv2d { .. }
        | Op::DepthwiseConv2d { .. }
        | Op::TransposedConv2d { .. }
        | Op::Dense { .. } => (2, 3),
        Op::MaxUnpool2d { .. } | Op::Prelu | Op::Add { .. } | Op::Sub { .. } | Op::Mul { .. } => {
            (2, 2)
        }
        Op::Concat { .. } => (1, usize::MAX),
        _ => (1, 1),
    }
}

fn nhwc(shape: &[usize]) -> Result<[usize; 4], String> {
    shape
        .try_into()
        .map_err(|_| format!("expected [batch, height, width, channels], got {shape:?}"))
}

fn positive(values: &[usize], what: &str) -> Result<(), String> {
    if values.contains(&0) { Err(format!("{what} {values:?} must be positive")) } else { Ok(()) }
}

/// Extent of a convolution or pool along one axis.
fn extent(
    input: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
    padding: Padding,
    axis: usize,
) -> Result<usize, String> {
    positive(&[kernel, stride, dilation], "kernel, strides and dilation")?;
    let reach = (kernel - 1)
        .checked_mul(dilation)
        .and_then(|r| r.checked_add(1))
        .ok_or("kernel and dilation overflow")?;
    let padded = match padding {
        Padding::Same => return Ok(input.div_ceil(stride)),
        Padding::Valid => input,
        Padding::Explicit { top, bottom, left, right } => {
            input + if axis == 0 { top + bottom } else { left + right }
        }
    };
    if padded < reach {
        return Err(format!("a window of {reach} does not fit {padded} cells (valid padding)"));
    }
    Ok((padded - reach) / stride + 1)
}

fn extents(
    x: &[usize; 4],
    kernel: [usize; 2],
    strides: [usize; 2],
    dilation: [usize; 2],
    padding: Padding,
) -> Result<[usize; 2], String> {
    let one = |axis: usize| {
        extent(x[1 + axis], kernel[axis], strides[axis], dilation[axis], padding, axis)
    };
    Ok([one(0)?, one(1)?])
}

fn pooled(
    x: &[usize],
    window: [usize; 2],
    strides: [usize; 2],
    padding: Padding,
) -> Result<Vec<usize>, String> {
    let x = nhwc(x)?;
    let [h, w] = extents(&x, window, strides, [1, 1], padding)?;
    Ok(vec![x[0], h, w, x[3]])
}

fn convolution(op: &Op, inputs: &[&Tensor]) -> Inferred {
    let x = nhwc(&inputs[0].shape)?;
    let weights = nhwc(&inputs[1].shape)
        .map_err(|_| format!("weights must have four axes, got {:?}", inputs[1].shape))?;
    let kernel = [weights[1], weights[2]];
    let (channels, [h, w]) = match op {
        Op::Conv2d { strides, dilation, padding, groups, .. } => {
            positive(&[*groups], "groups")?;
            if weights[3] * groups != x[3] || weights[0] % groups != 0 {
                return Err(format!(
                    "weights {weights:?} in {groups} groups do not fit {} input channels",
                    x[3]
                ));
            }
            (weights[0], extents(&x, kernel, *strides, *dilation, *padding)?)
        }
        Op::DepthwiseConv2d { strides, dilation, padding, multiplier, .. } => {
            if weights[0] != 1 || weights[3] != x[3] * multiplier {
                return Err(format!(
                    "depthwise weights {weights:?} do not fit {} channels times {multiplier}",
                    x[3]
                ));
            }
            (weights[3], extents(&x, kernel, *strides, *dilation, *padding)?)
        }
        Op::TransposedConv2d { strides, padding, output_size, .. } => {
            if weights[3] != x[3] {
                return Err(format!("weights {weights:?} do not fit {} input channels", x[3]));
            }
            let output = [x[0], output_size[0], output_size[1], weights[0]];
            let back = extents(&output, kernel, *strides, [1, 1], *padding)?;
            if back != [x[1], x[2]] {
                return Err(format!(
                    "an output of {output_size:?} would come from {back:?}, the input is {:?}",
                    [x[1], x[2]]
                ));
            }
            (weights[0], *output_size)
        }
        _ => unreachable!("only convolutions are sent here"),
    };
    bias(inputs, channels)?;
    Ok(vec![vec![x[0], h, w, channels]])
}

fn bias(inputs: &[&Tensor], channels: usize) -> Result<(), String> {
    match inputs.get(2) {
        Some(b) if b.len() != channels => {
            Err(format!("bias {:?} does not fit {channels} output channels", b.shape))
        }
        _ => Ok(()),
    }
}

fn dense(keep_dims: bool, inputs: &[&Tensor]) -> Inferred {
    let (x, weights) = (&inputs[0].shape, &inputs[1].shape);
    let &[units, depth] = weights.as_slice() else {
        return Err(format!("dense weights must be [units, inputs], got {weights:?}"));
    };
    bias(inputs, units)?;
    let (leading, last) = if keep_dims && x.len() > 1 {
        (x[..x.len() - 1].to_vec(), x[x.len() - 1])
    } else {
        let total = inputs[0].len();
        if !total.is_multiple_of(depth.max(1)) {
            return Err(format!("{total} inputs do not fit weights {weights:?}"));
        }
        (vec![total / depth], depth)
    };
    if last != depth {
        return Err(format!("input {x:?} does not fit weights {weights:?}"));
    }
    Ok(vec![leading.into_iter().chain([units]).collect()])
}

/// NumPy's rule: axes are aligned at the end, an extent of 1 repeats.
fn broadcast(a: &[usize], b: &[usize]) -> Result<Vec<usize>, String> {
    let rank = a.len().max(b.len());
    let at = |s: &[usize], i: usize| (i + s.len()).checked_sub(rank).map_or(1, |axis| s[axis]);
    (0..rank)
        .map(|i| match (at(a, i), at(b, i)) {
            (x, y) if x == y || y == 1 => Ok(x),
            (1, y) => Ok(y),
            _ => Err(format!("{a:?} and {b:?} do not broadcast")),
        })
        .collect()
}

fn concat(axis: usize, inputs: &[&Tensor]) -> Inferred {
    let mut shape = inputs[0].shape.clone();
    if axis >= shape.len() {
        return Err(format!("axis {axis} of {} axes", shape.len()));
    }
    for other in &inputs[1..] {
        let fits = other.shape.len() == shape.len()
            && (0..shape.len()).all(|i| i == axis || other.shape[i] == shape[i]);
        if !fits {
            return Err(format!("{:?} does not join {shape:?} on axis {axis}", other.shape));
        }
        shape[axis] += other.shape[axis];
    }
    Ok(vec![shape])
}

fn pad(x: &[usize], before: &[usize], after: &[usize], mode: PadMode) -> Inferred {
    if before.len() != x.len() || after.len() != x.len() {
        return Err(format!("padding for {} axes, the input has {}", before.len(), x.len()));
    }
    let most = |extent: usize| match mode {
        PadMode::Constant(_) => usize::MAX,
        PadMode::Reflect => extent - 1,
        PadMode::Symmetric => extent,
    };
    if (0..x.len()).any(|i| before[i].max(after[i]) > most(x[i])) {
        return Err(format!("mirror padding {before:?}, {after:?} is larger than {x:?}"));
    }
    Ok(vec![(0..x.len()).map(|i| before[i] + x[i] + after[i]).collect()])
}

fn slice(x: &[usize], begin: &[usize], size: &[usize], strides: &[isize]) -> Inferred {
    if [begin.len(), size.len(), strides.len()] != [x.len(); 3] {
        return Err(format!("slice of {} axes, the input has {}", begin.len(), x.len()));
    }
    for axis in 0..x.len() {
        let steps = size[axis].saturating_sub(1) as isize;
        let last =
            strides[axis].checked_mul(steps).and_then(|d| d.checked_add(begin[axis] as isize));
        let inside = |i: isize| i >= 0 && (i as usize) < x[axis];
        if size[axis] == 0 || begin[axis] >= x[axis] || !last.is_some_and(inside) {
            return Err(format!("slice {begin:?} + {size:?} by {strides:?} leaves {x:?}"));
        }
    }
    Ok(vec![size.to_vec()])
}

fn reduced(x: &[usize], axes: &[usize], keep_dims: bool) -> Inferred {
    if axes.iter().any(|&axis| axis >= x.len()) {
        return Err(format!("axes {axes:?} of {} axes", x.len()));
    }
    let shape = (0..x.len())
        .filter(|i| keep_dims || !axes.contains(i))
        .map(|i| if axes.contains(&i) { 1 } else { x[i] })
        .collect();
    Ok(vec![shape])
}
