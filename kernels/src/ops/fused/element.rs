//! What the fused operators ask of an element type beyond [`Element`].

use crate::element::Element;
use crate::epilogue::{Activate, Requantize};
use crate::ops::ElementOps;

/// Sums compared and regrouped: exact in int8, where every sum is an integer.
pub trait FusedElement: ElementOps {
    /// Holds the sum of a few weights: `i16`, or `f32`.
    type Wide: bytemuck::Pod;
    /// Whether weights may be added up before they are multiplied.
    const EXACT: bool;
    /// Weights of magnitude up to 128 that a [`FusedElement::Wide`] can hold the sum of.
    const WIDE_TAPS: usize;

    /// Whether `a < b` implies `epilogue(a) <= epilogue(b)` for all sums of `depth` products,
    /// so that a maximum may be taken before the epilogue.
    fn monotone(epilogue: &Self::Epilogue<'_>, depth: usize) -> bool;
    /// The larger sum.
    fn larger_sum(a: Self::Acc, b: Self::Acc) -> Self::Acc;
    /// `sum + weight`.
    fn add_weight(sum: Self::Wide, weight: Self) -> Self::Wide;
    /// `acc[o] += Σ_k x[k] · weights[o · x.len() + k]`.
    fn mac_wide(acc: &mut [Self::Acc], x: &[Self], weights: &[Self::Wide]);
    /// `acc[o] += (x − zero) · weights[o · stride]`.
    fn mac_from(acc: &mut [Self::Acc], x: Self, zero: Self, weights: &[Self], stride: usize);
}

impl FusedElement for i8 {
    type Wide = i16;
    const EXACT: bool = true;
    const WIDE_TAPS: usize = 1 << 8;

    fn monotone(epilogue: &Requantize<'_>, depth: usize) -> bool {
        let bias = epilogue.bias.iter().fold(0, |most, bias| bias.unsigned_abs().max(most));
        let bound = (depth as u64).saturating_mul(1 << 14).saturating_add(u64::from(bias));
        let left = epilogue.shifts.iter().fold(0, |most: i32, &shift| shift.max(most));
        // Below this nothing wraps, and floors, clamps and sums of monotone functions are monotone.
        epilogue.table.is_none() && bound << left.min(30) < 1 << 30
    }

    fn larger_sum(a: i32, b: i32) -> i32 {
        a.max(b)
    }

    fn add_weight(sum: i16, weight: i8) -> i16 {
        sum.wrapping_add(i16::from(weight))
    }

    fn mac_wide(acc: &mut [i32], x: &[i8], weights: &[i16]) {
        for (sum, row) in acc.iter_mut().zip(weights.chunks_exact(x.len().max(1))) {
            *sum = x
                .iter()
                .zip(row)
                .fold(*sum, |sum, (&x, &w)| sum.wrapping_add(i32::from(x) * i32::from(w)));
        }
    }

    fn mac_from(acc: &mut [i32], x: i8, zero: i8, weights: &[i8], stride: usize) {
        let x = i32::from(x) - i32::from(zero);
        for (sum, &w) in acc.iter_mut().zip(weights.iter().step_by(stride.max(1))) {
            *sum = sum.wrapping_add(x * i32::from(w));
        }
    }
}

impl FusedElement for f32 {
    type Wide = f32;
    const EXACT: bool = false;
    const WIDE_TAPS: usize = usize::MAX;

    fn monotone(_: &Activate<'_>, _: usize) -> bool {
        false
    }

    fn larger_sum(a: f32, b: f32) -> f32 {
        <f32 as Element>::larger(a, b)
    }

    fn add_weight(sum: f32, weight: f32) -> f32 {
        sum + weight
    }

    fn mac_wide(acc: &mut [f32], x: &[f32], weights: &[f32]) {
        for (sum, row) in acc.iter_mut().zip(weights.chunks_exact(x.len().max(1))) {
            *sum += x.iter().zip(row).fold(0.0, |dot, (&x, &w)| dot + x * w);
        }
    }

    fn mac_from(acc: &mut [f32], x: f32, zero: f32, weights: &[f32], stride: usize) {
        for (sum, &w) in acc.iter_mut().zip(weights.iter().step_by(stride.max(1))) {
            *sum += (x - zero) * w;
        }
    }
}
