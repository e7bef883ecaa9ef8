//! From accumulators to codes.
//!
//! Where every multiplier shifts right and no accumulator reaches 2^30, double
//! rounding takes six instructions ([`insn::requantize`]); elsewhere the general
//! form runs. Both are exact.

use super::insn;
use super::slide::Style;
use super::tile::PIXELS;
use crate::epilogue::Requantize;
use crate::quant::{lookup, requantize};

/// `out[i] = how(acc[i], channel first + i)`.
pub(super) fn requantize_all(out: &mut [i8], acc: &[i32], first: usize, how: &Requantize<'_>) {
    for (i, (out, &acc)) in out.iter_mut().zip(acc).enumerate() {
        *out = how.apply(acc, first + i);
    }
}

/// Keeps codes in a range.
#[inline(never)]
pub(super) fn clamp(out: &mut [i8], min: i8, max: i8) {
    for code in out {
        *code = (*code).min(max).max(min);
    }
}

#[inline(never)]
fn look_up(out: &mut [i8], table: &lookup::Table) {
    for code in out {
        *code = table[(i32::from(*code) + 128) as usize & 255];
    }
}

/// Most bits of a right shift before which a product, less than 2^30, and the zero point fit a word.
pub(super) const MOST_ROOMY: i32 = 22;

/// A zero point and the half that rounds, before a shift by `n`.
const fn before_shift(zero: i32, n: i32) -> i32 {
    (1 << (n - 1)) + (zero << n)
}

/// The end of a layer's accumulations, the form chosen.
pub(super) struct Finish<'a> {
    how: &'a Requantize<'a>,
    /// Whether the short form is exact for this layer.
    pub(super) short: bool,
    /// Whether in addition a sum after its multiplication has room for the zero point before
    /// the shift.
    pub(super) roomy: bool,
    /// Whether in addition no code below the zero point is wanted, so that only sums
    /// above zero have to be rounded.
    relu: bool,
    narrow: bool,
}

impl<'a> Finish<'a> {
    /// For sums of `depth` products and a bias.
    #[inline(never)]
    pub(super) fn new(how: &'a Requantize<'a>, depth: usize) -> Self {
        let bias = how.bias.iter().fold(0, |most, bias| bias.unsigned_abs().max(most));
        let bound = (depth as u64).saturating_mul(1 << 14).saturating_add(u64::from(bias));
        let range = |(least, most): (i32, i32), &shift: &i32| (least.min(shift), most.max(shift));
        let (least, most) = how.shifts.iter().fold((-1, -1), range);
        let short = bound < 1 << 30 && least >= -31 && most == -1;
        let roomy = least >= -MOST_ROOMY;
        let relu = roomy && how.zero_point == i32::from(how.min);
        Self { how, short, roomy, relu, narrow: how.min != i8::MIN || how.max != i8::MAX }
    }

    /// How the tiles of the planes end.
    pub(super) const fn style(&self, one: bool) -> Style {
        Style { relu: self.relu, one }
    }

    /// Whether [`insn::patch`] may round as for a lowest code of zero.
    pub(super) const fn relu(&self) -> bool {
        self.relu
    }

    /// The table that saturated codes are looked up in; `None` where they are clamped before.
    pub(super) fn table(&self) -> Option<&'a lookup::Table> {
        self.how.table.filter(|_| !self.narrow)
    }

    /// The code of zero.
    pub(super) const fn zero_point(&self) -> i32 {
        self.how.zero_point
    }

    /// The largest bias, or its opposite.
    pub(super) fn largest_bias(&self) -> u64 {
        self.how.bias.iter().fold(0, |most, bias| u64::from(bias.unsigned_abs()).max(most))
    }

    /// Doubled bias (biases of the phase begin at `first`), mantissa, offset and right
    /// shift of `channel` for [`insn::slide`] and [`insn::patch`].
    pub(super) fn head(&self, channel: usize, first: usize) -> [i32; 4] {
        let [_, mantissa, n] = self.parts(channel);
        let bias = self.how.bias.get(first + channel).map_or(0, |bias| bias.wrapping_mul(2));
        let zero = self.how.zero_point;
        let offset = if self.relu { before_shift(zero, n) } else { zero };
        [bias, mantissa, offset, n]
    }

    /// The same where all have their offset before the shift, [`Self::roomy`].
    pub(super) fn roomy_head(&self, channel: usize) -> [i32; 4] {
        let [bias, mantissa, _, n] = self.head(channel, 0);
        [bias, mantissa, before_shift(self.how.zero_point, n), n]
    }

    /// `channels` channels at the start of every `step` outputs of `out`: clamp and table, after
    /// codes that saturated only.
    #[inline(never)]
    pub(super) fn codes(&self, [channels, step]: [usize; 2], out: &mut [i8]) {
        if !self.narrow && self.how.table.is_none() {
            return;
        }
        let len = out.len();
        let [channels, step] = if channels == step { [len; 2] } else { [channels, step] };
        for out in out.chunks_mut(step.max(1)) {
            let len = channels.min(out.len());
            let out = &mut out[..len];
            if self.narrow {
                clamp(out, self.how.min, self.how.max);
            }
            if let Some(table) = self.how.table {
                look_up(out, table);
            }
        }
    }

    /// `tiles` tiles of `channels` channels from `first` on, pixels `step` apart in `out`;
    /// `acc` is `[tile][channel][pixel]`, biases included.
    #[inline]
    pub(super) fn pixels(
        &self,
        acc: &[i32],
        first: usize,
        [channels, tiles, step]: [usize; 3],
        out: &mut [i8],
    ) {
        let how = self.how;
        let by = self.multipliers(first, channels);
        if self.short {
            insn::requantize_pixels(acc, by, how.zero_point, [channels, tiles, step], out);
        } else {
            let acc = acc.chunks_exact(channels.next_multiple_of(2) * PIXELS);
            for (acc, out) in acc.take(tiles).zip(out.chunks_mut(PIXELS * step)) {
                for (pixel, out) in out.chunks_mut(step).take(PIXELS).enumerate() {
                    let acc = acc.chunks_exact(PIXELS).take(channels);
                    for (c, (acc, out)) in acc.zip(out).enumerate() {
                        let by = how.multiplier(first + c);
                        *out = requantize(acc[pixel], by, how.zero_point, how.min, how.max);
                    }
                }
            }
        }
        if self.narrow || how.table.is_some() {
            for out in out.chunks_mut(step).take(PIXELS * tiles) {
                let len = channels.min(out.len());
                self.end(&mut out[..len]);
            }
        }
    }

    /// Bias, mantissa and right shift of `channel` for [`insn::few`]: sums are doubled there.
    pub(super) fn parts(&self, channel: usize) -> [i32; 3] {
        let by = self.how.multiplier(channel);
        let bias = self.how.bias.get(channel).copied().unwrap_or(0);
        [bias.wrapping_mul(2), by.mantissa, -by.shift]
    }

    /// Pixels of windows that stay in registers: `step` apart in `out`, `channels` from
    /// `first` on; `columns` and `weights` as [`insn::few`] reads them.
    #[inline]
    pub(super) fn few(
        &self,
        columns: &[i16],
        weights: &[i32],
        [channels, pixels, step]: [usize; 3],
        out: &mut [i8],
    ) {
        insn::few(columns, weights, self.how.zero_point, [channels, pixels, step], out);
        if self.narrow || self.how.table.is_some() {
            for out in out.chunks_mut(step).take(pixels) {
                let len = channels.min(out.len());
                self.end(&mut out[..len]);
            }
        }
    }

    /// One pixel of `out.len()` channels from `first` on, biases included in `acc`.
    #[inline]
    pub(super) fn run(&self, acc: &[i32], first: usize, out: &mut [i8]) {
        let how = self.how;
        match self.multipliers(first, out.len()) {
            by if self.short && by[0].len() == out.len() => {
                insn::requantize_run(acc, by, how.zero_point, out);
            }
            [&[mantissa], &[shift]] if self.short => {
                for (out, &acc) in out.iter_mut().zip(acc) {
                    *out = insn::requantize(acc, mantissa, -shift, how.zero_point) as i8;
                }
            }
            _ => {
                for (c, (out, &acc)) in out.iter_mut().zip(acc).enumerate() {
                    let by = how.multiplier(first + c);
                    *out = requantize(acc, by, how.zero_point, how.min, how.max);
                }
            }
        }
        self.end(out);
    }

    /// Multipliers of `channels` channels from `first` on, or the one of all.
    #[inline(always)]
    fn multipliers(&self, first: usize, channels: usize) -> [&[i32]; 2] {
        let all = [self.how.mantissas, self.how.shifts];
        if all[0].len() == 1 {
            return all;
        }
        all.map(|all| all.get(first..first + channels).unwrap_or(&[]))
    }

    /// Clamp, where saturation is not enough, and table.
    #[inline(always)]
    pub(super) fn end(&self, out: &mut [i8]) {
        let how = self.how;
        if self.short && self.narrow {
            for code in out.iter_mut() {
                *code = (*code).min(how.max).max(how.min);
            }
        }
        if let Some(table) = how.table {
            for code in out {
                *code = table[(i32::from(*code) + 128) as usize & 255];
            }
        }
    }
}
