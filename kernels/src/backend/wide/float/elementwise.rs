//! Two operands with broadcasting.

use super::vector::{Bounds, LANES, V, load, store};
use crate::ops::Binary;
use crate::ops::arrange::AXES;
use crate::ops::elementwise::{self, Broadcast, Kind8};

/// See [`Binary`].
#[inline(never)]
pub(super) fn binary(op: &Binary<f32>, a: &[f32], b: &[f32], y: &mut [f32]) {
    let broadcast = merged(&op.broadcast);
    let inner = AXES - 1;
    let steps = (broadcast.a[inner], broadcast.b[inner]);
    if !matches!(steps, (0 | 1, 0 | 1)) {
        return elementwise::binary(op, a, b, y);
    }
    let bounds = Bounds::new(op.how.min, op.how.max);
    match op.how.kind {
        Kind8::Add => rows(&broadcast, a, b, y, |a, b| bounds.clamp(a + b)),
        Kind8::Sub => rows(&broadcast, a, b, y, |a, b| bounds.clamp(a - b)),
        Kind8::Mul => rows(&broadcast, a, b, y, |a, b| bounds.clamp(a * b)),
        Kind8::Prelu => {
            rows(&broadcast, a, b, y, |a, b| bounds.clamp(a.simd_ge(V::ZERO).select(a, a * b)))
        }
    }
}

/// Neighbouring axes that both operands cross in one stride become one.
fn merged(broadcast: &Broadcast) -> Broadcast {
    let mut merged = Broadcast { dims: [1; AXES], a: [0; AXES], b: [0; AXES] };
    let mut at = AXES - 1;
    for axis in (0..AXES).rev() {
        let (dim, a, b) = (broadcast.dims[axis], broadcast.a[axis], broadcast.b[axis]);
        let run = merged.dims[at];
        if dim == 1 {
            continue;
        }
        if run == 1 {
            (merged.dims[at], merged.a[at], merged.b[at]) = (dim, a, b);
        } else if a == run * merged.a[at] && b == run * merged.b[at] {
            merged.dims[at] = run * dim;
        } else if at > 0 {
            at -= 1;
            (merged.dims[at], merged.a[at], merged.b[at]) = (dim, a, b);
        }
    }
    merged
}

/// Combines row by row; an operand whose inner stride is zero is one value for the row.
#[inline(always)]
fn rows(broadcast: &Broadcast, a: &[f32], b: &[f32], y: &mut [f32], f: impl Fn(V, V) -> V) {
    let Broadcast { dims, a: stride_a, b: stride_b } = broadcast;
    let inner = AXES - 1;
    let mut index = [0usize; AXES];
    let (mut at_a, mut at_b) = (0, 0);
    for row in y.chunks_exact_mut(dims[inner]) {
        let operand = |x: &[f32], at: usize, i: usize, size: usize, step: usize| {
            if step == 0 {
                V::splat(x.get(at).copied().unwrap_or(0.0))
            } else {
                load(x.get(at + i..at + i + size).unwrap_or(&[]))
            }
        };
        let len = row.len();
        let whole = (stride_a[inner], stride_b[inner]) == (1, 1);
        if whole && let (Some(a), Some(b)) = (a.get(at_a..at_a + len), b.get(at_b..at_b + len)) {
            let (out, out_rest) = row.as_chunks_mut::<LANES>();
            let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
            for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
                *out = f(V::new(a), V::new(b)).to_array();
            }
            store(f(load(a_rest), load(b_rest)), out_rest);
        } else {
            for (block, out) in row.chunks_mut(LANES).enumerate() {
                let (i, size) = (block * LANES, out.len());
                let a = operand(a, at_a, i, size, stride_a[inner]);
                let b = operand(b, at_b, i, size, stride_b[inner]);
                store(f(a, b), out);
            }
        }
        for axis in (0..inner).rev() {
            index[axis] += 1;
            at_a += stride_a[axis];
            at_b += stride_b[axis];
            if index[axis] < dims[axis] {
                break;
            }
            index[axis] = 0;
            at_a -= stride_a[axis] * dims[axis];
            at_b -= stride_b[axis] * dims[axis];
        }
    }
}
