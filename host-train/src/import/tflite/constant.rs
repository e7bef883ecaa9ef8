//! Shape arithmetic at import: integer constants and what operators make of them.

use super::schema::{Operator, Tensor, Type};
use crate::import::ImportError;

/// An integer constant: shapes, axes, paddings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ints {
    pub(super) shape: Vec<usize>,
    pub(super) values: Vec<i64>,
}

/// Most integers that a constant of the file holds: axes, shapes and biases.
pub(super) const MAX_INTS: usize = 1 << 16;
/// Most integers that shape arithmetic computes; more than this no shape has.
const MAX_COMPUTED: usize = 1 << 10;

impl Ints {
    pub(super) fn vector(values: Vec<i64>) -> Self {
        Self { shape: vec![values.len()], values }
    }

    pub(super) fn scalar(value: i64) -> Self {
        Self { shape: Vec::new(), values: vec![value] }
    }

    /// The values of an integer constant of the file.
    pub(super) fn of(tensor: &Tensor<'_>) -> Option<Self> {
        let data = tensor.data?;
        if tensor.count() > MAX_INTS {
            return None;
        }
        let values = match tensor.kind {
            Type::I32 => {
                data.as_chunks::<4>().0.iter().map(|b| i64::from(i32::from_le_bytes(*b))).collect()
            }
            Type::I64 => data.as_chunks::<8>().0.iter().map(|b| i64::from_le_bytes(*b)).collect(),
            Type::Bool => data.iter().map(|&b| i64::from(b)).collect(),
            _ => return None,
        };
        Some(Self { shape: tensor.shape.clone(), values })
    }

    /// As extents or counts.
    pub(super) fn extents(&self) -> Result<Vec<usize>, String> {
        let one = |&value: &i64| usize::try_from(value).map_err(|_| format!("{value} is negative"));
        self.values.iter().map(one).collect()
    }

    /// As axes of a tensor of `rank` axes, counted from the end when negative.
    pub(super) fn axes(&self, rank: usize) -> Result<Vec<usize>, String> {
        self.values.iter().map(|&axis| axis_of(axis, rank)).collect()
    }
}

/// An axis, counted from the end when negative.
pub(super) fn axis_of(axis: i64, rank: usize) -> Result<usize, String> {
    let counted = if axis < 0 { axis.saturating_add(rank as i64) } else { axis };
    usize::try_from(counted)
        .ok()
        .filter(|&axis| axis < rank)
        .ok_or_else(|| format!("axis {axis} of {rank} axes"))
}

/// Begin, size, stride and whether the axis disappears, per axis, of a strided slice.
pub(super) struct StridedSlice {
    pub(super) begin: Vec<usize>,
    pub(super) size: Vec<usize>,
    pub(super) strides: Vec<isize>,
    pub(super) shrink: Vec<bool>,
}

/// Resolves masks and negative indices over a tensor of this shape.
pub(super) fn strided_slice(
    operator: &Operator<'_>,
    shape: &[usize],
    [begin, end, strides]: [&Ints; 3],
) -> Result<StridedSlice, String> {
    let text = |error: ImportError| error.to_string();
    let mask = |index| operator.option::<i32>(index, 0).map_err(text);
    let (begin_mask, end_mask, shrink_mask) = (mask(0)?, mask(1)?, mask(4)?);
    if operator.option(5, false).map_err(text)? {
        return Err("ends given as offsets are not supported".into());
    }
    if mask(2)? != 0 || mask(3)? != 0 {
        return Err("ellipsis and new-axis masks are not supported".into());
    }
    let given = begin.values.len();
    if given > shape.len()
        || end.values.len() != given
        || strides.values.len() != given
        || given > 31
    {
        return Err(format!("{given} indices for {} axes", shape.len()));
    }
    let mut slice = StridedSlice { begin: vec![], size: vec![], strides: vec![], shrink: vec![] };
    for (axis, &extent) in shape.iter().enumerate() {
        let extent = extent as i64;
        let bit = |mask: i32| mask >> axis & 1 == 1;
        let (start, size, step, shrink) = if axis >= given {
            (0, extent, 1, false)
        } else {
            let wrap = |i: i64| if i < 0 { i.saturating_add(extent) } else { i };
            let step = strides.values[axis];
            if step == 0 || step.abs() > i64::from(i32::MAX) {
                return Err(format!("a stride of {step}"));
            }
            let (low, high) = if step > 0 { (0, extent) } else { (-1, extent - 1) };
            let default = if step > 0 { (0, extent) } else { (extent - 1, -1) };
            let start =
                if bit(begin_mask) { default.0 } else { wrap(begin.values[axis]).clamp(low, high) };
            if bit(shrink_mask) {
                (start, 1, 1, true)
            } else {
                let stop =
                    if bit(end_mask) { default.1 } else { wrap(end.values[axis]).clamp(low, high) };
                let span = if step > 0 { stop - start } else { start - stop };
                (start, (span.max(0) + step.abs() - 1) / step.abs(), step, false)
            }
        };
        if size == 0 || start < 0 || start >= extent {
            return Err(format!("the slice along axis {axis} of {shape:?} is empty"));
        }
        slice.begin.push(start as usize);
        slice.size.push(size as usize);
        slice.strides.push(step as isize);
        slice.shrink.push(shrink);
    }
    Ok(slice)
}

/// Evaluates an operator whose inputs are integer constants; `None` when it is not shape arithmetic.
pub(super) fn evaluate(operator: &Operator<'_>, inputs: &[&Ints]) -> Result<Option<Ints>, String> {
    let text = |error: ImportError| error.to_string();
    let need = |count: usize| {
        if inputs.len() < count { Err(format!("{count} inputs expected")) } else { Ok(()) }
    };
    let result = match operator.code {
        // ADD, MUL, SUB, FLOOR_DIV, FLOOR_MOD, MAXIMUM, MINIMUM
        0 | 18 | 41 | 90 | 95 | 55 | 57 => {
            need(2)?;
            elementwise(operator.code, inputs[0], inputs[1])?
        }
        // CONCATENATION of vectors
        2 if inputs.iter().any(|input| input.shape.len() > 1) => return Ok(None),
        2 => Ints::vector(inputs.iter().flat_map(|input| input.values.clone()).collect()),
        // RESHAPE, SQUEEZE and EXPAND_DIMS keep the values
        22 => {
            need(2)?;
            Ints { shape: inputs[1].extents()?, values: inputs[0].values.clone() }
        }
        43 => {
            need(1)?;
            let shape = inputs[0].shape.iter().copied().filter(|&extent| extent != 1).collect();
            Ints { shape, values: inputs[0].values.clone() }
        }
        70 => {
            need(2)?;
            let mut shape = inputs[0].shape.clone();
            let axis = *inputs[1].values.first().ok_or("no axis")?;
            shape.insert(axis_of(axis, shape.len() + 1)?, 1);
            Ints { shape, values: inputs[0].values.clone() }
        }
        // CAST
        53 => {
            need(1)?;
            inputs[0].clone()
        }
        // GATHER from a vector
        36 if inputs.first().is_some_and(|x| x.shape.len() != 1) => return Ok(None),
        36 => {
            need(2)?;
            let pick = |&index: &i64| {
                let index = axis_of(index, inputs[0].values.len())?;
                inputs[0].values.get(index).copied().ok_or_else(|| "index out of range".to_string())
            };
            let values = inputs[1].values.iter().map(pick).collect::<Result<_, _>>()?;
            Ints { shape: inputs[1].shape.clone(), values }
        }
        // STRIDED_SLICE of a vector
        45 => {
            need(4)?;
            let of = inputs[0];
            let slice = strided_slice(operator, &of.shape, [inputs[1], inputs[2], inputs[3]])?;
            let (&[begin], &[size], &[step]) =
                (slice.begin.as_slice(), slice.size.as_slice(), slice.strides.as_slice())
            else {
                return Ok(None);
            };
            let at =
                |i: usize| of.values.get(begin.wrapping_add_signed(step * i as isize)).copied();
            let values: Option<Vec<i64>> = (0..size).map(at).collect();
            let values = values.ok_or("the slice leaves the vector")?;
            if slice.shrink == [true] { Ints::scalar(values[0]) } else { Ints::vector(values) }
        }
        // SLICE of a vector
        65 => {
            need(3)?;
            let begin = inputs[1].extents()?.first().copied().unwrap_or(0);
            let size = inputs[2].values.first().copied().unwrap_or(-1);
            let len = inputs[0].values.len();
            let end = usize::try_from(size).map_or(len, |size| begin.saturating_add(size));
            let values = inputs[0].values.get(begin..end).ok_or("the slice leaves the vector")?;
            Ints::vector(values.to_vec())
        }
        // PACK along the first axis
        83 => {
            need(1)?;
            let axis: i32 = operator.option(1, 0).map_err(text)?;
            let shape = &inputs[0].shape;
            if axis != 0 || inputs.iter().any(|input| input.shape != *shape) {
                return Ok(None);
            }
            let values = inputs.iter().flat_map(|input| input.values.clone()).collect();
            Ints { shape: [&[inputs.len()], shape.as_slice()].concat(), values }
        }
        // REDUCE_PROD and SUM of a vector
        81 | 74 if inputs.first().is_some_and(|x| x.shape.len() > 1) => return Ok(None),
        81 => {
            need(1)?;
            let product = inputs[0].values.iter().try_fold(1i64, |a, &b| a.checked_mul(b));
            Ints::scalar(product.ok_or("a product of extents overflows")?)
        }
        74 => {
            need(1)?;
            Ints::scalar(inputs[0].values.iter().fold(0i64, |a, &b| a.saturating_add(b)))
        }
        // FILL
        94 => {
            need(2)?;
            let shape = inputs[0].extents()?;
            let count = shape.iter().try_fold(1usize, |a, &b| a.checked_mul(b));
            let count =
                count.filter(|&count| count <= MAX_COMPUTED).ok_or("a fill is too large")?;
            let value = inputs[1].values.first().copied().unwrap_or(0);
            Ints { shape, values: vec![value; count] }
        }
        // RANGE
        96 => {
            need(3)?;
            range(inputs[0], inputs[1], inputs[2])?
        }
        // BROADCAST_TO
        130 => {
            need(2)?;
            return broadcast(inputs[0], inputs[1].extents()?).map(Some);
        }
        // BROADCAST_ARGS
        145 => {
            need(2)?;
            let (a, b) = (&inputs[0].values, &inputs[1].values);
            let rank = a.len().max(b.len());
            let at = |v: &[i64], i: usize| (i + v.len()).checked_sub(rank).map_or(1, |i| v[i]);
            Ints::vector(
                (0..rank).map(|i| if at(a, i) == 1 { at(b, i) } else { at(a, i) }).collect(),
            )
        }
        _ => return Ok(None),
    };
    if result.values.len() > MAX_COMPUTED {
        return Err("shape arithmetic on too many values".into());
    }
    Ok(Some(result))
}

/// `start, start + step, …` up to but without `end`.
fn range(start: &Ints, end: &Ints, step: &Ints) -> Result<Ints, String> {
    let one = |ints: &Ints| ints.values.first().copied().ok_or("a range without bounds");
    let (start, end, step) = (one(start)?, one(end)?, one(step)?);
    let span = if step > 0 { end.checked_sub(start) } else { start.checked_sub(end) };
    let count = match (span, step.checked_abs()) {
        (Some(span), Some(step)) if step > 0 => (span.max(0) as u64).div_ceil(step as u64),
        _ => return Err(format!("a range from {start} to {end} by {step}")),
    };
    if count > MAX_COMPUTED as u64 {
        return Err("shape arithmetic on too many values".into());
    }
    Ok(Ints::vector((0..count as i64).map(|i| start + i * step).collect()))
}

/// Values repeated along axes of extent 1, as NumPy does.
fn broadcast(of: &Ints, shape: Vec<usize>) -> Result<Ints, String> {
    let count = shape.iter().try_fold(1usize, |a, &b| a.checked_mul(b));
    let count =
        count.filter(|&c| c <= MAX_COMPUTED).ok_or("shape arithmetic on too many values")?;
    let missing = shape.len().checked_sub(of.shape.len());
    let fits = |missing| {
        let both = of.shape.iter().zip(shape.iter().skip(missing));
        both.into_iter().all(|(&from, &to)| from == to || from == 1)
    };
    let Some(missing) = missing.filter(|&missing| fits(missing)) else {
        return Err(format!("{:?} does not broadcast to {shape:?}", of.shape));
    };
    let source = |mut index: usize| {
        let (mut at, mut stride) = (0, 1);
        for axis in (0..shape.len()).rev() {
            let i = index % shape[axis];
            index /= shape[axis];
            if axis >= missing {
                let extent = of.shape[axis - missing];
                at += if extent == 1 { 0 } else { i * stride };
                stride *= extent;
            }
        }
        at
    };
    let values = (0..count).map(|index| of.values.get(source(index)).copied());
    let values = values.collect::<Option<_>>().ok_or("a broadcast of nothing")?;
    Ok(Ints { shape, values })
}

fn elementwise(code: i32, a: &Ints, b: &Ints) -> Result<Ints, String> {
    let count = a.values.len().max(b.values.len());
    let fits = |v: &Ints| v.values.len() == count || v.values.len() == 1;
    if !fits(a) || !fits(b) {
        return Err("shape arithmetic on vectors of different lengths".into());
    }
    let at = |v: &Ints, i: usize| v.values[if v.values.len() == 1 { 0 } else { i }];
    let apply = |a: i64, b: i64| match code {
        0 => a.checked_add(b),
        18 => a.checked_mul(b),
        41 => a.checked_sub(b),
        // Towards minus infinity; the remainder has the sign of the divisor.
        90 => a.checked_div(b).map(|q| q - i64::from(a % b != 0 && (a < 0) != (b < 0))),
        95 => a.checked_rem(b).map(|r| if r != 0 && (r < 0) != (b < 0) { r + b } else { r }),
        55 => Some(a.max(b)),
        _ => Some(a.min(b)),
    };
    let values: Option<Vec<i64>> = (0..count).map(|i| apply(at(a, i), at(b, i))).collect();
    let shape = if a.values.len() == count { a.shape.clone() } else { b.shape.clone() };
    Ok(Ints { shape, values: values.ok_or("shape arithmetic overflows")? })
}
