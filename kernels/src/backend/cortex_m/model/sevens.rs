//! Seven pixels of one channel in plain Rust.

use super::{dual, lanes::code};
use crate::backend::cortex_m::sevens::{CELLS, PIXELS, Row, Tiles};

/// A row of outputs as codes; nothing where [`Row::fits`] says no.
pub(in crate::backend::cortex_m) fn sevens(row: &mut Row<'_>) {
    if !row.fits() {
        return;
    }
    let passes = row.taps * row.pairs;
    let [bias, end @ ..] = row.head;
    for tile in 0..row.tiles() {
        let x = &row.x[tile * passes * CELLS..];
        let first = (tile * PIXELS).min(row.count - PIXELS);
        for pixel in 0..PIXELS {
            let mut sum = bias;
            for (x, weights) in x.chunks(CELLS).zip(row.weights.chunks_exact(row.taps)).take(passes)
            {
                for (&x, &weight) in x[pixel..].iter().zip(weights) {
                    sum = dual(sum, [x as i16, (x >> 16) as i16], weight);
                }
            }
            let code = code(sum, end, row.relu);
            let found = |table: &[i8; 256]| table[(i32::from(code) + 128) as usize];
            row.out[(first + pixel) * row.step] = row.table.map_or(code, found);
        }
    }
}

/// The fours of a row to a slot of every tile: pairs `[c, c + 2]` and `[c + 1, c + 3]`,
/// [`CELLS`] words each. Nothing where [`Tiles::fit`] says no.
pub(in crate::backend::cortex_m) fn lay(x: &[i8], tiles: &Tiles<'_>, out: &mut [i32]) {
    if !tiles.fit(x, out) {
        return;
    }
    let (list, step, fours) = tiles.parts();
    for &[byte, place, cells] in list {
        let skipped = 2 * (CELLS / 2 - cells as usize / 2);
        for pair in 0..2 * fours {
            let channel = pair / 2 * 4 + pair % 2;
            for cell in 0..cells as usize {
                let at = byte as usize + cell * step + channel;
                let to = (place / 4) as isize + (skipped + pair * CELLS + cell) as isize;
                let (low, high) = (i32::from(x[at]), i32::from(x[at + 2]));
                out[to as usize] = low & 0xffff | high << 16;
            }
        }
    }
}
