//! Depthwise convolution, over channels.

use super::vector::{Bounds, LANES, V, load, store};
use crate::backend::Wide;
use crate::ops::{self, DepthwiseConv2d};
use crate::view::{View, ViewMut};
use crate::window::Taps;

/// Pixels of a tile.
const PIXELS: usize = 4;

/// See [`DepthwiseConv2d`]; a depth multiplier takes the portable form.
#[inline(never)]
pub(super) fn run(
    op: &DepthwiseConv2d<'_, f32>,
    x: View<'_, f32>,
    mut y: ViewMut<'_, f32>,
    scratch: &mut [u8],
) {
    let g = &op.geometry;
    if g.input.c != g.output.c {
        return ops::depthwise_conv2d::run::<f32, Wide>(op, x, y, scratch);
    }
    let bounds = Bounds::new(op.epilogue.min, op.epilogue.max);
    let images = x.data().chunks_exact(g.input.image());
    for (image, out) in images.zip(y.data_mut().chunks_exact_mut(g.output.image())) {
        for (oy, line) in out.chunks_exact_mut(g.output.row()).enumerate() {
            let row = Row { op, image, rows: g.window.rows.taps(oy), bounds };
            row.run(line);
        }
    }
    super::activation::apply(op.epilogue.activation, y.data_mut());
}

/// One row of outputs.
struct Row<'a, 'w> {
    op: &'a DepthwiseConv2d<'w, f32>,
    image: &'a [f32],
    rows: Taps,
    bounds: Bounds,
}

impl Row<'_, '_> {
    fn run(&self, line: &mut [f32]) {
        let g = &self.op.geometry;
        let axis = &g.window.columns;
        let (left, right) = axis.interior();
        let mut ox = 0;
        while ox < g.output.w {
            let inside = ox >= left && ox < right;
            let count = if inside { (right - ox).min(PIXELS) } else { 1 };
            let columns = axis.taps(ox);
            let out = line.get_mut(ox * g.output.c..).unwrap_or(&mut []);
            match count {
                4 => self.pixels::<4>(columns, out),
                3 => self.pixels::<3>(columns, out),
                2 => self.pixels::<2>(columns, out),
                _ => self.pixels::<1>(columns, out),
            }
            ox += count;
        }
    }

    /// `P` neighbours with the same taps, all channels.
    fn pixels<const P: usize>(&self, columns: Taps, out: &mut [f32]) {
        let channels = self.op.geometry.output.c;
        let mut first = 0;
        while first < channels {
            if channels - first >= 2 * LANES {
                self.tile::<P, 2>(first, columns, out);
                first += 2 * LANES;
            } else {
                self.tile::<P, 1>(first, columns, out);
                first += LANES;
            }
        }
    }

    #[inline(always)]
    fn tile<const P: usize, const N: usize>(&self, first: usize, columns: Taps, out: &mut [f32]) {
        let g = &self.op.geometry;
        let (channels, window) = (g.output.c, &g.window);
        let lanes = (channels - first).min(N * LANES);
        let bias = self.op.epilogue.bias.get(first..).unwrap_or(&[]);
        let mut acc = [[V::ZERO; N]; P];
        for sums in &mut acc {
            for (n, sum) in sums.iter_mut().enumerate() {
                *sum = load(bias.get(n * LANES..).unwrap_or(&[]));
            }
        }
        let step = window.columns.stride * channels;
        for ky in self.rows.first..self.rows.end {
            let iy = self.rows.input + (ky - self.rows.first) * window.rows.dilation;
            for kx in columns.first..columns.end {
                let ix = columns.input + (kx - columns.first) * window.columns.dilation;
                let weight = (ky * window.columns.kernel + kx) * channels + first;
                let at = (iy * g.input.w + ix) * channels + first;
                let weights = self.op.weights.get(weight..weight + lanes).unwrap_or(&[]);
                if lanes == N * LANES {
                    let Some(weights) = weights.as_chunks().0.first_chunk::<N>() else { return };
                    let w = weights.map(V::new);
                    for (p, sums) in acc.iter_mut().enumerate() {
                        let at = at + p * step;
                        let x = self.image.get(at..at + N * LANES).unwrap_or(&[]);
                        let Some(x) = x.as_chunks().0.first_chunk::<N>() else { return };
                        for ((sum, &x), w) in sums.iter_mut().zip(x).zip(w) {
                            *sum = V::new(x).mul_add(w, *sum);
                        }
                    }
                } else {
                    let w = load(weights);
                    for (p, sums) in acc.iter_mut().enumerate() {
                        let at = at + p * step;
                        let x = load(self.image.get(at..at + lanes).unwrap_or(&[]));
                        for sum in sums {
                            *sum = x.mul_add(w, *sum);
                        }
                    }
                }
            }
        }
        for (p, sums) in acc.iter().enumerate() {
            let at = p * channels + first;
            let out = out.get_mut(at..at + lanes).unwrap_or(&mut []);
            for (out, &sum) in out.chunks_mut(LANES).zip(sums) {
                store(self.bounds.clamp(sum), out);
            }
        }
    }
}
