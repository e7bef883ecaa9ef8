//! Between floats and codes (TFLite's `QUANTIZE` and `DEQUANTIZE`).

use crate::error::ShapeError;
use crate::quant::Affine;

/// `y = saturate(round(x / scale) + zero point)`, ties away from zero.
///
/// # Errors
/// [`ShapeError::Length`] when the lengths differ.
pub fn quantize(how: Affine, x: &[f32], y: &mut [i8]) -> Result<(), ShapeError> {
    if x.len() != y.len() {
        return Err(ShapeError::Length);
    }
    for (y, &x) in y.iter_mut().zip(x) {
        *y = how.quantize(x);
    }
    Ok(())
}

/// `y = scale · (x − zero point)`.
///
/// # Errors
/// [`ShapeError::Length`] when the lengths differ.
pub fn dequantize(how: Affine, x: &[i8], y: &mut [f32]) -> Result<(), ShapeError> {
    if x.len() != y.len() {
        return Err(ShapeError::Length);
    }
    for (y, &x) in y.iter_mut().zip(x) {
        *y = how.dequantize(x);
    }
    Ok(())
}
