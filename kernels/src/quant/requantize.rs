//! The one rounding rule of the crate: TFLite's double rounding.
//!
//! `MultiplyByQuantizedMultiplier` of `tensorflow/lite/kernels/internal/common.h`:
//! a doubling high multiply rounded to nearest with ties upwards, then a right
//! shift rounded to nearest with ties away from zero.

use super::Multiplier;

/// `x / 2^exponent` to the nearest, ties away from zero; `exponent` in 0…31.
#[inline(always)]
pub const fn rounding_divide_by_pot(x: i32, exponent: u32) -> i32 {
    let mask = (1u32.wrapping_shl(exponent)).wrapping_sub(1) as i32;
    let remainder = x & mask;
    let threshold = (mask >> 1) + (x < 0) as i32;
    (x >> (exponent & 31)) + (remainder > threshold) as i32
}

/// `x · mantissa · 2^(shift − 31)`, doubly rounded; a left shift wraps.
#[inline(always)]
pub const fn multiply_by_quantized(x: i32, mantissa: i32, shift: i32) -> i32 {
    let (left, right) = if shift > 0 { (shift as u32, 0) } else { (0, shift.unsigned_abs()) };
    let product = x.wrapping_shl(left) as i64 * mantissa as i64;
    // Only `i32::MIN²` would need saturation, and mantissas are not negative.
    let high = ((product + (1 << 30)) >> 31) as i32;
    rounding_divide_by_pot(high, right & 31)
}

/// An accumulator as int8: multiplied, moved to the zero point, clamped.
#[inline(always)]
pub const fn requantize(acc: i32, by: Multiplier, zero_point: i32, min: i8, max: i8) -> i8 {
    let code = multiply_by_quantized(acc, by.mantissa, by.shift).wrapping_add(zero_point);
    if code < min as i32 {
        min
    } else if code > max as i32 {
        max
    } else {
        code as i8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition in wide integers, with explicit cases for ties.
    fn definition(x: i32, mantissa: i32, shift: i32) -> i32 {
        let x = if shift > 0 { x.wrapping_shl(shift as u32) } else { x };
        let product = i128::from(x) * i128::from(mantissa);
        let high = (2 * product + (1 << 31)).div_euclid(1 << 32) as i32;
        let n = (-shift).max(0) as u32;
        let (magnitude, unit) = (i128::from(high).abs(), 1i128 << n);
        let rounded = (2 * magnitude + unit) / (2 * unit);
        (if high < 0 { -rounded } else { rounded }) as i32
    }

    #[test]
    fn agrees_with_the_definition_on_ties_and_extremes() {
        let xs =
            [i32::MIN, i32::MIN + 1, -12_345, -6, -5, -3, -2, -1, 0, 1, 2, 3, 5, 6, 999, i32::MAX];
        for x in xs {
            for mantissa in [0, 1, 1 << 30, (1 << 30) + 1, 0x5555_5555, i32::MAX] {
                for shift in -31..=30 {
                    assert_eq!(
                        multiply_by_quantized(x, mantissa, shift),
                        definition(x, mantissa, shift),
                        "{x} {mantissa} {shift}"
                    );
                }
            }
        }
        assert_eq!(rounding_divide_by_pot(-5, 1), -3);
        assert_eq!(rounding_divide_by_pot(5, 1), 3);
    }
}
