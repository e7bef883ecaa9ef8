//! Pools, over channels.

use super::vector::{Bounds, LANES, V, larger, load, store};
use crate::ops::{AveragePool2d, MaxPool2d, MaxPool2dWithIndices, Pool2dGeometry, WindowIndex};
use crate::view::{View, ViewMut};
use crate::window::Taps;

/// The windows of one output.
#[derive(Clone, Copy)]
struct Taps2d<'a> {
    image: &'a [f32],
    rows: Taps,
    columns: Taps,
    /// Elements between neighbouring rows and columns.
    pitch: [usize; 2],
}

impl<'a> Taps2d<'a> {
    fn of(g: &Pool2dGeometry, image: &'a [f32], index: usize) -> Self {
        Self {
            image,
            rows: g.window.rows.taps(index / g.output.w),
            columns: g.window.columns.taps(index % g.output.w),
            pitch: [g.input.row(), g.input.c],
        }
    }

    /// Taps inside the map.
    const fn count(&self) -> usize {
        self.rows.len() * self.columns.len()
    }

    /// Calls `each(tap row, tap column, place of the channel first)`.
    #[inline(always)]
    fn each(&self, first: usize, mut each: impl FnMut(usize, usize, &'a [f32])) {
        for ky in 0..self.rows.len() {
            let row = (self.rows.input + ky) * self.pitch[0] + first;
            for kx in 0..self.columns.len() {
                let at = row + (self.columns.input + kx) * self.pitch[1];
                each(
                    ky + self.rows.first,
                    kx + self.columns.first,
                    self.image.get(at..).unwrap_or(&[]),
                );
            }
        }
    }

    /// `N` vectors of channels from `first` on, folded.
    #[inline(always)]
    fn fold<const N: usize>(&self, first: usize, start: V, fold: impl Fn(V, V) -> V) -> [V; N] {
        let mut acc = [start; N];
        self.each(first, |_, _, x| {
            if let Some(x) = x.as_chunks::<LANES>().0.first_chunk::<N>() {
                for (acc, x) in acc.iter_mut().zip(x) {
                    *acc = fold(*acc, V::new(*x));
                }
            }
        });
        acc
    }

    /// All channels, folded and finished.
    #[inline(always)]
    fn run(
        &self,
        start: V,
        fold: impl Fn(V, V) -> V + Copy,
        finish: impl Fn(V) -> V,
        out: &mut [f32],
    ) {
        let mut first = 0;
        let mut blocks = out.chunks_exact_mut(4 * LANES);
        for block in blocks.by_ref() {
            let folded = self.fold::<4>(first, start, fold);
            for (out, v) in block.chunks_exact_mut(LANES).zip(folded) {
                store(finish(v), out);
            }
            first += 4 * LANES;
        }
        for out in blocks.into_remainder().chunks_mut(LANES) {
            let folded = if out.len() == LANES {
                self.fold::<1>(first, start, fold)[0]
            } else {
                let mut acc = start;
                self.each(first, |_, _, x| {
                    acc = fold(acc, load(x.get(..out.len()).unwrap_or(&[])))
                });
                acc
            };
            store(finish(folded), out);
            first += LANES;
        }
    }
}

/// 2×2 windows that lie inside, folded; false, with nothing written, for others.
#[inline(always)]
fn of_four(g: &Pool2dGeometry, image: &[f32], fold: impl Fn([V; 4]) -> V, out: &mut [f32]) -> bool {
    let (c, window) = (g.input.c, &g.window);
    let two = window.rows.kernel == 2 && window.columns.kernel == 2 && window.is_unpadded();
    if !two || !c.is_multiple_of(LANES) {
        return false;
    }
    for (oy, out) in out.chunks_exact_mut(g.output.row()).enumerate() {
        let above = &image[oy * window.rows.stride * g.input.row()..];
        let below = &above[g.input.row()..];
        for (ox, out) in out.chunks_exact_mut(c).enumerate() {
            let at = ox * window.columns.stride * c;
            let [(a, b), (d, e)] = [above, below].map(|row| row[at..at + 2 * c].split_at(c));
            let [a, b, d, e] = [a, b, d, e].map(|x| x.as_chunks::<LANES>().0);
            let cells = out.as_chunks_mut::<LANES>().0.iter_mut().zip(a).zip(b).zip(d).zip(e);
            for ((((out, &a), &b), &d), &e) in cells {
                *out = fold([a, b, d, e].map(V::new)).to_array();
            }
        }
    }
    true
}

/// See [`MaxPool2d`].
#[inline(never)]
pub(super) fn max(op: &MaxPool2d<f32>, x: View<'_, f32>, mut y: ViewMut<'_, f32>) {
    let g = &op.geometry;
    let bounds = Bounds::new(op.bounds.0, op.bounds.1);
    let images = x.data().chunks_exact(g.input.image());
    for (image, out) in images.zip(y.data_mut().chunks_exact_mut(g.output.image())) {
        let lowest = V::splat(f32::NEG_INFINITY);
        let largest = |x: [V; 4]| bounds.clamp(x.into_iter().fold(lowest, larger));
        if of_four(g, image, largest, out) {
            continue;
        }
        for (index, pixel) in out.chunks_exact_mut(g.output.c).enumerate() {
            let taps = Taps2d::of(g, image, index);
            taps.run(lowest, larger, |v| bounds.clamp(v), pixel);
        }
    }
}

/// See [`AveragePool2d`].
#[inline(never)]
pub(super) fn average(op: &AveragePool2d<f32>, x: View<'_, f32>, mut y: ViewMut<'_, f32>) {
    let g = &op.geometry;
    let bounds = Bounds::new(op.bounds.0, op.bounds.1);
    let images = x.data().chunks_exact(g.input.image());
    for (image, out) in images.zip(y.data_mut().chunks_exact_mut(g.output.image())) {
        let mean =
            |x: [V; 4]| bounds.clamp(x.into_iter().fold(V::ZERO, |a, b| a + b) / V::splat(4.0));
        if of_four(g, image, mean, out) {
            continue;
        }
        for (index, pixel) in out.chunks_exact_mut(g.output.c).enumerate() {
            let taps = Taps2d::of(g, image, index);
            let count = V::splat(taps.count() as f32);
            taps.run(V::ZERO, |a, b| a + b, |v| bounds.clamp(v / count), pixel);
        }
    }
}

/// See [`MaxPool2dWithIndices`]; taps are counted in floats, which are exact up to 2^24.
#[inline(never)]
pub(super) fn max_with_indices<I: WindowIndex>(
    op: &MaxPool2dWithIndices,
    x: View<'_, f32>,
    mut y: ViewMut<'_, f32>,
    indices: &mut [I],
) {
    let g = &op.geometry;
    let kernel = g.window.columns.kernel;
    let images = x.data().chunks_exact(g.input.image());
    let outs = y.data_mut().chunks_exact_mut(g.output.image());
    for ((image, out), indices) in images.zip(outs).zip(indices.chunks_exact_mut(g.output.image()))
    {
        let pixels = out.chunks_exact_mut(g.output.c).zip(indices.chunks_exact_mut(g.output.c));
        for (index, (pixel, indices)) in pixels.enumerate() {
            let taps = Taps2d::of(g, image, index);
            let parts = pixel.chunks_mut(LANES).zip(indices.chunks_mut(LANES));
            for (part, (out, indices)) in parts.enumerate() {
                let (mut best, mut winner, mut started) = (V::ZERO, V::ZERO, false);
                taps.each(part * LANES, |ky, kx, x| {
                    let x = load(x.get(..out.len()).unwrap_or(&[]));
                    let tap = V::splat((ky * kernel + kx) as f32);
                    if started {
                        let wins = x.simd_gt(best);
                        (best, winner) = (wins.select(x, best), wins.select(tap, winner));
                    } else {
                        (best, winner, started) = (x, tap, true);
                    }
                });
                store(best, out);
                for (index, tap) in indices.iter_mut().zip(winner.to_array()) {
                    *index = I::of(tap as usize);
                }
            }
        }
    }
}
