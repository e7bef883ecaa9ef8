//! Dense layers: one row at a time against eight rows of weights, many rows as a convolution.

use super::dot::add_up;
use super::geometry::{Form, Geometry};
use super::vector::{Bounds, LANES, V, load, store};
use crate::ops::{Dense, DenseGeometry};
use crate::shape::Shape;
use crate::window::{Axis, Window};

/// Rows from which packing the weights pays.
const MANY: usize = 4;

/// The layer as a pointwise convolution over a row of cells.
fn geometry(g: &DenseGeometry) -> Geometry {
    let cells = |c| Shape { n: 1, h: 1, w: g.batch, c };
    let axis =
        |cells| Axis { input: cells, output: cells, kernel: 1, stride: 1, dilation: 1, pad: 0 };
    let window = Window { rows: axis(1), columns: axis(g.batch) };
    let (input, output) = (cells(g.inputs), cells(g.units));
    Geometry { input, output, window, groups: 1, form: Form::Forward }
}

/// Bytes of scratch.
pub(super) fn scratch(g: &DenseGeometry) -> usize {
    if g.batch < MANY { 0 } else { geometry(g).scratch().unwrap_or(0) }
}

/// See [`Dense`].
#[inline(never)]
pub(super) fn run(op: &Dense<'_, f32>, x: &[f32], y: &mut [f32], scratch: &mut [u8]) {
    let g = &op.geometry;
    let packed = g.batch >= MANY && geometry(g).run(op.weights, &op.epilogue, x, y, scratch);
    if !packed {
        let bounds = Bounds::new(op.epilogue.min, op.epilogue.max);
        for (x, y) in x.chunks_exact(g.inputs).zip(y.chunks_exact_mut(g.units)) {
            let weights = op.weights.chunks(LANES * g.inputs);
            let biases = op.epilogue.bias.chunks(LANES);
            for ((out, weights), bias) in y.chunks_mut(LANES).zip(weights).zip(biases) {
                let sums = rows(x, weights) + load(bias);
                store(bounds.clamp(sums), out);
            }
        }
    }
    super::activation::apply(op.epilogue.activation, y);
}

/// `x` against up to eight rows of weights.
#[inline(always)]
fn rows(x: &[f32], weights: &[f32]) -> V {
    let mut each = weights.chunks_exact(x.len());
    let rows: [&[f32]; LANES] = core::array::from_fn(|_| each.next().unwrap_or(x));
    let blocks = rows.map(|row| row.as_chunks::<LANES>().0);
    let (xs, tail) = x.as_chunks::<LANES>();
    let mut acc = [V::ZERO; LANES];
    if blocks.iter().all(|row| row.len() == xs.len()) {
        for (k, x) in xs.iter().enumerate() {
            let x = V::new(*x);
            for (sum, row) in acc.iter_mut().zip(&blocks) {
                *sum = x.mul_add(V::new(row[k]), *sum);
            }
        }
    }
    if !tail.is_empty() {
        let (at, x) = (x.len() - tail.len(), load(tail));
        for (sum, row) in acc.iter_mut().zip(&rows) {
            *sum = x.mul_add(load(row.get(at..).unwrap_or(&[])), *sum);
        }
    }
    add_up(acc)
}
