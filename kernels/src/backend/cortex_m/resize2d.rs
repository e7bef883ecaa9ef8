//! Nearest resize by whole factors: cells of whole words are stored as often as they repeat.

use crate::ops::{self, ResizeNearest2d};
use crate::view::{View, ViewMut};

/// See [`ResizeNearest2d`].
pub(super) fn nearest(op: &ResizeNearest2d, x: View<'_, i8>, mut y: ViewMut<'_, i8>) {
    let g = &op.geometry;
    let (input, output) = (g.input, g.output);
    let [up, across] = [output.h / input.h, output.w / input.w];
    // With powers of two TFLite's float arithmetic is exact: output o reads o / factor,
    // at cell centres too, since (o + ½) / factor never reaches the next integer.
    let whole = !g.align_corners
        && input.h * up == output.h
        && input.w * across == output.w
        && up.is_power_of_two()
        && across.is_power_of_two()
        && input.c.is_multiple_of(4);
    if !whole {
        return ops::resize2d::nearest(op, x, y);
    }
    let lines = x.data().chunks_exact(input.row());
    for (line, out) in lines.zip(y.data_mut().chunks_exact_mut(up * output.row())) {
        let (first, rest) = out.split_at_mut(output.row());
        match (input.c, across) {
            (4, 2) => widen_words::<2>(line, first),
            (4, 4) => widen_words::<4>(line, first),
            _ => {
                let cells = line.chunks_exact(input.c);
                for (cell, out) in cells.zip(first.chunks_exact_mut(input.c * across)) {
                    for out in out.chunks_exact_mut(input.c) {
                        let words = cell.as_chunks::<4>().0.iter();
                        for (out, word) in out.as_chunks_mut::<4>().0.iter_mut().zip(words) {
                            *out = *word;
                        }
                    }
                }
            }
        }
        for row in rest.chunks_exact_mut(output.row()) {
            row.copy_from_slice(first);
        }
    }
}

/// Cells of four channels, each `N` times.
fn widen_words<const N: usize>(line: &[i8], out: &mut [i8]) {
    let cells = line.as_chunks::<4>().0.iter();
    for (cell, out) in cells.zip(out.as_chunks_mut::<4>().0.as_chunks_mut::<N>().0) {
        *out = [*cell; N];
    }
}
