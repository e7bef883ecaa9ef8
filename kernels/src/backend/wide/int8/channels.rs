//! Convolutions whose lanes are output channels: five pixels by sixteen of them at a time.
//!
//! A word of the input, two factors, is broadcast and multiplied with that word of
//! eight channels. Windows are runs of widened rows, so there are no columns and
//! no test for the border.

use bytemuck::{cast, cast_slice};
use wide::i32x8;

use super::finish::{PARAM_WORDS, Params, Scaling, Store};
use super::lanes::{self, Words};
use super::layer::{Layer, Ring, Runs};
use crate::backend::line::Line;

/// Pixels of a tile of sixteen channels: ten sums, two weights and one input in registers.
const PIXELS: usize = 5;
/// Pixels of a tile of eight channels.
const NARROW_PIXELS: usize = 8;

/// Pixels of a tile over one input channel.
const IMAGE_PIXELS: usize = 4;

/// Blocks of eight channels.
pub(super) const fn blocks(outputs: usize) -> usize {
    outputs.div_ceil(8)
}

/// Words of scratch: parameters, packed weights, where runs start, the ring.
pub(super) const fn scratch_words(
    rows: &Line,
    columns: &Line,
    inputs: usize,
    outputs: usize,
) -> usize {
    let runs = Runs::new(rows, columns, inputs);
    blocks(outputs) * (PARAM_WORDS + 8 * runs.count * runs.words)
        + runs.count
        + rows.span(0) * Ring::row(columns, inputs) / 2
}

/// All images: `x` and `y` are whole batches of maps with `y_image` outputs each.
pub(super) fn run(
    layer: &Layer<'_>,
    images: core::slice::ChunksExact<'_, i8>,
    y: core::slice::ChunksExactMut<'_, i8>,
    scratch: &mut [u32],
) {
    let runs = Runs::new(&layer.rows, &layer.columns, layer.inputs);
    let blocks = blocks(layer.outputs);
    let (params, rest) = scratch.split_at_mut(blocks * PARAM_WORDS);
    let (weights, rest) = rest.split_at_mut(blocks * 8 * runs.count * runs.words);
    let (starts, rest) = rest.split_at_mut(runs.count);
    let params: &mut [Params] = bytemuck::cast_slice_mut(params);
    let weights: &mut [Words] = bytemuck::cast_slice_mut(weights);
    layer.pack_all(&runs, params, weights);
    let mut ring = Ring::new(bytemuck::cast_slice_mut(rest), layer);
    let store = Store::new(layer.epilogue);
    for (image, y) in images.zip(y) {
        ring.restart();
        for oy in 0..layer.rows.outputs {
            ring.advance(layer, image, oy);
            ring.starts(layer, &runs, oy, starts);
            let line = (layer.rows.first + oy * layer.rows.every) * layer.width;
            let row = Row {
                layer,
                runs: &runs,
                store: &store,
                x: cast_slice(ring.data),
                starts,
                cell: line + layer.columns.first,
            };
            let pairs = weights.chunks(2 * runs.count * runs.words).zip(params.chunks(2));
            for (pair, (weights, params)) in pairs.enumerate() {
                if let [a, b] = params {
                    row.tiles::<2>(cast_slice(weights), [a, b], 16 * pair, y);
                } else if let [a] = params {
                    row.tiles::<1>(cast_slice(weights), [a], 16 * pair, y);
                }
            }
        }
    }
}

/// Sets the sums of a tile to the biases.
#[inline(always)]
pub(super) fn start<const V: usize, const P: usize>(
    params: [&Params; V],
    acc: &mut [[i32x8; V]; P],
) {
    for acc in acc {
        for v in 0..V {
            acc[v] = params[v].start();
        }
    }
}

/// One row of outputs.
struct Row<'a> {
    layer: &'a Layer<'a>,
    runs: &'a Runs,
    store: &'a Store<'a>,
    /// The ring, as bytes.
    x: &'a [u8],
    /// Factor of the ring at which each run of the first window starts.
    starts: &'a [u32],
    /// Place of the first output in the map.
    cell: usize,
}

impl Row<'_> {
    /// The row, for `8 · V` channels from `first` on.
    fn tiles<const V: usize>(
        &self,
        weights: &[[Words; V]],
        params: [&Params; V],
        first: usize,
        y: &mut [i8],
    ) {
        let outputs = self.layer.columns.outputs;
        if self.layer.is_image() && outputs >= IMAGE_PIXELS {
            return self.image(weights, params, first, y);
        }
        let most = if V == 1 { NARROW_PIXELS } else { PIXELS };
        // Tiles as equal as can be: eight pixels are four and four, not five and three.
        let tiles = outputs.div_ceil(most);
        let mut done = 0;
        for tile in 0..tiles {
            let count = (outputs - done).div_ceil(tiles - tile);
            match count {
                1 => self.tile::<V, 1>(weights, params, first, done, y),
                2 => self.tile::<V, 2>(weights, params, first, done, y),
                3 => self.tile::<V, 3>(weights, params, first, done, y),
                4 => self.tile::<V, 4>(weights, params, first, done, y),
                5 => self.tile::<V, 5>(weights, params, first, done, y),
                6 => self.tile::<V, 6>(weights, params, first, done, y),
                7 => self.tile::<V, 7>(weights, params, first, done, y),
                _ => self.tile::<V, 8>(weights, params, first, done, y),
            }
            done += count;
        }
    }

    /// 3×3 windows of one input channel: neighbouring pixels share words.
    #[inline(never)]
    fn image<const V: usize>(
        &self,
        weights: &[[Words; V]],
        params: [&Params; V],
        first: usize,
        y: &mut [i8],
    ) {
        let Some(weights) = weights.first_chunk::<6>() else { return };
        let &[above, middle, below] = self.starts else { return };
        let rows = [above, middle, below].map(|at| self.x.get(2 * at as usize..).unwrap_or(&[]));
        let outputs = self.layer.columns.outputs;
        for pixel in (0..outputs).step_by(IMAGE_PIXELS) {
            // The last tile reaches back over pixels that are there already.
            let pixel = pixel.min(outputs - IMAGE_PIXELS);
            let mut acc = [[i32x8::ZERO; V]; IMAGE_PIXELS];
            start(params, &mut acc);
            for (row, weights) in rows.iter().zip(weights.as_chunks::<2>().0) {
                // Factors 0 to 6 from this pixel on, at two bytes each.
                let Some(cells) = row.get(2 * pixel..).and_then(<[u8]>::first_chunk::<14>) else {
                    return;
                };
                let words: [_; IMAGE_PIXELS + 2] = core::array::from_fn(|k| {
                    let at = 2 * k;
                    lanes::splat([cells[at], cells[at + 1], cells[at + 2], cells[at + 3]])
                });
                for (half, weights) in weights.iter().enumerate() {
                    for (p, sums) in acc.iter_mut().enumerate() {
                        for (sum, weights) in sums.iter_mut().zip(weights) {
                            *sum = lanes::madd(*sum, words[p + 2 * half], lanes::load(weights));
                        }
                    }
                }
            }
            self.put(params, &acc, [first, pixel], y);
        }
    }

    /// `P` pixels from `pixel` on.
    #[inline(always)]
    fn tile<const V: usize, const P: usize>(
        &self,
        weights: &[[Words; V]],
        params: [&Params; V],
        first: usize,
        pixel: usize,
        y: &mut [i8],
    ) {
        let layer = self.layer;
        let words = self.runs.words;
        let pitch = 2 * layer.columns.stride * layer.inputs;
        let mut acc = [[i32x8::ZERO; V]; P];
        start(params, &mut acc);
        for (weights, &start) in weights.chunks_exact(words).zip(self.starts) {
            let at = 2 * start as usize + pixel * pitch;
            let x: [&[[u8; 4]]; P] = core::array::from_fn(|p| {
                let at = at + p * pitch;
                self.x[at..at + 4 * words].as_chunks::<4>().0
            });
            for (k, weights) in weights.iter().enumerate() {
                let weights = weights.map(|words| lanes::load(&words));
                for p in 0..P {
                    let x = lanes::splat(x[p][k]);
                    for v in 0..V {
                        acc[p][v] = lanes::madd(acc[p][v], x, weights[v]);
                    }
                }
            }
        }
        self.put(params, &acc, [first, pixel], y);
    }

    /// The sums of `P` pixels from `pixel` on, for the channels from `first` on, as codes.
    #[inline(always)]
    fn put<const V: usize, const P: usize>(
        &self,
        params: [&Params; V],
        acc: &[[i32x8; V]; P],
        [first, pixel]: [usize; 2],
        y: &mut [i8],
    ) {
        let outputs = self.layer.outputs;
        let place = Place {
            first: (self.cell + pixel * self.layer.columns.every) * outputs + first,
            pitch: self.layer.columns.every * outputs,
            channels: (outputs - first).min(8 * V),
        };
        // The usual ends of a layer are compiled into the tile, so that sums stay in registers.
        match self.store.scaling {
            Scaling::Rectified if place.channels == 8 * V => {
                place.put(self.store, Scaling::Rectified, params, acc, y);
            }
            // A copy: sums that are lent out would live in memory all along.
            how => place.put_any(self.store, how, params, &{ *acc }, y),
        }
    }
}

/// Where the codes of a tile go.
#[derive(Clone, Copy)]
struct Place {
    /// Of the first channel of the first pixel.
    first: usize,
    /// From one pixel to the next.
    pitch: usize,
    channels: usize,
}

impl Place {
    /// Any scaling, and fewer channels than the tile has.
    #[inline(never)]
    fn put_any<const V: usize, const P: usize>(
        self,
        store: &Store<'_>,
        how: Scaling,
        params: [&Params; V],
        acc: &[[i32x8; V]; P],
        y: &mut [i8],
    ) {
        if self.channels == 8 * V {
            return self.put(store, how, params, acc, y);
        }
        for (p, acc) in acc.iter().enumerate() {
            let at = self.first + p * self.pitch;
            let out = &mut y[at..at + self.channels];
            if V == 2 {
                store.store2([params[0], params[V - 1]], [acc[0], acc[V - 1]], out);
            } else {
                store.store(params[0], acc[0], out);
            }
        }
    }

    /// All channels of the tile.
    #[inline(always)]
    fn put<const V: usize, const P: usize>(
        self,
        store: &Store<'_>,
        how: Scaling,
        params: [&Params; V],
        acc: &[[i32x8; V]; P],
        y: &mut [i8],
    ) {
        // One by one: a loop that is not unrolled would keep the sums in memory.
        macro_rules! each {
            ($($p:literal)*) => { $(if $p < P { self.put_one::<V, P, $p>(store, how, params, acc, y); })* };
        }
        each!(0 1 2 3 4 5 6 7);
        if store.has_table() {
            for p in 0..P {
                let at = self.first + p * self.pitch;
                store.look_up(&mut y[at..at + 8 * V]);
            }
        }
    }

    /// Pixel `N` of the tile, or both it and the next one if the tile has eight channels.
    #[inline(always)]
    fn put_one<const V: usize, const P: usize, const N: usize>(
        self,
        store: &Store<'_>,
        how: Scaling,
        params: [&Params; V],
        acc: &[[i32x8; V]; P],
        y: &mut [i8],
    ) {
        if V == 1 && N % 2 == 1 {
            return;
        }
        let at = self.first + N * self.pitch;
        let params = [params[0], params[V - 1]];
        if V == 2 {
            let Some(out) = y.get_mut(at..).and_then(<[i8]>::first_chunk_mut) else { return };
            *out = store.codes_as(how, params, [acc[N][0], acc[N][V - 1]]).to_array();
            return;
        }
        let next = if N + 1 < P { N + 1 } else { N };
        let codes = store.codes_as(how, params, [acc[N][0], acc[next][0]]);
        let codes: [[i8; 8]; 2] = cast(codes);
        for (q, codes) in codes.into_iter().enumerate().take(P - N) {
            let out = y.get_mut(at + q * self.pitch..).and_then(<[i8]>::first_chunk_mut);
            let Some(out) = out else { return };
            *out = codes;
        }
    }
}
