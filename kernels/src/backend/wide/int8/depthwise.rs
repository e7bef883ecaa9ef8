//! Depthwise convolution: lanes are output channels, two rows of taps a product.
//!
//! A word holds the inputs of one channel under two taps, one above the other, and
//! is multiplied with the two weights: the words of a pair of rows serve every
//! output and tap along them. With a depth multiplier each word is repeated.

use bytemuck::cast_slice;
use wide::i32x8;

use super::finish::{PARAM_WORDS, Params, Store};
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
        Self {
            blocks,
            pairs,
            cells,
            params: blocks * PARAM_WORDS,
            weights: 8 * blocks * pairs * g.window.columns.kernel,
            rows: 8 * blocks * pairs * cells,
        }
    }
}

/// Bytes of scratch.
pub(super) fn scratch(g: &Conv2dGeometry) -> usize {
    let layout = Layout::new(g);
    let ours = layout.params + layout.weights + layout.rows;
    (4 * ours).max(ops::depthwise_conv2d::scratch_bytes::<i8>(g))
}

/// See [`DepthwiseConv2d`].
pub(super) fn run(
    op: &DepthwiseConv2d<'_, i8>,
    x: View<'_, i8>,
    mut y: ViewMut<'_, i8>,
    scratch: &mut [u8],
) {
    let g = &op.geometry;
    let layout = Layout::new(g);
    let needed = 4 * (layout.params + layout.weights + layout.rows);
    if scratch.len() < needed + scratch.as_ptr().align_offset(4) {
        return ops::depthwise_conv2d::run::<i8, Wide>(op, x, y, scratch);
    }
    let (_, words, _) = bytemuck::pod_align_to_mut::<u8, u32>(scratch);
    let (params, rest) = words.split_at_mut(layout.params);
    let (weights, rest) = rest.split_at_mut(layout.weights);
    let rows = &mut rest[..layout.rows];
    let params: &mut [Params] = bytemuck::cast_slice_mut(params);
    for (block, params) in params.iter_mut().enumerate() {
        *params = Params::channels(&op.epilogue, op.epilogue.bias, 8 * block);
    }
    pack(op, &layout, weights);
    let store = Store::new(&op.epilogue);
    let images = x.data().chunks_exact(g.input.image());
    for (image, out) in images.zip(y.data_mut().chunks_exact_mut(g.output.image())) {
        for (oy, out) in out.chunks_exact_mut(g.output.row()).enumerate() {
            let pairs = rows.chunks_exact_mut(8 * layout.blocks * layout.cells);
            for (pair, row) in pairs.enumerate() {
                let [above, below] =
                    [2 * pair, 2 * pair + 1].map(|ky| input_row(op, image, oy, ky));
                join(op, &layout, above, below, row);
            }
            let row = Row { op, layout: &layout, store: &store, words: cast_slice(rows) };
            for (block, params) in params.iter().enumerate() {
                row.run(block, params, cast_slice(weights), out);
            }
        }
    }
}

/// Weights as `[pair of rows][column][block]`, the second of a pair zero where there is none.
fn pack(op: &DepthwiseConv2d<'_, i8>, layout: &Layout, out: &mut [u32]) {
    let g = &op.geometry;
    let (kernel, outputs) = (g.window.columns.kernel, g.output.c);
    for (tap, words) in out.chunks_exact_mut(8 * layout.blocks).enumerate() {
        let at = |ky: usize| (ky * kernel + tap % kernel) * outputs;
        let above = op.weights.get(at(2 * (tap / kernel))..).unwrap_or(&[]);
        let below = op.weights.get(at(2 * (tap / kernel) + 1)..).unwrap_or(&[]);
        for (o, word) in words.iter_mut().enumerate() {
            let of = |row: &[i8]| if o < outputs { row.get(o).copied().unwrap_or(0) } else { 0 };
            *word = lanes::word(of(above), of(below));
        }
    }
}

/// The input row under tap `ky` of output row `oy`; `None` in the padding.
fn input_row<'x>(
    op: &DepthwiseConv2d<'_, i8>,
    image: &'x [i8],
    oy: usize,
    ky: usize,
) -> Option<&'x [i8]> {
    let rows = &op.geometry.window.rows;
    let iy = (oy * rows.stride + ky * rows.dilation).checked_sub(rows.pad)?;
    if iy >= rows.input {
        return None;
    }
    let row = op.geometry.input.row();
    image.get(iy * row..(iy + 1) * row)
}

/// The words of two rows: each cell in turn, `8 · blocks` channels of it.
fn join<'x>(
    op: &DepthwiseConv2d<'_, i8>,
    layout: &Layout,
    above: Option<&'x [i8]>,
    below: Option<&'x [i8]>,
    out: &mut [u32],
) {
    let g = &op.geometry;
    let zero = lanes::word(op.padding, op.padding);
    let channels = g.input.c;
    let before = (g.window.columns.pad).min(layout.cells);
    let inside = g.input.w.min(layout.cells - before);
    let width = 8 * layout.blocks;
    let (head, rest) = out.split_at_mut(before * width);
    let (body, tail) = rest.split_at_mut(inside * width);
    head.fill(zero);
    tail.fill(zero);
    if inside == 0 {
        return;
    }
    let whole = width == channels;
    let (cells, run) = if whole { (1, inside * channels) } else { (inside, channels) };
    let repeat = g.output.c / channels;
    for (cell, out) in
        body.chunks_exact_mut(if whole { run } else { width }).take(cells).enumerate()
    {
        let at = cell * channels..cell * channels + run;
        let part = |row: Option<&'x [i8]>| row.and_then(|row| row.get(at.clone()));
        match (part(above), part(below)) {
            (Some(a), Some(b)) => words(a, b, repeat, out),
            (Some(a), None) => words_or(a, repeat, out, |a| lanes::word(a, op.padding)),
            (None, Some(b)) => words_or(b, repeat, out, |b| lanes::word(op.padding, b)),
            (None, None) => out.fill(zero),
        }
    }
}

#[inline(always)]
fn words(a: &[i8], b: &[i8], repeat: usize, out: &mut [u32]) {
    if repeat == 1 {
        for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
            *out = lanes::word(a, b);
        }
        return;
    }
    for ((out, &a), &b) in out.chunks_mut(repeat).zip(a).zip(b) {
        out.fill(lanes::word(a, b));
    }
}

#[inline(always)]
fn words_or(x: &[i8], repeat: usize, out: &mut [u32], word: impl Fn(i8) -> u32) {
    if repeat == 1 {
        for (out, &x) in out.iter_mut().zip(x) {
            *out = word(x);
        }
        return;
    }
    for (out, &x) in out.chunks_mut(repeat).zip(x) {
        out.fill(word(x));
    }
}

/// One row of outputs.
struct Row<'a, 'w> {
    op: &'a DepthwiseConv2d<'w, i8>,
    layout: &'a Layout,
    store: &'a Store<'a>,
    /// `[pair of rows][cell][block]`.
    words: &'a [Words],
}

impl Row<'_, '_> {
    /// Eight channels of the row.
    fn run(&self, block: usize, params: &Params, weights: &[Words], out: &mut [i8]) {
        let outputs = self.op.geometry.output.w;
        let mut done = 0;
        while done + PIXELS <= outputs {
            self.tile::<PIXELS>(block, done, params, weights, out);
            done += PIXELS;
        }
        while done < outputs {
            self.tile::<1>(block, done, params, weights, out);
            done += 1;
        }
    }

    #[inline(always)]
    fn tile<const P: usize>(
        &self,
        block: usize,
        pixel: usize,
        params: &Params,
        weights: &[Words],
        out: &mut [i8],
    ) {
        let Layout { blocks, cells, pairs, .. } = *self.layout;
        let (columns, channels) = (&self.op.geometry.window.columns, self.op.geometry.output.c);
        let pitch = columns.stride * blocks;
        let mut acc: [i32x8; P] = [params.start(); P];
        for pair in 0..pairs {
            let row = &self.words[pair * cells * blocks..(pair + 1) * cells * blocks];
            let row = &row[pixel * pitch + block..];
            let weights = weights[pair * columns.kernel * blocks + block..].iter().step_by(blocks);
            for (kx, weights) in weights.take(columns.kernel).enumerate() {
                let weights = lanes::load(weights);
                let row = &row[kx * columns.dilation * blocks..];
                for p in 0..P {
                    acc[p] = lanes::madd(acc[p], lanes::load(&row[p * pitch]), weights);
                }
            }
        }
        let first = 8 * block;
        for (p, &acc) in acc.iter().enumerate() {
            let at = (pixel + p) * channels + first;
            let out = &mut out[at..at + (channels - first).min(8)];
            self.store.store(params, acc, out);
        }
    }
}
