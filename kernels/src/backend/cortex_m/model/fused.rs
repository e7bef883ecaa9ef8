//! Loops of the fused layers.

use super::{dual, requantize};
use crate::backend::cortex_m::fused_conv_pool::{POOL_WORDS, Patches};
use crate::backend::cortex_m::fused_upsample::{End, Lane};

/// Outputs of a row of 2 × 2 pools over a 3 × 3 convolution of one input channel. Shifts of
/// the short form (`patches.shift` 8, 12 or 16), or 0 for the general one.
pub(in crate::backend::cortex_m) fn pool_3x3(patches: &Patches<'_>, out: &mut [i8]) {
    let Patches { rows, pitch, weights, channels, pixels, zero_point, shift } = *patches;
    for (pixel, out) in out.chunks_exact_mut(channels).take(pixels).enumerate() {
        let row = |r: usize| {
            let x = &rows[r * pitch + 2 * pixel..][..4];
            [x[0], x[1], x[2], x[3]].map(i16::from)
        };
        let [d0, d1, d2, d3] = [0, 1, 2, 3].map(row);
        let add = |a: [i16; 4], b: [i16; 4]| [0, 1, 2, 3].map(|column| a[column] + b[column]);
        let less = |a: [i16; 4], b: [i16; 4]| [0, 1, 2, 3].map(|column| a[column] - b[column]);
        let t = [less(d0, d2), add(d1, d2), less(d2, d1), less(d3, d1)];
        for (out, words) in out.iter_mut().zip(weights.chunks_exact(POOL_WORDS)) {
            let [v2, u23, v3, v0, u01, v1, mantissa, low, high] =
                [0, 1, 2, 3, 4, 5, 6, 7, 8].map(|i| words[i]);
            let half = |word: i32| i32::from(word as i16);
            // Outer taps of word `v`, the inner one `u`, over three columns from `x` on.
            let sum = |sum: i32, t: [i16; 4], x: usize, v: i32, u: i32| {
                let inner = i32::from(t[x + 1]).wrapping_mul(u);
                dual(sum, [t[x], t[x + 2]], v).wrapping_add(inner)
            };
            let sums = [0, 1].map(|x| {
                let q = sum(0, t[2], x, v2, half(u23));
                let upper = sum(q, t[0], x, v0, half(u01));
                let lower = sum(0, t[3], x, v3, u23 >> 16).wrapping_sub(q);
                sum(upper.max(lower), t[1], x, v1, u01 >> 16)
            });
            let best = sums[0].max(sums[1]);
            *out = if shift == 0 {
                // Sums are even.
                requantize(best.wrapping_add(low) >> 1, mantissa, high, zero_point) as i8
            } else {
                let rest = i64::from(high) << 32 | i64::from(low as u32);
                let high = (i64::from(best) * i64::from(mantissa)).wrapping_add(rest) >> 32;
                (high as i32 >> shift).clamp(-128, 127) as i8
            };
        }
    }
}

/// Both phases of one row of outputs over an upsampled map of four channels.
pub(in crate::backend::cortex_m) fn upsampled_row(
    cells: &[[u32; 2]],
    lanes: &[Lane; 2],
    weights: [&[i32; 8]; 2],
    end: &End<'_>,
    step: usize,
    out: &mut [i8],
) {
    for (lane, weights) in lanes.iter().zip(weights) {
        for output in 0..lane.outputs {
            let columns = cells[lane.left + output..][..2].as_flattened();
            let mut sum = end.bias;
            for (&cell, words) in columns.iter().zip(weights.chunks_exact(2)) {
                let x = cell.to_le_bytes().map(|byte| i16::from(byte.cast_signed()));
                sum = dual(sum, [x[0], x[2]], words[0]);
                sum = dual(sum, [x[1], x[3]], words[1]);
            }
            // Sums are even.
            let code = requantize(sum >> 1, end.mantissa, end.shift, end.zero_point);
            out[lane.first + output * step] = end.table[(code + 128) as usize];
        }
    }
}
