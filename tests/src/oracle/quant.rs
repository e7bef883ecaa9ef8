//! TFLite's double rounding, from its definition.

/// A real multiplier as `mantissa · 2^(shift − 31)`.
#[derive(Clone, Copy, Debug)]
pub struct Multiplier {
    /// 31-bit mantissa.
    pub mantissa: i32,
    /// Power of two.
    pub shift: i32,
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
}

impl Codes {
    /// The code of a sum; sums wrap in 32 bits.
    pub fn code(&self, sum: i64, channel: usize) -> i8 {
        let code = scale(sum as i32, self.multipliers[channel]).wrapping_add(self.output_zero);
        code.max(i32::from(self.min)).min(i32::from(self.max)) as i8
    }
}
