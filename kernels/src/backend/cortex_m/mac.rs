//! Multiply-accumulate: one input row against several rows of weights.

use super::insn;

/// `acc[o] += Σ x[k] · weights[o · stride + k]`, wrapping.
pub(super) fn i8(acc: &mut [i32], x: &[i8], weights: &[i8], stride: usize) {
    let whole = x.len() / 4 * 4;
    for (sum, row) in acc.iter_mut().zip(weights.chunks(stride.max(1))) {
        let row = row.get(..x.len()).unwrap_or(row);
        // Rows shorter than `x` (strides below its length) take the slow loop.
        let done = if row.len() == x.len() { whole } else { 0 };
        let dot = if done == 0 { *sum } else { insn::dot(*sum, x, row) };
        *sum = x[done..]
            .iter()
            .zip(row.get(done..).unwrap_or(&[]))
            .fold(dot, |dot, (&x, &w)| dot.wrapping_add(i32::from(x) * i32::from(w)));
    }
}
