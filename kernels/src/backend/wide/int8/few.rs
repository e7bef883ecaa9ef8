//! Convolutions to a few channels: lanes are factors of a row as they lie, so that no
//! input is rearranged and none is multiplied for channels that do not exist.
//!
//! [`Kind::Dot`]: the sixteen factors of a vector belong to one window and are added up at
//! the end, eight windows and channels at a time. [`Kind::Flat`]: they belong to eight
//! neighbouring pixels of two input channels, or four of four.

use bytemuck::cast;
use wide::{i16x16, i32x8};

use super::finish::{PARAM_WORDS, Params, Store};
use super::lanes::{self, Words};
use super::layer::{Layer, Ring, Runs};
use crate::backend::line::Line;

/// Most output channels.
const CHANNELS: usize = 4;
/// Fewest factors of a run that are worth vectors of sixteen.
const DOT_FACTORS: usize = 12;
/// Factors that tiles may read behind the last row.
const SLACK: usize = 64;

/// What the lanes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Dot,
    Flat,
}

/// How a layer is computed, and what scratch it takes.
#[derive(Clone, Copy)]
pub(super) struct Plan {
    kind: Kind,
    runs: Runs,
    /// Factors of a run.
    factors: usize,
    /// Output channels that are computed: one, two or four.
    channels: usize,
    /// Vectors of weights of a run, for each of them.
    vectors: usize,
}

impl Plan {
    /// `None` where lanes are better output channels.
    pub(super) const fn new(
        rows: &Line,
        columns: &Line,
        inputs: usize,
        outputs: usize,
    ) -> Option<Self> {
        if outputs > CHANNELS {
            return None;
        }
        let runs = Runs::new(rows, columns, inputs);
        let factors = runs.taps * inputs;
        let joined = runs.per_row == 1 && columns.stride == 1;
        let channels = outputs.next_power_of_two();
        let (kind, vectors) = if joined && (inputs == 2 || inputs == 4) {
            (Kind::Flat, runs.taps)
        } else if factors >= DOT_FACTORS {
            (Kind::Dot, factors.div_ceil(16))
        } else {
            return None;
        };
        Some(Self { kind, runs, factors, channels, vectors })
    }

    /// Words of scratch: parameters, weights, where runs start, the ring.
    pub(super) const fn words(&self, rows: &Line, columns: &Line, inputs: usize) -> usize {
        self.channels * (PARAM_WORDS + 8 * self.runs.count * self.vectors)
            + self.runs.count
            + (rows.span(0) * Ring::row(columns, inputs) + SLACK) / 2
    }

    /// All images. `factors(o, ky, kx, out)` writes the factors of output `o` in the run that
    /// begins with tap (`ky`, `kx`).
    pub(super) fn run(
        &self,
        layer: &Layer<'_>,
        factors: impl Fn(usize, usize, usize, &mut [i16]),
        images: core::slice::ChunksExact<'_, i8>,
        y: core::slice::ChunksExactMut<'_, i8>,
        scratch: &mut [u32],
    ) {
        let runs = &self.runs;
        let (params, rest) = scratch.split_at_mut(self.channels * PARAM_WORDS);
        let (weights, rest) = rest.split_at_mut(self.channels * 8 * runs.count * self.vectors);
        let (starts, rest) = rest.split_at_mut(runs.count);
        let params: &mut [Params] = bytemuck::cast_slice_mut(params);
        let weights: &mut [Words] = bytemuck::cast_slice_mut(weights);
        for (o, params) in params.iter_mut().enumerate() {
            let (first, count) = if self.kind == Kind::Dot { (0, self.channels) } else { (o, 1) };
            *params = Params::repeated(layer.epilogue, layer.bias, first, count);
        }
        self.pack(layer, factors, weights);
        let mut ring = Ring::new(bytemuck::cast_slice_mut(rest), layer);
        let store = Store::new(layer.epilogue);
        for (image, y) in images.zip(y) {
            ring.restart();
            for oy in 0..layer.rows.outputs {
                ring.advance(layer, image, oy);
                ring.starts(layer, runs, oy, starts);
                let line = (layer.rows.first + oy * layer.rows.every) * layer.width;
                let row = Row {
                    layer,
                    store: &store,
                    params,
                    x: ring.data,
                    starts,
                    weights,
                    cell: line + layer.columns.first,
                };
                match self.kind {
                    Kind::Dot => row.dots(self.channels, self.vectors, y),
                    Kind::Flat => row.flat(self.channels, self.vectors, y),
                }
            }
        }
    }

    /// Weights as `[run][channel][vector]`.
    fn pack(
        &self,
        layer: &Layer<'_>,
        factors: impl Fn(usize, usize, usize, &mut [i16]),
        weights: &mut [Words],
    ) {
        weights.fill([0; 8]);
        if layer.rows.empty || layer.columns.empty {
            return;
        }
        let runs = &self.runs;
        for (run, weights) in weights.chunks_exact_mut(self.vectors * self.channels).enumerate() {
            let (ky, kx) = (run / runs.per_row, run % runs.per_row * runs.taps);
            let channels = weights.chunks_exact_mut(self.vectors).take(layer.outputs);
            for (o, weights) in channels.enumerate() {
                if self.kind == Kind::Dot {
                    let out: &mut [i16] = bytemuck::cast_slice_mut(weights);
                    factors(o, ky, kx, &mut out[..self.factors]);
                    continue;
                }
                for (t, weights) in weights.iter_mut().enumerate() {
                    let mut tap = [0; 4];
                    factors(o, ky, kx + t, &mut tap[..layer.inputs]);
                    let lanes: [i16; 16] =
                        core::array::from_fn(|lane| tap[lane & (layer.inputs - 1)]);
                    *weights = cast(lanes);
                }
            }
        }
    }
}

/// One row of outputs.
struct Row<'a> {
    layer: &'a Layer<'a>,
    store: &'a Store<'a>,
    params: &'a [Params],
    /// The ring, and what tiles may read behind it.
    x: &'a [i16],
    /// Factor of the ring at which each run of the first window starts.
    starts: &'a [u32],
    weights: &'a [Words],
    /// Place of the first output in the map.
    cell: usize,
}

impl Row<'_> {
    fn dots(&self, channels: usize, vectors: usize, y: &mut [i8]) {
        match (channels, vectors) {
            (1, 3) => self.dots_of::<8, 1, 3>(vectors, y),
            (1, _) => self.dots_of::<8, 1, 0>(vectors, y),
            (2, 3) => self.dots_of::<4, 2, 3>(vectors, y),
            (2, _) => self.dots_of::<4, 2, 0>(vectors, y),
            (_, 3) => self.dots_of::<2, 4, 3>(vectors, y),
            _ => self.dots_of::<2, 4, 0>(vectors, y),
        }
    }

    /// `P` pixels of `O` channels, eight sums in all, at a time; `C` vectors a run unless zero.
    #[inline(never)]
    fn dots_of<const P: usize, const O: usize, const C: usize>(
        &self,
        vectors: usize,
        y: &mut [i8],
    ) {
        let outputs = self.layer.columns.outputs;
        let pitch = self.layer.columns.stride * self.layer.inputs;
        let vectors = if C == 0 { vectors } else { C };
        for first in (0..outputs).step_by(P) {
            // The last tile reaches back over pixels that are there already.
            let first = first.min(outputs.saturating_sub(P));
            let count = P.min(outputs);
            let mut acc = [[i32x8::ZERO; O]; P];
            for (weights, &start) in self.weights.chunks_exact(O * vectors).zip(self.starts) {
                // Windows that are not there are the last one once more.
                let x: [&[[i16; 16]]; P] = core::array::from_fn(|p| {
                    let at = start as usize + (first + p.min(count - 1)) * pitch;
                    self.x[at..at + 16 * vectors].as_chunks().0
                });
                for k in 0..vectors {
                    // One vector of weights at a time, or sums would not stay in registers.
                    for o in 0..O {
                        let weights = lanes::load(&weights[o * vectors + k]);
                        for p in 0..P {
                            acc[p][o] = lanes::madd(acc[p][o], i16x16::new(x[p][k]), weights);
                        }
                    }
                }
            }
            let sums = core::array::from_fn(|lane| acc[lane / O][lane % O]);
            let codes = self.store.eight(&self.params[0], lanes::add_up(sums));
            self.put(codes, O, first, count, y);
        }
    }

    fn flat(&self, channels: usize, taps: usize, y: &mut [i8]) {
        let four = self.layer.inputs == 4;
        match (four, channels, taps) {
            (true, 1, 2) => self.flat_of::<2, 1, 2>(taps, y),
            (true, 1, 3) => self.flat_of::<2, 1, 3>(taps, y),
            (true, 1, _) => self.flat_of::<2, 1, 0>(taps, y),
            (true, 2, _) => self.flat_of::<2, 2, 0>(taps, y),
            (true, ..) => self.flat_of::<2, 4, 0>(taps, y),
            (false, 1, _) => self.flat_of::<1, 1, 0>(taps, y),
            (false, 2, _) => self.flat_of::<1, 2, 0>(taps, y),
            (false, ..) => self.flat_of::<1, 4, 0>(taps, y),
        }
    }

    /// Eight pixels of `O` channels at a time, `2 · H` input channels; `T` taps unless zero.
    #[inline(never)]
    fn flat_of<const H: usize, const O: usize, const T: usize>(&self, taps: usize, y: &mut [i8]) {
        let outputs = self.layer.columns.outputs;
        let taps = if T == 0 { taps } else { T };
        let inputs = 2 * H;
        for first in (0..outputs).step_by(8) {
            let first = first.min(outputs.saturating_sub(8));
            let mut acc = [[i32x8::ZERO; H]; O];
            for (weights, &start) in self.weights.chunks_exact(O * taps).zip(self.starts) {
                let at = start as usize + first * inputs;
                let x = &self.x[at..at + (taps - 1) * inputs + 16 * H];
                for (acc, weights) in acc.iter_mut().zip(weights.chunks_exact(taps)) {
                    for (t, weights) in weights.iter().enumerate() {
                        let weights = lanes::load(weights);
                        for (h, sum) in acc.iter_mut().enumerate() {
                            let at = t * inputs + 16 * h;
                            let Some(&x) = x[at..].first_chunk() else { return };
                            *sum = lanes::madd(*sum, i16x16::new(x), weights);
                        }
                    }
                }
            }
            let count = outputs.min(8);
            for (o, acc) in acc.iter().enumerate() {
                if o >= self.layer.outputs {
                    break;
                }
                let sums = if H == 2 { lanes::add_pairs([acc[0], acc[H - 1]]) } else { acc[0] };
                let codes = self.store.eight(&self.params[o], sums);
                let (outputs, every) = (self.layer.outputs, self.layer.columns.every);
                let at = (self.cell + first * every) * outputs + o;
                self.store.spread(codes, every * outputs, count, &mut y[at..]);
            }
        }
    }

    /// Stores `[pixel][channel]` codes of `count` pixels from `first` on, `pitch` a pixel.
    #[inline(always)]
    fn put(&self, codes: [i8; 8], pitch: usize, first: usize, count: usize, y: &mut [i8]) {
        let (outputs, every) = (self.layer.outputs, self.layer.columns.every);
        let y = &mut y[(self.cell + first * every) * outputs..];
        if pitch == 1 {
            return self.store.spread(codes, every, count, y);
        }
        let codes = self.store.looked_up(codes);
        if outputs == pitch && every == 1 && count * pitch == 8 {
            if let Some(y) = y.first_chunk_mut() {
                *y = codes;
            }
            return;
        }
        for (p, codes) in codes.chunks_exact(pitch).enumerate().take(count) {
            let at = p * every * outputs;
            y[at..at + outputs].copy_from_slice(&codes[..outputs]);
        }
    }
}
