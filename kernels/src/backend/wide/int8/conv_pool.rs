//! Convolution and a 2×2 max-pool behind it: the four sums under a window stay in
//! registers, and the largest is requantised.

use bytemuck::cast_slice;
use wide::i32x8;

use super::channels::{blocks, start};
use super::finish::{PARAM_WORDS, Params, Store};
use super::lanes::{self, Words};
use super::layer::{Layer, Ring, Runs};
use crate::backend::Wide;
use crate::backend::line::Line;
use crate::ops::fused::conv_pool2d as portable;
use crate::ops::{ConvPool2d, ConvPool2dGeometry, FusedElement};
use crate::view::{View, ViewMut};

/// Fewest output channels: fewer leave lanes idle.
const CHANNELS: usize = 5;

/// Both axes of the convolution and its runs; `None` where bands of rows are better.
fn lines(g: &ConvPool2dGeometry) -> Option<([Line; 2], Runs)> {
    let (window, pool) = (&g.convolution.window, &g.pool.window);
    let two = |axis: &crate::window::Axis| axis.kernel == 2 && axis.stride == 2;
    let suits = g.convolution.groups == 1
        && g.convolution.output.c >= CHANNELS
        && two(&pool.rows)
        && two(&pool.columns)
        && pool.is_unpadded();
    let [rows, columns] = [Line::forward(&window.rows), Line::forward(&window.columns)];
    suits.then_some(([rows, columns], Runs::new(&rows, &columns, g.convolution.input.c)))
}

/// Words of scratch: parameters, packed weights, where runs start, the ring.
fn words(g: &ConvPool2dGeometry) -> Option<usize> {
    let ([rows, columns], runs) = lines(g)?;
    let (inputs, outputs) = (g.convolution.input.c, g.convolution.output.c);
    let blocks = blocks(outputs) * (PARAM_WORDS + 8 * runs.count * runs.words);
    Some(blocks + 2 * runs.count + rows.span(1) * Ring::row(&columns, inputs) / 2)
}

/// Bytes of scratch. What the multipliers are is not known here: bands have to fit as well.
pub(super) fn scratch(g: &ConvPool2dGeometry) -> usize {
    (4 * words(g).unwrap_or(0)).max(portable::band_scratch_bytes::<i8, Wide>(g))
}

/// See [`ConvPool2d`].
pub(super) fn run(
    op: &ConvPool2d<'_, i8>,
    x: View<'_, i8>,
    mut y: ViewMut<'_, i8>,
    scratch: &mut [u8],
) {
    let (g, convolution) = (&op.geometry, &op.convolution);
    let monotone = <i8 as FusedElement>::monotone(&convolution.epilogue, g.convolution.depth());
    let (Some(([rows, columns], runs)), Some(needed), true) = (lines(g), words(g), monotone) else {
        return portable::run_bands::<i8, Wide>(op, x, y, scratch);
    };
    let (_, aligned, _) = bytemuck::pod_align_to_mut::<u8, u32>(scratch);
    let Some(scratch) = aligned.get_mut(..needed) else { return };
    let layer = Layer {
        rows,
        columns,
        inputs: g.convolution.input.c,
        outputs: g.convolution.output.c,
        kernel: [g.convolution.window.rows.kernel, g.convolution.window.columns.kernel],
        weights: convolution.weights,
        bias: convolution.epilogue.bias,
        epilogue: &convolution.epilogue,
        zero_point: convolution.padding,
        width: columns.outputs,
    };
    let blocks = blocks(layer.outputs);
    let (params, rest) = scratch.split_at_mut(blocks * PARAM_WORDS);
    let (weights, rest) = rest.split_at_mut(blocks * 8 * runs.count * runs.words);
    let (starts, rest) = rest.split_at_mut(2 * runs.count);
    let params: &mut [Params] = bytemuck::cast_slice_mut(params);
    let weights: &mut [Words] = bytemuck::cast_slice_mut(weights);
    layer.pack_all(&runs, params, weights);
    let mut ring = Ring::of(bytemuck::cast_slice_mut(rest), &layer, 2);
    let store = Store::new(layer.epilogue);
    let images = x.data().chunks_exact(g.convolution.input.image());
    for (image, y) in images.zip(y.data_mut().chunks_exact_mut(g.pool.output.image())) {
        ring.restart();
        for (py, y) in y.chunks_exact_mut(g.pool.output.row()).enumerate() {
            ring.advance(&layer, image, 2 * py);
            for (a, starts) in starts.chunks_exact_mut(runs.count).enumerate() {
                ring.starts(&layer, &runs, 2 * py + a, starts);
            }
            let row =
                Row { layer: &layer, runs: &runs, store: &store, x: cast_slice(ring.data), starts };
            row.blocks(params, weights, y);
            let (low, high) = op.bounds;
            if low != i8::MIN || high != i8::MAX {
                for code in y {
                    *code = (*code).min(high).max(low);
                }
            }
        }
    }
}

/// One row of the pool's outputs.
struct Row<'a> {
    layer: &'a Layer<'a>,
    runs: &'a Runs,
    store: &'a Store<'a>,
    /// The ring, as bytes.
    x: &'a [u8],
    /// Factor of the ring at which each run of the first window starts, for both rows.
    starts: &'a [u32],
}

impl Row<'_> {
    fn blocks(&self, params: &[Params], weights: &[Words], y: &mut [i8]) {
        let (layer, runs) = (self.layer, self.runs);
        let image = layer.is_image() && layer.rows.stride == 1;
        let pairs = weights.chunks(2 * runs.count * runs.words).zip(params.chunks(2));
        for (pair, (weights, params)) in pairs.enumerate() {
            match params {
                [a, b] if image => self.image::<2>(cast_slice(weights), [a, b], 16 * pair, y),
                [a] if image => self.image::<1>(cast_slice(weights), [a], 16 * pair, y),
                [a, b] => self.windows::<2>(cast_slice(weights), [a, b], 16 * pair, y),
                [a] => self.windows::<1>(cast_slice(weights), [a], 16 * pair, y),
                _ => {}
            }
        }
    }

    /// 3×3 windows of one input channel, `8 · V` output channels from `first` on.
    #[inline(never)]
    fn image<const V: usize>(
        &self,
        weights: &[[Words; V]],
        params: [&Params; V],
        first: usize,
        y: &mut [i8],
    ) {
        let Some(weights) = weights.first_chunk::<6>() else { return };
        let &[r0, r1, r2, _, _, r3] = self.starts else { return };
        let rows = [r0, r1, r2, r3].map(|start| self.x.get(2 * start as usize..).unwrap_or(&[]));
        let channels = (self.layer.outputs - first).min(8 * V);
        for (px, y) in y.chunks_exact_mut(self.layer.outputs).enumerate() {
            let mut acc = [[i32x8::ZERO; V]; 4];
            start(params, &mut acc);
            for (r, row) in rows.iter().enumerate() {
                // Factors 0 to 4 from column 2 · px on, at two bytes each.
                let Some(cells) = row.get(4 * px..).and_then(<[u8]>::first_chunk::<10>) else {
                    return;
                };
                let words: [_; 4] = core::array::from_fn(|k| {
                    let at = 2 * k;
                    lanes::splat([cells[at], cells[at + 1], cells[at + 2], cells[at + 3]])
                });
                for a in r.saturating_sub(2)..=r.min(1) {
                    let ky = r - a;
                    for half in 0..2 {
                        let weights = &weights[2 * ky + half];
                        for b in 0..2 {
                            for v in 0..V {
                                let sum = &mut acc[2 * a + b][v];
                                let weights = lanes::load(&weights[v]);
                                *sum = lanes::madd(*sum, words[b + 2 * half], weights);
                            }
                        }
                    }
                }
            }
            self.put(params, &acc, &mut y[first..first + channels]);
        }
    }

    /// Windows of any size, `8 · V` output channels from `first` on.
    #[inline(never)]
    fn windows<const V: usize>(
        &self,
        weights: &[[Words; V]],
        params: [&Params; V],
        first: usize,
        y: &mut [i8],
    ) {
        let words = self.runs.words;
        let pitch = 2 * self.layer.columns.stride * self.layer.inputs;
        let channels = (self.layer.outputs - first).min(8 * V);
        let (above, below) = self.starts.split_at(self.runs.count);
        for (px, y) in y.chunks_exact_mut(self.layer.outputs).enumerate() {
            let mut acc = [[i32x8::ZERO; V]; 4];
            start(params, &mut acc);
            let starts = above.iter().zip(below);
            for (weights, (&above, &below)) in weights.chunks_exact(words).zip(starts) {
                let x: [&[[u8; 4]]; 4] = core::array::from_fn(|p| {
                    let start = if p < 2 { above } else { below };
                    let at = 2 * start as usize + (2 * px + p % 2) * pitch;
                    self.x[at..at + 4 * words].as_chunks::<4>().0
                });
                for (k, weights) in weights.iter().enumerate() {
                    let weights = weights.map(|words| lanes::load(&words));
                    for p in 0..4 {
                        let x = lanes::splat(x[p][k]);
                        for v in 0..V {
                            acc[p][v] = lanes::madd(acc[p][v], x, weights[v]);
                        }
                    }
                }
            }
            self.put(params, &acc, &mut y[first..first + channels]);
        }
    }

    /// The largest of four sums of each channel, as codes.
    #[inline(always)]
    fn put<const V: usize>(&self, params: [&Params; V], acc: &[[i32x8; V]; 4], out: &mut [i8]) {
        let [a, b, c, d] = acc;
        let best: [i32x8; V] = core::array::from_fn(|v| a[v].max(b[v]).max(c[v].max(d[v])));
        if V == 2 {
            self.store.store2([params[0], params[V - 1]], [best[0], best[V - 1]], out);
        } else {
            self.store.store(params[0], best[0], out);
        }
    }
}
