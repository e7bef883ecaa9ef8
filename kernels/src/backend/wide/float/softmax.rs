//! Softmax over the last axis.

use super::activation::exp;
use super::vector::{LANES, V, larger, load, store};
use crate::ops::Softmax;

/// See [`Softmax`]. Exponents below −87.3 count as −87.3.
pub(super) fn run(op: &Softmax<'_, f32>, y: &mut [f32]) {
    let beta = V::splat(op.table);
    for row in y.chunks_exact_mut(op.classes) {
        let max = V::splat(largest(row));
        let mut sum = 0.0;
        let mut sums = V::ZERO;
        for y in row.chunks_mut(LANES) {
            let value = exp((load(y) - max) * beta);
            store(value, y);
            if y.len() == LANES {
                sums += value;
            } else {
                sum = y.iter().fold(sum, |sum, &y| sum + y);
            }
        }
        let sum = V::splat(sum + sums.reduce_add());
        for y in row.chunks_mut(LANES) {
            store(load(y) / sum, y);
        }
    }
}

fn largest(x: &[f32]) -> f32 {
    let (blocks, tail) = x.as_chunks::<LANES>();
    let lowest = V::splat(f32::NEG_INFINITY);
    let best = blocks.iter().fold(lowest, |best, x| larger(best, V::new(*x)));
    let best = best.to_array();
    best.iter().chain(tail).fold(f32::NEG_INFINITY, |best, &x| if x > best { x } else { best })
}
