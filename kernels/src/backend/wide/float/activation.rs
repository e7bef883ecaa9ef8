//! Activations, vectorised: within the tolerances of the conformance suite.

use wide::{f32x8, i32x8};

use super::vector::{Bounds, LANES, V, load, store};
use crate::epilogue::Activation;
use crate::ops::elementwise::FloatUnary;

/// `activation(clamp(y))` in place.
pub(super) fn unary(op: &FloatUnary, y: &mut [f32]) {
    let bounds = Bounds::new(op.min, op.max);
    match op.activation {
        Activation::Linear => map(y, |x| bounds.clamp(x)),
        Activation::Sigmoid => map(y, |x| sigmoid(bounds.clamp(x))),
        Activation::Tanh => map(y, |x| tanh(bounds.clamp(x))),
        Activation::LeakyRelu(alpha) => map(y, |x| leaky(bounds.clamp(x), alpha)),
        Activation::Elu(alpha) => map(y, |x| elu(bounds.clamp(x), alpha)),
        other => {
            for y in y {
                *y = other.apply(crate::epilogue::clamp(*y, op.min, op.max));
            }
        }
    }
}

/// Applies `activation` in place.
pub(super) fn apply(activation: Activation, y: &mut [f32]) {
    if activation != Activation::Linear {
        unary(&FloatUnary { min: f32::NEG_INFINITY, max: f32::INFINITY, activation }, y);
    }
}

#[inline(always)]
fn map(y: &mut [f32], f: impl Fn(V) -> V) {
    for y in y.chunks_mut(LANES) {
        store(f(load(y)), y);
    }
}

/// `exp(x)` of −87.3 to 88.3; beyond, that of the nearest bound. `x = n·ln 2 + r` with
/// `|r| ≤ ln 2 / 2`, the power of two by the exponent's bits, `exp(r)` by a polynomial
/// (the coefficients of Cephes' `expf`).
#[inline(always)]
pub(super) fn exp(x: V) -> V {
    let x = Bounds::new(-87.3, 88.3).clamp(x);
    let n = (x * V::splat(core::f32::consts::LOG2_E)).round_ties_even();
    let r = n.mul_add(V::splat(-0.693_359_4), x);
    let r = n.mul_add(V::splat(2.121_944_4e-4), r);
    let mut p = V::splat(1.987_569_1e-4);
    for c in [1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        p = p.mul_add(r, V::splat(c));
    }
    let p = p.mul_add(r * r, r + V::ONE);
    let exponent: i32x8 = (n.fast_trunc_int() + i32x8::splat(127)) << 23;
    let power: f32x8 = bytemuck::cast(exponent);
    p * power
}

#[inline(always)]
fn sigmoid(x: V) -> V {
    V::ONE / (V::ONE + exp(-x))
}

/// A polynomial in `x²` near zero (Cephes' `tanhf`), else from `exp`.
#[inline(always)]
fn tanh(x: V) -> V {
    let z = x * x;
    let mut p = V::splat(-5.704_989e-3);
    for c in [2.063_909e-2, -5.373_971_6e-2, 1.333_144_2e-1, -3.333_328e-1] {
        p = p.mul_add(z, V::splat(c));
    }
    let near = (p * z).mul_add(x, x);
    let size = x.abs();
    let far = V::ONE - V::splat(2.0) / (exp(size + size) + V::ONE);
    let far = x.simd_lt(V::ZERO).select(-far, far);
    size.simd_lt(V::splat(0.625)).select(near, far)
}

#[inline(always)]
fn leaky(x: V, alpha: f32) -> V {
    x.simd_lt(V::ZERO).select(x * V::splat(alpha), x)
}

/// `exp(x) − 1` below zero: its Taylor series down to −½, then the difference.
#[inline(always)]
fn elu(x: V, alpha: f32) -> V {
    let mut p = V::splat(1.0 / 40_320.0);
    for c in [1.0 / 5040.0, 1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5] {
        p = p.mul_add(x, V::splat(c));
    }
    let near = (p * x).mul_add(x, x);
    let below = x.simd_lt(V::splat(-0.5)).select(exp(x) - V::ONE, near);
    x.simd_lt(V::ZERO).select(below * V::splat(alpha), x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn saturates_and_keeps_nan() {
        let mut y = [f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 0.0, 1e30, -1e30];
        apply(Activation::Sigmoid, &mut y);
        assert!(y[0] == 1.0 && (0.0..1e-37).contains(&y[1]) && y[2].is_nan());
        assert!(y[3] == 0.5 && y[4] == 1.0 && (0.0..1e-37).contains(&y[5]));
        let mut y = [f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 0.0, -0.0];
        apply(Activation::Tanh, &mut y);
        assert!(y[0] == 1.0 && y[1] == -1.0 && y[2].is_nan() && y[3] == 0.0 && y[4] == 0.0);
        let mut y = [f32::INFINITY, f32::NEG_INFINITY, f32::NAN, -1e-30, 2.0];
        apply(Activation::Elu(2.0), &mut y);
        assert!(y[0] == f32::INFINITY && y[1] == -2.0 && y[2].is_nan());
        assert!(y[3] == -2e-30 && y[4] == 2.0);
    }
}
