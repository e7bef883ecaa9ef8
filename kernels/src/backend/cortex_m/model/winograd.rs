//! Winograd's transforms and products in plain Rust.

use super::{dual, lanes::code};
use crate::backend::cortex_m::winograd::{CHANNELS, PLACES, Products, TILES, group};

/// The places of two neighbouring tiles: of each of `pairs` pairs, `pitch` words apart, `cells`
/// holds cells of four words; `out` takes for each pair and place a word of either tile. Nothing
/// is done where a slice is too short.
pub(in crate::backend::cortex_m) fn two_tiles(
    cells: &[i32],
    [pitch, pairs]: [usize; 2],
    out: &mut [i32],
) {
    for (pair, out) in out.chunks_exact_mut(PLACES * TILES).take(pairs).enumerate() {
        let cell = |x: usize, row: usize| {
            let word = cells[pair * pitch + x * 4 + row];
            [word as i16, (word >> 16) as i16]
        };
        for (row, out) in out.chunks_exact_mut(4 * TILES).enumerate() {
            for tile in 0..TILES {
                let x = [0, 1, 2, 3].map(|k| cell(2 * tile + k, row));
                let lane = |k: usize| {
                    let [a, b, c, d] = x.map(|x| x[k]);
                    [a - c, b + c, c - b, d - b]
                };
                for (column, (low, high)) in lane(0).into_iter().zip(lane(1)).enumerate() {
                    out[column * TILES + tile] = i32::from(low) & 0xffff | i32::from(high) << 16;
                }
            }
        }
    }
}

/// Products of two tiles, as codes; nothing where [`Products::fits`] says no.
pub(in crate::backend::cortex_m) fn products(products: &mut Products<'_>) {
    if !products.fits() {
        return;
    }
    let pairs = products.pairs;
    for (index, words) in
        products.weights.chunks_exact(group(pairs)).take(products.groups).enumerate()
    {
        let (places, ends) = words.split_at(PLACES * CHANNELS * (1 + pairs));
        let places = places.chunks_exact(CHANNELS * (1 + pairs)).enumerate();
        for ((place, words), sums) in places.zip(products.sums.chunks_exact_mut(TILES * CHANNELS)) {
            let (first, words) = words.split_at(CHANNELS);
            for (at, sum) in sums.iter_mut().enumerate() {
                let (tile, channel) = (at / CHANNELS, at % CHANNELS);
                *sum = first[channel];
                for (pair, words) in words.chunks_exact(CHANNELS).enumerate() {
                    let x = products.inputs[(pair * PLACES + place) * TILES + tile];
                    *sum = dual(*sum, [x as i16, (x >> 16) as i16], words[channel]);
                }
            }
        }
        for at in 0..TILES * CHANNELS {
            let (tile, channel) = (at / CHANNELS, at % CHANNELS);
            let m = |row: usize, column: usize| {
                products.sums[(row * 4 + column) * TILES * CHANNELS + at]
            };
            let end = &ends[3 * channel..][..3];
            for (row, column) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                const FORM: [[i32; 4]; 2] = [[1, 1, 1, 0], [0, 1, -1, 1]];
                let mut sum = 0i32;
                for (i, down) in FORM[row].into_iter().enumerate() {
                    for (j, across) in FORM[column].into_iter().enumerate() {
                        sum = sum.wrapping_add(m(i, j).wrapping_mul(down * across));
                    }
                }
                let x = 2 * tile + column;
                let place = row * products.row + x * products.step + index * CHANNELS + channel;
                products.out[place] = code(sum >> 1, [end[0], end[1], end[2]], products.relu);
            }
        }
    }
}
