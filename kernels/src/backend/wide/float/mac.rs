//! Multiply-accumulate: one input row against several rows of weights.

use super::vector::{LANES, V, load};

/// `acc[o] += Σ x[k] · weights[o · stride + k]`.
pub(super) fn f32(acc: &mut [f32], x: &[f32], weights: &[f32], stride: usize) {
    for (sum, row) in acc.iter_mut().zip(weights.chunks(stride.max(1))) {
        let mut lanes = V::ZERO;
        for (x, w) in x.chunks(LANES).zip(row.chunks(LANES)) {
            // Beyond the end of either there are zeros.
            let (x, w) = (load(x), load(w.get(..x.len()).unwrap_or(w)));
            lanes = x.mul_add(w, lanes);
        }
        *sum += lanes.reduce_add();
    }
}
