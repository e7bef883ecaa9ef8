//! Nearest resize by whole factors: cells are loaded once and stored as often as they repeat.

use crate::ops::{self, ResizeNearest2d};
use crate::view::{View, ViewMut};

/// See [`ResizeNearest2d`].
#[inline(never)]
pub(super) fn nearest(op: &ResizeNearest2d, x: View<'_, f32>, mut y: ViewMut<'_, f32>) {
    let g = &op.geometry;
    let (input, output) = (g.input, g.output);
    let [up, across] = [output.h / input.h, output.w / input.w];
    // With powers of two TFLite's float arithmetic is exact: output o reads o / factor,
    // at cell centres too, since (o + ½) / factor never reaches the next integer.
    let whole = !g.align_corners
        && input.h * up == output.h
        && input.w * across == output.w
        && up.is_power_of_two()
        && across.is_power_of_two();
    if !whole {
        return ops::resize2d::nearest(op, x, y);
    }
    let lines = x.data().chunks_exact(input.row());
    for (line, out) in lines.zip(y.data_mut().chunks_exact_mut(up * output.row())) {
        let (first, rest) = out.split_at_mut(output.row());
        match (input.c, across) {
            (1, 2) => cells::<1, 2>(line, first),
            (4, 2) => cells::<4, 2>(line, first),
            (8, 2) => cells::<8, 2>(line, first),
            (16, 2) => cells::<16, 2>(line, first),
            (32, 2) => cells::<32, 2>(line, first),
            (64, 2) => cells::<64, 2>(line, first),
            _ => {
                let cells = line.chunks_exact(input.c);
                for (cell, out) in cells.zip(first.chunks_exact_mut(input.c * across)) {
                    for out in out.chunks_exact_mut(input.c) {
                        out.copy_from_slice(cell);
                    }
                }
            }
        }
        for row in rest.chunks_exact_mut(output.row()) {
            row.copy_from_slice(first);
        }
    }
}

/// Cells of `C` channels, each `N` times.
fn cells<const C: usize, const N: usize>(line: &[f32], out: &mut [f32]) {
    let cells = line.as_chunks::<C>().0.iter();
    for (cell, out) in cells.zip(out.as_chunks_mut::<C>().0.as_chunks_mut::<N>().0) {
        for out in out {
            *out = *cell;
        }
    }
}
