//! Reductions over windows.

use crate::element::Element;

/// `out[c] = max(out[c], x[c])`.
pub(super) fn max<E: Element>(out: &mut [E], x: &[E]) {
    for (out, &x) in out.iter_mut().zip(x) {
        *out = E::larger(*out, x);
    }
}

/// `acc[c] += x[c]`.
pub(super) fn sum_i8(acc: &mut [i32], x: &[i8]) {
    for (sum, &x) in acc.iter_mut().zip(x) {
        *sum = sum.wrapping_add(i32::from(x));
    }
}

/// `acc[c] += x[c]`.
pub(super) fn sum_f32(acc: &mut [f32], x: &[f32]) {
    for (sum, &x) in acc.iter_mut().zip(x) {
        *sum += x;
    }
}
