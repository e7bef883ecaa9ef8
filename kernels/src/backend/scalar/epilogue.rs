//! From accumulators to elements.

use crate::epilogue::{Activate, Requantize, clamp};

/// `out[i] = how(acc[i], channel first + i)`.
pub(super) fn requantize(out: &mut [i8], acc: &[i32], first: usize, how: &Requantize<'_>) {
    for (i, (out, &acc)) in out.iter_mut().zip(acc).enumerate() {
        *out = how.apply(acc, first + i);
    }
}

/// `out[i] = how(acc[i], channel first + i)`.
pub(super) fn activate(out: &mut [f32], acc: &[f32], first: usize, how: &Activate<'_>) {
    for (i, (out, &acc)) in out.iter_mut().zip(acc).enumerate() {
        *out = how.apply(acc, first + i);
    }
}

/// `sum / count` to nearest, ties away from zero, clamped.
pub(super) fn average_i8(out: &mut [i8], sum: &[i32], count: usize, (min, max): (i8, i8)) {
    let count = (count as i32).max(1);
    for (out, &sum) in out.iter_mut().zip(sum) {
        let half = if sum >= 0 { count / 2 } else { -(count / 2) };
        let mean = sum.wrapping_add(half) / count;
        // A clamp by hand: `Ord::clamp` has a panic path for min > max.
        *out = mean.min(i32::from(max)).max(i32::from(min)) as i8;
    }
}

/// `sum / count`, clamped.
pub(super) fn average_f32(out: &mut [f32], sum: &[f32], count: usize, (min, max): (f32, f32)) {
    let count = count as f32;
    for (out, &sum) in out.iter_mut().zip(sum) {
        *out = clamp(sum / count, min, max);
    }
}
