//! Mean and maximum over axes.

use super::quant::{Affine, Multiplier, saturate, scale};
use super::{indices, place};

/// The elements that meet in each output, kept axes in order.
fn groups<T: Copy>(x: &[T], shape: &[usize], axes: &[usize]) -> Vec<Vec<T>> {
    let kept: Vec<usize> = (0..shape.len()).filter(|axis| !axes.contains(axis)).collect();
    let output: Vec<usize> = kept.iter().map(|&axis| shape[axis]).collect();
    let mut groups = vec![Vec::new(); output.iter().product()];
    for index in indices(shape) {
        let own: Vec<usize> = kept.iter().map(|&axis| index[axis]).collect();
        groups[place(&output, &own)].push(x[place(shape, &index)]);
    }
    groups
}

/// Maxima.
pub fn max<T: Copy + PartialOrd>(x: &[T], shape: &[usize], axes: &[usize]) -> Vec<T> {
    let largest = |group: &Vec<T>| group.iter().fold(group[0], |m, &v| if v > m { v } else { m });
    groups(x, shape, axes).iter().map(largest).collect()
}

/// Means of floats, in `f64`.
pub fn mean(x: &[f32], shape: &[usize], axes: &[usize]) -> Vec<f64> {
    let of = |g: &Vec<f32>| g.iter().map(|&v| f64::from(v)).sum::<f64>() / g.len() as f64;
    groups(x, shape, axes).iter().map(of).collect()
}

/// Means of codes as TFLite's MEAN has them: the count divides the multiplier, as far
/// as its bits reach.
pub fn mean_codes(x: &[i8], shape: &[usize], axes: &[usize], from: Affine, to: Affine) -> Vec<i8> {
    let of = |group: &Vec<i8>| {
        let count = group.len() as i64;
        let by = Multiplier::of(f64::from(from.scale) / f64::from(to.scale));
        let bits = (63 - count.leading_zeros() as i32).min(32).min(31 + by.shift);
        let mantissa = ((i64::from(by.mantissa) << bits) / count) as i32;
        let sum: i64 = group.iter().map(|&code| i64::from(from.centred(code))).sum();
        let moved = scale(sum as i32, Multiplier { mantissa, shift: by.shift - bits });
        saturate(i64::from(moved) + i64::from(to.zero))
    };
    groups(x, shape, axes).iter().map(of).collect()
}
