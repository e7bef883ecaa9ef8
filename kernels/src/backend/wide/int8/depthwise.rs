//! Depthwise convolution: lanes are output channels, two rows of taps a product.
//!
//! A word holds the inputs of one channel under two taps, one above the other, and
//! is multiplied with the two weights: the words of a pair of rows serve every
//! output and tap along them, and every row of outputs that reads the pair.

mod three;

use bytemuck::{cast_slice, cast_slice_mut};
use wide::i32x8;

use super::finish::{PARAM_WORDS, Params, Store};
use super::join;
use super::lanes::{self, Words};
use crate::backend::Wide;
use crate::backend::line::Line;
use crate::ops::{self, Conv2dGeometry, DepthwiseConv2d};
use crate::view::{View, ViewMut};

/// Outputs along a row that share the loads of weights.
const PIXELS: usize = 4;

/// Lengths of the parts of the scratch memory, in words.
struct Layout {
    /// Blocks of eight output channels.
    blocks: usize,
    /// Pairs of kernel rows.
    pairs: usize,
    /// Cells of a row of words, padding included.
    cells: usize,
    /// Pairs of rows that are kept.
    slots: usize,
    params: usize,
    weights: usize,
    rows: usize,
}

impl Layout {
    const fn new(g: &Conv2dGeometry) -> Self {
        let blocks = g.output.c.div_ceil(8);
        let pairs = g.window.rows.kernel.div_ceil(2);
        let columns = Line::forward(&g.window.columns);
        let cells = columns.span(columns.outputs - 1);
        let slots = 2 * (pairs - 1) * g.window.rows.dilation + 1;
        Self {
            blocks,
            pairs,
            cells,
            slots,
            params: blocks * PARAM_WORDS,
            weights: 8 * blocks * pairs * g.window.columns.kernel,
            rows: 8 * blocks * cells,
        }
    }

    /// Weights, pairs of rows and which these are, parameters.
    const fn words(&self) -> usize {
        self.weights + self.slots * (self.rows + 1) + self.params
    }
}

/// Bytes of scratch.
pub(super) fn scratch(g: &Conv2dGeometry) -> usize {
    let words = if three::suits(g) { three::words(g) } else { Layout::new(g).words() };
    (4 * words).max(ops::depthwise_conv2d::scratch_bytes::<i8>(g))
}

/// See [`DepthwiseConv2d`].
pub(super) fn run(
    op: &DepthwiseConv2d<'_, i8>,
    x: View<'_, i8>,
    mut y: ViewMut<'_, i8>,
    scratch: &mut [u8],
) {
    let g = &op.geometry;
    let (_, words, _) = bytemuck::pod_align_to_mut::<u8, u32>(scratch);
    if three::suits(g) && words.len() >= three::words(g) {
        let images = x.data().chunks_exact(g.input.image());
        let out = y.data_mut().chunks_exact_mut(g.output.image());
        return three::run(op, images, out, &mut words[..three::words(g)]);
    }
    let layout = Layout::new(g);
    if words.len() < layout.words() {
        return ops::depthwise_conv2d::run::<i8, Wide>(op, x, y, scratch);
    }
    let (weights, rest) = words.split_at_mut(layout.weights);
    let (rows, rest) = rest.split_at_mut(layout.slots * layout.rows);
    let (kept, rest) = rest.split_at_mut(layout.slots);
    let params: &mut [Params] = cast_slice_mut(&mut rest[..layout.params]);
    for (block, params) in params.iter_mut().enumerate() {
        *params = Params::channels(&op.epilogue, op.epilogue.bias, 8 * block);
    }
    pack(op, &layout, cast_slice_mut(weights));
    let store = Store::new(&op.epilogue);
    let window = &g.window.rows;
    let images = x.data().chunks_exact(g.input.image());
    for (image, out) in images.zip(y.data_mut().chunks_exact_mut(g.output.image())) {
        kept.fill(u32::MAX);
        for (oy, out) in out.chunks_exact_mut(g.output.row()).enumerate() {
            for pair in 0..layout.pairs {
                let v = oy * window.stride + 2 * pair * window.dilation;
                let slot = v % layout.slots;
                if kept[slot] != v as u32 {
                    kept[slot] = v as u32;
                    let out = &mut rows[slot * layout.rows..(slot + 1) * layout.rows];
                    let [above, below] = [v, v + window.dilation].map(|v| input_row(op, image, v));
                    join::rows(op, above, below, layout.cells, cast_slice_mut(out));
                }
            }
            let row = Row {
                op,
                layout: &layout,
                store: &store,
                words: cast_slice(rows),
                first: oy * window.stride,
            };
            let weights: &[Words] = cast_slice(weights);
            let taps = layout.pairs * g.window.columns.kernel;
            for (block, weights) in weights.chunks_exact(taps).enumerate() {
                row.run(block, &params[block], weights, out);
            }
        }
    }
}

/// Weights as `[block][pair of rows][column]`, the second of a pair zero where there is none.
fn pack(op: &DepthwiseConv2d<'_, i8>, layout: &Layout, out: &mut [Words]) {
    let g = &op.geometry;
    let (kernel, outputs) = (g.window.columns.kernel, g.output.c);
    let taps = layout.pairs * kernel;
    for (block, words) in out.chunks_exact_mut(taps).enumerate() {
        for (tap, words) in words.iter_mut().enumerate() {
            let lanes = |ky: usize| {
                let at = (ky * kernel + tap % kernel) * outputs + 8 * block;
                let row = if ky < g.window.rows.kernel { op.weights.get(at..) } else { None };
                let row = row.unwrap_or(&[]);
                &row[..row.len().min(outputs - 8 * block).min(8)]
            };
            let (above, below) = (lanes(2 * (tap / kernel)), lanes(2 * (tap / kernel) + 1));
            let of = |row: &[i8], lane| row.get(lane).copied().unwrap_or(0);
            *words = core::array::from_fn(|lane| lanes::word(of(above, lane), of(below, lane)));
        }
    }
}

/// Input row `v`, counted from the first of output row 0; `None` in the padding.
fn input_row<'x>(op: &DepthwiseConv2d<'_, i8>, image: &'x [i8], v: usize) -> Option<&'x [i8]> {
    let rows = &op.geometry.window.rows;
    let iy = v.checked_sub(rows.pad)?;
    if iy >= rows.input {
        return None;
    }
    let row = op.geometry.input.row();
    image.get(iy * row..(iy + 1) * row)
}

/// One row of outputs.
struct Row<'a, 'w> {
    op: &'a DepthwiseConv2d<'w, i8>,
    layout: &'a Layout,
    store: &'a Store<'a>,
    /// `[slot][block][cell]`.
    words: &'a [Words],
    /// Input row of the first tap.
    first: usize,
}

impl Row<'_, '_> {
    /// Eight channels of the row.
    fn run(&self, block: usize, params: &Params, weights: &[Words], out: &mut [i8]) {
        let columns = &self.op.geometry.window.columns;
        match (columns.kernel, columns.stride, columns.dilation) {
            (3, 1, 1) => self.tiles::<3, 1>(block, params, weights, out),
            (3, 2, 1) => self.tiles::<3, 2>(block, params, weights, out),
            _ => self.tiles::<0, 0>(block, params, weights, out),
        }
    }

    /// `K` columns of taps and a stride of `S`; 0 where they vary.
    fn tiles<const K: usize, const S: usize>(
        &self,
        block: usize,
        params: &Params,
        weights: &[Words],
        out: &mut [i8],
    ) {
        let outputs = self.op.geometry.output.w;
        // Tiles as equal as can be.
        let tiles = outputs.div_ceil(PIXELS);
        let mut done = 0;
        for tile in 0..tiles {
            let count = (outputs - done).div_ceil(tiles - tile);
            match count {
                1 => self.tile::<1, K, S>(block, done, params, weights, out),
                2 => self.tile::<2, K, S>(block, done, params, weights, out),
                3 => self.tile::<3, K, S>(block, done, params, weights, out),
                _ => self.tile::<4, K, S>(block, done, params, weights, out),
            }
            done += count;
        }
    }

    #[inline(always)]
    fn tile<const P: usize, const K: usize, const S: usize>(
        &self,
        block: usize,
        pixel: usize,
        params: &Params,
        weights: &[Words],
        out: &mut [i8],
    ) {
        let Layout { blocks, cells, slots, .. } = *self.layout;
        let (window, channels) = (&self.op.geometry.window, self.op.geometry.output.c);
        let (kernel, stride, dilation) = if K > 0 {
            (K, S, 1)
        } else {
            (window.columns.kernel, window.columns.stride, window.columns.dilation)
        };
        let mut acc: [i32x8; P] = [params.start(); P];
        for (pair, weights) in weights.chunks_exact(kernel).enumerate() {
            let slot = (self.first + 2 * pair * window.rows.dilation) % slots;
            let x = &self.words[(slot * blocks + block) * cells + pixel * stride..];
            let x = &x[..(P - 1) * stride + (kernel - 1) * dilation + 1];
            for (kx, weights) in weights.iter().enumerate() {
                let weights = lanes::load(weights);
                for p in 0..P {
                    let x = lanes::load(&x[p * stride + kx * dilation]);
                    acc[p] = lanes::madd(acc[p], x, weights);
                }
            }
        }
        let first = 8 * block;
        let lanes = (channels - first).min(8);
        let out = &mut out[pixel * channels..(pixel + P) * channels];
        let mut pixels = out.chunks_exact_mut(channels);
        for acc in acc.chunks(2) {
            match (acc, pixels.next(), pixels.next()) {
                (&[a, b], Some(above), Some(below)) => {
                    let out = [above, below].map(|out| &mut out[first..first + lanes]);
                    self.store.store_both(params, [a, b], out);
                }
                (&[a], Some(out), _) => {
                    self.store.store(params, a, &mut out[first..first + lanes]);
                }
                _ => {}
            }
        }
    }
}
