//! Two rows of 3 × 3 outputs in plain Rust.

use super::{dual, requantize, slide::relu_code};
use crate::backend::cortex_m::slide::{CELL, HEAD};
use crate::backend::cortex_m::twos::{SLOTS, STEP, TAPS, Twos};

/// All tiles and groups; nothing where [`Twos::fits`] says no.
pub(in crate::backend::cortex_m) fn twos(twos: &mut Twos<'_>) {
    if !twos.fits() {
        return;
    }
    for pixel in 0..twos.count {
        for channel in 0..2 * twos.groups {
            one(twos, pixel, channel);
        }
    }
}

fn one(twos: &mut Twos<'_>, pixel: usize, channel: usize) {
    let (group, half) = (channel / 2, channel % 2);
    let words = &twos.weights[group * twos.group()..][..twos.group()];
    let (head, words) = words.split_at(HEAD);
    let mut products =
        words.chunks_exact(STEP * twos.pairs).zip([1, 2, 0, 3]).map(|(words, slot)| {
            let mut sum = 0;
            for (at, pair) in words.chunks_exact(2).enumerate() {
                let (plane, tap) = (at / TAPS * twos.pitch, TAPS - 1 - at % TAPS);
                let x = twos.x[plane + (pixel + tap) * (CELL / 4) + slot];
                sum = dual(sum, [x as i16, (x >> 16) as i16], pair[half]);
            }
            sum
        });
    let sums: [i32; SLOTS] = core::array::from_fn(|_| products.next().unwrap_or(0));
    let [m1, m2, m0, m3] = sums;
    let both = head[half].wrapping_add(m1);
    let upper = both.wrapping_add(m2).wrapping_add(m0);
    let lower = both.wrapping_sub(m2).wrapping_add(m3);
    let [mantissa, offset, n] = [0, 1, 2].map(|at| head[2 + 3 * half + at]);
    for (sum, row) in [(lower, twos.second), (upper, 0)] {
        let code = if twos.relu {
            relu_code(sum, mantissa, offset, n)
        } else {
            // Sums are even.
            requantize(sum >> 1, mantissa, n, offset)
        };
        twos.out[row + pixel * twos.step + channel] = code as i8;
    }
}
