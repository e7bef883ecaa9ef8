//! Shapes and values for the conformance tests: odd ones first.

use proptest::prelude::*;

use crate::oracle::conv::Geometry;
use crate::oracle::quant::{Codes, Multiplier};
use crate::oracle::{Nhwc, same, valid};

/// A window, its maps and a seed for values.
#[derive(Clone, Debug)]
pub struct Case {
    /// Of the (forward) input.
    pub input: Nhwc,
    /// Of the (forward) output.
    pub output: Nhwc,
    /// The window.
    pub geometry: Geometry,
    /// Channel groups.
    pub groups: usize,
    /// Of the values.
    pub seed: u64,
}

/// Channel counts that break tiles: one, primes, a tile and its neighbours.
fn channels() -> impl Strategy<Value = usize> {
    prop_oneof![3 => 1usize..6, 2 => prop::sample::select(vec![7, 8, 11, 13, 16, 17, 31, 33, 37])]
}

/// Maps from 1×1 up, kernels larger than maps, strides larger than kernels, dilation,
/// same, valid and lopsided padding, batches and groups.
pub fn windows(dilated: bool, grouped: bool) -> impl Strategy<Value = Case> {
    let extents = (1usize..3, 1usize..10, 1usize..10, channels(), channels());
    let window = (1usize..6, 1usize..6, 1usize..5, 1usize..5, 1usize..4, 1usize..4);
    let padding = (0usize..3, 0usize..3, 0usize..3);
    (extents, window, padding, 1usize..4, any::<u64>()).prop_filter_map(
        "the window does not fit",
        move |((n, h, w, c, o), (kh, kw, sh, sw, dh, dw), (how, top, left), groups, seed)| {
            let (dh, dw) = if dilated { (dh, dw) } else { (1, 1) };
            let axis = |input, kernel, stride, dilation, before| match how {
                0 => Some(same(input, kernel, stride, dilation)),
                1 => valid(input, kernel, stride, dilation).map(|output| (output, 0)),
                // Lopsided: padding before only.
                _ => valid(input + before, kernel, stride, dilation).map(|output| (output, before)),
            };
            let (rows, top) = axis(h, kh, sh, dh, top)?;
            let (columns, left) = axis(w, kw, sw, dw, left)?;
            let groups = if grouped { groups } else { 1 };
            Some(Case {
                input: [n, h, w, c * groups],
                output: [n, rows, columns, o * groups],
                geometry: Geometry {
                    kernel: [kh, kw],
                    stride: [sh, sw],
                    dilation: [dh, dw],
                    pad: [top, left],
                },
                groups,
                seed,
            })
        },
    )
}

/// Values of a linear congruential generator: reproducible from the seed of a case.
#[derive(Clone, Debug)]
pub struct Values(u64);

impl Values {
    /// Starts from a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Codes: mostly any, sometimes only extremes and the zero point.
    pub fn codes(&mut self, count: usize, zero: i8) -> Vec<i8> {
        let extremes = self.below(5) == 0;
        let mut one = || {
            if extremes {
                [-128, 127, zero][self.below(3) as usize]
            } else {
                (self.below(256) as i32 - 128) as i8
            }
        };
        (0..count).map(|_| one()).collect()
    }

    /// Weights, −127…127.
    pub fn weights(&mut self, count: usize) -> Vec<i8> {
        (0..count).map(|_| (self.below(255) as i32 - 127) as i8).collect()
    }

    /// Floats of magnitude up to one, all multiples of 2^−6, so that sums are exact.
    pub fn floats(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| (self.below(129) as f32 - 64.0) / 64.0).collect()
    }

    /// A zero point, the extremes often.
    pub fn zero_point(&mut self) -> i8 {
        match self.below(6) {
            0 => -128,
            1 => 127,
            2 => 0,
            _ => (self.below(256) as i32 - 128) as i8,
        }
    }

    /// Multipliers (ordinary, tiny, above one, powers of two that make ties), zero points and a clamp.
    pub fn codes_of(&mut self, channels: usize, input_zero: i8) -> Codes {
        let kind = self.below(4);
        let multipliers = (0..channels).map(|_| {
            let mantissa = if kind == 0 { 1 << 30 } else { (1 << 30) + self.below(1 << 30) as i32 };
            let shift = match kind {
                1 => -(self.below(32) as i32),
                2 => self.below(4) as i32,
                _ => -(self.below(10) as i32) - 2,
            };
            Multiplier { mantissa, shift }
        });
        let multipliers = multipliers.collect();
        let output_zero = self.zero_point();
        let (min, max) = if self.below(2) == 0 { (-128, 127) } else { (output_zero, 127) };
        Codes {
            input_zero: i32::from(input_zero),
            multipliers,
            output_zero: i32::from(output_zero),
            min,
            max,
        }
    }
}
