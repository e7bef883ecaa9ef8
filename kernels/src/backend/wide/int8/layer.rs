//! What a convolution and each phase of a transposed one have in common: which
//! rows are widened, in what order weights are packed, where outputs go.

use super::finish::Params;
use super::lanes::{self, Words};
use crate::backend::line::Line;
use crate::epilogue::Requantize;

/// A convolution, or one phase of a transposed one.
pub(super) struct Layer<'a> {
    pub(super) rows: Line,
    pub(super) columns: Line,
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    /// Rows and columns of the kernel in memory.
    pub(super) kernel: [usize; 2],
    /// `[outputs][kernel rows][kernel columns][inputs]`.
    pub(super) weights: &'a [i8],
    /// One bias per output.
    pub(super) bias: &'a [i32],
    pub(super) epilogue: &'a Requantize<'a>,
    pub(super) zero_point: i8,
    /// Cells of an output row of the whole map.
    pub(super) width: usize,
}

/// Windows as runs: how many, and how long.
#[derive(Clone, Copy)]
pub(super) struct Runs {
    /// Runs of a window along one row.
    pub(super) per_row: usize,
    /// Runs of a window.
    pub(super) count: usize,
    /// Taps that lie side by side in a run.
    pub(super) taps: usize,
    /// Words of a run: two factors each, the last may be half empty.
    pub(super) words: usize,
}

impl Runs {
    pub(super) const fn new(rows: &Line, columns: &Line, inputs: usize) -> Self {
        let joined = columns.step == 1 || columns.taps == 1;
        let (per_row, taps) = if joined { (1, columns.taps) } else { (columns.taps, 1) };
        Self { per_row, count: rows.taps * per_row, taps, words: (taps * inputs).div_ceil(2) }
    }
}

impl Layer<'_> {
    /// The weight of tap (`ky`, `kx`) and input channel `i` for output `o`.
    #[inline(always)]
    fn at(&self, o: usize, ky: usize, kx: usize) -> usize {
        let (ky, kx) = (self.rows.weight_of(ky), self.columns.weight_of(kx));
        ((o * self.kernel[0] + ky) * self.kernel[1] + kx) * self.inputs
    }

    /// Whether windows are 3×3 over one input channel, as in the first layer of a small network.
    pub(super) const fn is_image(&self) -> bool {
        let (rows, columns) = (&self.rows, &self.columns);
        self.inputs == 1
            && rows.taps == 3
            && columns.taps == 3
            && rows.step == 1
            && columns.step == 1
            && columns.stride == 1
    }

    fn is_empty(&self) -> bool {
        self.rows.empty || self.columns.empty
    }

    /// A factor of output `o` in row `ky`, `k` cells behind the first of tap `kx`.
    fn factor(&self, o: usize, ky: usize, kx: usize, k: usize) -> i8 {
        let at = self.at(o, ky, kx + k / self.inputs) + k % self.inputs;
        self.weights.get(at).copied().unwrap_or(0)
    }

    /// The factors of output `o` in the taps from (`ky`, `kx`) on, as many as `out` holds.
    pub(super) fn factors(&self, o: usize, ky: usize, kx: usize, out: &mut [i16]) {
        let whole = if self.columns.ascending() { out.len() } else { self.inputs };
        for (t, out) in out.chunks_mut(whole).enumerate() {
            let at = self.at(o, ky, kx + t);
            lanes::widen(&self.weights[at..at + out.len()], out);
        }
    }

    /// Parameters of every block of eight outputs, and weights of every pair of blocks.
    pub(super) fn pack_all(&self, runs: &Runs, params: &mut [Params], weights: &mut [Words]) {
        for (block, params) in params.iter_mut().enumerate() {
            *params = Params::channels(self.epilogue, self.bias, 8 * block);
        }
        for (pair, weights) in weights.chunks_mut(2 * runs.count * runs.words).enumerate() {
            if weights.len() == 2 * runs.count * runs.words {
                self.pack::<2>(runs, 16 * pair, bytemuck::cast_slice_mut(weights));
            } else {
                self.pack::<1>(runs, 16 * pair, bytemuck::cast_slice_mut(weights));
            }
        }
    }

    /// Packs the weights of outputs `first..first + 8 · V` as `[run][word][V]`.
    fn pack<const V: usize>(&self, runs: &Runs, first: usize, out: &mut [[Words; V]]) {
        if self.is_empty() {
            out.fill([[0; 8]; V]);
            return;
        }
        // Factors that lie side by side in memory: a run, or the channels of a tap.
        let whole = self.columns.ascending();
        let even = self.inputs.is_multiple_of(2);
        for (run, out) in out.chunks_exact_mut(runs.words).enumerate() {
            let (ky, kx) = (run / runs.per_row, run % runs.per_row * runs.taps);
            if whole {
                self.pack_run(first, [ky, kx], runs.taps * self.inputs, out);
            } else if even {
                for (t, out) in out.chunks_exact_mut(self.inputs / 2).enumerate() {
                    self.pack_run(first, [ky, kx + t], self.inputs, out);
                }
            } else {
                self.pack_slowly(first, [ky, kx], runs.taps * self.inputs, out);
            }
        }
    }

    fn pack_run<const V: usize>(
        &self,
        first: usize,
        [ky, kx]: [usize; 2],
        cells: usize,
        out: &mut [[Words; V]],
    ) {
        for v in 0..V {
            let first = first + 8 * v;
            for (chunk, out) in out.chunks_mut(8).enumerate() {
                let rows = core::array::from_fn(|lane| {
                    let o = first + lane;
                    if o >= self.outputs {
                        return [0; 8];
                    }
                    let at = self.at(o, ky, kx);
                    let run = self.weights.get(at + 16 * chunk..at + cells).unwrap_or(&[]);
                    lanes::words(run)
                });
                for (out, words) in out.iter_mut().zip(lanes::transpose(rows)) {
                    out[v] = words;
                }
            }
        }
    }

    fn pack_slowly<const V: usize>(
        &self,
        first: usize,
        [ky, kx]: [usize; 2],
        cells: usize,
        out: &mut [[Words; V]],
    ) {
        for (index, out) in out.iter_mut().enumerate() {
            *out = core::array::from_fn(|v| {
                core::array::from_fn(|lane| {
                    let o = first + 8 * v + lane;
                    if o >= self.outputs {
                        return 0;
                    }
                    let factor = |k| if k < cells { self.factor(o, ky, kx, k) } else { 0 };
                    lanes::word(factor(2 * index), factor(2 * index + 1))
                })
            });
        }
    }
}

/// Rows of the input, widened and padded, the last few of them.
pub(super) struct Ring<'a> {
    pub(super) data: &'a mut [i16],
    /// Elements of a row.
    pub(super) row: usize,
    /// Rows kept.
    pub(super) rows: usize,
    /// The first row that is not there yet, counted from the first of output row 0.
    next: usize,
    /// A multiple of `rows`, at most that below the rows that are there.
    base: usize,
    /// Elements of an input row that no window reads, before the others.
    skip: usize,
    /// Elements of padding before a row.
    before: usize,
    /// Elements of an input row that windows read.
    inside: usize,
}

impl<'a> Ring<'a> {
    /// Elements of a row: the cells that a row of windows reads, and one for a half-empty word.
    pub(super) const fn row(columns: &Line, inputs: usize) -> usize {
        (columns.span(columns.outputs - 1) * inputs + 2) & !1
    }

    /// For one row of outputs at a time.
    pub(super) fn new(data: &'a mut [i16], layer: &Layer<'_>) -> Self {
        Self::of(data, layer, 1)
    }

    /// For `count` rows of outputs at a time.
    pub(super) fn of(data: &'a mut [i16], layer: &Layer<'_>, count: usize) -> Self {
        let (columns, inputs) = (&layer.columns, layer.inputs);
        let cells = columns.span(columns.outputs - 1);
        let skip = columns.start.max(0).unsigned_abs().min(columns.input);
        let before = columns.start.min(0).unsigned_abs().min(cells);
        // The padding at both ends of a row stays; rows are written between.
        data.fill(i16::from(layer.zero_point));
        Self {
            data,
            row: Self::row(columns, inputs),
            rows: layer.rows.span(count - 1),
            next: 0,
            base: 0,
            skip: skip * inputs,
            before: before * inputs,
            inside: (columns.input - skip).min(cells - before) * inputs,
        }
    }

    /// Forgets the rows: another image follows.
    pub(super) fn restart(&mut self) {
        (self.next, self.base) = (0, 0);
    }

    /// Where row `v`, counted from the first of output row 0, is kept.
    const fn at(&self, v: usize) -> usize {
        // `v % rows`, without a division in every row of outputs.
        let (slot, rows) = (v - self.base, self.rows);
        (if slot < rows { slot } else { slot - rows }) * self.row
    }

    /// Factors at which the runs of the first window of output row `oy` start.
    pub(super) fn starts(&self, layer: &Layer<'_>, runs: &Runs, oy: usize, out: &mut [u32]) {
        for (ky, out) in out.chunks_exact_mut(runs.per_row).enumerate() {
            let row = self.at(oy * layer.rows.stride + ky * layer.rows.step);
            for (kx, start) in out.iter_mut().enumerate() {
                *start = (row + kx * layer.columns.step * layer.inputs) as u32;
            }
        }
    }

    /// Brings in the rows that output row `oy`, and the others at a time with it, read.
    pub(super) fn advance(&mut self, layer: &Layer<'_>, image: &[i8], oy: usize) {
        let begin = oy * layer.rows.stride;
        while self.base + self.rows <= begin {
            self.base += self.rows;
        }
        let len = layer.columns.input * layer.inputs;
        for v in self.next.max(begin)..begin + self.rows {
            let at = self.at(v) + self.before;
            let Some(row) = self.data.get_mut(at..at + self.inside) else { return };
            match usize::try_from(layer.rows.start + v as isize) {
                Ok(iy) if iy < layer.rows.input => {
                    let first = iy * len + self.skip;
                    lanes::widen(&image[first..first + self.inside], row);
                }
                _ => row.fill(i16::from(layer.zero_point)),
            }
        }
        self.next = begin + self.rows;
    }
}
