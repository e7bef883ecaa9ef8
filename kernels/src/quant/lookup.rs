//! Functions of one int8 as 256-entry tables, indexed by `code + 128`.
//!
//! Each builder repeats the arithmetic of TFLite's reference kernel, so that
//! reading the table gives its bits. Transcendental functions are evaluated in
//! `f64` and rounded to `f32`, the value of a correctly rounded `f32` function.

use super::{Affine, Multiplier, multiply_by_quantized, rounding_divide_by_pot};

/// One output code per input code.
pub type Table = [i8; 256];

fn saturate(code: i32) -> i8 {
    code.clamp(i32::from(i8::MIN), i32::from(i8::MAX)) as i8
}

/// Tabulates `f` over all codes.
pub fn tabulate(mut f: impl FnMut(i8) -> i8) -> Table {
    core::array::from_fn(|index| f((index as i32 - 128) as i8))
}

/// A real function between two quantisations (TFLite's `PopulateLookupTable`:
/// everything in `f32`, product with the reciprocal of the output scale, ties away from zero).
pub fn real(input: Affine, output: Affine, f: impl Fn(f32) -> f32) -> Table {
    let inverse = 1.0 / output.scale;
    tabulate(|code| {
        let rescaled = libm::roundf(f(input.dequantize(code)) * inverse);
        saturate((rescaled + output.zero_point as f32) as i32)
    })
}

/// `1 / (1 + exp(−x))`.
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + libm::exp(f64::from(-x)) as f32)
}

/// Hyperbolic tangent.
pub fn tanh(x: f32) -> f32 {
    libm::tanh(f64::from(x)) as f32
}

/// `x`, or `alpha · (exp(x) − 1)` below zero.
pub fn elu(x: f32, alpha: f32) -> f32 {
    if x < 0.0 { alpha * libm::expm1(f64::from(x)) as f32 } else { x }
}

/// `x · relu6(x + 3) / 6`.
pub fn hard_swish(x: f32) -> f32 {
    x * (x + 3.0).clamp(0.0, 6.0) / 6.0
}

/// QUANTIZE from int8: requantise.
pub fn requantize(input: Affine, output: Affine) -> Table {
    rescaled(f64::from(input.scale) / f64::from(output.scale), input, output, i8::MIN, i8::MAX)
}

/// RELU and its kin: requantise and clamp to `min..=max` codes. TFLite divides
/// the scales in f32 here, in f64 for QUANTIZE.
pub fn relu(input: Affine, output: Affine, min: i8, max: i8) -> Table {
    rescaled(f64::from(input.scale / output.scale), input, output, min, max)
}

fn rescaled(ratio: f64, input: Affine, output: Affine, min: i8, max: i8) -> Table {
    let by = Multiplier::from_real(ratio);
    tabulate(|code| {
        let centred = i32::from(code) - input.zero_point;
        let moved = multiply_by_quantized(centred, by.mantissa, by.shift);
        let moved = moved.saturating_add(output.zero_point);
        moved.clamp(i32::from(min), i32::from(max)) as i8
    })
}

/// LEAKY_RELU: one multiplier on each side of zero.
pub fn leaky_relu(input: Affine, output: Affine, alpha: f32) -> Table {
    let above = Multiplier::from_real(f64::from(input.scale / output.scale));
    let slope = input.scale * alpha / output.scale;
    let below = Multiplier::from_real(f64::from(slope.abs()));
    tabulate(|code| {
        let centred = i32::from(code) - input.zero_point;
        let moved = if centred >= 0 {
            multiply_by_quantized(centred, above.mantissa, above.shift)
        } else {
            let mantissa = if slope < 0.0 { -below.mantissa } else { below.mantissa };
            multiply_by_quantized(centred, mantissa, below.shift)
        };
        saturate(moved.saturating_add(output.zero_point))
    })
}

/// HARD_SWISH in TFLite's 16-bit fixed point (`reference/hard_swish.h`):
/// inputs carry 7 extra bits, `relu6(x + 3) / 6` is a 15-bit fraction.
pub fn hard_swish_fixed(input: Affine, output: Affine) -> Table {
    let hires = input.scale * (1.0 / 128.0);
    let (output_mantissa, output_shift) = multiplier16(f64::from(hires / output.scale));
    let (relu_mantissa, relu_shift) = multiplier16(f64::from(hires / (3.0 / 32768.0)));
    tabulate(|code| {
        let value = saturate16((i32::from(code) - input.zero_point) * 128);
        let scaled = high_mul16(value, output_mantissa, 1 << 14);
        let mut gate = value;
        if relu_shift > 0 {
            gate = shift_left16(gate, relu_shift - 1);
        }
        gate = high_mul16(gate, relu_mantissa, 1 << 14);
        if relu_shift > 0 {
            gate = shift_left16(gate, 1);
        } else if relu_shift < 0 {
            gate = saturate16(rounding_divide_by_pot(
                i32::from(gate),
                relu_shift.unsigned_abs().min(31),
            ));
        }
        let gate = saturate16((i32::from(gate) + (1 << 15)) >> 1);
        let product = high_mul16(gate, scaled, 0);
        let moved = if output_shift <= 0 {
            rounding_divide_by_pot(i32::from(product), output_shift.unsigned_abs().min(31))
        } else {
            i32::from(product) << output_shift.min(15)
        };
        saturate(moved.saturating_add(output.zero_point))
    })
}

/// A multiplier with a 15-bit mantissa, rounded half up from 31 bits.
fn multiplier16(real: f64) -> (i16, i32) {
    let by = Multiplier::from_real(real);
    (saturate16(by.mantissa.saturating_add(1 << 15) >> 16), by.shift)
}

fn saturate16(x: i32) -> i16 {
    x.clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16
}

/// `(2·a·b) / 2^16` after adding `nudge` (towards the sign of the product), truncated.
fn high_mul16(a: i16, b: i16, nudge: i32) -> i16 {
    if a == i16::MIN && b == i16::MIN {
        return i16::MAX;
    }
    let product = i32::from(a) * i32::from(b);
    let nudge = match (nudge, product >= 0) {
        (0, _) => 0,
        (nudge, true) => nudge,
        (nudge, false) => 1 - nudge,
    };
    ((product + nudge) / (1 << 15)) as i16
}

fn shift_left16(x: i16, by: i32) -> i16 {
    saturate16(i32::from(x) << by.clamp(0, 15))
}

/// The exponentials of SOFTMAX: entry `k` is `exp(−scale · beta · k)` for a code
/// `k` below the largest of its row.
pub fn softmax_exponentials(scale: f32, beta: f32) -> [f32; 256] {
    let step = -scale * beta;
    core::array::from_fn(|k| libm::exp(f64::from(step * k as f32)) as f32)
}
