//! Pooling.

use super::cells::{Cells, Division};
use super::{CortexM, images, insn};
use crate::backend::{Kernels, Scalar};
use crate::ops::{
    self, AveragePool2d, MaxPool2d, MaxPool2dWithIndices, MaxUnpool2d, Pool2dGeometry, WindowIndex,
};
use crate::view::{View, ViewMut};
use crate::window::Axis;

/// Whether the windows are 2 × 2 cells of whole words, side by side.
fn two_by_two(g: &Pool2dGeometry) -> bool {
    let axes = [&g.window.rows, &g.window.columns];
    let pairs = axes.iter().all(|axis| axis.kernel == 2 && axis.stride == 2 && axis.is_unpadded());
    pairs && g.input.c.is_multiple_of(4)
}

/// See [`MaxPool2d`]: 2 × 2 windows by rows, others by cells.
pub(super) fn max(op: &MaxPool2d<i8>, x: View<'_, i8>, mut y: ViewMut<'_, i8>) {
    let g = &op.geometry;
    if g.output.c < Cells::LEAST {
        return ops::pool2d::max::<i8, CortexM>(op, x, y);
    }
    if two_by_two(g) {
        for (image, out) in images(x, &mut y, [g.input, g.output]) {
            let rows = image.chunks_exact(2 * g.input.row());
            for (rows, out) in rows.zip(out.chunks_exact_mut(g.output.row())) {
                let (top, bottom) = rows.split_at(g.input.row());
                insn::max_2x2(top, bottom, g.input.c, out);
            }
        }
    } else {
        windows(g, x, &mut y, insn::max_cells);
    }
    clamp(y.data_mut(), op.bounds);
}

/// See [`AveragePool2d`]: by cells, in 16-bit lanes.
pub(super) fn average(op: &AveragePool2d<i8>, x: View<'_, i8>, mut y: ViewMut<'_, i8>) {
    let g = &op.geometry;
    if g.output.c < Cells::LEAST || g.window.taps() > Cells::MOST {
        return ops::pool2d::average::<i8, CortexM>(op, x, y);
    }
    let whole = Division::by(g.window.taps());
    windows(g, x, &mut y, |cells, out| {
        let count = cells.size[0] * cells.size[1];
        let division = if count == g.window.taps() { whole } else { Division::by(count) };
        match division {
            Some(division) => insn::mean_cells(cells, &division, out),
            // The mean of one cell, too.
            None => insn::max_cells(cells, out),
        }
    });
    clamp(y.data_mut(), op.bounds);
}

/// Calls `each` with the cells inside the map of windows side by side, and their outputs: all
/// that touch no border at once.
#[inline(always)]
fn windows(
    g: &Pool2dGeometry,
    x: View<'_, i8>,
    y: &mut ViewMut<'_, i8>,
    mut each: impl FnMut(&Cells<'_>, &mut [i8]),
) {
    let Pool2dGeometry { input, output, window, .. } = g;
    let (channels, row) = (input.c, input.row());
    let step = window.columns.stride * channels;
    let (first, end) = window.columns.interior();
    for (image, out) in images(x, y, [*input, *output]) {
        for (oy, out) in out.chunks_exact_mut(output.row().max(1)).enumerate() {
            let rows = window.rows.taps(oy);
            let mut ox = 0;
            while ox < output.w {
                let windows = if ox == first && end > first { end - first } else { 1 };
                let columns = window.columns.taps(ox);
                let x = image.get(rows.input * row + columns.input * channels..).unwrap_or(&[]);
                let size = [rows.len(), columns.len()];
                let cells = Cells { x, channels, pitch: channels, row, size, windows, step };
                let outputs = ox * channels..(ox + windows) * channels;
                each(&cells, out.get_mut(outputs).unwrap_or(&mut []));
                ox += windows;
            }
        }
    }
}

fn clamp(codes: &mut [i8], (min, max): (i8, i8)) {
    if (min, max) != (i8::MIN, i8::MAX) {
        for code in codes {
            *code = (*code).min(max).max(min);
        }
    }
}

/// `sum / count` to nearest, ties away from zero, clamped; powers of two by a shift.
pub(super) fn mean(out: &mut [i8], sum: &[i32], count: usize, (min, max): (i8, i8)) {
    if !count.is_power_of_two() || count == 1 {
        return <Scalar as Kernels<i8>>::average(out, sum, count, (min, max));
    }
    let (half, shift) = ((count / 2) as i32, count.trailing_zeros());
    for (out, &sum) in out.iter_mut().zip(sum) {
        // A tie rounds down by itself; below zero that is away from it, so one less is added.
        let code = sum.wrapping_add(half + (sum >> 31)) >> shift;
        *out = code.min(i32::from(max)).max(i32::from(min)) as i8;
    }
}

/// See [`MaxPool2dWithIndices`]: four channels at a time where an index is a byte.
pub(super) fn max_with_indices<I: WindowIndex>(
    op: &MaxPool2dWithIndices,
    x: View<'_, i8>,
    mut y: ViewMut<'_, i8>,
    indices: &mut [I],
) {
    let g = &op.geometry;
    let (input, output, window) = (g.input, g.output, &g.window);
    if size_of::<I>() != 1 {
        return ops::pool2d::max_with_indices(op, x, y, indices);
    }
    let winners: &mut [u8] = bytemuck::cast_slice_mut(indices);
    let images = x.data().chunks_exact(input.image());
    let outs = y.data_mut().chunks_exact_mut(output.image());
    for ((image, out), winners) in images.zip(outs).zip(winners.chunks_exact_mut(output.image())) {
        if two_by_two(g) {
            let rows = image.chunks_exact(2 * input.row());
            let outs = out.chunks_exact_mut(output.row());
            let outs = outs.zip(winners.chunks_exact_mut(output.row()));
            for (rows, (out, winners)) in rows.zip(outs) {
                let (top, bottom) = rows.split_at(input.row());
                insn::max_index_2x2(top, bottom, input.c, out, winners);
            }
            continue;
        }
        let pixels = out.chunks_exact_mut(output.c).zip(winners.chunks_exact_mut(output.c));
        for (index, (best, winners)) in pixels.enumerate() {
            let rows = window.rows.taps(index / output.w);
            let columns = window.columns.taps(index % output.w);
            let mut started = false;
            for (iy, ky) in (rows.input..).zip(rows.first..rows.end) {
                let at = (iy * input.w + columns.input) * input.c;
                let run = image.get(at..at + columns.len() * input.c).unwrap_or(&[]);
                for (cells, kx) in run.chunks_exact(input.c).zip(columns.first..) {
                    let tap = (ky * window.columns.kernel + kx) as u8;
                    if started {
                        larger(best, winners, cells, tap);
                    } else {
                        best.copy_from_slice(cells);
                        winners.fill(tap);
                        started = true;
                    }
                }
            }
        }
    }
}

/// Keeps the larger of two cells and its tap, the earlier one of equals.
fn larger(best: &mut [i8], winners: &mut [u8], cells: &[i8], tap: u8) {
    insn::max_index_into(best, winners, cells, tap);
    let whole = best.len() / 4 * 4;
    let rest = best.iter_mut().zip(winners).zip(cells).skip(whole);
    for ((best, winner), &x) in rest {
        if x > *best {
            (*best, *winner) = (x, tap);
        }
    }
}

/// Taps of an unpooled window whose offsets are tabulated.
const UNPOOL_TAPS: usize = 16;

/// See [`MaxUnpool2d`]: windows inside the map take their offsets from a table.
pub(super) fn unpool<I: WindowIndex>(
    op: &MaxUnpool2d<i8>,
    x: View<'_, i8>,
    indices: &[I],
    mut y: ViewMut<'_, i8>,
) {
    let (pooled, map, window) = (op.pool.output, op.pool.input, &op.pool.window);
    let inside =
        |axis: &Axis| axis.pad == 0 && (axis.output - 1) * axis.stride + axis.kernel <= axis.input;
    if window.taps() > UNPOOL_TAPS || !inside(&window.rows) || !inside(&window.columns) {
        return ops::unpool2d::max_unpool(op, x, indices, y);
    }
    let mut offsets = [0; UNPOOL_TAPS];
    for (tap, offset) in offsets.iter_mut().enumerate() {
        let (ky, kx) = (tap / window.columns.kernel, tap % window.columns.kernel);
        *offset = (ky * map.w + kx) * map.c;
    }
    let offsets = offsets.get(..window.taps()).unwrap_or(&[]);
    y.data_mut().fill(op.zero);
    let sources = x.data().chunks_exact(pooled.image()).zip(indices.chunks_exact(pooled.image()));
    for ((values, indices), image) in sources.zip(y.data_mut().chunks_exact_mut(map.image())) {
        let pixels = values.chunks_exact(pooled.c).zip(indices.chunks_exact(pooled.c));
        for (index, (values, indices)) in pixels.enumerate() {
            let (oy, ox) = (index / pooled.w, index % pooled.w);
            let corner = (oy * window.rows.stride * map.w + ox * window.columns.stride) * map.c;
            let cells = image.get_mut(corner..).unwrap_or(&mut []);
            for (c, (&value, index)) in values.iter().zip(indices).enumerate() {
                // A tap that the window does not have is ignored.
                let offset = offsets.get(index.tap());
                if let Some(cell) = offset.and_then(|&offset| cells.get_mut(offset + c)) {
                    *cell = value;
                }
            }
        }
    }
}
