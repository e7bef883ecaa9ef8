//! Multiply-accumulate channel by channel.

/// `acc[c · m + j] += x[c] · weights[c · m + j]`, wrapping.
pub(super) fn i8(acc: &mut [i32], x: &[i8], weights: &[i8]) {
    if acc.len() == x.len() {
        for ((sum, &x), &w) in acc.iter_mut().zip(x).zip(weights) {
            *sum = sum.wrapping_add(i32::from(x) * i32::from(w));
        }
        return;
    }
    let multiplier = (acc.len() / x.len().max(1)).max(1);
    let groups = acc.chunks_mut(multiplier).zip(weights.chunks(multiplier));
    for ((sums, weights), &x) in groups.zip(x) {
        for (sum, &w) in sums.iter_mut().zip(weights) {
            *sum = sum.wrapping_add(i32::from(x) * i32::from(w));
        }
    }
}

/// `acc[c · m + j] += x[c] · weights[c · m + j]`.
pub(super) fn f32(acc: &mut [f32], x: &[f32], weights: &[f32]) {
    let multiplier = (acc.len() / x.len().max(1)).max(1);
    let groups = acc.chunks_mut(multiplier).zip(weights.chunks(multiplier));
    for ((sums, weights), &x) in groups.zip(x) {
        for (sum, &w) in sums.iter_mut().zip(weights) {
            *sum += x * w;
        }
    }
}
