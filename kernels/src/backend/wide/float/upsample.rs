//! Nearest upsampling and a convolution, by phases: each is a convolution of the small map
//! whose weights are sums.

use super::geometry::{Form, Geometry};
use crate::backend::Wide;
use crate::ops::fused::upsample_conv2d as portable;
use crate::ops::{UpsampleConv2d, UpsampleConv2dGeometry};
use crate::view::{View, ViewMut};

/// `None` where not every output is a window of cells of the small map.
fn geometry(g: &UpsampleConv2dGeometry) -> Option<Geometry> {
    g.has_phases().then_some(Geometry {
        input: g.small,
        output: g.output(),
        window: g.convolution.window,
        groups: 1,
        form: Form::Upsampled(g.factor),
    })
}

/// Bytes of scratch.
pub(super) fn scratch(g: &UpsampleConv2dGeometry) -> usize {
    let ours = geometry(g).and_then(|g| g.scratch());
    ours.unwrap_or_else(|| portable::band_scratch_bytes::<f32, Wide>(g))
}

/// See [`UpsampleConv2d`].
#[inline(never)]
pub(super) fn run(
    op: &UpsampleConv2d<'_, f32>,
    x: View<'_, f32>,
    mut y: ViewMut<'_, f32>,
    scratch: &mut [u8],
) {
    let how = &op.convolution.epilogue;
    let done = geometry(&op.geometry)
        .is_some_and(|g| g.run(op.convolution.weights, how, x.data(), y.data_mut(), scratch));
    if done {
        super::activation::apply(how.activation, y.data_mut());
    } else {
        portable::run_bands::<f32, Wide>(op, x, y, scratch);
    }
}
