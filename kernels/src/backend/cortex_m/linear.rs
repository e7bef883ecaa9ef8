//! Convolutions on the tile: rows are widened once into a ring, weights are
//! expanded a block of channels at a time, and three pixels advance together.

use super::epilogue::Finish;
use super::expand::{self, Weights};
use super::insn;
use super::tile::{PIXELS, SUMS, Segments};
use super::window::{FEW_WORDS, Layout, SEGMENTS};
use crate::backend::line::Line;

/// Groups whose sums are kept on the stack, over all tiles of a call.
pub(super) const GROUPS: usize = 32;

/// Where rows come from.
pub(super) struct Input<'a> {
    /// One image, `[rows.input][columns.input][channels]`.
    pub(super) image: &'a [i8],
    pub(super) channels: usize,
    pub(super) zero_point: i8,
}

/// A convolution, or one phase of a transposed one.
pub(super) struct Linear<'a> {
    pub(super) rows: Line,
    pub(super) columns: Line,
    pub(super) weights: Weights<'a>,
    pub(super) finish: Finish<'a>,
    /// Cells of an output row.
    pub(super) width: usize,
}

/// Sums of one tile, and outputs of pixels that do not exist.
struct Work {
    acc: [i32; SUMS * GROUPS],
    spare: [i8; GROUPS * 2 * PIXELS],
    starts: [u32; SEGMENTS],
}

/// The rows that are widened at the moment.
struct Ring<'a> {
    data: &'a mut [i16],
    /// The first row that is not there yet, counted from the first of output row 0.
    next: usize,
}

impl Linear<'_> {
    /// All outputs of one image; `y` is the whole image.
    pub(super) fn run(
        &self,
        layout: &Layout,
        input: &Input<'_>,
        y: &mut [i8],
        scratch: &mut [i32],
    ) {
        let outputs = self.weights.outputs;
        let few = layout.few && self.finish.short;
        let words = if few { FEW_WORDS } else { layout.weight_words() };
        let (weights, rest) = scratch.split_at_mut(layout.groups * words);
        let (ring, columns) = rest.split_at_mut(layout.ring_words());
        let ring: &mut [i16] = bytemuck::cast_slice_mut(ring);
        let columns: &mut [i16] = bytemuck::cast_slice_mut(columns);
        let mut work = Work {
            acc: [0; SUMS * GROUPS],
            spare: [0; GROUPS * 2 * PIXELS],
            starts: [0; SEGMENTS],
        };
        for first in (0..outputs).step_by(2 * layout.groups) {
            let channels = (outputs - first).min(2 * layout.groups);
            for (group, words) in weights.chunks_exact_mut(words).enumerate() {
                let channel = first + 2 * group;
                if channel >= first + channels {
                    break;
                }
                if few {
                    expand::few(&self.weights, &self.finish, channel, words);
                } else {
                    expand::group(&self.weights, self, layout, channel, words);
                }
            }
            let mut ring = Ring { data: ring, next: 0 };
            for oy in 0..self.rows.outputs {
                self.widen(input, layout, &mut ring, oy);
                self.row(
                    layout,
                    input.channels,
                    oy,
                    [first, channels],
                    weights,
                    &mut work,
                    ring.data,
                    columns,
                    y,
                );
            }
        }
    }

    /// Brings the rows of output row `oy` into the ring.
    fn widen(&self, input: &Input<'_>, layout: &Layout, ring: &mut Ring<'_>, oy: usize) {
        let begin = oy * self.rows.stride;
        for v in ring.next.max(begin)..begin + layout.ring {
            let at = v % layout.ring * layout.row;
            let Some(row) = ring.data.get_mut(at..at + layout.row) else { return };
            let iy = self.rows.start + v as isize;
            let source = usize::try_from(iy).ok().filter(|&iy| iy < self.rows.input).map(|iy| {
                let len = self.columns.input * input.channels;
                &input.image[iy * len..(iy + 1) * len]
            });
            self.widen_row(input, layout, source, row);
        }
        ring.next = begin + layout.ring;
    }

    fn widen_row(&self, input: &Input<'_>, layout: &Layout, x: Option<&[i8]>, row: &mut [i16]) {
        let zero = i16::from(input.zero_point);
        let Some(x) = x else {
            fill(row, zero);
            return;
        };
        let start = self.columns.start;
        // A phase of a transposed convolution may lie beyond the input.
        let skip = (start.max(0) as usize).min(self.columns.input);
        let before = start.min(0).unsigned_abs().min(layout.cells);
        let inside = self.columns.input.saturating_sub(skip).min(layout.cells - before);
        let (head, rest) = row.split_at_mut(before * input.channels);
        let (body, tail) = rest.split_at_mut(inside * input.channels);
        fill(head, zero);
        insn::widen(&x[skip * input.channels..(skip + inside) * input.channels], body);
        fill(tail, zero);
    }

    /// One row of outputs, `channels` of them from `first` on.
    #[expect(clippy::too_many_arguments, reason = "the four buffers are parts of one scratch")]
    fn row(
        &self,
        layout: &Layout,
        inputs: usize,
        oy: usize,
        [first, channels]: [usize; 2],
        weights: &[i32],
        work: &mut Work,
        ring: &[i16],
        columns: &mut [i16],
        y: &mut [i8],
    ) {
        let Work { starts, acc, spare } = work;
        let begin = oy * self.rows.stride;
        let ring_row = |ky: usize| (begin + ky * self.rows.step) % layout.ring * layout.row;
        // Runs of a window: its segments, or what is copied to a column.
        let joined = !self.weights.depthwise && (self.columns.step == 1 || self.columns.taps == 1);
        let per_row = if joined { 1 } else { self.columns.taps };
        let runs = self.rows.taps * per_row;
        let run = if joined { self.columns.taps * inputs } else { inputs };
        for (s, start) in starts.iter_mut().take(runs).enumerate() {
            let (ky, kx) = (s / per_row, s % per_row);
            *start = 2 * (ring_row(ky) + kx * self.columns.step * inputs) as u32;
        }
        let Some(starts) = starts.get(..runs) else { return };
        let last = starts.iter().fold(0, |last, &start| last.max(start)) as usize;
        let step = self.columns.stride * inputs;
        let whole = [0u32];
        let (segment_starts, pitch) =
            if layout.columns { (&whole[..], layout.pairs * 4) } else { (starts, 2 * step) };
        let Some(segments) = Segments::new(segment_starts, layout.pairs, pitch) else { return };
        let line = (self.rows.first + oy * self.rows.every) * self.width;
        let outputs = self.columns.outputs;
        let at_once = layout.tiles();
        let mut done = 0;
        while done < outputs {
            // Whole tiles, several at a time; the last one may repeat pixels of its neighbour.
            let mut tiles = ((outputs - done) / PIXELS).min(at_once);
            if tiles == 0 && outputs >= PIXELS {
                (done, tiles) = (outputs - PIXELS, 1);
            }
            let count = if tiles == 0 { outputs - done } else { tiles * PIXELS };
            let x = ring.get(done * step..).unwrap_or(&[]);
            let x = if layout.columns {
                let size = [tiles.max(1) * PIXELS, run, step, layout.pairs * 2];
                insn::gather(x, (starts, last), size, columns);
                &*columns
            } else {
                x
            };
            let cell = line + self.columns.first + done * self.columns.every;
            let cells = [cell, count, tiles];
            self.tiles(layout, &segments, x, weights, (acc, spare), [first, channels], cells, y);
            done += count;
        }
    }

    /// `tiles` tiles, or `count` pixels of one, of all channels of the block.
    #[expect(clippy::too_many_arguments, reason = "operands of one tile")]
    #[inline(always)]
    fn tiles(
        &self,
        layout: &Layout,
        segments: &Segments<'_>,
        x: &[i16],
        weights: &[i32],
        (acc, spare): (&mut [i32], &mut [i8]),
        [first, channels]: [usize; 2],
        [cell, count, tiles]: [usize; 3],
        y: &mut [i8],
    ) {
        let outputs = self.weights.outputs;
        let step = self.columns.every * outputs;
        if layout.few && self.finish.short {
            let out = y.get_mut(cell * outputs + first..).unwrap_or(&mut []);
            self.finish.few(x, weights, [channels, count, step], out);
            return;
        }
        let blocks = weights.chunks(GROUPS * layout.weight_words());
        for (block, weights) in blocks.enumerate() {
            let skip = block * GROUPS * 2;
            let channels = channels.saturating_sub(skip).min(GROUPS * 2);
            if channels == 0 {
                return;
            }
            let size = [channels.div_ceil(2), tiles.max(1)];
            if self.weights.depthwise {
                let x = x.get(first + skip..).unwrap_or(&[]);
                let tile = segments.depthwise_tile(acc, x, weights, size);
                let Some(mut tile) = tile else { return };
                insn::depthwise_tile(&mut tile);
            } else {
                let Some(mut tile) = segments.tile(acc, x, weights, size) else { return };
                insn::tile(&mut tile);
            }
            let out = y.get_mut(cell * outputs + first + skip..).unwrap_or(&mut []);
            if tiles != 0 {
                self.finish.pixels(acc, first + skip, [channels, tiles, step], out);
                continue;
            }
            self.finish.pixels(acc, first + skip, [channels, 1, channels], spare);
            let pixels = out.chunks_mut(step).zip(spare.chunks(channels));
            for (out, spare) in pixels.take(count) {
                for (out, &code) in out.iter_mut().zip(spare) {
                    *out = code;
                }
            }
        }
    }
}

/// `fill` that does not become a call.
pub(super) fn fill(row: &mut [i16], value: i16) {
    let word = i32::from(value) & 0xffff | i32::from(value) << 16;
    let (head, words, tail) = bytemuck::pod_align_to_mut::<i16, i32>(row);
    for cell in head.iter_mut().chain(tail) {
        *cell = value;
    }
    for cell in words {
        *cell = word;
    }
}
