//! Quantisation parameters of graph tensors as the kernels want them.

use microconv::quant::Affine;

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

/// Whether two int8 tensors have the same scale and zero point.
pub(super) fn same(a: &Tensor, b: &Tensor) -> bool {
    let key = |t: &Tensor| t.quantization.as_ref().map(|q| (q.scale(), q.zero_point()));
    key(a) == key(b)
}
