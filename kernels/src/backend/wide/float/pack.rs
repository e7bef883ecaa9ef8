//! Weights in the order in which the tiles read them: blocks of output channels
//! side by side, one vector or two per product.

use super::vector::{LANES, V, load};

/// Vectors per product of the block that starts at output channel `first`.
pub(super) const fn width(first: usize, outputs: usize) -> usize {
    if outputs - first > LANES { 2 } else { 1 }
}

/// Vectors per product of all blocks together.
pub(super) const fn all(outputs: usize) -> usize {
    outputs.div_ceil(LANES)
}

/// Puts a run of `len` weights of each output channel, `pitch` apart in `weights`, beside
/// each other: `packed[k · n + l / 8][l mod 8] = weights[l · pitch + k]`. Lanes from
/// `channels` on are zero.
pub(super) fn run(weights: &[f32], pitch: usize, len: usize, channels: usize, packed: &mut [V]) {
    let n = vectors_of(packed, len);
    for part in 0..n {
        let lanes = channels.saturating_sub(part * LANES).min(LANES);
        let row = |lane: usize| {
            let at = (part * LANES + lane) * pitch;
            if lane < lanes { weights.get(at..at + len).unwrap_or(&[]) } else { &[] }
        };
        let rows: [&[f32]; LANES] = core::array::from_fn(row);
        let mut blocks = packed.chunks_exact_mut(LANES * n);
        let mut k = 0;
        for block in blocks.by_ref() {
            let mut square = [V::ZERO; LANES];
            for (line, row) in square.iter_mut().zip(&rows) {
                *line = row.get(k..k + LANES).map_or(V::ZERO, load);
            }
            let turned = V::transpose(square);
            for (out, column) in block.iter_mut().skip(part).step_by(n).zip(turned) {
                *out = column;
            }
            k += LANES;
        }
        for out in blocks.into_remainder().iter_mut().skip(part).step_by(n) {
            *out = V::new(rows.map(|row| row.get(k).copied().unwrap_or(0.0)));
            k += 1;
        }
    }
}

const fn vectors_of(packed: &[V], len: usize) -> usize {
    match packed.len().checked_div(len) {
        Some(vectors) => vectors,
        None => 0,
    }
}
