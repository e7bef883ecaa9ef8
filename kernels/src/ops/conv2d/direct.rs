//! Convolution without columns: each row of a window inside the map is one run of memory.

use super::{Conv2d, Conv2dGeometry, gather};
use crate::backend::Kernels;
use crate::element::Element;
use crate::ops::{BLOCK, scratch_as};
use crate::view::{View, ViewMut};

/// Whether some window has to be copied: it touches the padding or its columns are dilated.
pub(super) const fn needs_column(geometry: &Conv2dGeometry) -> bool {
    !geometry.window.is_unpadded() || dilated(geometry)
}

const fn dilated(geometry: &Conv2dGeometry) -> bool {
    geometry.window.columns.dilation != 1 && geometry.window.columns.kernel != 1
}

pub(super) fn run<E: Element, B: Kernels<E>>(
    op: &Conv2d<'_, E>,
    x: View<'_, E>,
    mut y: ViewMut<'_, E>,
    scratch: &mut [u8],
) {
    let geometry = &op.geometry;
    let (input, window) = (geometry.input, &geometry.window);
    let depth = geometry.depth();
    let needed = if needs_column(geometry) { depth } else { 0 };
    let Some(column) = scratch_as::<E>(scratch, needed) else { return };
    let runs = !dilated(geometry);
    let run_len = window.columns.kernel * input.c;
    let (top, bottom) = window.rows.interior();
    let (left, right) = window.columns.interior();
    let images = x.data().chunks_exact(input.image());
    for (image, out) in images.zip(y.data_mut().chunks_exact_mut(geometry.output.image())) {
        for (index, pixel) in out.chunks_exact_mut(geometry.output.c).enumerate() {
            let (oy, ox) = (index / geometry.output.w, index % geometry.output.w);
            if runs && oy >= top && oy < bottom && ox >= left && ox < right {
                let iy = oy * window.rows.stride - window.rows.pad;
                let ix = ox * window.columns.stride - window.columns.pad;
                interior::<E, B>(op, image, [iy, ix], run_len, pixel);
            } else {
                gather(window, image, [oy, ox], [0, input.c, input.c], op.padding, column);
                product::<E, B>(op, column, pixel, 0);
            }
        }
    }
}

/// One output pixel whose window starts at input (`iy`, `ix`) and lies inside.
fn interior<E: Element, B: Kernels<E>>(
    op: &Conv2d<'_, E>,
    image: &[E],
    [iy, ix]: [usize; 2],
    run_len: usize,
    pixel: &mut [E],
) {
    let (window, depth) = (&op.geometry.window, op.geometry.depth());
    let row = op.geometry.input.row();
    for (block, out) in pixel.chunks_mut(BLOCK).enumerate() {
        let mut acc = [E::ACC_ZERO; BLOCK];
        let acc = &mut acc[..out.len()];
        let first = block * BLOCK;
        for ky in 0..window.rows.kernel {
            let at = (iy + ky * window.rows.dilation) * row + ix * op.geometry.input.c;
            let weights = &op.weights[first * depth + ky * run_len..];
            B::mac(acc, &image[at..at + run_len], weights, depth);
        }
        B::finish(out, acc, first, &op.epilogue);
    }
}

/// `out` = the channels from `first` on, of a window that lies in one column.
pub(super) fn product<E: Element, B: Kernels<E>>(
    op: &Conv2d<'_, E>,
    column: &[E],
    out: &mut [E],
    first: usize,
) {
    for (block, out) in out.chunks_mut(BLOCK).enumerate() {
        let mut acc = [E::ACC_ZERO; BLOCK];
        let acc = &mut acc[..out.len()];
        let first = first + block * BLOCK;
        B::mac(acc, column, &op.weights[first * column.len()..], column.len());
        B::finish(out, acc, first, &op.epilogue);
    }
}
