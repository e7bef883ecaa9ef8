//! Transposed convolutions on the tile of two pixels × four channels.
//!
//! The stride phases of a kernel of up to twice the stride see at most 2 × 2 cells. Two rows
//! of outputs of a phase run at once; of the three rows `r0 r1 r2` under them a phase with two
//! taps down takes three products instead of four, Winograd's F(2, 2):
//!
//! ```text
//! m = r1·(g0 + g1)      y0 = m + (r0 − r1)·g0      y1 = m + (r2 − r1)·g1
//! ```
//!
//! Of every two outputs of a row the three cells under them lie side by side, pair by pair, in
//! four *slots*: the outer row that phases with one tap down read, `r1`, `r0 − r1`, `r2 − r1`.

use super::epilogue::Finish;
use super::expand::Weights;
use super::insn;
use super::linear::Input;
use super::plan::Phase;
use crate::window::Window;

mod run;

pub(super) use run::Layer;

/// Channels of a group.
pub(super) const CHANNELS: usize = 4;
/// Pixels of a tile, and cells under it.
pub(super) const PIXELS: usize = 2;
pub(super) const CELLS: usize = 3;
/// Slots of a tile.
pub(super) const SLOTS: usize = 4;
/// Words before the weights of a group: mantissa, offset and right shift of each channel, of
/// [`End::Short`] without the shifts and four zeros instead; then their biases, scaled as the weights.
pub(super) const HEAD: usize = 4 * CHANNELS;
/// Passes per turn of a run.
#[cfg_attr(not(arm_dsp), expect(dead_code, reason = "the shape of the code in `asm.rs`"))]
pub(super) const UNROLL: usize = 8;
/// Rows of inputs that are kept.
const ROWS: usize = 3;
/// The right shift of all channels of [`End::Short`].
pub(super) const SHORT: i32 = 12;
/// Right shifts that it can take the place of: a weight scaled by `2^(1 + 12 − n)`, or the sum of
/// two, is a lane of 16 bits, and the halves that are rounded up are whole numbers.
const SHIFTS: core::ops::RangeInclusive<i32> = SHORT - 6..=SHORT - 1;

/// How sums become codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Doubled sums, any zero point.
    Code = 0,
    /// Doubled sums; the lowest code is the zero point.
    Relu = 1,
    /// The same of sums scaled by `2^(1 + SHORT − n)`, so that all channels are shifted by [`SHORT`].
    ///
    /// With a sum `a ≥ 0`, mantissa `m` and right shift `n`, double rounding is
    /// `⌊(a·m + 2^30 + 2^(30+n)) / 2^(31+n)⌋`; of the scaled sum the division is by
    /// `2^(32+SHORT)`. A negative sum does not get beyond the zero point.
    Short = 2,
}

/// The tiles of one or two rows of a phase, all groups.
pub(super) struct Quads<'a> {
    /// Tiles of [`SLOTS`] slots of `pairs` times [`CELLS`] words.
    pub(super) x: &'a [i32],
    pub(super) pairs: usize,
    /// First words of the runs in a tile: of the first, and where it is `!down` of the second row.
    pub(super) starts: [usize; 2],
    /// Groups of [`HEAD`] words and the weights: per pair the taps across, a word of each channel.
    pub(super) weights: &'a [i32],
    pub(super) groups: usize,
    /// Two taps across instead of one, and two down: three runs, one behind the other.
    pub(super) across: bool,
    pub(super) down: bool,
    /// Channel `c` of pixel `p` goes to `out[p · step + c]`, and `second` further in the second row.
    pub(super) out: &'a mut [i8],
    pub(super) count: usize,
    pub(super) step: usize,
    pub(super) second: Option<usize>,
    pub(super) end: End,
}

impl Quads<'_> {
    /// Words of a tile.
    pub(super) const fn tile(&self) -> usize {
        SLOTS * CELLS * self.pairs
    }

    /// Words of a run of weights.
    pub(super) const fn run(&self) -> usize {
        CHANNELS * self.pairs * (1 + self.across as usize)
    }

    /// Words of a group.
    pub(super) const fn group(&self) -> usize {
        HEAD + self.run() * if self.down { 3 } else { 1 }
    }

    /// Whether all that is read and written lies in its slice.
    pub(super) const fn fits(&self) -> bool {
        if self.pairs == 0 || self.groups == 0 || self.count == 0 {
            return false;
        }
        let [first, second] = self.starts;
        let slot = CELLS * self.pairs;
        let last = if self.down {
            first + 2 * slot
        } else if second > first {
            second
        } else {
            first
        };
        let reach = last + slot - if self.across { 0 } else { 1 };
        let tiles = self.count.div_ceil(PIXELS);
        let row = match self.second {
            Some(second) => second,
            None => 0,
        };
        reach <= self.tile()
            && self.x.len() >= tiles * self.tile()
            && self.weights.len() >= self.groups * self.group()
            && self.out.len() >= row + (self.count - 1) * self.step + self.groups * CHANNELS
    }
}

/// What a group holds beside the weights of a channel, and how often those are doubled.
#[derive(Clone, Copy)]
struct Head {
    bias: i32,
    end: [i32; 3],
    scale: i32,
}

/// A layer on these tiles; everything follows from its shape.
#[derive(Clone, Copy)]
pub(super) struct Plan {
    inputs: usize,
    outputs: usize,
    /// Pairs of a cell.
    pairs: usize,
    /// First row and column that a phase reads.
    start: [isize; 2],
    /// Where rows of a single tap begin.
    above: usize,
    tiles: usize,
    /// Words of weights, all phases.
    words: usize,
}

impl Plan {
    /// `None` where a phase sees more than 2 × 2 cells, or phases of one row down other rows.
    pub(super) const fn new(phases: &[Phase], [inputs, outputs]: [usize; 2]) -> Option<Self> {
        let [first, ..] = phases else { return None };
        let mut plan = Self {
            inputs,
            outputs,
            pairs: 2 * inputs.div_ceil(4),
            start: [first.rows.start, first.columns.start],
            above: 0,
            tiles: 0,
            words: 0,
        };
        let mut i = 0;
        while i < phases.len() {
            let Phase { rows, columns, .. } = &phases[i];
            if rows.start < plan.start[0] {
                plan.start[0] = rows.start;
            }
            if columns.start < plan.start[1] {
                plan.start[1] = columns.start;
            }
            i += 1;
        }
        let (mut i, mut single) = (0, false);
        while i < phases.len() {
            let Phase { rows, columns, .. } = &phases[i];
            let [above, before] = plan.corner(&phases[i]);
            if rows.taps + above > 2 || columns.taps + before > 2 {
                return None;
            }
            if rows.taps == 1 {
                if single && above != plan.above {
                    return None;
                }
                (plan.above, single) = (above, true);
            }
            let tiles = columns.outputs.div_ceil(PIXELS);
            if tiles > plan.tiles {
                plan.tiles = tiles;
            }
            plan.words += plan.groups() * plan.group(&phases[i]);
            i += 1;
        }
        Some(plan)
    }

    /// The same for a window over so many channels.
    pub(super) const fn transposed(window: &Window, channels: [usize; 2]) -> Option<Self> {
        let Some((list, count)) = Phase::transposed(window, channels[1]) else { return None };
        let (phases, _) = list.split_at(count);
        Self::new(phases, channels)
    }

    const fn groups(&self) -> usize {
        self.outputs.div_ceil(CHANNELS)
    }

    /// Rows and columns before the first that a phase reads.
    const fn corner(&self, phase: &Phase) -> [usize; 2] {
        let [row, column] = self.start;
        [(phase.rows.start - row) as usize, (phase.columns.start - column) as usize]
    }

    /// Words of a group of a phase.
    const fn group(&self, phase: &Phase) -> usize {
        let runs = if phase.rows.taps == 2 { 3 } else { 1 };
        HEAD + runs * phase.columns.taps * self.pairs * CHANNELS
    }

    /// Words of weights.
    pub(super) const fn weights(&self) -> usize {
        self.words
    }

    /// Whether sums of `depth` products may end as [`End::Short`].
    pub(super) fn is_short(&self, finish: &Finish<'_>, depth: usize) -> bool {
        let most = depth as u64 * (1 << 14) + finish.largest_bias();
        finish.relu()
            && (0..self.outputs).all(|channel| {
                let [_, _, n] = finish.parts(channel);
                SHIFTS.contains(&n) && most << (1 + SHORT - n) < 1 << 31
            })
    }

    /// Words of a cell, of a row of cells, of the tiles and of codes that do not exist.
    const fn parts(&self) -> [usize; 4] {
        let cell = self.inputs.div_ceil(4);
        let row = (PIXELS * self.tiles + 1).saturating_mul(cell);
        let tiles = (SLOTS * CELLS * self.pairs).saturating_mul(self.tiles);
        let spare = if self.outputs.is_multiple_of(CHANNELS) { 0 } else { 2 * PIXELS * self.tiles };
        [cell, row, tiles, spare]
    }

    /// Bytes of scratch.
    pub(super) const fn bytes(&self) -> usize {
        let [_, row, tiles, spare] = self.parts();
        row.saturating_mul(ROWS).saturating_add(tiles).saturating_add(spare).saturating_mul(4)
    }

    /// Roughly the cycles of an image.
    pub(super) fn cycles(&self, phases: &[Phase]) -> usize {
        let mut cycles = 0;
        for Phase { rows, columns, .. } in phases {
            let pass = if columns.taps == 2 { 31 } else { 16 };
            let runs = if rows.taps == 2 { 3 } else { 2 };
            let tile = 215 + runs * (9 + pass * self.pairs);
            let tiles = columns.outputs.div_ceil(PIXELS) * self.groups();
            cycles += rows.outputs.div_ceil(2) * (tiles * tile + 400);
        }
        let most = phases.iter().map(|phase| phase.rows.outputs).max().unwrap_or(0);
        cycles + most.div_ceil(2) * self.tiles * self.pairs * 45
    }

    /// Weights `[output][ky][kx][input]` in the order of the groups, phase by phase; `out` has
    /// [`Self::weights`].
    pub(super) fn pack(
        &self,
        weights: &Weights<'_>,
        phases: &[Phase],
        finish: &Finish<'_>,
        short: bool,
        out: &mut [i32],
    ) {
        let mut rest = out;
        for phase in phases {
            for group in 0..self.groups() {
                let Some((words, more)) = rest.split_at_mut_checked(self.group(phase)) else {
                    return;
                };
                rest = more;
                let heads =
                    [0, 1, 2, 3].map(|c| self.head(phase, finish, group * CHANNELS + c, short));
                self.pack_group(weights, phase, (heads, short), group * CHANNELS, words);
            }
        }
    }

    /// What ends the sums of a channel, and how often they are doubled.
    fn head(&self, phase: &Phase, finish: &Finish<'_>, output: usize, short: bool) -> Head {
        if output >= self.outputs {
            return Head { bias: 0, end: [0, 0, 1], scale: 1 };
        }
        let [bias, mantissa, offset, n] = finish.head(output, phase.bias);
        if !short {
            return Head { bias, end: [mantissa, offset, n], scale: 1 };
        }
        let halves = (1 << (SHORT - n - 1)) + (1 << (SHORT - 1));
        let offset = halves + finish.zero_point() * (1 << SHORT);
        Head { bias: bias << (SHORT - n), end: [mantissa, offset, 0], scale: 1 + SHORT - n }
    }

    fn pack_group(
        &self,
        weights: &Weights<'_>,
        phase: &Phase,
        (heads, short): ([Head; CHANNELS], bool),
        first: usize,
        words: &mut [i32],
    ) {
        let (head, words) = words.split_at_mut(HEAD);
        let (ends, biases) = head.split_at_mut(3 * CHANNELS);
        let size = if short { 2 } else { 3 };
        for (Head { end, bias, .. }, (words, word)) in
            heads.iter().zip(ends.chunks_exact_mut(size).zip(biases))
        {
            words.copy_from_slice(&end[..size]);
            *word = *bias;
        }
        let (rows, columns) = (&phase.rows, &phase.columns);
        let taps = columns.taps;
        let run = taps * self.pairs * CHANNELS;
        for (at, word) in words.iter_mut().enumerate() {
            let (place, output) = (at % run / CHANNELS, first + at % CHANNELS);
            let (pair, kx) = (place / taps, place % taps);
            let tap = |ky: usize, input: usize| {
                if rows.empty || columns.empty || input >= self.inputs {
                    return 0;
                }
                let tap = [rows.weight_of(ky), columns.weight_of(kx)];
                let run = weights.run(output, tap, self.inputs);
                run.get(input).map_or(0, |&weight| i32::from(weight) << heads[at % CHANNELS].scale)
            };
            let lane = |input: usize| match (rows.taps, at / run) {
                (2, 0) => tap(0, input) + tap(1, input),
                (2, 2) => tap(1, input),
                _ => tap(0, input),
            };
            let input = pair / 2 * 4 + pair % 2;
            *word = lane(input) & 0xffff | lane(input + 2) << 16;
        }
    }
}
