//! Two operands, broadcast as NumPy does it.

use super::quant::{Affine, Clamp, Multiplier, scale};
use super::{indices, place};

/// An operation of two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `a + b`.
    Add,
    /// `a − b`.
    Sub,
    /// `a · b`.
    Mul,
    /// `a`, or `a · b` below zero.
    Prelu,
}

/// `f` over the elements of both operands that meet in each element of the output.
pub fn broadcast<T: Copy, U>(
    output: &[usize],
    (a, shape_a): (&[T], &[usize]),
    (b, shape_b): (&[T], &[usize]),
    f: impl Fn(T, T) -> U,
) -> Vec<U> {
    let of = |index: &[usize], shape: &[usize]| {
        let own = &index[index.len() - shape.len()..];
        let own: Vec<usize> =
            own.iter().zip(shape).map(|(&i, &extent)| if extent == 1 { 0 } else { i }).collect();
        place(shape, &own)
    };
    indices(output).iter().map(|i| f(a[of(i, shape_a)], b[of(i, shape_b)])).collect()
}

impl Operation {
    /// On floats, rounded once: a sum or product of two `f32` rounds the same from `f64`.
    pub fn real(self, a: f32, b: f32, clamp: Clamp) -> f32 {
        let (a, b) = (f64::from(a), f64::from(b));
        let value = match self {
            Self::Add => a + b,
            Self::Sub => a - b,
            Self::Mul => a * b,
            Self::Prelu => a * if a < 0.0 { b } else { 1.0 },
        };
        clamp.real(f64::from(value as f32)) as f32
    }

    /// On codes, as TFLite's reference kernels: sums with 20 extra bits brought to twice
    /// the larger scale, products of scales formed in `f32`.
    pub fn code(self, [a, b]: [i8; 2], [of_a, of_b]: [Affine; 2], to: Affine, clamp: Clamp) -> i8 {
        let (x, y) = (of_a.centred(a), of_b.centred(b));
        let single = |real: f32| Multiplier::of(f64::from(real));
        let moved = match self {
            Self::Add | Self::Sub => {
                let twice = 2.0 * f64::from(of_a.scale.max(of_b.scale));
                let raised = |x: i32, of: Affine| {
                    scale(x << 20, Multiplier::of(f64::from(of.scale) / twice))
                };
                let (x, y) = (raised(x, of_a), raised(y, of_b));
                let sum = if self == Self::Add { x + y } else { x - y };
                let unit = f64::from(1 << 20) * f64::from(to.scale);
                scale(sum, Multiplier::of(twice / unit))
            }
            Self::Prelu if x >= 0 => scale(x, single(of_a.scale / to.scale)),
            Self::Mul | Self::Prelu => scale(x * y, single(of_a.scale * of_b.scale / to.scale)),
        };
        clamp.code(i64::from(moved.wrapping_add(to.zero)), to)
    }
}
