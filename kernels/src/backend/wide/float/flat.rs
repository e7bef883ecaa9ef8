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
pub(super) const fn suits(outputs: usize, inputs: usize, taps: usize) -> bool {
    outputs <= CHANNELS && matches!(inputs, 1 | 2 | 4) && matches!(taps, 1 | 2 | 3 | 5)
}

/// The weights of one tap, `pitch` between output channels, each as often as it fits:
/// `packed[o · taps]`.
pub(super) fn pack(weights: &[f32], pitch: usize, [inputs, taps]: [usize; 2], packed: &mut [V]) {
    for (o, out) in packed.iter_mut().step_by(taps.max(1)).enumerate() {
        let weights = weights.get(o * pitch..o * pitch + inputs).unwrap_or(&[]);
        let lane = |lane: usize| weights.get(lane % inputs).copied().unwrap_or(0.0);
        *out = V::new(core::array::from_fn(lane));
    }
}

/// `count` pixels of a row from `first` on; `row.step` is the number of input channels.
pub(super) fn run(row: &Row<'_>, first: usize, count: usize, y: &mut [f32]) {
    let tiles = match (row.step, row.len / row.step) {
        (1, 1) => tiles::<1, 1>,
        (1, 2) => tiles::<1, 2>,
        (1, 3) => tiles::<1, 3>,
        (1, 5) => tiles::<1, 5>,
        (2, 1) => tiles::<2, 1>,
        (2, 2) => tiles::<2, 2>,
        (2, 3) => tiles::<2, 3>,
        (2, 5) => tiles::<2, 5>,
        (4, 1) => tiles::<4, 1>,
        (4, 2) => tiles::<4, 2>,
        (4, 3) => tiles::<4, 3>,
        _ => tiles::<4, 5>,
    };
    tiles(row, first, count, y);
}

fn tiles<const STEP: usize, const TAPS: usize>(
    row: &Row<'_>,
    first: usize,
    count: usize,
    y: &mut [f32],
) {
    let pixels = LANES / STEP;
    let all = count.div_ceil(pixels);
    let tiles = all.div_ceil(TILE);
    for o in 0..row.channels {
        let mut done = 0;
        for tile in 0..tiles {
            let size = (all - done).div_ceil(tiles - tile);
            let at = (first + done * pixels) * STEP;
            let left = (count - done * pixels).min(size * pixels);
            let y = y.get_mut(done * pixels * row.pitch + o..).unwrap_or(&mut []);
            match size {
                8 => self::tile::<8, STEP, TAPS>(row, at, o, left, y),
                7 => self::tile::<7, STEP, TAPS>(row, at, o, left, y),
                6 => self::tile::<6, STEP, TAPS>(row, at, o, left, y),
                5 => self::tile::<5, STEP, TAPS>(row, at, o, left, y),
                4 => self::tile::<4, STEP, TAPS>(row, at, o, left, y),
                3 => self::tile::<3, STEP, TAPS>(row, at, o, left, y),
                2 => self::tile::<2, STEP, TAPS>(row, at, o, left, y),
                _ => self::tile::<1, STEP, TAPS>(row, at, o, left, y),
            }
            done += size;
        }
    }
}

/// `T` vectors of elements from `at` on, for output channel `o`; `count` pixels are stored.
#[inline(never)]
fn tile<const T: usize, const STEP: usize, const TAPS: usize>(
    row: &Row<'_>,
    at: usize,
    o: usize,
    count: usize,
    y: &mut [f32],
) {
    let mut acc = [V::ZERO; T];
    let mut weights = row.weights.get(o * TAPS..).unwrap_or(&[]);
    for &start in row.starts {
        let Some(run) = weights.first_chunk::<TAPS>() else { return };
        weights = weights.get(row.channels * TAPS..).unwrap_or(&[]);
        let begin = start + at;
        match row.x.get(begin..begin + T * LANES + (TAPS - 1) * STEP) {
            Some(x) => {
                for (kx, &w) in run.iter().enumerate() {
                    for (t, sum) in acc.iter_mut().enumerate() {
                        *sum = load(&x[kx * STEP + t * LANES..][..LANES]).mul_add(w, *sum);
                    }
                }
            }
            None => end_of_buffer(row.x.get(begin..).unwrap_or(&[]), STEP, run, &mut acc),
        }
    }
    let mut sums = [V::ZERO; TILE];
    for (out, sum) in sums.iter_mut().zip(acc) {
        *out = sum;
    }
    let bias = V::splat(row.bias[0].as_array()[o]);
    let [a, b, c, d, e, f, g, h] = sums;
    match STEP {
        1 => store_pixels(row, bias, &sums, count, y),
        2 => {
            let pixels = [pairs([a, b]), pairs([c, d]), pairs([e, f]), pairs([g, h])];
            store_pixels(row, bias, &pixels, count, y);
        }
        _ => {
            let pixels = [fours([a, b, c, d]), fours([e, f, g, h])];
            store_pixels(row, bias, &pixels, count, y);
        }
    }
}

/// Where a vector would reach beyond the buffer: elements there belong to no pixel.
#[cold]
fn end_of_buffer(x: &[f32], step: usize, weights: &[V], acc: &mut [V]) {
    for (kx, &w) in weights.iter().enumerate() {
        let x = x.get(kx * step..).unwrap_or(&[]);
        for (sum, x) in acc.iter_mut().zip(x.chunks(LANES)) {
            *sum = load(x).mul_add(w, *sum);
        }
    }
}

/// Adds the bias, clamps and stores `count` pixels, `row.pitch` apart.
#[inline(always)]
fn store_pixels(row: &Row<'_>, bias: V, pixels: &[V], count: usize, y: &mut [f32]) {
    let mut left = count;
    for (block, &pixels) in pixels.iter().enumerate() {
        if left == 0 {
            return;
        }
        let pixels = row.bounds.clamp(pixels + bias);
        let size = left.min(LANES);
        let y = y.get_mut(block * LANES * row.pitch..).unwrap_or(&mut []);
        if row.pitch == 1 {
            store(pixels, y.get_mut(..size).unwrap_or(&mut []));
        } else {
            let cells = y.iter_mut().step_by(row.pitch);
            for (out, pixel) in cells.zip(pixels.to_array()).take(size) {
                *out = pixel;
            }
        }
        left -= size;
    }
}

/// Sums of neighbours.
fn pairs(x: [V; 2]) -> V {
    let x = x.map(V::to_array);
    let x = x.as_flattened();
    V::new(core::array::from_fn(|i| x[2 * i] + x[2 * i + 1]))
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
