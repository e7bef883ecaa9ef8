//! Windows of one channel, in plain Rust.

use super::slide::relu_code;
use super::{dual, requantize};
use crate::backend::cortex_m::plan::PATCH;

/// Two rows of `pixels` outputs of three by three taps over one channel. Cell `i` of `cells`
/// is `[row 0, row 1]` and `[row 2, row 3]`, `weights` has [`PATCH`] words per channel;
/// channel `c` of pixel `p` goes to `out[p · step + c]` and, of the second row, `second`
/// further on; where `second` is 0 there is no second row. Nothing is done where a slice is
/// too short.
pub(in crate::backend::cortex_m) fn patch(
    cells: &[i32],
    weights: &[i32],
    relu: bool,
    [channels, pixels, step, second]: [usize; 4],
    out: &mut [i8],
) {
    for pixel in 0..pixels {
        let window = &cells[2 * pixel..2 * pixel + 6];
        for (c, words) in weights.chunks_exact(PATCH).take(channels).enumerate() {
            let mut sums = [words[0]; 2];
            for (cell, pairs) in window.chunks_exact(2).zip(words[1..].chunks_exact(2)) {
                let half = |word: i32| [word as i16, (word >> 16) as i16];
                let ([r0, r1], [r2, r3]) = (half(cell[0]), half(cell[1]));
                sums[0] = dual(dual(sums[0], [r0, r1], pairs[0]), [0, r2], pairs[1]);
                sums[1] = dual(dual(sums[1], [r1, 0], pairs[0]), [r2, r3], pairs[1]);
            }
            let [mantissa, offset, n] = [words[PATCH - 3], words[PATCH - 2], words[PATCH - 1]];
            // The first row last: it stands where both are one.
            for row in [1, 0] {
                let code = if relu {
                    relu_code(sums[row], mantissa, offset, n)
                } else {
                    // Sums are even.
                    requantize(sums[row] >> 1, mantissa, n, offset)
                };
                out[pixel * step + row * second + c] = code as i8;
            }
        }
    }
}
