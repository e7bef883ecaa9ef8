//! Two rows of 3 × 3 outputs at once by F(2, 3), on tiles of three pixels × two channels: the form
//! [`Form::Twice`](super::plan::Form) of few channels, without a program to follow.
//!
//! Of the slots `V0…V3` of a cell, sums and differences of its four rows, and their weights,
//!
//! ```text
//! 2·y0 = V1·W1 + V2·W2 + V0·W0        2·y1 = V1·W1 − V2·W2 + V3·W3
//! ```
//!
//! The first two products are summed before they are taken apart: with `a = V1·W1` and
//! `b = a + V2·W2` the lower row goes on from `2a − b`.

use super::slide::{CELL, HEAD, PIXELS};

/// Most pairs of channels: they are read without a loop.
pub(super) const PAIRS: usize = 8;
/// Taps of a row, and slots of a cell.
pub(super) const TAPS: usize = 3;
pub(super) const SLOTS: usize = 4;
/// Words of weights of a pair in a slot.
pub(super) const STEP: usize = 2 * TAPS;

/// The tiles of two rows, all groups of two channels.
pub(super) struct Twos<'a> {
    /// Planes of cells of [`SLOTS`] words, `pitch` words apart.
    pub(super) x: &'a [i32],
    pub(super) pitch: usize,
    pub(super) pairs: usize,
    /// Groups of [`HEAD`] words and, for slots 1, 2, 0 and 3, the weights pair by pair: the taps,
    /// last first, a word of each channel.
    pub(super) weights: &'a [i32],
    pub(super) groups: usize,
    /// Channel `c` of pixel `p` goes to `out[p · step + c]`, of the lower row `second` further;
    /// where that is zero the upper row alone remains.
    pub(super) out: &'a mut [i8],
    /// Pixels, [`PIXELS`] at least: the last tile repeats some of its neighbour.
    pub(super) count: usize,
    pub(super) step: usize,
    pub(super) second: usize,
    /// Whether the lowest code is the zero point.
    pub(super) relu: bool,
}

impl Twos<'_> {
    /// Words of a group.
    pub(super) const fn group(&self) -> usize {
        HEAD + SLOTS * STEP * self.pairs
    }

    /// Whether all that is read and written lies in its slice.
    pub(super) const fn fits(&self) -> bool {
        if self.pairs == 0 || self.pairs > PAIRS || self.groups == 0 || self.count < PIXELS {
            return false;
        }
        let cells = (self.count + TAPS - 1) * (CELL / 4);
        let written = self.second + (self.count - 1) * self.step + 2 * self.groups;
        self.x.len() >= (self.pairs - 1) * self.pitch + cells
            && self.weights.len() >= self.groups * self.group()
            && self.out.len() >= written
    }
}
