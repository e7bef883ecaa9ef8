//! Real multipliers as 31-bit mantissa and power of two.

/// `mantissa · 2^(shift − 31)`, the mantissa 0 or in `2^30..2^31`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Multiplier {
    /// 31-bit fraction.
    pub mantissa: i32,
    /// Power of two; positive shifts left.
    pub shift: i32,
}

impl Multiplier {
    /// The nearest multiplier of a real in `0..2^30` (TFLite's `QuantizeMultiplier`):
    /// the mantissa is rounded half away from zero, below `2^−32` the result is zero.
    pub fn from_real(real: f64) -> Self {
        if real.is_nan() || real <= 0.0 {
            return Self { mantissa: 0, shift: 0 };
        }
        if real >= f64::from(1 << 30) {
            return Self { mantissa: i32::MAX, shift: 30 };
        }
        let (fraction, mut shift) = libm::frexp(real);
        let mut mantissa = libm::round(fraction * 2_147_483_648.0) as i64;
        if mantissa == 1 << 31 {
            mantissa /= 2;
            shift += 1;
        }
        if shift < -31 {
            return Self { mantissa: 0, shift: 0 };
        }
        // Just below 2^30 may round up to it.
        if shift > 30 {
            return Self { mantissa: i32::MAX, shift: 30 };
        }
        Self { mantissa: mantissa as i32, shift }
    }

    /// The real that it stands for.
    pub fn to_real(self) -> f64 {
        libm::ldexp(f64::from(self.mantissa), self.shift - 31)
    }

    /// Whether kernels accept it: mantissa not negative, shift in −31…30.
    pub const fn is_valid(self) -> bool {
        self.mantissa >= 0 && self.shift >= -31 && self.shift <= 30
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mantissas_are_normalised() {
        assert_eq!(Multiplier::from_real(1.0), Multiplier { mantissa: 1 << 30, shift: 1 });
        assert_eq!(Multiplier::from_real(0.5), Multiplier { mantissa: 1 << 30, shift: 0 });
        let almost = Multiplier::from_real(1.0 - 1e-13);
        assert_eq!(almost, Multiplier { mantissa: 1 << 30, shift: 1 });
        assert_eq!(Multiplier::from_real(0.0).mantissa, 0);
        assert_eq!(Multiplier::from_real(f64::NAN).mantissa, 0);
        assert_eq!(Multiplier::from_real(1e-12), Multiplier { mantissa: 0, shift: 0 });
        assert!(Multiplier::from_real(f64::INFINITY).is_valid());
        for real in [1e-6, 0.003, 0.7, 1.9, 1000.0] {
            let back = Multiplier::from_real(real).to_real();
            assert!((back / real - 1.0).abs() < 1e-9);
        }
    }
}
