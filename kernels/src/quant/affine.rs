//! `real = scale · (q − zero_point)`.

use crate::error::ShapeError;

/// `x` rounded to the nearest integer, ties away from zero (C's `round`).
pub fn round_half_away(x: f32) -> f32 {
    libm::roundf(x)
}

/// Scale and zero point of a quantised tensor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Affine {
    /// Real difference between neighbouring codes; positive.
    pub scale: f32,
    /// The code of zero, −128…127.
    pub zero_point: i32,
}

impl Affine {
    /// A quantisation with this scale and zero point.
    ///
    /// # Errors
    /// [`ShapeError::Range`] for a scale that is not positive and finite or a zero point outside int8.
    pub fn new(scale: f32, zero_point: i32) -> Result<Self, ShapeError> {
        let in_range = zero_point >= i32::from(i8::MIN) && zero_point <= i32::from(i8::MAX);
        if scale.is_finite() && scale > 0.0 && in_range {
            Ok(Self { scale, zero_point })
        } else {
            Err(ShapeError::Range)
        }
    }

    /// The nearest code of a real, ties away from zero, saturating (TFLite's `AffineQuantize`). NaN becomes the lowest code.
    pub fn quantize(&self, real: f32) -> i8 {
        let code = round_half_away(real / self.scale) + self.zero_point as f32;
        if code >= 127.0 {
            i8::MAX
        } else if code >= -128.0 {
            code as i8
        } else {
            i8::MIN
        }
    }

    /// The real that a code stands for.
    pub fn dequantize(&self, code: i8) -> f32 {
        self.scale * (i32::from(code) - self.zero_point) as f32
    }
}
