//! Depthwise 3 × 3 on pairs of rows.

use super::{dual, lanes::code};
use crate::backend::cortex_m::depthwise_conv2d::pairs::{CHANNELS, Rows, TAPS, WORDS};

/// Packs `fours` fours of channels of `columns` cells of two rows, `steps` bytes apart in each
/// (of a step of zero one cell and four are all), to words of (upper row, lower row), channel by
/// channel; fours are `cells` cells apart. Nothing is done where a slice is too short.
pub(in crate::backend::cortex_m) fn pack_rows(
    rows: [&[i8]; 2],
    steps: [usize; 2],
    [columns, cells, fours]: [usize; 3],
    plane: &mut [i32],
) {
    for four in 0..fours {
        for column in 0..columns {
            for channel in 0..CHANNELS {
                let [upper, lower] = [0, 1].map(|k| {
                    let at = if steps[k] == 0 { 0 } else { column * steps[k] + four * CHANNELS };
                    i32::from(rows[k][at + channel])
                });
                let at = (four * cells + column) * CHANNELS + channel;
                plane[at] = upper & 0xffff | lower << 16;
            }
        }
    }
}

/// The weights of four channels, taps `step` bytes apart, doubled: of each channel
/// (w0, w1) and (w1, w2) of every column, [`WORDS`] words further on the next channel.
/// Nothing is done where a slice is too short.
pub(in crate::backend::cortex_m) fn pair_weights(weights: &[i8], step: usize, words: &mut [i32]) {
    for (channel, words) in words.chunks_exact_mut(WORDS).take(CHANNELS).enumerate() {
        for (column, pair) in words.chunks_exact_mut(2).take(TAPS).enumerate() {
            let at = |row: usize| (row * TAPS + column) * step + channel;
            let [w0, w1, w2] = [0, 1, 2].map(|row| 2 * i32::from(weights[at(row)]));
            pair.copy_from_slice(&[w0 & 0xffff | w1 << 16, w1 & 0xffff | w2 << 16]);
        }
    }
}

/// Two output rows of stride 1, [`Rows::row`] apart: with that zero the upper row remains.
/// Nothing is done where [`Rows::fits`] says no.
pub(in crate::backend::cortex_m) fn two_rows(rows: &Rows<'_>, out: &mut [i8]) {
    outputs(rows, out, true);
}

/// One output row of stride 2. Nothing is done where [`Rows::fits`] says no.
pub(in crate::backend::cortex_m) fn one_row(rows: &Rows<'_>, out: &mut [i8]) {
    outputs(rows, out, false);
}

fn outputs(rows: &Rows<'_>, out: &mut [i8], two: bool) {
    if !rows.fits(out) {
        return;
    }
    let [above, below] = rows.planes;
    let channels = rows.weights.chunks_exact(WORDS).take(rows.fours * CHANNELS);
    for (channel, words) in channels.enumerate() {
        let &[.., bias, mantissa, offset, n] = words else { return };
        for column in 0..rows.columns {
            let [mut upper, mut lower] = [bias, bias];
            for tap in 0..TAPS {
                let cell = channel / CHANNELS * rows.cells() + column * rows.stride + tap;
                let at = cell * CHANNELS + channel % CHANNELS;
                let lanes = |word: i32| [word as i16, (word >> 16) as i16];
                let ([r0, r1], [r2, r3]) = (lanes(above[at]), lanes(below[at]));
                let (first, second) = (words[2 * tap], words[2 * tap + 1]);
                upper = dual(dual(upper, [r0, r1], first), [0, r2], second);
                lower = dual(dual(lower, [r1, 0], first), [r2, r3], second);
            }
            // Below zero ties round down: one less before the shift.
            let sign = |sum: i32| if rows.relu { 0 } else { sum >> 31 };
            let code = |sum: i32| code(sum, [mantissa, offset + sign(sum), n], true);
            // With `row` zero the upper row is what remains.
            let at = column * rows.step + channel;
            if two {
                out[at + rows.row] = code(lower);
            }
            out[at] = code(upper);
        }
    }
}
