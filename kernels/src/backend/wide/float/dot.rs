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
    match (row.len / LANES, row.step) {
        (3, 8) => run_of::<3, 8>(row, first, count, y),
        (6, 16) => run_of::<6, 16>(row, first, count, y),
        (12, 32) => run_of::<12, 32>(row, first, count, y),
        _ => run_of::<0, 0>(row, first, count, y),
    }
}

fn run_of<const LEN: usize, const STEP: usize>(
    row: &Row<'_>,
    first: usize,
    count: usize,
    y: &mut [f32],
) {
    let tiles = match row.channels {
        1 => tiles::<8, 1, LEN, STEP>,
        2 => tiles::<4, 2, LEN, STEP>,
        3 => tiles::<2, 3, LEN, STEP>,
        _ => tiles::<2, 4, LEN, STEP>,
    };
    tiles(row, first, count, y);
}

#[inline(never)]
fn tiles<const P: usize, const O: usize, const LEN: usize, const STEP: usize>(
    row: &Row<'_>,
    first: usize,
    count: usize,
    y: &mut [f32],
) {
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
            (P, tile::<P, O, LEN, STEP>(row, first + done))
        } else {
            (1, tile::<1, O, LEN, STEP>(row, first + done))
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
fn tile<const P: usize, const O: usize, const LEN: usize, const STEP: usize>(
    row: &Row<'_>,
    pixel: usize,
) -> V {
    let mut acc = [[V::ZERO; O]; P];
    let at = pixel * row.step;
    let mut weights = row.weights.as_chunks::<O>().0;
    for &start in row.starts {
        let len = if LEN == 0 { row.len / LANES } else { LEN };
        let Some((run, rest)) = weights.split_at_checked(len) else { break };
        weights = rest;
        let Some(x) = row.x.get(start + at..) else { break };
        if LEN == 0 {
            sum(x, row.step, run, &mut acc);
        } else {
            sum_fixed::<P, O, LEN, STEP>(x, run, &mut acc);
        }
    }
    let mut all = [V::ZERO; LANES];
    for (all, sum) in all.iter_mut().zip(acc.as_flattened()) {
        *all = *sum;
    }
    add_up(all)
}

/// `acc[p][o] += x[p · step + 8 k ..] · weights[k][o]`, lane by lane.
#[inline(always)]
fn sum<const P: usize, const O: usize>(
    x: &[f32],
    step: usize,
    weights: &[[V; O]],
    acc: &mut [[V; O]; P],
) {
    let len = weights.len();
    let xs: [&[[f32; LANES]]; P] = core::array::from_fn(|p| {
        x.get(p * step..p * step + len * LANES).unwrap_or(&[]).as_chunks().0
    });
    if xs.iter().any(|x| x.len() != len) {
        return;
    }
    let mut sums = *acc;
    for (k, weights) in weights.iter().enumerate() {
        for (sums, x) in sums.iter_mut().zip(&xs) {
            let x = V::new(x[k]);
            for (sum, &w) in sums.iter_mut().zip(weights) {
                *sum = x.mul_add(w, *sum);
            }
        }
    }
    *acc = sums;
}

/// The same with run and step known to the compiler; `STEP` is a multiple of 8.
#[inline(always)]
fn sum_fixed<const P: usize, const O: usize, const LEN: usize, const STEP: usize>(
    x: &[f32],
    weights: &[[V; O]],
    acc: &mut [[V; O]; P],
) {
    let Some(weights) = weights.first_chunk::<LEN>() else { return };
    let Some(x) = x.get(..(P - 1) * STEP + LEN * LANES) else { return };
    let x = x.as_chunks::<LANES>().0;
    let mut sums = *acc;
    for (k, weights) in weights.iter().enumerate() {
        for (p, sums) in sums.iter_mut().enumerate() {
            let x = V::new(x[p * STEP / LANES + k]);
            for (sum, &w) in sums.iter_mut().zip(weights) {
                *sum = x.mul_add(w, *sum);
            }
        }
    }
    *acc = sums;
}

/// Lane `i` is the sum of the lanes of vector `i`.
#[inline(always)]
pub(super) fn add_up(vectors: [V; LANES]) -> V {
    let [a, b, c, d, e, f, g, h] = V::transpose(vectors);
    ((a + b) + (c + d)) + ((e + f) + (g + h))
}
