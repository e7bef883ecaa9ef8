//! One to four output channels: sums over input channels side by side, added up at the end.

use super::tile::Row;
use super::vector::{LANES, V, load, store};

/// Most output channels.
const CHANNELS: usize = 4;

/// Whether runs of `len` products and so many outputs are for this file.
pub(super) const fn suits(outputs: usize, inputs: usize) -> bool {
    outputs <= CHANNELS && inputs.is_multiple_of(LANES)
}

/// `packed[k / 8 · outputs + o][k mod 8] = weights[o · pitch + k]` over `k < len`.
pub(super) fn pack(weights: &[f32], pitch: usize, outputs: usize, packed: &mut [V]) {
    for (k, block) in packed.chunks_exact_mut(outputs).enumerate() {
        for (o, out) in block.iter_mut().enumerate() {
            *out = weights.get(o * pitch + k * LANES..).map_or(V::ZERO, load);
        }
    }
}

/// `count` pixels of a row from `first` on.
pub(super) fn run(row: &Row<'_>, first: usize, count: usize, y: &mut [f32]) {
    let tile = match row.channels {
        1 => tiles::<8, 1>,
        2 => tiles::<4, 2>,
        3 => tiles::<2, 3>,
        _ => tiles::<2, 4>,
    };
    tile(row, first, count, y);
}

fn tiles<const P: usize, const O: usize>(row: &Row<'_>, first: usize, count: usize, y: &mut [f32]) {
    let mut bias = [0.0; LANES];
    for (i, bias) in bias.iter_mut().take(P * O).enumerate() {
        *bias = row.bias[0].as_array()[i % O];
    }
    let bias = V::new(bias);
    let mut done = 0;
    while done < count {
        // The last tile may repeat pixels of the one before it.
        if count - done < P && count >= P {
            done = count - P;
        }
        let (size, sums) = if count - done >= P {
            (P, tile::<P, O>(row, first + done))
        } else {
            (1, tile::<1, O>(row, first + done))
        };
        let sums = row.bounds.clamp(sums + bias);
        let y = y.get_mut(done * row.pitch..).unwrap_or(&mut []);
        if row.pitch == O {
            store(sums, y.get_mut(..size * O).unwrap_or(&mut []));
        } else {
            let sums = sums.to_array();
            for (out, sums) in y.chunks_mut(row.pitch).zip(sums.chunks_exact(O)).take(size) {
                out[..O].copy_from_slice(sums);
            }
        }
        done += size;
    }
}

/// The sums of `P` pixels, pixel by pixel.
#[inline(always)]
fn tile<const P: usize, const O: usize>(row: &Row<'_>, pixel: usize) -> V {
    let mut acc = [[V::ZERO; O]; P];
    let at = pixel * row.step;
    let mut weights = row.weights.as_chunks::<O>().0.iter();
    for &start in row.starts {
        let xs: [&[[f32; LANES]]; P] = core::array::from_fn(|p| {
            let at = start + at + p * row.step;
            row.x.get(at..at + row.len).unwrap_or(&[]).as_chunks().0
        });
        let len = row.len / LANES;
        if xs.iter().any(|x| x.len() != len) {
            break;
        }
        for (k, weights) in (0..len).zip(weights.by_ref()) {
            for (sums, x) in acc.iter_mut().zip(&xs) {
                let x = V::new(x[k]);
                for (sum, &w) in sums.iter_mut().zip(weights) {
                    *sum = x.mul_add(w, *sum);
                }
            }
        }
    }
    let mut all = [V::ZERO; LANES];
    for (all, sum) in all.iter_mut().zip(acc.as_flattened()) {
        *all = *sum;
    }
    add_up(all)
}

/// Lane `i` is the sum of the lanes of vector `i`.
#[inline(always)]
pub(super) fn add_up(vectors: [V; LANES]) -> V {
    let [a, b, c, d, e, f, g, h] = V::transpose(vectors);
    ((a + b) + (c + d)) + ((e + f) + (g + h))
}
