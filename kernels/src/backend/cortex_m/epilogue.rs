//! From accumulators to codes.
//!
//! Where every multiplier shifts right and no accumulator reaches 2^30, double
//! rounding takes six instructions ([`insn::requantize`]); elsewhere the general
//! form runs. Both are exact.

use super::insn;
use super::tile::PIXELS;
use crate::epilogue::Requantize;
use crate::quant::requantize;

/// `out[i] = how(acc[i], channel first + i)`.
pub(super) fn requantize_all(out: &mut [i8], acc: &[i32], first: usize, how: &Requantize<'_>) {
    for (i, (out, &acc)) in out.iter_mut().zip(acc).enumerate() {
        *out = how.apply(acc, first + i);
    }
}

/// The end of a layer's accumulations, the form chosen.
pub(super) struct Finish<'a> {
    how: &'a Requantize<'a>,
    short: bool,
    narrow: bool,
}

impl<'a> Finish<'a> {
    /// For sums of `depth` products and a bias.
    pub(super) fn new(how: &'a Requantize<'a>, depth: usize) -> Self {
        let bias = how.bias.iter().fold(0, |most, bias| bias.unsigned_abs().max(most));
        let bound = (depth as u64).saturating_mul(1 << 14).saturating_add(u64::from(bias));
        let short = bound < 1 << 30 && how.shifts.iter().all(|shift| (-31..=-1).contains(shift));
        Self { how, short, narrow: how.min != i8::MIN || how.max != i8::MAX }
    }

    /// Whether `dense` and its kin may take the short form for `channel`.
    #[inline(always)]
    pub(super) fn one(&self, acc: i32, channel: usize) -> i8 {
        let how = self.how;
        let by = how.multiplier(channel);
        let code = if self.short {
            let code = insn::requantize(acc, by.mantissa, -by.shift, how.zero_point) as i8;
            code.min(how.max).max(how.min)
        } else {
            requantize(acc, by, how.zero_point, how.min, how.max)
        };
        match how.table {
            Some(table) => table[(i32::from(code) + 128) as usize & 255],
            None => code,
        }
    }

    /// Three pixels of `out[0].len()` channels from `first` on; `acc` is `[channel][pixel]`,
    /// biases included.
    #[inline]
    pub(super) fn pixels(&self, acc: &[i32], first: usize, mut out: [&mut [i8]; PIXELS]) {
        let how = self.how;
        let channels = out[0].len();
        match (how.mantissas, how.shifts) {
            (&[mantissa], &[shift]) => {
                let by = core::iter::repeat_n((mantissa, shift), channels);
                self.run(acc, by, &mut out);
            }
            (mantissas, shifts) => {
                let mantissas = mantissas.get(first..first + channels).unwrap_or(&[]);
                let shifts = shifts.get(first..first + channels).unwrap_or(&[]);
                let by = mantissas.iter().copied().zip(shifts.iter().copied());
                self.run(acc, by, &mut out);
            }
        }
        if self.short && self.narrow {
            for code in out.iter_mut().flat_map(|out| out.iter_mut()) {
                *code = (*code).min(how.max).max(how.min);
            }
        }
        if let Some(table) = how.table {
            for code in out.iter_mut().flat_map(|out| out.iter_mut()) {
                *code = table[(i32::from(*code) + 128) as usize & 255];
            }
        }
    }

    #[inline(always)]
    fn run(
        &self,
        acc: &[i32],
        by: impl Iterator<Item = (i32, i32)>,
        [a, b, c]: &mut [&mut [i8]; PIXELS],
    ) {
        let how = self.how;
        let zero = how.zero_point;
        let outs = a.iter_mut().zip(b.iter_mut()).zip(c.iter_mut());
        let channels = acc.chunks_exact(PIXELS).zip(by).zip(outs);
        if self.short {
            for ((sums, (mantissa, shift)), ((a, b), c)) in channels {
                *a = insn::requantize(sums[0], mantissa, -shift, zero) as i8;
                *b = insn::requantize(sums[1], mantissa, -shift, zero) as i8;
                *c = insn::requantize(sums[2], mantissa, -shift, zero) as i8;
            }
        } else {
            for ((sums, (mantissa, shift)), ((a, b), c)) in channels {
                let by = crate::quant::Multiplier { mantissa, shift };
                *a = requantize(sums[0], by, zero, how.min, how.max);
                *b = requantize(sums[1], by, zero, how.min, how.max);
                *c = requantize(sums[2], by, zero, how.min, how.max);
            }
        }
    }
}
