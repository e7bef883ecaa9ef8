//! The functions of `asm.rs` in plain Rust, for every core without their instructions:
//! the backend is compiled, tested and interpreted through these on any machine.

mod cells;
mod fused;
mod lanes;
mod pairs;
mod patch;
mod planes;
mod quads;
mod sevens;
mod slide;
mod tables;
mod twos;
mod winograd;

pub(super) use cells::{max_cells, mean_cells, sum_cells};
pub(super) use fused::{pool_3x3, upsampled_row};
pub(super) use lanes::{lanes, pair_cells, pair_up};
pub(super) use pairs::{one_row, pack_rows, pair_weights, two_rows};
pub(super) use patch::patch;
pub(super) use planes::{spread, twice};
pub(super) use quads::{quads, weave};
pub(super) use sevens::{lay, sevens};
pub(super) use slide::slide;
pub(super) use tables::{add_tables, add_tables_in_place};
pub(super) use twos::twos;
pub(super) use winograd::{products, two_tiles};

use super::elementwise::AddHalves;
use super::tile::{Descriptor, PIXELS, SUMS, Segments};
use super::window::FEW_PAIRS;

/// Sums of a descriptor's tiles.
pub(super) fn tile(descriptor: &mut Descriptor<'_>) {
    let Descriptor { acc, x, segments, pairs, pitch, weights, groups, tiles } = descriptor;
    let words = Segments::weight_words(segments.len(), *pairs);
    for (tile, acc) in acc.chunks_exact_mut(SUMS * *groups).take(*tiles).enumerate() {
        let x = &x[tile * PIXELS * *pitch / 2..];
        for (sums, weights) in acc.chunks_exact_mut(SUMS).zip(weights.chunks_exact(words)) {
            let (biases, weights) = weights.split_at(2);
            for (sums, &bias) in sums.chunks_exact_mut(PIXELS).zip(biases) {
                sums.fill(bias);
            }
            let mut weights = weights.chunks_exact(2);
            for &start in segments.iter() {
                for (pair, words) in weights.by_ref().take(*pairs).enumerate() {
                    for pixel in 0..PIXELS {
                        let at = (start as usize + pixel * *pitch) / 2 + 2 * pair;
                        for (channel, &word) in words.iter().enumerate() {
                            let sum = &mut sums[channel * PIXELS + pixel];
                            *sum = dual(*sum, [x[at], x[at + 1]], word);
                        }
                    }
                }
            }
        }
    }
}

/// `sum + x[0] · low half + x[1] · high half`, wrapping.
fn dual(sum: i32, x: [i16; 2], word: i32) -> i32 {
    let [low, high] = [i32::from(word as i16), word >> 16];
    let [first, second] = x.map(i32::from);
    sum.wrapping_add(first.wrapping_mul(low)).wrapping_add(second.wrapping_mul(high))
}

/// The depthwise tile: groups of two channels over three pixels, a word of two weights
/// per tap; group `g` reads its inputs `4 · g` bytes further on.
pub(super) fn depthwise_tile(descriptor: &mut Descriptor<'_>) {
    let Descriptor { acc, x, segments, pitch, weights, groups, tiles, .. } = descriptor;
    for (tile, acc) in acc.chunks_exact_mut(SUMS * *groups).take(*tiles).enumerate() {
        let sums = acc.chunks_exact_mut(SUMS);
        for (group, (sums, weights)) in
            sums.zip(weights.chunks_exact(2 + segments.len())).enumerate()
        {
            let x = &x[tile * PIXELS * *pitch / 2 + 2 * group..];
            let (biases, weights) = weights.split_at(2);
            for (sums, &bias) in sums.chunks_exact_mut(PIXELS).zip(biases) {
                sums.fill(bias);
            }
            for (&start, &word) in segments.iter().zip(weights) {
                for pixel in 0..PIXELS {
                    let at = (start as usize + pixel * *pitch) / 2;
                    let (even, odd) = (sums[pixel], sums[PIXELS + pixel]);
                    sums[pixel] = dual(even, [x[at], 0], word);
                    sums[PIXELS + pixel] = dual(odd, [0, x[at + 1]], word);
                }
            }
        }
    }
}

/// `requantize` of `tiles` tiles: channel `c` of pixel `p` goes to `out[p · step + c]`, with a
/// multiplier per channel, or one for all. Sums of an odd number of channels are padded to
/// an even one. Nothing is done where a slice is too short.
pub(super) fn requantize_pixels(
    acc: &[i32],
    [mantissas, shifts]: [&[i32]; 2],
    zero_point: i32,
    [channels, tiles, step]: [usize; 3],
    out: &mut [i8],
) {
    for (tile, acc) in acc.chunks_exact(channels.next_multiple_of(2) * 3).take(tiles).enumerate() {
        for (c, acc) in acc.chunks_exact(3).take(channels).enumerate() {
            let by = if mantissas.len() == 1 { 0 } else { c };
            for (pixel, &acc) in acc.iter().enumerate() {
                out[(3 * tile + pixel) * step + c] =
                    requantize(acc, mantissas[by], -shifts[by], zero_point) as i8;
            }
        }
    }
}

/// `requantize` of one sum per channel, each with its multiplier; cut to the shortest slice.
pub(super) fn requantize_run(
    acc: &[i32],
    [mantissas, shifts]: [&[i32]; 2],
    zero_point: i32,
    out: &mut [i8],
) {
    for (((out, &acc), &mantissa), &shift) in out.iter_mut().zip(acc).zip(mantissas).zip(shifts) {
        *out = requantize(acc, mantissa, -shift, zero_point) as i8;
    }
}

/// `ssat8(zero_point + round(acc · mantissa / 2^(31 + n)))` with TFLite's double rounding,
/// for `n` in 1…31 and `|acc| < 2^30`.
pub(super) fn requantize(acc: i32, mantissa: i32, n: i32, zero_point: i32) -> i32 {
    let doubled = i64::from(acc.wrapping_mul(2));
    let high = ((doubled * i64::from(mantissa) + (1 << 31)) >> 32) as i32;
    let high = high.wrapping_add(high >> 31);
    let carry = high.wrapping_shr(n.wrapping_sub(1) as u32) & 1;
    let code = high.wrapping_shr(n as u32).wrapping_add(carry).wrapping_add(zero_point);
    code.clamp(-128, 127)
}

/// Windows of five pairs, one after the other in `columns`: each stays in registers while
/// `[bias, pairs, mantissa, shift]` of `channels` channels stream past it, everything
/// doubled. Channel `c` of pixel `p` goes to `out[p · step + c]`. Nothing is done where a
/// slice is too short.
pub(super) fn few(
    columns: &[i16],
    weights: &[i32],
    zero_point: i32,
    [channels, pixels, step]: [usize; 3],
    out: &mut [i8],
) {
    let windows = columns.chunks_exact(2 * FEW_PAIRS).zip(out.chunks_mut(step));
    for (window, out) in windows.take(pixels) {
        let channels = weights.chunks_exact(FEW_PAIRS + 3).take(channels);
        for (out, words) in out.iter_mut().zip(channels) {
            let pairs = window.chunks_exact(2).zip(&words[1..]);
            let sum = pairs.fold(words[0], |sum, (x, &word)| dual(sum, [x[0], x[1]], word));
            // Sums are even.
            let [mantissa, n] = [words[FEW_PAIRS + 1], words[FEW_PAIRS + 2]];
            *out = requantize(sum >> 1, mantissa, n, zero_point) as i8;
        }
    }
}

/// Copies codes, as many as both have.
pub(super) fn copy(to: &mut [i8], from: &[i8]) {
    for (to, &from) in to.iter_mut().zip(from) {
        *to = from;
    }
}

/// Widens `x` to the first `x.len()` elements of `out`, in order.
pub(super) fn widen(x: &[i8], out: &mut [i16]) {
    for (out, &x) in out.iter_mut().zip(x) {
        *out = i16::from(x);
    }
}

/// `columns` columns of `pitch` elements: column `i` holds, one after the other, the runs of
/// `run` elements that start `starts` (in bytes, at most `last`) from element `i · step` of `x`.
/// An odd run takes one element more, which the next one overwrites. Nothing is done
/// where a slice is too short.
pub(super) fn gather(
    x: &[i16],
    (starts, last): (&[u32], usize),
    [columns, run, step, pitch]: [usize; 4],
    out: &mut [i16],
) {
    let wide = run.div_ceil(2) * 2;
    debug_assert!(starts.iter().all(|&start| start as usize <= last));
    for column in 0..columns {
        for (i, &start) in starts.iter().enumerate() {
            let (from, to) = (column * step + start as usize / 2, column * pitch + i * run);
            out[to..to + wide].copy_from_slice(&x[from..from + wide]);
        }
    }
}

/// Widens four at a time to `[x0, x2, x1, x3]`; a rest of `x.len() % 4` is left alone.
pub(super) fn widen_split(x: &[i8], out: &mut [i16]) {
    for (out, x) in out.chunks_exact_mut(4).zip(x.chunks_exact(4)) {
        out.copy_from_slice(&[x[0], x[2], x[1], x[3]].map(i16::from));
    }
}

/// `out[4·j..] = [a[2j], a[2j + 1], b[2j], b[2j + 1]]` for four elements at a time;
/// a rest of `a.len() % 4` is left alone.
pub(super) fn interleave(a: &[i8], b: &[i8], out: &mut [i16]) {
    let fours = a.chunks_exact(4).zip(b.chunks_exact(4));
    for ((a, b), out) in fours.zip(out.chunks_exact_mut(8)) {
        out.copy_from_slice(&[a[0], a[1], b[0], b[1], a[2], a[3], b[2], b[3]].map(i16::from));
    }
}

/// `acc[o] += Σ x · w[o · stride..]` over four rows and the whole words of `x`, which
/// is as [`widen_split`] leaves it; a rest of `x.len() % 4` is left out.
pub(super) fn dot4(acc: &mut [i32; 4], x: &[i16], weights: &[i8], stride: usize) {
    for (row, acc) in acc.iter_mut().enumerate() {
        let row = weights.get(row * stride..).unwrap_or(&[]);
        for (x, w) in x.chunks_exact(4).zip(row.chunks_exact(4)) {
            for (&x, w) in x.iter().zip([w[0], w[2], w[1], w[3]]) {
                *acc = acc.wrapping_add(i32::from(x) * i32::from(w));
            }
        }
    }
}

/// `acc + Σ x[k] · w[k]` over the whole words of both; a rest is left out.
pub(super) fn dot(acc: i32, x: &[i8], weights: &[i8]) -> i32 {
    let count = x.len().min(weights.len()) / 4 * 4;
    x[..count]
        .iter()
        .zip(weights)
        .fold(acc, |sum, (&x, &w)| sum.wrapping_add(i32::from(x) * i32::from(w)))
}

/// `out[i] = max(out[i], x[i])` over the whole words of both; a rest is left alone.
pub(super) fn max_into(out: &mut [i8], x: &[i8]) {
    let count = out.len().min(x.len()) / 4 * 4;
    for (out, &x) in out[..count].iter_mut().zip(x) {
        *out = (*out).max(x);
    }
}

/// `best[i] = x[i]` and `winners[i] = tap` where `x[i] > best[i]`, over the whole words of
/// all; a rest is left alone.
pub(super) fn max_index_into(best: &mut [i8], winners: &mut [u8], x: &[i8], tap: u8) {
    let count = best.len().min(winners.len()).min(x.len()) / 4 * 4;
    for ((best, winner), &x) in best[..count].iter_mut().zip(winners).zip(x) {
        if x > *best {
            (*best, *winner) = (x, tap);
        }
    }
}

/// `acc[i] += x[i]` over the whole words of `x`; a rest is left alone.
pub(super) fn add_into(acc: &mut [i32], x: &[i8]) {
    let count = acc.len().min(x.len()) / 4 * 4;
    for (sum, &x) in acc[..count].iter_mut().zip(x) {
        *sum = sum.wrapping_add(i32::from(x));
    }
}

/// One output row of a 2 × 2 max-pool of stride 2 over two rows of `channels`, a multiple of four.
pub(super) fn max_2x2(top: &[i8], bottom: &[i8], channels: usize, out: &mut [i8]) {
    let cells = top.chunks_exact(2 * channels).zip(bottom.chunks_exact(2 * channels));
    for (out, (top, bottom)) in out.chunks_exact_mut(channels).zip(cells) {
        for (c, out) in out.iter_mut().enumerate() {
            *out = top[c].max(top[c + channels]).max(bottom[c]).max(bottom[c + channels]);
        }
    }
}

/// [`max_2x2`] that remembers which tap of its window, 0 to 3, each maximum is: the first
/// of equals.
pub(super) fn max_index_2x2(
    top: &[i8],
    bottom: &[i8],
    channels: usize,
    out: &mut [i8],
    winners: &mut [u8],
) {
    let cells = top.chunks_exact(2 * channels).zip(bottom.chunks_exact(2 * channels));
    let outs = out.chunks_exact_mut(channels).zip(winners.chunks_exact_mut(channels));
    for ((out, winners), (top, bottom)) in outs.zip(cells) {
        for (c, (out, winner)) in out.iter_mut().zip(winners).enumerate() {
            let taps = [top[c], top[c + channels], bottom[c], bottom[c + channels]];
            (*out, *winner) = (taps[0], 0);
            for (&x, tap) in taps.iter().zip(0..) {
                if x > *out {
                    (*out, *winner) = (x, tap);
                }
            }
        }
    }
}

/// `y[i] = requantize(b' + (a[i] << 19))` with `b' = offset + round((b[i] << 21) − zero) · …`:
/// the sum of two operands, of which the first has the multiplier one half.
pub(super) fn add_halves(a: &[i8], b: &[i8], how: &AddHalves, y: &mut [i8]) {
    for ((y, &a), &b) in y.iter_mut().zip(a).zip(b) {
        let doubled = i64::from((i32::from(b) << 21) - how.zero);
        let high = ((doubled * i64::from(how.mantissa) + (1 << 31)) >> 32) as i32;
        let high = high + (high >> 31);
        let scaled = (high >> how.shift) + ((high >> (how.shift - 1)) & 1);
        let sum = scaled + how.offset + (i32::from(a) << 19);
        *y = requantize(sum, how.out_mantissa, how.out_shift, how.out_zero) as i8;
    }
}
