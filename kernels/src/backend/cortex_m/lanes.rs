//! Convolutions and dense layers on *raw lanes*: two weights of a byte in a lane of 16 bits.
//!
//! A word holds two inputs' weights of two output channels, each lane `low + 256 · high`, and
//! serves both of them:
//!
//! ```text
//! raw += x · word              one smlad: sums of low + 256 · high
//! low += x · sxtb16(word)      the low bytes alone, sign included
//! high = (raw − low) / 256     once, at the end; exact while |high| < 2^23
//! ```
//!
//! so that packed weights take the flash of plain ones. Windows are widened two pixels side
//! by side and stand beside four channels ([`Tile::Two`]); a single pixel is read as it is,
//! each word of it for eight channels ([`Tile::One`]).

use super::epilogue::Finish;
use super::expand::Weights;
use crate::epilogue::Requantize;
use crate::ops::{Conv2dGeometry, DenseGeometry};

mod run;

/// Turns of the loop over pairs are this long.
#[cfg_attr(not(arm_dsp), expect(dead_code, reason = "the shape of the code in `asm.rs`"))]
pub(super) const UNROLL: usize = 16;
/// Most tiles of one call.
const TILES: usize = 8;
/// Words of windows of one call, unless a single tile takes more.
const WINDOW_WORDS: usize = 256;
/// Sums of high channels stay below this.
const HIGH: u64 = 1 << 23;

/// What is multiplied at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tile {
    /// Two pixels × four channels, inputs widened to words of two.
    Two,
    /// One pixel × eight channels, inputs as bytes.
    One,
}

impl Tile {
    /// Pixels.
    pub(super) const fn pixels(self) -> usize {
        match self {
            Self::Two => 2,
            Self::One => 1,
        }
    }

    /// Bytes of the windows of a tile.
    pub(super) const fn window(self, pairs: usize) -> usize {
        match self {
            Self::Two => 8 * pairs,
            Self::One => 2 * pairs,
        }
    }

    /// Channels of a group.
    pub(super) const fn channels(self) -> usize {
        8 / self.pixels()
    }

    /// Words of a group of `pairs` pairs of inputs: first sums `[low, low + 256 · high]` of each
    /// two channels, the weights pair by pair, then mantissa, offset and right shift of each channel.
    pub(super) const fn group(self, pairs: usize) -> usize {
        self.channels() * 4 + self.channels() / 2 * pairs
    }
}

/// Tiles of all groups.
pub(super) struct Lanes<'a> {
    pub(super) tile: Tile,
    /// [`Tile::window`] bytes of each tile: pairs of inputs, a word of each pixel of a tile after
    /// the other, or inputs in fours.
    pub(super) x: &'a [i8],
    /// Pairs of a window, an even number.
    pub(super) pairs: usize,
    pub(super) tiles: usize,
    /// Groups of [`Tile::group`] words.
    pub(super) weights: &'a [i32],
    pub(super) groups: usize,
    /// Channel `c` of pixel `p` goes to `out[p · step + c]`.
    pub(super) out: &'a mut [i8],
    pub(super) step: usize,
    /// Whether the lowest code is the zero point.
    pub(super) relu: bool,
}

impl Lanes<'_> {
    /// Whether all that is read and written lies in its slice.
    pub(super) const fn fits(&self) -> bool {
        let (pixels, channels) = (self.tile.pixels(), self.tile.channels());
        self.pairs != 0
            && self.pairs.is_multiple_of(2)
            && self.groups != 0
            && self.tiles != 0
            && self.x.len() / self.tile.window(self.pairs) >= self.tiles
            && self.weights.len() >= self.groups * self.tile.group(self.pairs)
            && self.out.len() >= (self.tiles * pixels - 1) * self.step + self.groups * channels
    }
}

/// One axis of the windows.
#[derive(Clone, Copy)]
struct Axis {
    input: usize,
    pad: usize,
    taps: usize,
    step: usize,
    stride: usize,
    outputs: usize,
}

impl Axis {
    const fn of(axis: &crate::window::Axis) -> Self {
        Self {
            input: axis.input,
            pad: axis.pad,
            taps: axis.kernel,
            step: axis.dilation,
            stride: axis.stride,
            outputs: axis.output,
        }
    }

    /// Single taps over `count` cells.
    const fn cells(count: usize) -> Self {
        Self { input: count, pad: 0, taps: 1, step: 1, stride: 1, outputs: count }
    }

    /// Cells between the first and the last tap of an output.
    const fn reach(&self) -> usize {
        (self.taps - 1) * self.step
    }
}

/// A layer on the lanes; everything follows from its shape.
#[derive(Clone, Copy)]
pub(super) struct Plan {
    rows: Axis,
    columns: Axis,
    channels: usize,
    outputs: usize,
    /// Runs of a kernel row, their codes and the words that hold these.
    across: usize,
    run: usize,
    words: usize,
    /// Rows kept with padding around them; none where no window sees any.
    ring: usize,
    tile: Tile,
}

impl Plan {
    /// `None` for groups.
    pub(super) const fn conv2d(g: &Conv2dGeometry) -> Option<Self> {
        if g.groups != 1 {
            return None;
        }
        let (rows, columns) = (&g.window.rows, &g.window.columns);
        let padded = !g.window.is_unpadded();
        let pointwise = g.window.taps() == 1 && rows.stride == 1 && columns.stride == 1;
        if pointwise && !padded {
            let cells = Axis::cells(g.input.n * g.input.h * g.input.w);
            return Some(Self::of(Axis::cells(1), cells, [g.input.c, g.output.c], false));
        }
        let axes = (Axis::of(rows), Axis::of(columns));
        Some(Self::of(axes.0, axes.1, [g.input.c, g.output.c], padded))
    }

    /// Rows of the batch are pixels.
    pub(super) const fn dense(g: &DenseGeometry) -> Self {
        Self::of(Axis::cells(1), Axis::cells(g.batch), [g.inputs, g.units], false)
    }

    const fn of(rows: Axis, columns: Axis, [channels, outputs]: [usize; 2], padded: bool) -> Self {
        let joined = columns.step == 1 || columns.taps == 1;
        let across = if joined { 1 } else { columns.taps };
        let run = if joined { columns.taps * channels } else { channels };
        // Pixels of a tile may lie in two rows of outputs.
        let ring = if padded { rows.reach() + 1 + rows.stride } else { 0 };
        let tile = if rows.outputs * columns.outputs == 1 { Tile::One } else { Tile::Two };
        let words = run.div_ceil(4);
        Self { rows, columns, channels, outputs, across, run, words, ring, tile }
    }

    /// Pairs of a window.
    const fn pairs(&self) -> usize {
        self.rows.taps * self.across * self.words * 2
    }

    const fn groups(&self) -> usize {
        self.outputs.div_ceil(self.tile.channels())
    }

    /// Tiles whose windows are in memory together.
    const fn tiles(&self) -> usize {
        let tiles = match self.tile {
            Tile::Two => WINDOW_WORDS / (2 * self.pairs()),
            Tile::One => 1,
        };
        if tiles == 0 {
            1
        } else if tiles > TILES {
            TILES
        } else {
            tiles
        }
    }

    /// Words of weights.
    pub(super) const fn weights(&self) -> usize {
        self.groups() * self.tile.group(self.pairs())
    }

    /// Codes of an input row, of the ring or of the image.
    const fn row(&self) -> usize {
        let cells = match self.ring {
            0 => self.columns.input,
            _ => (self.columns.outputs - 1) * self.columns.stride + self.columns.reach() + 1,
        };
        cells.saturating_mul(self.channels)
    }

    /// Whether the image is its only window, whole words of it one after the other.
    const fn is_window(&self) -> bool {
        let rows = self.rows.taps == 1 || self.row() == self.run;
        matches!(self.tile, Tile::One)
            && self.ring == 0
            && self.across == 1
            && rows
            && self.rows.step == 1
            && self.run.is_multiple_of(4)
    }

    /// Words of scratch: windows, the last run of either pixel where its last word is not
    /// whole, and the ring.
    const fn parts(&self) -> [usize; 3] {
        let windows =
            if self.is_window() { 0 } else { self.tiles() * self.tile.window(self.pairs()) / 4 };
        let spill = match self.tile {
            Tile::Two if !self.run.is_multiple_of(4) => 2 * self.words,
            _ => 0,
        };
        [windows, spill, self.ring.saturating_mul(self.row()).div_ceil(4)]
    }

    /// Channels that stand together in the words.
    pub(super) const fn order(&self) -> u32 {
        self.tile.channels() as u32
    }

    /// Bytes of scratch.
    pub(super) const fn bytes(&self) -> usize {
        let [windows, spill, ring] = self.parts();
        windows.saturating_add(spill).saturating_add(ring).saturating_mul(4)
    }

    /// Roughly the cycles of an image.
    pub(super) const fn cycles(&self) -> usize {
        let pixels = self.rows.outputs * self.columns.outputs;
        let tile = 100 + self.pairs() * 15 + self.pairs().div_ceil(16) * 6;
        let runs = self.rows.taps * self.across;
        pixels.div_ceil(2) * (self.groups() * tile + runs * (60 + 15 * self.words))
    }

    /// Whether a single pixel has the channels that make up for a group that is not full: plain
    /// weights advance by fours and then by ones.
    pub(super) const fn pays(&self) -> bool {
        let (fours, ones) = (self.outputs / 4, self.outputs % 4);
        matches!(self.tile, Tile::Two) || self.groups() * 19 < fours * 12 + ones * 6
    }

    /// Whether the lanes can hold these weights, and the sums of high channels their bits.
    pub(super) fn holds(&self, weights: &[i8], how: &Requantize<'_>) -> bool {
        let depth = self.rows.taps * self.columns.taps * self.channels;
        weights.chunks_exact(depth).zip(how.bias).skip(1).step_by(2).all(|(weights, bias)| {
            let sum: u64 = weights.iter().map(|weight| u64::from(weight.unsigned_abs())).sum();
            let bound = sum.saturating_mul(128).saturating_add(bias.unsigned_abs().into());
            bound < HIGH && !weights.contains(&i8::MIN)
        })
    }

    /// Weights `[output][ky][kx][input]` in the order of the groups; `out` has [`Self::weights`].
    pub(super) fn pack(&self, data: &[i8], finish: &Finish<'_>, out: &mut [i32]) {
        let kernel = [self.rows.taps, self.columns.taps];
        let (inputs, outputs) = (self.channels, self.outputs);
        let weights = Weights { data, bias: &[], outputs, inputs, kernel, depthwise: false };
        let channels = self.tile.channels();
        let groups = out.chunks_exact_mut(self.tile.group(self.pairs()));
        for (group, words) in groups.enumerate() {
            let first = group * channels;
            let (sums, rest) = words.split_at_mut(channels);
            let (lanes, ends) = rest.split_at_mut(channels / 2 * self.pairs());
            let channel = |output: usize| match output < outputs {
                true => finish.head(output, 0),
                false => [0, 0, 0, 1],
            };
            for (end, output) in ends.chunks_exact_mut(3).zip(first..) {
                end.copy_from_slice(&channel(output)[1..]);
            }
            for (sums, low) in sums.chunks_exact_mut(2).zip((first..).step_by(2)) {
                let [low, high] = [low, low + 1].map(|output| channel(output)[0] / 2);
                sums.copy_from_slice(&[low, low.wrapping_add(high << 8)]);
            }
            for (pair, words) in lanes.chunks_exact_mut(channels / 2).enumerate() {
                let run = pair / (2 * self.words);
                let tap = [run / self.across, run % self.across];
                let at = pair % (2 * self.words) / 2 * 4 + pair % 2;
                for (word, low) in words.iter_mut().zip((first..).step_by(2)) {
                    let lane = |at: usize| {
                        let [low, high] = [low, low + 1].map(|output| {
                            let run = weights.run(output, tap, self.run);
                            run.get(at).map_or(0, |&weight| i32::from(weight))
                        });
                        low + (high << 8)
                    };
                    *word = lane(at) & 0xffff | lane(at + 2) << 16;
                }
            }
        }
    }

    /// Codes of an image of inputs, and of its outputs.
    pub(super) const fn image(&self) -> (usize, usize) {
        let outputs = self.rows.outputs * self.columns.outputs * self.outputs;
        (self.rows.input * self.columns.input * self.channels, outputs)
    }
}
