//! Depthwise 3 × 3 on pairs of rows.

use super::{dual, requantize};
use crate::backend::cortex_m::depthwise_conv2d::pairs::{CHANNELS, TAPS, WORDS};

/// Packs four channels of `columns` cells of two rows, `steps` bytes apart in each, to
/// words of (upper row, lower row), channel by channel. Nothing is done where a slice is
/// too short.
pub(in crate::backend::cortex_m) fn pack_rows(
    [upper, lower]: [&[i8]; 2],
    steps: [usize; 2],
    columns: usize,
    plane: &mut [i32],
) {
    for (column, cell) in plane.chunks_exact_mut(CHANNELS).take(columns).enumerate() {
        for (channel, word) in cell.iter_mut().enumerate() {
            let [upper, lower] = [
                i32::from(upper[column * steps[0] + channel]),
                i32::from(lower[column * steps[1] + channel]),
            ];
            *word = upper & 0xffff | lower << 16;
        }
    }
}

/// Two output rows, `row` bytes apart, of four channels: `columns` outputs, at least two,
/// `step` bytes apart. `planes` hold the upper and the lower two input rows as
/// [`pack_rows`] leaves them, `weights` [`WORDS`] words per channel. With `row` zero the
/// upper row remains. Nothing is done where a slice is too short.
pub(in crate::backend::cortex_m) fn two_rows(
    [above, below]: [&[i32]; 2],
    weights: &[i32],
    zero_point: i32,
    [columns, step, row]: [usize; 3],
    out: &mut [i8],
) {
    for (channel, words) in weights.chunks_exact(WORDS).take(CHANNELS).enumerate() {
        let &[.., bias, mantissa, n] = words else { return };
        for column in 0..columns {
            let [mut upper, mut lower] = [bias, bias];
            for tap in 0..TAPS {
                let at = (column + tap) * CHANNELS + channel;
                let lanes = |word: i32| [word as i16, (word >> 16) as i16];
                let ([r0, r1], [r2, r3]) = (lanes(above[at]), lanes(below[at]));
                let (first, second) = (words[2 * tap], words[2 * tap + 1]);
                upper = dual(dual(upper, [r0, r1], first), [0, r2], second);
                lower = dual(dual(lower, [r1, 0], first), [r2, r3], second);
            }
            // Sums are even; with `row` zero the upper row is what remains.
            let code = |sum: i32| requantize(sum >> 1, mantissa, n, zero_point) as i8;
            out[column * step + channel + row] = code(lower);
            out[column * step + channel] = code(upper);
        }
    }
}
