//! Pooling.

use super::{CortexM, insn};
use crate::backend::Kernels;
use crate::ops::{self, AveragePool2d, MaxPool2d};
use crate::view::{View, ViewMut};

/// Sums of 256 bytes fit a 16-bit lane.
const LANE_TAPS: usize = 256;

/// See [`MaxPool2d`]: 2 × 2 windows by rows, others by cells.
pub(super) fn max(op: &MaxPool2d<i8>, x: View<'_, i8>, mut y: ViewMut<'_, i8>) {
    let g = &op.geometry;
    let axes = [&g.window.rows, &g.window.columns];
    let pairs = axes.iter().all(|axis| axis.kernel == 2 && axis.stride == 2 && axis.is_unpadded());
    if !pairs || !g.input.c.is_multiple_of(4) || op.bounds != (i8::MIN, i8::MAX) {
        return ops::pool2d::max::<i8, CortexM>(op, x, y);
    }
    let images = x.data().chunks_exact(g.input.image());
    for (image, out) in images.zip(y.data_mut().chunks_exact_mut(g.output.image())) {
        let rows = image.chunks_exact(2 * g.input.row());
        for (rows, out) in rows.zip(out.chunks_exact_mut(g.output.row())) {
            let (top, bottom) = rows.split_at(g.input.row());
            insn::max_2x2(top, bottom, g.input.c, out);
        }
    }
}

/// See [`AveragePool2d`]: four channels at a time, in 16-bit lanes.
pub(super) fn average(op: &AveragePool2d<i8>, x: View<'_, i8>, mut y: ViewMut<'_, i8>) {
    let g = &op.geometry;
    let (input, output, window) = (g.input, g.output, &g.window);
    if window.taps() > LANE_TAPS {
        return ops::pool2d::average::<i8, CortexM>(op, x, y);
    }
    let images = x.data().chunks_exact(input.image());
    for (image, out) in images.zip(y.data_mut().chunks_exact_mut(output.image())) {
        for (index, pixel) in out.chunks_exact_mut(output.c).enumerate() {
            let rows = window.rows.taps(index / output.w);
            let columns = window.columns.taps(index % output.w);
            // Whole rows of the map follow each other without a gap.
            let (runs, cells) = if columns.len() == input.w {
                (1, rows.len() * columns.len())
            } else {
                (rows.len(), columns.len())
            };
            let begin = (rows.input * input.w + columns.input) * input.c;
            for (first, out) in (0..output.c).step_by(4).zip(pixel.chunks_mut(4)) {
                let mut sum = [0i32; 4];
                if out.len() == 4 {
                    let mut lanes = [0u32; 2];
                    for run in 0..runs {
                        let at = begin + run * input.row() + first;
                        let cells_from = image.get(at..).unwrap_or(&[]);
                        lanes = insn::sum_cells(lanes, cells_from, input.c, cells);
                    }
                    let [even, odd] = lanes.map(|lane| [lane as u16, (lane >> 16) as u16]);
                    sum = [even[0], odd[0], even[1], odd[1]].map(|lane| i32::from(lane as i16));
                } else {
                    for run in 0..runs {
                        let row = image.get(begin + run * input.row()..).unwrap_or(&[]);
                        for cell in row.chunks(input.c).take(cells) {
                            for (sum, &x) in sum.iter_mut().zip(cell.get(first..).unwrap_or(&[])) {
                                *sum += i32::from(x);
                            }
                        }
                    }
                }
                let count = rows.len() * columns.len();
                <CortexM as Kernels<i8>>::average(out, &sum, count, op.bounds);
            }
        }
    }
}
