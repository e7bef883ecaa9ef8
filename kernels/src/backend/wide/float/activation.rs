//! Activations.

use crate::epilogue::Activation;

/// Applies `activation` in place.
pub(super) fn apply(activation: Activation, y: &mut [f32]) {
    if activation == Activation::Linear {
        return;
    }
    for y in y {
        *y = activation.apply(*y);
    }
}
