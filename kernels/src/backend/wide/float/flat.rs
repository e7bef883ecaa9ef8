//! One, two or four input channels to a few outputs: lanes are elements of a row as they
//! lie, so that no input is rearranged; the channels of a pixel are added up at the end.

use wide::f32x4;

use super::tile::Row;
use super::vector::{LANES, V, load, store};

/// Most output channels.
const CHANNELS: usize = 4;
/// Vectors of a tile.
const TILE: usize = 8;

/// Whether such windows are for this file; they also have to be runs at stride one.
pub(super) const fn suits(outputs: usize, inputs: usize) -> bool {
    outputs <= CHANNELS && matches!(inputs, 1 | 2 | 4)
}

/// The weights of one tap, `pitch` between output channels, each as often as it fits.
pub(super) fn pack(weights: &[f32], pitch: usize, inputs: usize, packed: &mut [V]) {
    for (o, out) in packed.iter_mut().enumerate() {
        let weights = weights.get(o * pitch..o * pitch + inputs).unwrap_or(&[]);
        let lane = |lane: usize| weights.get(lane % inputs).copied().unwrap_or(0.0);
        *out = V::new(core::array::from_fn(lane));
    }
}

/// `count` pixels of a row from `first` on; `row.step` is the number of input channels.
pub(super) fn run(row: &Row<'_>, first: usize, count: usize, y: &mut [f32]) {
    let pixels = LANES / row.step;
    let all = count.div_ceil(pixels);
    let tiles = all.div_ceil(TILE);
    for o in 0..row.channels {
        let mut done = 0;
        for tile in 0..tiles {
            let size = (all - done).div_ceil(tiles - tile);
            let at = (first + done * pixels) * row.step;
            let sums = match size {
                8 => sums::<8>(row, at, o),
                7 => sums::<7>(row, at, o),
                6 => sums::<6>(row, at, o),
                5 => sums::<5>(row, at, o),
                4 => sums::<4>(row, at, o),
                3 => sums::<3>(row, at, o),
                2 => sums::<2>(row, at, o),
                _ => sums::<1>(row, at, o),
            };
            let left = (count - done * pixels).min(size * pixels);
            let y = y.get_mut(done * pixels * row.pitch + o..).unwrap_or(&mut []);
            finish(row, o, &sums, left, y);
            done += size;
        }
    }
}

/// Sums of `T` vectors of elements, for output channel `o`.
#[inline(always)]
fn sums<const T: usize>(row: &Row<'_>, at: usize, o: usize) -> [V; TILE] {
    let mut acc = [V::ZERO; T];
    let run = row.len / row.step * row.channels;
    for (&start, weights) in row.starts.iter().zip(row.weights.chunks_exact(run.max(1))) {
        for (kx, &w) in weights.iter().skip(o).step_by(row.channels).enumerate() {
            let x = row.x.get(start + at + kx * row.step..).unwrap_or(&[]);
            match x.as_chunks::<LANES>().0.first_chunk::<T>() {
                Some(x) => {
                    for (sum, x) in acc.iter_mut().zip(x) {
                        *sum = V::new(*x).mul_add(w, *sum);
                    }
                }
                // The end of the buffer: elements beyond it belong to no pixel.
                None => {
                    for (sum, x) in acc.iter_mut().zip(x.chunks(LANES)) {
                        *sum = load(x).mul_add(w, *sum);
                    }
                }
            }
        }
    }
    let mut sums = [V::ZERO; TILE];
    for (out, sum) in sums.iter_mut().zip(acc) {
        *out = sum;
    }
    sums
}

/// Adds up channels, clamps and stores `count` pixels, `row.pitch` apart.
fn finish(row: &Row<'_>, o: usize, sums: &[V; TILE], count: usize, y: &mut [f32]) {
    let bias = V::splat(row.bias[0].as_array()[o]);
    let mut done = 0;
    for group in sums.chunks_exact(row.step.min(TILE)) {
        if done >= count {
            return;
        }
        let pixels = match *group {
            [a] => a,
            [a, b] => V::new(pairs([a.to_array(), b.to_array()])),
            [a, b, c, d] => fours([a, b, c, d]),
            _ => return,
        };
        let pixels = row.bounds.clamp(pixels + bias);
        let size = (count - done).min(LANES);
        let y = y.get_mut(done * row.pitch..).unwrap_or(&mut []);
        if row.pitch == 1 {
            store(pixels, y.get_mut(..size).unwrap_or(&mut []));
        } else {
            let cells = y.iter_mut().step_by(row.pitch);
            for (out, pixel) in cells.zip(pixels.to_array()).take(size) {
                *out = pixel;
            }
        }
        done += size;
    }
}

/// Sums of neighbours.
fn pairs(x: [[f32; LANES]; 2]) -> [f32; LANES] {
    let x = x.as_flattened();
    core::array::from_fn(|i| x[2 * i] + x[2 * i + 1])
}

/// Sums of four neighbours.
#[inline(always)]
fn fours(x: [V; 4]) -> V {
    let quads: [f32x4; 8] = bytemuck::cast(x);
    let sum = |quads: [f32x4; 4]| {
        let [a, b, c, d] = f32x4::transpose(quads);
        (a + b) + (c + d)
    };
    let [a, b, c, d, e, f, g, h] = quads;
    bytemuck::cast([sum([a, b, c, d]), sum([e, f, g, h])])
}
