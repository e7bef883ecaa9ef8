//! The raw lanes in plain Rust.

use super::{dual, requantize};
use crate::backend::cortex_m::lanes::{Lanes, Tile};

/// Tiles of all groups; nothing where [`Lanes::fits`] says no.
pub(in crate::backend::cortex_m) fn lanes(lanes: &mut Lanes<'_>) {
    if !lanes.fits() {
        return;
    }
    let (pixels, channels) = (lanes.tile.pixels(), lanes.tile.channels());
    let group = lanes.tile.group(lanes.pairs);
    let windows = lanes.x.chunks_exact(lanes.tile.window(lanes.pairs));
    for (tile, x) in windows.take(lanes.tiles).enumerate() {
        for (index, words) in lanes.weights.chunks_exact(group).take(lanes.groups).enumerate() {
            let (begin, rest) = words.split_at(channels);
            let (words, ends) = rest.split_at(channels / 2 * lanes.pairs);
            for pixel in 0..pixels {
                let mut sums = [0; 8];
                let sums = &mut sums[..channels];
                sums.copy_from_slice(begin);
                for (pair, words) in words.chunks_exact(channels / 2).enumerate() {
                    let x = inputs(lanes.tile, x, pair, pixel);
                    for (sums, &word) in sums.chunks_exact_mut(2).zip(words) {
                        let [low, _, high, _] =
                            word.to_le_bytes().map(|byte| i32::from(byte as i8));
                        sums[0] = dual(sums[0], x, low & 0xffff | high << 16);
                        sums[1] = dual(sums[1], x, word);
                    }
                }
                for sums in sums.chunks_exact_mut(2) {
                    sums[1] = sums[1].wrapping_sub(sums[0]) >> 7;
                    sums[0] = sums[0].wrapping_mul(2);
                }
                let at = (tile * pixels + pixel) * lanes.step + index * channels;
                let ends = ends.chunks_exact(3);
                for ((out, &sum), end) in lanes.out[at..].iter_mut().zip(&*sums).zip(ends) {
                    *out = code(sum, [end[0], end[1], end[2]], lanes.relu);
                }
            }
        }
    }
}

/// The two inputs of a pair.
fn inputs(tile: Tile, x: &[i8], pair: usize, pixel: usize) -> [i16; 2] {
    let byte = |at: usize| x[at] as u8;
    match tile {
        Tile::Two => [0, 2].map(|lane| {
            let at = 4 * (2 * pair + pixel) + lane;
            i16::from_le_bytes([byte(at), byte(at + 1)])
        }),
        Tile::One => [0, 2].map(|lane| i16::from(x[pair / 2 * 4 + pair % 2 + lane])),
    }
}

/// A doubled sum as a code.
pub(super) fn code(sum: i32, [mantissa, offset, shift]: [i32; 3], relu: bool) -> i8 {
    if relu {
        let product = i64::from(sum) * i64::from(mantissa);
        let product = product.wrapping_add(i64::from(offset) << 32);
        let high = (product.wrapping_add(1 << 31) >> 32) as i32;
        return high.wrapping_shr(shift as u32).clamp(-128, 127) as i8;
    }
    requantize(sum >> 1, mantissa, shift, offset) as i8
}

/// Words of four codes of two pixels, widened side by side: of each pixel bytes 0 and 2, then
/// 1 and 3. As many words as all slices hold.
pub(in crate::backend::cortex_m) fn pair_up(x: [&[i8]; 2], out: &mut [i32]) {
    let words = x[0].chunks_exact(4).zip(x[1].chunks_exact(4));
    for (out, (a, b)) in out.chunks_exact_mut(4).zip(words) {
        let pair = |x: &[i8], at: usize| i32::from(x[at]) & 0xffff | i32::from(x[at + 2]) << 16;
        out.copy_from_slice(&[pair(a, 0), pair(b, 0), pair(a, 1), pair(b, 1)]);
    }
}

/// The same for `tiles` tiles of two cells of `words` words, `step` codes apart. Nothing is done
/// where a slice is too short.
pub(in crate::backend::cortex_m) fn pair_cells(
    x: &[i8],
    [step, words, tiles]: [usize; 3],
    out: &mut [i32],
) {
    for (tile, out) in out.chunks_exact_mut(4 * words).take(tiles).enumerate() {
        let [a, b] = [2 * tile, 2 * tile + 1].map(|cell| &x[cell * step..][..4 * words]);
        pair_up([a, b], out);
    }
}
