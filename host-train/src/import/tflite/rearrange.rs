//! Operators that only move values, as slices, reshapes, transposes and joins of the graph.

use super::constant::axis_of;
use super::lower::Lowering;
use super::operators::{Lowered, int};
use super::schema::Operator;
use crate::graph::{Op, PadMode};

/// Lowers one of them.
pub(super) fn lower<'a>(l: &mut Lowering<'_, 'a>, o: &Operator<'a>) -> Lowered {
    match o.code {
        5 | 26 => depth_and_space(l, o),
        36 => gather(l, o),
        37 => batch_to_space(l, o),
        38 => space_to_batch(l, o),
        49 | 102 => split(l, o),
        83 => pack(l, o),
        88 => unpack(l, o),
        105 => reverse(l, o),
        _ => broadcast_to(l, o),
    }
}

/// `size` indices of `axis` from `first` on, all of the others.
fn stretch(shape: &[usize], axis: usize, first: usize, size: usize, stride: isize) -> Op {
    let mut op = (vec![0; shape.len()], shape.to_vec(), vec![1; shape.len()]);
    (op.0[axis], op.1[axis], op.2[axis]) = (first, size, stride);
    Op::Slice { begin: op.0, size: op.1, strides: op.2 }
}

/// The only value of a constant.
fn scalar<'a>(l: &mut Lowering<'_, 'a>, o: &Operator<'a>, input: usize) -> Result<i64, String> {
    l.ints(o, input)?.values.first().copied().ok_or_else(|| format!("input {input} is empty"))
}

/// SPLIT into equal parts (inputs: axis, data) and SPLIT_V (inputs: data, extents, axis).
fn split<'a>(l: &mut Lowering<'_, 'a>, o: &Operator<'a>) -> Lowered {
    let (data, axis) = if o.code == 49 { (1, 0) } else { (0, 2) };
    let x = l.tensor(o, data)?;
    let shape = l.graph[x].shape.clone();
    let axis = axis_of(scalar(l, o, axis)?, shape.len())?;
    let (whole, parts) = (shape[axis], o.outputs.len());
    let mut sizes: Vec<i64> = match o.code {
        49 if parts > 0 && whole.is_multiple_of(parts) => vec![(whole / parts) as i64; parts],
        49 => return Err(format!("an extent of {whole} in {parts} equal parts")),
        _ => l.ints(o, 1)?.values,
    };
    let known: i64 = sizes.iter().filter(|&&size| size >= 0).fold(0, |a, &b| a.saturating_add(b));
    if let Some(rest) = sizes.iter_mut().find(|size| **size == -1) {
        *rest = whole as i64 - known;
    }
    if sizes.len() != parts
        || sizes.iter().any(|&size| size <= 0)
        || sizes.iter().try_fold(0i64, |a, &b| a.checked_add(b)) != Some(whole as i64)
    {
        return Err(format!("an extent of {whole} in parts of {sizes:?}"));
    }
    let mut first = 0;
    for (output, &size) in sizes.iter().enumerate() {
        let size = size as usize;
        l.output(o, output, stretch(&shape, axis, first, size, 1), &[x])?;
        first += size;
    }
    Ok(())
}

/// UNPACK: an output for each index of an axis, which goes.
fn unpack<'a>(l: &mut Lowering<'_, 'a>, o: &Operator<'a>) -> Lowered {
    let x = l.tensor(o, 0)?;
    let shape = l.graph[x].shape.clone();
    let axis = axis_of(i64::from(int(o, 1, 0)?), shape.len())?;
    if shape[axis] != o.outputs.len() {
        return Err(format!("{} outputs of an extent of {}", o.outputs.len(), shape[axis]));
    }
    let mut kept = shape.clone();
    kept.remove(axis);
    if kept.is_empty() {
        return Err("scalar outputs are not supported".into());
    }
    for output in 0..shape[axis] {
        let part = l.step(o, stretch(&shape, axis, output, 1, 1), &[x])?;
        l.output(o, output, Op::Reshape { shape: kept.clone() }, &[part])?;
    }
    Ok(())
}

/// Longest list of indices; each jump in it costs a copy of its own.
const MAX_JUMPS: usize = 64;

/// GATHER with constant indices: a slice for each run of them with one step.
fn gather<'a>(l: &mut Lowering<'_, 'a>, o: &Operator<'a>) -> Lowered {
    let x = l.tensor(o, 0)?;
    let (shape, indices) = (l.graph[x].shape.clone(), l.ints(o, 1)?);
    let axis = axis_of(i64::from(int(o, 0, 0)?), shape.len())?;
    if int(o, 1, 0)? != 0 {
        return Err("batch dimensions are not supported".into());
    }
    let index = |&i: &i64| {
        let inside = usize::try_from(i).ok().filter(|&i| i < shape[axis]);
        inside.ok_or_else(|| format!("index {i} of an extent of {}", shape[axis]))
    };
    let list = indices.values.iter().map(index).collect::<Result<Vec<_>, _>>()?;
    let runs = runs(&list);
    if runs.is_empty() || runs.len() > MAX_JUMPS {
        return Err(format!("{} runs of indices, at most {MAX_JUMPS} are supported", runs.len()));
    }
    let mut result = shape.clone();
    result.splice(axis..=axis, indices.shape.iter().copied());
    let mut parts = Vec::new();
    for (first, size, stride) in runs {
        parts.push(l.step(o, stretch(&shape, axis, first, size, stride), &[x])?);
    }
    let joined = match parts.as_slice() {
        &[one] => one,
        _ => l.step(o, Op::Concat { axis }, &parts)?,
    };
    if result.is_empty() {
        return Err("a scalar output is not supported".into());
    }
    l.output(o, 0, Op::Reshape { shape: result }, &[joined])
}

/// Runs of indices with one step: first, number, step (1 for a single one).
fn runs(list: &[usize]) -> Vec<(usize, usize, isize)> {
    let mut runs: Vec<(usize, usize, isize)> = Vec::new();
    for &index in list {
        if let Some((first, size, stride)) = runs.last_mut() {
            let last = *first as isize + (*size as isize - 1) * *stride;
            let step = index as isize - last;
            if step != 0 && (*size == 1 || step == *stride) {
                (*size, *stride) = (*size + 1, step);
                continue;
            }
        }
        runs.push((index, 1, 1));
    }
    runs
}

/// REVERSE_V2: axes read backwards.
fn reverse<'a>(l: &mut Lowering<'_, 'a>, o: &Operator<'a>) -> Lowered {
    let x = l.tensor(o, 0)?;
    let size = l.graph[x].shape.clone();
    let axes = l.ints(o, 1)?.axes(size.len())?;
    let backwards = |axis: usize| axes.contains(&axis);
    let begin = (0..size.len()).map(|i| if backwards(i) { size[i] - 1 } else { 0 }).collect();
    let strides = (0..size.len()).map(|i| if backwards(i) { -1 } else { 1 }).collect();
    l.output(o, 0, Op::Slice { begin, size, strides }, &[x])
}

/// DEPTH_TO_SPACE and SPACE_TO_DEPTH: a block of pixels in the channels, row by row.
fn depth_and_space<'a>(l: &mut Lowering<'_, 'a>, o: &Operator<'a>) -> Lowered {
    let x = l.tensor(o, 0)?;
    let block = usize::try_from(int(o, 0, 0)?).ok().filter(|&b| b > 0).ok_or("a block of zero")?;
    let &[n, h, w, c] = l.graph[x].shape.as_slice() else {
        return Err(format!("data of shape {:?}", l.graph[x].shape));
    };
    let area = block.checked_mul(block).ok_or_else(|| format!("a block of {block}"))?;
    let (split, joined) = if o.code == 5 {
        if !c.is_multiple_of(area) {
            return Err(format!("{c} channels in blocks of {block}x{block}"));
        }
        let c = c / area;
        (vec![n, h, w, block, block, c], vec![n, h * block, w * block, c])
    } else {
        if !h.is_multiple_of(block) || !w.is_multiple_of(block) {
            return Err(format!("a map of {h}x{w} in blocks of {block}x{block}"));
        }
        let (h, w) = (h / block, w / block);
        (vec![n, h, block, w, block, c], vec![n, h, w, area * c])
    };
    let split = l.step(o, Op::Reshape { shape: split }, &[x])?;
    let moved = l.step(o, Op::Transpose { perm: vec![0, 1, 3, 2, 4, 5] }, &[split])?;
    l.output(o, 0, Op::Reshape { shape: joined }, &[moved])
}

/// The blocks of SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND and what is padded or cropped.
type Blocks = (Vec<usize>, Vec<[usize; 2]>);

fn blocks<'a>(l: &mut Lowering<'_, 'a>, o: &Operator<'a>, rank: usize) -> Result<Blocks, String> {
    let blocks = l.ints(o, 1)?.extents()?;
    let edges = l.ints(o, 2)?.extents()?.as_chunks::<2>().0.to_vec();
    // One axis more for each block, in a tensor of at most six.
    if blocks.is_empty() || blocks.len() + 1 > rank || rank + blocks.len() > 6 {
        return Err(format!("{} blocks of data with {rank} axes", blocks.len()));
    }
    if edges.len() != blocks.len() || blocks.contains(&0) {
        return Err(format!("blocks of {blocks:?} and edges of {edges:?}"));
    }
    Ok((blocks, edges))
}

/// SPACE_TO_BATCH_ND: padded maps, every `block`-th row and column a map of its own.
fn space_to_batch<'a>(l: &mut Lowering<'_, 'a>, o: &Operator<'a>) -> Lowered {
    let x = l.tensor(o, 0)?;
    let rank = l.graph[x].shape.len();
    let (blocks, pads) = blocks(l, o, rank)?;
    let (mut before, mut after) = (vec![0; rank], vec![0; rank]);
    for (axis, pad) in pads.iter().enumerate() {
        [before[axis + 1], after[axis + 1]] = *pad;
    }
    let padded = Op::Pad { before, after, mode: PadMode::Constant(0.0) };
    let padded = l.step(o, padded, &[x])?;
    let shape = l.graph[padded].shape.clone();
    let (mut split, mut maps) = (vec![shape[0]], shape.clone());
    for (axis, &block) in (1..).zip(&blocks) {
        if !shape[axis].is_multiple_of(block) {
            return Err(format!("an extent of {} in blocks of {block}", shape[axis]));
        }
        maps[0] *= block;
        maps[axis] /= block;
        split.extend([maps[axis], block]);
    }
    let count = blocks.len();
    split.extend(&shape[count + 1..]);
    let places = (0..count).map(|i| 2 + 2 * i).chain([0]).chain((0..count).map(|i| 1 + 2 * i));
    let perm = places.chain(2 * count + 1..rank + count).collect();
    let split = l.step(o, Op::Reshape { shape: split }, &[padded])?;
    let moved = l.step(o, Op::Transpose { perm }, &[split])?;
    l.output(o, 0, Op::Reshape { shape: maps }, &[moved])
}

/// BATCH_TO_SPACE_ND: the reverse, with a crop in place of the padding.
fn batch_to_space<'a>(l: &mut Lowering<'_, 'a>, o: &Operator<'a>) -> Lowered {
    let x = l.tensor(o, 0)?;
    let shape = l.graph[x].shape.clone();
    let rank = shape.len();
    let (blocks, crops) = blocks(l, o, rank)?;
    let count = blocks.len();
    let maps = blocks.iter().try_fold(1usize, |a, &b| a.checked_mul(b)).unwrap_or(usize::MAX);
    if !shape[0].is_multiple_of(maps) {
        return Err(format!("a batch of {} in blocks of {blocks:?}", shape[0]));
    }
    let split = blocks.iter().copied().chain([shape[0] / maps]).chain(shape[1..].iter().copied());
    let perm = [count].into_iter().chain((0..count).flat_map(|i| [count + 1 + i, i]));
    let perm = perm.chain(2 * count + 1..rank + count).collect();
    let mut whole = shape.clone();
    whole[0] /= maps;
    let (mut begin, strides) = (vec![0; rank], vec![1; rank]);
    for (axis, &block) in (1..).zip(&blocks) {
        whole[axis] *= block;
    }
    let split = l.step(o, Op::Reshape { shape: split.collect() }, &[x])?;
    let moved = l.step(o, Op::Transpose { perm }, &[split])?;
    let joined = l.step(o, Op::Reshape { shape: whole.clone() }, &[moved])?;
    for (axis, &[first, last]) in (1..).zip(&crops) {
        let left = whole[axis].checked_sub(first.saturating_add(last)).filter(|&left| left > 0);
        whole[axis] = left.ok_or_else(|| format!("crops of {crops:?}"))?;
        begin[axis] = first;
    }
    l.output(o, 0, Op::Slice { begin, size: whole, strides }, &[joined])
}

/// PACK: an axis of one more for each input, joined there.
fn pack<'a>(l: &mut Lowering<'_, 'a>, o: &Operator<'a>) -> Lowered {
    let mut parts = Vec::new();
    let mut axis = 0;
    for i in 0..o.inputs.len() {
        let x = l.tensor(o, i)?;
        let mut shape = l.graph[x].shape.clone();
        axis = axis_of(i64::from(int(o, 1, 0)?), shape.len() + 1)?;
        shape.insert(axis, 1);
        if o.inputs.len() == 1 {
            return l.output(o, 0, Op::Reshape { shape }, &[x]);
        }
        parts.push(l.step(o, Op::Reshape { shape }, &[x])?);
    }
    l.output(o, 0, Op::Concat { axis }, &parts)
}

fn broadcast_to<'a>(l: &mut Lowering<'_, 'a>, o: &Operator<'a>) -> Lowered {
    let x = l.tensor(o, 0)?;
    let to = l.ints(o, 1)?.extents()?;
    let from = l.graph[x].shape.clone();
    let missing = to.len().checked_sub(from.len());
    let fits = |missing: usize| {
        from.iter().zip(&to[missing..]).all(|(&from, &to)| from == to || from == 1)
    };
    let Some(missing) = missing.filter(|&missing| fits(missing)) else {
        return Err(format!("{from:?} does not broadcast to {to:?}"));
    };
    let shape = [vec![1; missing], from].concat();
    let multiples = to.iter().zip(&shape).map(|(&to, &from)| to / from.max(1)).collect();
    let x = if missing == 0 { x } else { l.step(o, Op::Reshape { shape }, &[x])? };
    l.output(o, 0, Op::Tile { multiples }, &[x])
}
