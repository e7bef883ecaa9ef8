//! The tile of two pixels and four channels in plain Rust.

use super::{dual, requantize, slide::relu_code};
use crate::backend::cortex_m::quads::{CELLS, CHANNELS, End, HEAD, PIXELS, Quads, SHORT, SLOTS};

/// All tiles and groups; nothing where [`Quads::fits`] says no.
pub(in crate::backend::cortex_m) fn quads(quads: &mut Quads<'_>) {
    if !quads.fits() {
        return;
    }
    for pixel in 0..quads.count {
        for group in 0..quads.groups {
            one(quads, pixel, group);
        }
    }
}

fn one(quads: &mut Quads<'_>, pixel: usize, group: usize) {
    let (size, run, slot) = (quads.group(), quads.run(), CELLS * quads.pairs);
    let (head, weights) = quads.weights[group * size..(group + 1) * size].split_at(HEAD);
    let x = &quads.x[pixel / PIXELS * quads.tile()..];
    let mut begin = [0; CHANNELS];
    begin.copy_from_slice(&head[3 * CHANNELS..]);
    let [first, second] = quads.starts;
    let (cell, across) = (pixel % PIXELS, 1 + usize::from(quads.across));
    let sums = if quads.down {
        let both = multiply(across, begin, &x[first + cell..], &weights[..run]);
        [0, 1].map(|row| {
            let weights = &weights[(1 + row) * run..(2 + row) * run];
            multiply(across, both, &x[first + cell + (1 + row) * slot..], weights)
        })
    } else {
        [first, second].map(|start| multiply(across, begin, &x[start + cell..], &weights[..run]))
    };
    let rows = [Some(0), quads.second];
    for (sums, row) in sums.into_iter().zip(rows) {
        let Some(row) = row else { continue };
        let at = row + pixel * quads.step + group * CHANNELS;
        for (channel, (out, sum)) in quads.out[at..].iter_mut().zip(sums).enumerate() {
            *out = code(quads.end, head, channel, sum) as i8;
        }
    }
}

fn code(end: End, head: &[i32], channel: usize, sum: i32) -> i32 {
    if end == End::Short {
        let [mantissa, offset] = [head[2 * channel], head[2 * channel + 1]];
        let high = (i64::from(sum) * i64::from(mantissa)) >> 32;
        return ((high as i32).wrapping_add(offset) >> SHORT).clamp(-128, 127);
    }
    let [mantissa, offset, n] = [0, 1, 2].map(|at| head[3 * channel + at]);
    match end {
        End::Relu => relu_code(sum, mantissa, offset, n),
        // Sums are even.
        _ => requantize(sum >> 1, mantissa, n, offset),
    }
}

fn multiply(
    across: usize,
    mut sums: [i32; CHANNELS],
    x: &[i32],
    weights: &[i32],
) -> [i32; CHANNELS] {
    for (place, words) in weights.chunks_exact(CHANNELS).enumerate() {
        let x = x[place / across * CELLS + place % across];
        for (sum, &word) in sums.iter_mut().zip(words) {
            *sum = dual(*sum, [x as i16, (x >> 16) as i16], word);
        }
    }
    sums
}

/// Of four rows of codes, `[r, r0, r1, r2]`, the slots of `tiles` tiles: `r`, `r1`, `r0 − r1`
/// and `r2 − r1`, each `2 · fours` pairs of [`CELLS`] cells; a cell has `fours` words of codes.
/// Nothing is done where a slice is too short.
pub(in crate::backend::cortex_m) fn weave(
    rows: [&[i32]; 4],
    fours: usize,
    tiles: usize,
    out: &mut [i32],
) {
    let fits = rows.iter().all(|row| row.len() >= (PIXELS * tiles + 1) * fours);
    if fours == 0 || !fits || out.len() < tiles * SLOTS * CELLS * 2 * fours {
        return;
    }
    let slot = CELLS * 2 * fours;
    for (tile, out) in out.chunks_exact_mut(SLOTS * slot).take(tiles).enumerate() {
        for place in 0..slot {
            let (pair, cell) = (place / CELLS, place % CELLS);
            let at = (PIXELS * tile + cell) * fours + pair / 2;
            let lanes = rows.map(|row| {
                let codes = row[at].to_le_bytes().map(|code| i32::from(code as i8));
                [codes[pair % 2], codes[pair % 2 + 2]]
            });
            let [r, r0, r1, r2] = lanes;
            let minus = |a: [i32; 2]| [a[0] - r1[0], a[1] - r1[1]];
            for (slot_at, [low, high]) in [r, r1, minus(r0), minus(r2)].into_iter().enumerate() {
                out[slot_at * slot + place] = low & 0xffff | high << 16;
            }
        }
    }
}
