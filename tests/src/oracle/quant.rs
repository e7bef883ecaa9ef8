//! TFLite's double rounding and its quantisations, from their definitions.

/// A real multiplier as `mantissa · 2^(shift − 31)`.
#[derive(Clone, Copy, Debug)]
pub struct Multiplier {
    /// 31-bit mantissa.
    pub mantissa: i32,
    /// Power of two.
    pub shift: i32,
}

impl Multiplier {
    /// TFLite's `QuantizeMultiplier`: the mantissa nearest to the fraction in ½…1, ties
    /// away from zero; nothing below `2^−32`, the largest mantissa from `2^30` on.
    pub fn of(real: f64) -> Self {
        if real == 0.0 {
            return Self { mantissa: 0, shift: 0 };
        }
        let (mut fraction, mut shift) = (real, 0);
        while fraction.abs() >= 1.0 {
            (fraction, shift) = (fraction / 2.0, shift + 1);
        }
        while fraction.abs() < 0.5 {
            (fraction, shift) = (fraction * 2.0, shift - 1);
        }
        let mut mantissa = (fraction * f64::from(1u32 << 31)).round() as i64;
        if mantissa == 1 << 31 {
            (mantissa, shift) = (1 << 30, shift + 1);
        }
        match shift {
            ..-31 => Self { mantissa: 0, shift: 0 },
            31.. => Self { mantissa: i32::MAX, shift: 30 },
            _ => Self { mantissa: mantissa as i32, shift },
        }
    }
}

/// Half away from zero.
fn divide_rounding_away(value: i128, divisor: i128) -> i128 {
    let magnitude = (value.abs() * 2 + divisor) / (divisor * 2);
    if value < 0 { -magnitude } else { magnitude }
}

/// `acc · multiplier` with both roundings: to nearest with ties upwards after the
/// doubling high multiply, ties away from zero after the right shift.
pub fn scale(acc: i32, by: Multiplier) -> i32 {
    let shifted = if by.shift > 0 { acc.wrapping_shl(by.shift as u32) } else { acc };
    let product = i128::from(shifted) * i128::from(by.mantissa);
    let high = (product + (1 << 30)).div_euclid(1 << 31);
    divide_rounding_away(high, 1 << (-by.shift).max(0)) as i32
}

/// A number as an int8 code.
pub fn saturate(code: i64) -> i8 {
    code.clamp(-128, 127) as i8
}

/// A clamp that ends an operator, in reals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clamp {
    /// None.
    Linear,
    /// From 0.
    Relu,
    /// From 0 to 6.
    Relu6,
    /// From −1 to 1.
    ReluN1To1,
}

impl Clamp {
    /// Lower and upper bound.
    pub fn bounds(self) -> (f64, f64) {
        match self {
            Self::Linear => (f64::NEG_INFINITY, f64::INFINITY),
            Self::Relu => (0.0, f64::INFINITY),
            Self::Relu6 => (0.0, 6.0),
            Self::ReluN1To1 => (-1.0, 1.0),
        }
    }

    /// A float, clamped.
    pub fn real(self, x: f64) -> f64 {
        let (low, high) = self.bounds();
        x.max(low).min(high)
    }

    /// A code before saturation, clamped as TFLite's `CalculateActivationRangeQuantized` has it.
    pub fn code(self, code: i64, of: Affine) -> i8 {
        let (low, high) = self.bounds();
        let bound = |real: f64, open: i64| {
            if real.is_infinite() {
                open
            } else {
                i64::from(of.zero) + (real as f32 / of.scale).round() as i64
            }
        };
        let (low, high) = (bound(low, -128).max(-128), bound(high, 127).min(127));
        code.max(low).min(high).clamp(-128, 127) as i8
    }
}

/// `real = scale · (code − zero)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Affine {
    /// Step of a code.
    pub scale: f32,
    /// Code of zero.
    pub zero: i32,
}

impl Affine {
    /// TFLite's QUANTIZE of a float.
    pub fn quantize(self, real: f32) -> i8 {
        saturate((real / self.scale).round() as i64 + i64::from(self.zero))
    }

    /// TFLite's DEQUANTIZE.
    pub fn dequantize(self, code: i8) -> f32 {
        (f64::from(self.scale) * f64::from(i32::from(code) - self.zero)) as f32
    }

    /// A code without its zero point.
    pub fn centred(self, code: i8) -> i32 {
        i32::from(code) - self.zero
    }
}

/// How int8 sums become codes.
#[derive(Clone, Debug)]
pub struct Codes {
    /// Of the input.
    pub input_zero: i32,
    /// One per output channel.
    pub multipliers: Vec<Multiplier>,
    /// Of the output.
    pub output_zero: i32,
    /// Lowest code.
    pub min: i8,
    /// Highest code.
    pub max: i8,
    /// A function of the clamped code, from −128 on.
    pub table: Option<[i8; 256]>,
}

impl Codes {
    /// The code of a sum; sums wrap in 32 bits.
    pub fn code(&self, sum: i64, channel: usize) -> i8 {
        let code = scale(sum as i32, self.multipliers[channel]).wrapping_add(self.output_zero);
        let code = code.max(i32::from(self.min)).min(i32::from(self.max));
        self.table.map_or(code as i8, |table| table[(code + 128) as usize])
    }
}
