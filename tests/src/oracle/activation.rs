//! Functions of one element, and softmax.

use super::quant::{Affine, Clamp, Multiplier, saturate, scale};

/// An activation that stands alone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Function {
    /// RELU, RELU6, RELU_N1_TO_1 or the identity.
    Clamp(Clamp),
    /// LEAKY_RELU with its slope.
    LeakyRelu(f32),
    /// ELU with its limit.
    Elu(f32),
    /// LOGISTIC.
    Sigmoid,
    /// TANH.
    Tanh,
    /// HARD_SWISH.
    HardSwish,
}

impl Function {
    /// The function of a float, in `f64`.
    pub fn real(self, x: f64) -> f64 {
        match self {
            Self::Clamp(clamp) => clamp.real(x),
            Self::LeakyRelu(alpha) => x * if x < 0.0 { f64::from(alpha) } else { 1.0 },
            Self::Elu(alpha) => {
                if x < 0.0 {
                    f64::from(alpha) * x.exp_m1()
                } else {
                    x
                }
            }
            Self::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            Self::Tanh => x.tanh(),
            Self::HardSwish => x * (x + 3.0).clamp(0.0, 6.0) / 6.0,
        }
    }

    /// The function of a code, as TFLite's reference kernel computes it.
    pub fn code(self, code: i8, from: Affine, to: Affine) -> i8 {
        match self {
            Self::Clamp(clamp) => clamped(code, clamp, from, to),
            Self::LeakyRelu(alpha) => leaky_relu(code, alpha, from, to),
            Self::HardSwish => hard_swish(code, from, to),
            Self::Sigmoid => table(code, from, to, |x| 1.0 / (1.0 + (-f64::from(x)).exp() as f32)),
            Self::Tanh => table(code, from, to, |x| f64::from(x).tanh() as f32),
            Self::Elu(alpha) => table(code, from, to, |x| {
                if x < 0.0 { alpha * f64::from(x).exp_m1() as f32 } else { x }
            }),
        }
    }
}

/// The activations whose int8 form is a table of a float function (`PopulateLookupTable`).
fn table(code: i8, from: Affine, to: Affine, f: impl Fn(f32) -> f32) -> i8 {
    let steps = (f(from.dequantize(code)) * (1.0 / to.scale)).round();
    saturate((steps + to.zero as f32) as i64)
}

/// RELU and its kin: TFLite divides the scales in `f32` here.
fn clamped(code: i8, clamp: Clamp, from: Affine, to: Affine) -> i8 {
    let by = Multiplier::of(f64::from(from.scale / to.scale));
    clamp.code(i64::from(scale(from.centred(code), by)) + i64::from(to.zero), to)
}

/// QUANTIZE from int8 to int8: TFLite divides the scales in `f64` here.
pub fn requantize(code: i8, from: Affine, to: Affine) -> i8 {
    let by = Multiplier::of(f64::from(from.scale) / f64::from(to.scale));
    saturate(i64::from(scale(from.centred(code), by)) + i64::from(to.zero))
}

fn leaky_relu(code: i8, alpha: f32, from: Affine, to: Affine) -> i8 {
    let centred = from.centred(code);
    let real = if centred >= 0 { from.scale / to.scale } else { from.scale * alpha / to.scale };
    saturate(i64::from(scale(centred, Multiplier::of(f64::from(real)))) + i64::from(to.zero))
}

/// A number that a 16-bit register holds.
fn saturate16(x: i64) -> i64 {
    x.clamp(-32768, 32767)
}

/// gemmlowp's `SaturatingRoundingDoublingHighMul` on 16 bits: nearest, ties upwards.
fn rounded_product(a: i64, b: i64) -> i64 {
    saturate16((a * b + (1 << 14)).div_euclid(1 << 15))
}

/// Nearest to `x / 2^by`, ties away from zero.
fn shifted(x: i64, by: i32) -> i64 {
    (x as f64 / 2f64.powi(by)).round() as i64
}

/// HARD_SWISH in 16-bit fixed point, as `reference/hard_swish.h` describes it: the input
/// with seven extra bits, a gate of `relu6(x + 3) / 6` with fifteen bits, and their product.
fn hard_swish(code: i8, from: Affine, to: Affine) -> i8 {
    let fine = from.scale * (1.0 / 128.0);
    let half = |real: f32| {
        let by = Multiplier::of(f64::from(real));
        // The mantissa on 16 bits, halves upwards, saturated.
        (saturate16((i64::from(by.mantissa) + (1 << 15)) >> 16), by.shift)
    };
    let (output_mantissa, output_shift) = half(fine / to.scale);
    let (gate_mantissa, gate_shift) = half(fine / (3.0 / 32768.0));
    let x = i64::from(from.centred(code)) * 128;
    let unshifted = rounded_product(x, output_mantissa);
    let gate = if gate_shift > 0 {
        let raised = saturate16(x << (gate_shift - 1).min(40));
        saturate16(2 * rounded_product(raised, gate_mantissa))
    } else {
        shifted(rounded_product(x, gate_mantissa), -gate_shift)
    };
    let gate = (gate + 32768).div_euclid(2);
    // Truncated, not rounded.
    let product = saturate16(gate * unshifted / (1 << 15));
    saturate(shifted(product, -output_shift) + i64::from(to.zero))
}

/// Softmax of a row of floats, in `f64`.
pub fn softmax(row: &[f32], beta: f32) -> Vec<f64> {
    let largest = row.iter().fold(f64::NEG_INFINITY, |best, &x| best.max(f64::from(x)));
    let exponential = |&x: &f32| ((f64::from(x) - largest) * f64::from(beta)).exp();
    let sum: f64 = row.iter().map(exponential).sum();
    row.iter().map(|x| exponential(x) / sum).collect()
}

/// TFLite's int8 SOFTMAX of a row: exponentials, their sum and the quotient in `f32`,
/// codes of scale 1/256 from −128.
pub fn softmax_codes(row: &[i8], input_scale: f32, beta: f32) -> Vec<i8> {
    let largest = row.iter().fold(-128, |best, &x| best.max(i32::from(x)));
    let exponential = |&x: &i8| {
        let below = (largest - i32::from(x)) as f32;
        f64::from(-input_scale * beta * below).exp() as f32
    };
    let mut sum = 0f32;
    for x in row {
        sum += exponential(x);
    }
    let inverse = 1.0 / (sum * (1.0 / 256.0));
    let code = |x: &i8| saturate((exponential(x) * inverse + 0.5).floor() as i64 - 128);
    row.iter().map(code).collect()
}
