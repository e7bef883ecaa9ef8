//! Transposed convolution.

use super::geometry::{Form, Geometry};
use crate::backend::Wide;
use crate::ops::{self, TransposedConv2d, TransposedConv2dGeometry};
use crate::view::{View, ViewMut};

fn geometry(g: &TransposedConv2dGeometry) -> Geometry {
    let form = Form::Transposed;
    Geometry { input: g.input, output: g.output, window: g.window, groups: 1, form }
}

/// Bytes of scratch; windows of very many runs take the portable form.
pub(super) fn scratch(g: &TransposedConv2dGeometry) -> usize {
    geometry(g).scratch().unwrap_or(0).max(ops::transposed_conv2d::scratch_bytes::<f32>(g))
}

/// See [`TransposedConv2d`].
#[inline(never)]
pub(super) fn run(
    op: &TransposedConv2d<'_, f32>,
    x: View<'_, f32>,
    mut y: ViewMut<'_, f32>,
    scratch: &mut [u8],
) {
    let g = geometry(&op.geometry);
    if g.run(op.weights, &op.epilogue, x.data(), y.data_mut(), scratch) {
        super::activation::apply(op.epilogue.activation, y.data_mut());
    } else {
        ops::transposed_conv2d::run::<f32, Wide>(op, x, y, scratch);
    }
}
