//! Convolution through columns: a few windows are copied, then multiplied.

use super::{Conv2d, direct::product, gather};
use crate::backend::Kernels;
use crate::element::Element;
use crate::ops::scratch_as;
use crate::view::{View, ViewMut};

/// Windows copied at a time, so that a block of weights is read once for all of them.
pub(super) const COLUMNS: usize = 4;

pub(super) fn run<E: Element, B: Kernels<E>>(
    op: &Conv2d<'_, E>,
    x: View<'_, E>,
    mut y: ViewMut<'_, E>,
    scratch: &mut [u8],
) {
    let geometry = &op.geometry;
    let (input, output, window) = (geometry.input, geometry.output, &geometry.window);
    let depth = geometry.depth();
    let Some(columns) = scratch_as::<E>(scratch, COLUMNS * depth) else { return };
    let (inputs, outputs) = (input.c / geometry.groups, output.c / geometry.groups);
    let images = x.data().chunks_exact(input.image());
    for (image, out) in images.zip(y.data_mut().chunks_exact_mut(output.image())) {
        for (tile, pixels) in out.chunks_mut(COLUMNS * output.c).enumerate() {
            for group in 0..geometry.groups {
                let channels = [group * inputs, inputs, input.c];
                let count = pixels.len() / output.c;
                for (i, column) in columns.chunks_exact_mut(depth).take(count).enumerate() {
                    let index = tile * COLUMNS + i;
                    let at = [index / output.w, index % output.w];
                    gather(window, image, at, channels, op.padding, column);
                }
                let first = group * outputs;
                for (pixel, column) in pixels.chunks_exact_mut(output.c).zip(columns.chunks(depth))
                {
                    product::<E, B>(op, column, &mut pixel[first..first + outputs], first);
                }
            }
        }
    }
}
