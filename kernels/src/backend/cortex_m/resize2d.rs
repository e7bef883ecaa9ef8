//! Nearest resize: cells by words, rows that repeat their predecessor copied.

use super::{images, insn};
use crate::ops::{Resize2dGeometry, ResizeNearest2d};
use crate::view::{View, ViewMut};

/// See [`ResizeNearest2d`].
pub(super) fn nearest(op: &ResizeNearest2d, x: View<'_, i8>, mut y: ViewMut<'_, i8>) {
    let g = &op.geometry;
    let (input, output) = (g.input, g.output);
    let across = g.factor(input.w, output.w);
    for (image, out) in images(x, &mut y, [input, output]) {
        match g.factor(input.h, output.h) {
            Some(up) => {
                let rows = out.chunks_exact_mut(up * output.row());
                for (line, rows) in image.chunks_exact(input.row()).zip(rows) {
                    let (first, rest) = rows.split_at_mut(output.row());
                    widen(g, across, line, first);
                    for row in rest.chunks_exact_mut(output.row()) {
                        insn::copy(row, first);
                    }
                }
            }
            None => by_place(g, across, image, out),
        }
    }
}

/// An image whose rows do not all come equally often.
#[inline(never)]
fn by_place(g: &Resize2dGeometry, across: Option<usize>, image: &[i8], out: &mut [i8]) {
    let (input, output) = (g.input, g.output);
    let mut last = None;
    for oy in 0..output.h {
        let iy = g.nearest(oy, input.h, output.h);
        let (done, rest) = out.split_at_mut(oy * output.row());
        let row = rest.get_mut(..output.row()).unwrap_or(&mut []);
        if last == Some(iy) {
            insn::copy(row, done.get((oy - 1) * output.row()..).unwrap_or(&[]));
        } else {
            let line = image.get(iy * input.row()..(iy + 1) * input.row());
            widen(g, across, line.unwrap_or(&[]), row);
            last = Some(iy);
        }
    }
}

/// A row of outputs from its input row; `across` says how often each cell comes, if equally often.
#[inline(always)]
fn widen(g: &Resize2dGeometry, across: Option<usize>, line: &[i8], row: &mut [i8]) {
    let channels = g.input.c;
    match (channels, across) {
        (1, Some(2)) => repeat::<1, 2>(line, row),
        (4, Some(2)) => repeat::<4, 2>(line, row),
        (4, Some(4)) => repeat::<4, 4>(line, row),
        (8, Some(2)) => repeat::<8, 2>(line, row),
        (_, Some(factor)) => {
            let cells = line.chunks_exact(channels);
            for (cell, out) in cells.zip(row.chunks_exact_mut(channels * factor)) {
                for out in out.chunks_exact_mut(channels) {
                    insn::copy(out, cell);
                }
            }
        }
        (_, None) => {
            for (ox, cell) in row.chunks_exact_mut(channels).enumerate() {
                let at = g.nearest(ox, g.input.w, g.output.w) * channels;
                insn::copy(cell, line.get(at..).unwrap_or(&[]));
            }
        }
    }
}

/// Cells of `C` channels, each `N` times.
#[inline(always)]
fn repeat<const C: usize, const N: usize>(line: &[i8], row: &mut [i8]) {
    let cells = line.as_chunks::<C>().0.iter();
    for (cell, out) in cells.zip(row.as_chunks_mut::<C>().0.as_chunks_mut::<N>().0) {
        *out = [*cell; N];
    }
}
