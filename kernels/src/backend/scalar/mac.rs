//! Multiply-accumulate: one input row against several rows of weights.

/// `acc[o] += Σ x[k] · weights[o · stride + k]`, wrapping.
pub(super) fn i8(acc: &mut [i32], x: &[i8], weights: &[i8], stride: usize) {
    for (sum, row) in acc.iter_mut().zip(rows(weights, stride)) {
        let dot = x.iter().zip(row).fold(0i32, |dot, (&x, &w)| {
            // At most 2^17 products of 2^14 could reach 2^31; the sum wraps like the rest.
            dot.wrapping_add(i32::from(x) * i32::from(w))
        });
        *sum = sum.wrapping_add(dot);
    }
}

/// `acc[o] += Σ x[k] · weights[o · stride + k]`.
pub(super) fn f32(acc: &mut [f32], x: &[f32], weights: &[f32], stride: usize) {
    for (sum, row) in acc.iter_mut().zip(rows(weights, stride)) {
        *sum += x.iter().zip(row).fold(0.0, |dot, (&x, &w)| dot + x * w);
    }
}

/// The rows that begin at multiples of `stride`; the last may be shorter than `stride`.
fn rows<E>(weights: &[E], stride: usize) -> core::slice::Chunks<'_, E> {
    weights.chunks(stride.max(1))
}
