//! Pools: a row of windows at a time; 2×2 over neighbouring cells in one step.

use bytemuck::cast;
use wide::{i8x16, i16x16};

use crate::ops::{AveragePool2d, MaxPool2d, MaxPool2dWithIndices, Pool2dGeometry, WindowIndex};
use crate::view::{View, ViewMut};

/// Channels that are summed at once.
const BLOCK: usize = 64;

/// `out[c] = max(out[c], x[c])`.
#[inline]
pub(super) fn max_into(out: &mut [i8], x: &[i8]) {
    let (out, out_rest) = out.as_chunks_mut::<16>();
    let (x, x_rest) = x.as_chunks::<16>();
    for (out, &x) in out.iter_mut().zip(x) {
        *out = i8x16::new(*out).max(i8x16::new(x)).to_array();
    }
    for (out, &x) in out_rest.iter_mut().zip(x_rest) {
        *out = (*out).max(x);
    }
}

/// The cells under window (`oy`, `ox`): for each row, one run of memory.
#[inline(always)]
fn runs<'x>(
    g: &'x Pool2dGeometry,
    image: &'x [i8],
    oy: usize,
    ox: usize,
) -> (impl Iterator<Item = (usize, &'x [i8])>, usize, usize) {
    let (rows, columns) = (g.window.rows.taps(oy), g.window.columns.taps(ox));
    let (row, c) = (g.input.row(), g.input.c);
    let runs = (0..rows.len()).map(move |k| {
        let at = (rows.input + k) * row + columns.input * c;
        (rows.first + k, &image[at..at + columns.len() * c])
    });
    (runs, columns.first, rows.len() * columns.len())
}

/// Whether all windows are 2×2 and lie inside.
fn two_by_two(g: &Pool2dGeometry) -> bool {
    g.window.rows.kernel == 2 && g.window.columns.kernel == 2 && g.window.is_unpadded()
}

/// See [`MaxPool2d`].
pub(super) fn max(op: &MaxPool2d<i8>, x: View<'_, i8>, mut y: ViewMut<'_, i8>) {
    let g = &op.geometry;
    let (low, high) = op.bounds;
    let c = g.input.c;
    let images = x.data().chunks_exact(g.input.image());
    for (image, out) in images.zip(y.data_mut().chunks_exact_mut(g.output.image())) {
        for (oy, out) in out.chunks_exact_mut(g.output.row()).enumerate() {
            for (ox, pixel) in out.chunks_exact_mut(c).enumerate() {
                if two_by_two(g) {
                    let at = oy * g.window.rows.stride * g.input.row()
                        + ox * g.window.columns.stride * c;
                    let below = at + g.input.row();
                    max_of_four(&image[at..at + 2 * c], &image[below..below + 2 * c], pixel);
                    continue;
                }
                pixel.fill(i8::MIN);
                for (_, run) in runs(g, image, oy, ox).0 {
                    for cell in run.chunks_exact(c) {
                        max_into(pixel, cell);
                    }
                }
            }
            if low != i8::MIN || high != i8::MAX {
                for code in out {
                    *code = (*code).min(high).max(low);
                }
            }
        }
    }
}

#[inline(always)]
fn max_of_four(above: &[i8], below: &[i8], out: &mut [i8]) {
    let c = out.len();
    let ((a, b), (d, e)) = (above.split_at(c), below.split_at(c));
    let (out, out_rest) = out.as_chunks_mut::<16>();
    let [a, b, d, e] = [a, b, d, e].map(|x| x.as_chunks::<16>());
    let chunks = out.iter_mut().zip(a.0).zip(b.0).zip(d.0).zip(e.0);
    for ((((out, &a), &b), &d), &e) in chunks {
        let [a, b, d, e] = [a, b, d, e].map(i8x16::new);
        *out = a.max(b).max(d.max(e)).to_array();
    }
    let rest = out_rest.iter_mut().zip(a.1).zip(b.1).zip(d.1).zip(e.1);
    for ((((out, &a), &b), &d), &e) in rest {
        *out = a.max(b).max(d.max(e));
    }
}

/// See [`AveragePool2d`].
pub(super) fn average(op: &AveragePool2d<i8>, x: View<'_, i8>, mut y: ViewMut<'_, i8>) {
    let g = &op.geometry;
    let c = g.input.c;
    let images = x.data().chunks_exact(g.input.image());
    for (image, out) in images.zip(y.data_mut().chunks_exact_mut(g.output.image())) {
        if c.is_multiple_of(16) && two_by_two(g) {
            means_of_four(g, image, op.bounds, out);
            continue;
        }
        for (index, pixel) in out.chunks_exact_mut(c).enumerate() {
            let (oy, ox) = (index / g.output.w, index % g.output.w);
            for (block, out) in pixel.chunks_mut(BLOCK).enumerate() {
                let (runs, _, count) = runs(g, image, oy, ox);
                let cells = runs.flat_map(|(_, run)| run.chunks_exact(c));
                let channels = block * BLOCK..block * BLOCK + out.len();
                let cells = cells.map(|cell| &cell[channels.clone()]);
                if count <= 256 {
                    short_mean(cells, count, op.bounds, out);
                } else {
                    long_mean(cells, count, op.bounds, out);
                }
            }
        }
    }
}

/// Means of 2×2 windows that lie inside; channels are a multiple of sixteen.
fn means_of_four(g: &Pool2dGeometry, image: &[i8], (low, high): (i8, i8), out: &mut [i8]) {
    let c = g.input.c;
    let (low, high) = (i8x16::splat(low), i8x16::splat(high));
    for (oy, out) in out.chunks_exact_mut(g.output.row()).enumerate() {
        let above = &image[oy * g.window.rows.stride * g.input.row()..];
        let below = &above[g.input.row()..];
        for (ox, out) in out.chunks_exact_mut(c).enumerate() {
            let at = ox * g.window.columns.stride * c;
            let [(a, b), (d, e)] = [above, below].map(|row| row[at..at + 2 * c].split_at(c));
            let [a, b, d, e] = [a, b, d, e].map(|x| x.as_chunks::<16>().0);
            let cells = out.as_chunks_mut::<16>().0.iter_mut().zip(a).zip(b).zip(d).zip(e);
            for ((((out, &a), &b), &d), &e) in cells {
                let [a, b, d, e] = [a, b, d, e].map(|x| i16x16::from_i8x16(i8x16::new(x)));
                let sum = (a + b) + (d + e);
                // To nearest, ties away from zero.
                let mean: i16x16 = (sum + i16x16::splat(2) + (sum >> 15)) >> 2;
                *out = i8x16::from_i16x16_saturate(mean).min(high).max(low).to_array();
            }
        }
    }
}

/// Sums of up to 256 codes fit an i16.
#[inline(always)]
fn short_mean<'x>(
    cells: impl Iterator<Item = &'x [i8]>,
    count: usize,
    (low, high): (i8, i8),
    out: &mut [i8],
) {
    let mut sum = [0i16; BLOCK];
    let sum = &mut sum[..out.len()];
    for cell in cells {
        for (sum, &x) in sum.iter_mut().zip(cell) {
            *sum += i16::from(x);
        }
    }
    if count.is_power_of_two() {
        // To nearest, ties away from zero: (s + n/2 − [s < 0]) >> log2 n.
        let (shift, half) = (count.trailing_zeros(), (count / 2) as i32);
        for (out, &sum) in out.iter_mut().zip(&*sum) {
            let sum = i32::from(sum);
            let nudge = if count == 1 { 0 } else { half + (sum >> 31) };
            *out = ((sum + nudge) >> shift) as i8;
        }
    } else {
        // The quotient is exact in f32 to far less than the distance of any two results.
        let (half, inverse) = (count as i32 / 2, 1.0 / count as f32);
        for (out, &sum) in out.iter_mut().zip(&*sum) {
            let magnitude = i32::from(sum).abs() + half;
            let quotient = ((magnitude as f32 + 0.5) * inverse) as i32;
            *out = if sum < 0 { -quotient } else { quotient } as i8;
        }
    }
    for code in out {
        *code = (*code).min(high).max(low);
    }
}

#[inline(never)]
fn long_mean<'x>(
    cells: impl Iterator<Item = &'x [i8]>,
    count: usize,
    (low, high): (i8, i8),
    out: &mut [i8],
) {
    let mut sum = [0i32; BLOCK];
    let sum = &mut sum[..out.len()];
    for cell in cells {
        for (sum, &x) in sum.iter_mut().zip(cell) {
            *sum += i32::from(x);
        }
    }
    let count = (count as i32).max(1);
    for (out, &sum) in out.iter_mut().zip(&*sum) {
        let half = if sum < 0 { -(count / 2) } else { count / 2 };
        let mean = sum.wrapping_add(half) / count;
        *out = mean.min(i32::from(high)).max(i32::from(low)) as i8;
    }
}

/// See [`MaxPool2dWithIndices`].
pub(super) fn max_with_indices<I: WindowIndex>(
    op: &MaxPool2dWithIndices,
    x: View<'_, i8>,
    mut y: ViewMut<'_, i8>,
    indices: &mut [I],
) {
    let g = &op.geometry;
    let c = g.input.c;
    let images = x.data().chunks_exact(g.input.image());
    let outs = y.data_mut().chunks_exact_mut(g.output.image());
    for ((image, out), indices) in images.zip(outs).zip(indices.chunks_exact_mut(g.output.image()))
    {
        let pixels = out.chunks_exact_mut(c).zip(indices.chunks_exact_mut(c));
        for (index, (pixel, indices)) in pixels.enumerate() {
            let (runs, first, _) = runs(g, image, index / g.output.w, index % g.output.w);
            let mut started = false;
            for (ky, run) in runs {
                for (kx, cell) in (first..).zip(run.chunks_exact(c)) {
                    let tap = ky * g.window.columns.kernel + kx;
                    if started {
                        remember(cell, tap, pixel, indices);
                    } else {
                        pixel.copy_from_slice(cell);
                        indices.fill(I::of(tap));
                        started = true;
                    }
                }
            }
        }
    }
}

/// The cell's codes where they are greater, and its tap.
#[inline(always)]
fn remember<I: WindowIndex>(cell: &[i8], tap: usize, best: &mut [i8], winners: &mut [I]) {
    let tap = I::of(tap);
    if size_of::<I>() == 1 {
        let (chunks, rest) = best.as_chunks_mut::<16>();
        let winners: &mut [u8] = bytemuck::cast_slice_mut(winners);
        let (winner_chunks, winner_rest) = winners.as_chunks_mut::<16>();
        let (cells, cell_rest) = cell.as_chunks::<16>();
        let tap = tap.tap() as u8;
        let taps = i8x16::splat(tap as i8);
        for ((best, winner), &x) in chunks.iter_mut().zip(winner_chunks).zip(cells) {
            let (x, old) = (i8x16::new(x), i8x16::new(*best));
            let greater = x.simd_gt(old);
            let kept = i8x16::new(cast(*winner));
            *winner = cast(((taps & greater) | (kept & !greater)).to_array());
            *best = x.max(old).to_array();
        }
        for ((best, winner), &x) in rest.iter_mut().zip(winner_rest).zip(cell_rest) {
            if x > *best {
                (*best, *winner) = (x, tap);
            }
        }
        return;
    }
    for ((best, winner), &x) in best.iter_mut().zip(winners).zip(cell) {
        if x > *best {
            (*best, *winner) = (x, tap);
        }
    }
}
