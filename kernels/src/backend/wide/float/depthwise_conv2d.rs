//! Depthwise convolution, over channels.

use super::vector::{Bounds, LANES, V, load, store};
use crate::backend::Wide;
use crate::ops::{self, DepthwiseConv2d};
use crate::view::{View, ViewMut};
use crate::window::Taps;

/// Pixels of a tile.
const PIXELS: usize = 3;

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
            match channels - first {
                32.. => first += self.tile::<P, 4>(first, columns, out),
                16.. => first += self.tile::<P, 2>(first, columns, out),
                8.. => first += self.tile::<P, 1>(first, columns, out),
                _ => return self.tail::<P>(first, columns, out),
            }
        }
    }

    /// Places of a tap, in the weights and for pixel 0 in the image.
    #[inline(always)]
    fn places(&self, first: usize, columns: Taps, [ky, kx]: [usize; 2]) -> [usize; 2] {
        let g = &self.op.geometry;
        let (channels, window) = (g.output.c, &g.window);
        let iy = self.rows.input + (ky - self.rows.first) * window.rows.dilation;
        let ix = columns.input + (kx - columns.first) * window.columns.dilation;
        let weight = (ky * window.columns.kernel + kx) * channels + first;
        [weight, (iy * g.input.w + ix) * channels + first]
    }

    /// `N` vectors of channels from `first` on; returns how many channels they are.
    #[inline(never)]
    fn tile<const P: usize, const N: usize>(
        &self,
        first: usize,
        columns: Taps,
        out: &mut [f32],
    ) -> usize {
        let taken = N * LANES;
        let g = &self.op.geometry;
        let channels = g.output.c;
        let step = g.window.columns.stride * channels;
        let bias = self.op.epilogue.bias.get(first..).unwrap_or(&[]);
        let Some(bias) = bias.as_chunks().0.first_chunk::<N>() else { return taken };
        let mut acc = [[V::ZERO; N]; P];
        for sums in &mut acc {
            for (sum, &bias) in sums.iter_mut().zip(bias) {
                *sum = V::new(bias);
            }
        }
        for ky in self.rows.first..self.rows.end {
            for kx in columns.first..columns.end {
                let [weight, at] = self.places(first, columns, [ky, kx]);
                let Some(w) = self.op.weights.get(weight..weight + N * LANES) else { return taken };
                let Some(x) = self.image.get(at..) else { return taken };
                for (p, sums) in acc.iter_mut().enumerate() {
                    let Some(x) = x.get(p * step..p * step + N * LANES) else { return taken };
                    let products = x.as_chunks().0.iter().zip(w.as_chunks().0);
                    for (sum, (&x, &w)) in sums.iter_mut().zip(products) {
                        *sum = V::new(x).mul_add(V::new(w), *sum);
                    }
                }
            }
        }
        for (p, sums) in acc.iter().enumerate() {
            let at = p * channels + first;
            let Some(out) = out.get_mut(at..at + N * LANES) else { return taken };
            for (out, &sum) in out.as_chunks_mut().0.iter_mut().zip(sums) {
                *out = self.bounds.clamp(sum).to_array();
            }
        }
        taken
    }

    /// The last channels, fewer than a vector.
    #[inline(never)]
    fn tail<const P: usize>(&self, first: usize, columns: Taps, out: &mut [f32]) {
        let g = &self.op.geometry;
        let lanes = g.output.c - first;
        let step = g.window.columns.stride * g.output.c;
        let mut acc = [load(self.op.epilogue.bias.get(first..).unwrap_or(&[])); P];
        for ky in self.rows.first..self.rows.end {
            for kx in columns.first..columns.end {
                let [weight, at] = self.places(first, columns, [ky, kx]);
                let w = load(self.op.weights.get(weight..weight + lanes).unwrap_or(&[]));
                for (p, sum) in acc.iter_mut().enumerate() {
                    let at = at + p * step;
                    let x = load(self.image.get(at..at + lanes).unwrap_or(&[]));
                    *sum = x.mul_add(w, *sum);
                }
            }
        }
        for (p, &sum) in acc.iter().enumerate() {
            let at = p * g.output.c + first;
            store(self.bounds.clamp(sum), out.get_mut(at..at + lanes).unwrap_or(&mut []));
        }
    }
}
