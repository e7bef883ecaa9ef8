//! Strided copies: the operator whose copies they are.
//!
//! A blob says where each copy reads and writes and not what it is for, so operators that
//! have the shapes are tried until one makes the very same copies.

use microconv::model::format::{ArrangeRecord, CopyRecord, LayerRecord};
use microconv::model::{DType, TensorInfo};

use super::Reader;
use crate::export::copy_records;
use crate::graph::{Op, PadMode};

/// Most operators that are tried.
const MOST: usize = 4096;

impl Reader<'_, '_> {
    pub(super) fn arrange(&mut self, record: &LayerRecord) -> Result<(), String> {
        let how: ArrangeRecord = self.params(record, 0)?;
        let copies: Vec<CopyRecord> = (0..how.copies as usize)
            .map(|i| self.params(record, ArrangeRecord::SIZE + i * CopyRecord::SIZE))
            .collect::<Result<_, _>>()?;
        let to = self.output(record);
        let fill = (how.fill == 1).then(|| fill(&how, &to));
        // One input per copy, or one where neighbouring copies read the same tensor.
        let each: Vec<u32> = copies.iter().map(|copy| copy.source).collect();
        let mut merged = each.clone();
        merged.dedup();
        let find = |ids: &Vec<u32>| {
            let shape = |&id: &u32| self.model.tensor(id as usize).shape().to_vec();
            let shapes: Vec<Vec<usize>> = ids.iter().map(shape).collect();
            let makes =
                |op: &Op| copy_records(op, &shapes, to.shape(), ids).is_ok_and(|own| own == copies);
            candidates(&shapes, to.shape(), fill, copies.first()).take(MOST).find(makes)
        };
        let found = [merged, each].into_iter().find_map(|ids| find(&ids).map(|op| (op, ids)));
        let (op, ids) = found.ok_or("its copies are those of no operator")?;
        let inputs = ids.iter().map(|&id| self.read(id as usize)).collect::<Result<Vec<_>, _>>()?;
        let output = self.write(record.outputs[0] as usize);
        let note = self.note();
        self.push(note.name, op, inputs, vec![output])?;
        self.graph.nodes.last_mut().expect("just pushed").folded = note.folded;
        Ok(())
    }
}

/// The real that a padding of tensor `to` is filled with.
fn fill(how: &ArrangeRecord, to: &TensorInfo) -> f32 {
    match to.dtype {
        DType::I8 => (how.code - to.zero_point) as f32 * to.scale,
        _ => how.value,
    }
}

/// Every choice of one value per axis.
fn choices(per_axis: Vec<Vec<usize>>) -> impl Iterator<Item = Vec<usize>> {
    let count: usize = per_axis.iter().map(Vec::len).product();
    (0..count).map(move |mut at| {
        let pick = |values: &Vec<usize>| {
            let value = values[at % values.len()];
            at /= values.len();
            value
        };
        per_axis.iter().map(pick).collect()
    })
}

/// Operators from tensors of these shapes to one of shape `to`.
fn candidates(
    shapes: &[Vec<usize>],
    to: &[usize],
    fill: Option<f32>,
    copy: Option<&CopyRecord>,
) -> Box<dyn Iterator<Item = Op>> {
    let rank = to.len();
    let (Some(x), Some(copy)) = (shapes.first(), copy) else {
        return Box::new(std::iter::empty());
    };
    if shapes.iter().any(|shape| shape.len() != rank) {
        return Box::new(std::iter::empty());
    }
    if shapes.len() > 1 {
        return Box::new((0..rank).map(|axis| Op::Concat { axis }));
    }
    let (x, to) = (x.clone(), to.to_vec());
    let larger = (0..rank).all(|i| to[i] >= x[i]);
    let before: Vec<Vec<usize>> =
        (0..rank).map(|i| (0..=to[i].saturating_sub(x[i])).collect()).collect();
    let modes = match fill {
        Some(value) => vec![PadMode::Constant(value)],
        None => vec![PadMode::Reflect, PadMode::Symmetric],
    };
    let extents = (x.clone(), to.clone());
    let pads = choices(before).filter(move |_| larger).flat_map(move |before| {
        let after = (0..rank).map(|i| extents.1[i] - extents.0[i] - before[i]).collect::<Vec<_>>();
        let pad = move |mode| Op::Pad { before: before.clone(), after: after.clone(), mode };
        modes.clone().into_iter().map(pad)
    });
    if fill.is_some() {
        return Box::new(pads);
    }
    let whole = (0..rank).all(|i| to[i].is_multiple_of(x[i]));
    let tile = whole.then(|| Op::Tile { multiples: (0..rank).map(|i| to[i] / x[i]).collect() });
    let shapes = (x.clone(), to.clone());
    let fits = move |perm: &Vec<usize>| {
        (0..rank).all(|i| perm.contains(&i) && shapes.0[perm[i]] == shapes.1[i])
    };
    let perms = choices(vec![(0..rank).collect(); rank]).filter(fits);
    let transposes = perms.map(|perm| Op::Transpose { perm });
    let slices = slices(x, to, copy);
    Box::new(tile.into_iter().chain(slices).chain(transposes).chain(pads))
}

/// Slices of a tensor of shape `x` that begin where `copy` does and give `size`.
fn slices(x: Vec<usize>, size: Vec<usize>, copy: &CopyRecord) -> impl Iterator<Item = Op> + use<> {
    let rank = x.len();
    let mut rest = copy.input_offset as usize;
    let mut begin = vec![0; rank];
    for axis in (0..rank).rev() {
        begin[axis] = rest % x[axis];
        rest /= x[axis];
    }
    let steps: Vec<Vec<isize>> = (0..rank).map(|axis| steps(&x, &size, copy, axis)).collect();
    choices(steps.iter().map(|steps| (0..steps.len()).collect()).collect()).filter_map(
        move |chosen| {
            let strides: Vec<isize> = (0..rank).map(|i| steps[i][chosen[i]]).collect();
            let last = |i: usize| begin[i] as isize + (size[i] as isize - 1) * strides[i];
            let inside = (0..rank).all(|i| last(i) >= 0 && last(i) < x[i] as isize);
            inside.then(|| Op::Slice { begin: begin.clone(), size: size.clone(), strides })
        },
    )
}

/// The steps along an axis that the strides of `copy` allow: such a stride belongs to this
/// axis, or to a later one that it was merged with.
fn steps(x: &[usize], size: &[usize], copy: &CopyRecord, axis: usize) -> Vec<isize> {
    let mut steps = vec![1];
    if size[axis] == 1 {
        return steps;
    }
    let apart = x[axis + 1..].iter().product::<usize>() as isize;
    let mut merged = 1;
    for inner in size[axis + 1..].iter().chain([&1]) {
        for &stride in copy.input_strides.iter().filter(|&&stride| stride != 0) {
            let whole = (stride as isize).saturating_mul(merged);
            if whole % apart == 0 && !steps.contains(&(whole / apart)) {
                steps.push(whole / apart);
            }
        }
        merged = merged.saturating_mul(*inner as isize);
    }
    steps
}
