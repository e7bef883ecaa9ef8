//! Quantisation parameters of graph tensors as the kernels want them.

use microconv::quant::{Affine, Multiplier};

use crate::graph::{Activation, Tensor};

/// Scale and zero point of an int8 activation.
pub(super) fn affine(tensor: &Tensor) -> Result<Affine, String> {
    let Some(q) = &tensor.quantization else {
        return Err(format!("tensor `{}` is int8 but has no scale", tensor.name));
    };
    Affine::new(q.scale(), q.zero_point()).map_err(|_| {
        format!(
            "tensor `{}` has scale {} and zero point {}",
            tensor.name,
            q.scale(),
            q.zero_point()
        )
    })
}

/// Codes between which a fused activation clamps (TFLite's `CalculateActivationRangeQuantized`).
pub(super) fn clamp(activation: Activation, output: Affine) -> (i8, i8) {
    let (min, max) = activation.bounds();
    let code = |real: f32| {
        if real.is_infinite() {
            return real.signum() * 1e9;
        }
        output.zero_point as f32 + microconv::quant::round_half_away(real / output.scale)
    };
    (code(min).clamp(-128.0, 127.0) as i8, code(max).clamp(-128.0, 127.0) as i8)
}

/// [`clamp`] in the codes of an int8 tensor.
pub(crate) fn clamp_of(activation: Activation, output: &Tensor) -> Result<(i8, i8), String> {
    Ok(clamp(activation, affine(output)?))
}

/// What the sums of a layer are multiplied with to become codes of `y`: one factor, or one
/// per output channel.
pub(crate) fn multipliers(
    x: &Tensor,
    weights: &Tensor,
    y: &Tensor,
) -> Result<Vec<Multiplier>, String> {
    let quantization = weights.quantization.as_ref().ok_or("int8 weights have no scale")?;
    if !quantization.multipliers.is_empty() {
        return Ok(quantization.multipliers.clone());
    }
    let (input, output) = (affine(x)?, affine(y)?);
    let real = |&s: &f32| f64::from(input.scale) * f64::from(s) / f64::from(output.scale);
    Ok(quantization.scales.iter().map(real).map(Multiplier::from_real).collect())
}

/// Whether two int8 tensors have the same scale and zero point.
pub(super) fn same(a: &Tensor, b: &Tensor) -> bool {
    let key = |t: &Tensor| t.quantization.as_ref().map(|q| (q.scale(), q.zero_point()));
    key(a) == key(b)
}
