//! The tile: sums of a few pixels × 8 or 16 output channels in registers.

use super::dot;
use super::vector::{Bounds, LANES, V, store};

/// Whether an accumulator of eight lanes is one register of sixteen, or two of thirty-two.
const WIDE: bool = cfg!(any(target_feature = "avx", target_arch = "aarch64"));
/// Pixels of a tile of 16 channels: 12 sums, two weights and one input.
const PIXELS_16: usize = if WIDE { 6 } else { 3 };
/// Pixels of a tile of 8 channels: 12 sums, one weight and one input.
const PIXELS_8: usize = if WIDE { 12 } else { 6 };

/// Pixels of a tile of `n` vectors of channels.
pub(super) const fn pixels(n: usize) -> usize {
    if n == 2 { PIXELS_16 } else { PIXELS_8 }
}

/// How sums are formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Lanes are output channels.
    Tile,
    /// Lanes are input channels.
    Dot,
}

/// What the tiles of one row and one block of channels share.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) kind: Kind,
    /// Where inputs lie.
    pub(super) x: &'a [f32],
    /// Runs of a window: their places for pixel 0.
    pub(super) starts: &'a [usize],
    /// Elements of a run.
    pub(super) len: usize,
    /// Elements between the windows of neighbouring pixels.
    pub(super) step: usize,
    /// `[run][element][n]` vectors; `[run][element / 8][output]` for [`Kind::Dot`].
    pub(super) weights: &'a [V],
    pub(super) bias: [V; 2],
    pub(super) bounds: Bounds,
    /// Channels that are stored.
    pub(super) channels: usize,
    /// Elements between neighbouring pixels of the output.
    pub(super) pitch: usize,
}

impl Row<'_> {
    /// `count` pixels from `first` on, whose outputs begin at the start of `y`.
    pub(super) fn run(&self, first: usize, count: usize, y: &mut [f32]) {
        match self.kind {
            Kind::Tile => {}
            Kind::Dot => return dot::run(self, first, count, y),
        }
        match (self.channels > LANES, self.len, self.step) {
            (true, 3, 1) => self.tiles::<2, 3, 1>(first, count, y),
            (true, 9, 3) => self.tiles::<2, 9, 3>(first, count, y),
            (true, 15, 15) => self.tiles::<2, 15, 15>(first, count, y),
            (true, ..) => self.tiles::<2, 0, 0>(first, count, y),
            (false, 3, 1) => self.tiles::<1, 3, 1>(first, count, y),
            (false, 9, 3) => self.tiles::<1, 9, 3>(first, count, y),
            (false, ..) => self.tiles::<1, 0, 0>(first, count, y),
        }
    }

    /// Tiles whose sizes differ by at most one.
    fn tiles<const N: usize, const LEN: usize, const STEP: usize>(
        &self,
        first: usize,
        count: usize,
        y: &mut [f32],
    ) {
        let tiles = count.div_ceil(pixels(N)).max(1);
        let (size, larger) = (count / tiles, count % tiles);
        self.equal::<N, LEN, STEP>(size + 1, first, larger, y);
        let done = larger * (size + 1);
        let y = y.get_mut(done * self.pitch..).unwrap_or(&mut []);
        self.equal::<N, LEN, STEP>(size, first + done, tiles - larger, y);
    }

    /// `tiles` tiles of `size` pixels.
    fn equal<const N: usize, const LEN: usize, const STEP: usize>(
        &self,
        size: usize,
        pixel: usize,
        tiles: usize,
        y: &mut [f32],
    ) {
        match size {
            _ if tiles == 0 => {}
            1 => self.each::<1, N, LEN, STEP>(pixel, tiles, y),
            2 => self.each::<2, N, LEN, STEP>(pixel, tiles, y),
            3 => self.each::<3, N, LEN, STEP>(pixel, tiles, y),
            4 if N * 4 <= pixels(1) => self.each::<4, N, LEN, STEP>(pixel, tiles, y),
            5 if N * 5 <= pixels(1) => self.each::<5, N, LEN, STEP>(pixel, tiles, y),
            6 if N * 6 <= pixels(1) => self.each::<6, N, LEN, STEP>(pixel, tiles, y),
            7 if N * 7 <= pixels(1) => self.each::<7, N, LEN, STEP>(pixel, tiles, y),
            8 if N * 8 <= pixels(1) => self.each::<8, N, LEN, STEP>(pixel, tiles, y),
            9 if N * 9 <= pixels(1) => self.each::<9, N, LEN, STEP>(pixel, tiles, y),
            10 if N * 10 <= pixels(1) => self.each::<10, N, LEN, STEP>(pixel, tiles, y),
            11 if N * 11 <= pixels(1) => self.each::<11, N, LEN, STEP>(pixel, tiles, y),
            12 if N * 12 <= pixels(1) => self.each::<12, N, LEN, STEP>(pixel, tiles, y),
            _ => {}
        }
    }

    #[inline(never)]
    fn each<const P: usize, const N: usize, const LEN: usize, const STEP: usize>(
        &self,
        first: usize,
        tiles: usize,
        y: &mut [f32],
    ) {
        let row = *self;
        let step = if LEN == 0 { row.step } else { STEP };
        let whole = row.channels == N * LANES;
        for tile in 0..tiles {
            let mut acc = [[V::ZERO; N]; P];
            for sums in &mut acc {
                for (sum, bias) in sums.iter_mut().zip(&row.bias) {
                    *sum = *bias;
                }
            }
            let at = (first + tile * P) * step;
            let mut weights = row.weights.as_chunks::<N>().0;
            for &start in row.starts {
                let Some(x) = row.x.get(start + at..) else { return };
                let len = if LEN == 0 { row.len } else { LEN };
                let Some((run, rest)) = weights.split_at_checked(len) else { return };
                weights = rest;
                if LEN == 0 {
                    sum(x, len, step, run, &mut acc);
                } else {
                    sum_fixed::<P, N, LEN, STEP>(x, run, &mut acc);
                }
            }
            for sum in acc.as_flattened_mut() {
                *sum = row.bounds.clamp(*sum);
            }
            let Some(y) = y.get_mut(tile * P * row.pitch..) else { return };
            if whole {
                store_all(&acc, row.pitch, y);
            } else {
                // A copy, so that the sums themselves need no place in memory.
                let acc = acc;
                store_some(&{ acc }, row.channels, row.pitch, y);
            }
        }
    }
}

/// Whole vectors, `pitch` between pixels.
#[inline(always)]
fn store_all<const P: usize, const N: usize>(acc: &[[V; N]; P], pitch: usize, y: &mut [f32]) {
    for (p, sums) in acc.iter().enumerate() {
        let Some(out) = y.get_mut(p * pitch..p * pitch + N * LANES) else { return };
        for (out, sum) in out.as_chunks_mut::<LANES>().0.iter_mut().zip(sums) {
            *out = sum.to_array();
        }
    }
}

/// `channels` of each pixel.
#[inline(never)]
fn store_some<const P: usize, const N: usize>(
    acc: &[[V; N]; P],
    channels: usize,
    pitch: usize,
    y: &mut [f32],
) {
    for (p, sums) in acc.iter().enumerate() {
        let Some(out) = y.get_mut(p * pitch..p * pitch + channels) else { return };
        for (out, sum) in out.chunks_mut(LANES).zip(sums) {
            store(*sum, out);
        }
    }
}

/// `acc[p][n] += Σ_k x[p · step + k] · weights[k][n]` over `k < len`.
#[inline(always)]
pub(super) fn sum<const P: usize, const N: usize>(
    x: &[f32],
    len: usize,
    step: usize,
    weights: &[[V; N]],
    acc: &mut [[V; N]; P],
) {
    if weights.len() == len {
        let run = |p| x.get(p * step..p * step + len).unwrap_or(&[]);
        sum_runs(core::array::from_fn(run), weights, acc);
    }
}

/// `acc[p][n] += Σ_k xs[p][k] · weights[k][n]`; the runs are as long as the weights.
#[inline(always)]
pub(super) fn sum_runs<const P: usize, const N: usize>(
    xs: [&[f32]; P],
    weights: &[[V; N]],
    acc: &mut [[V; N]; P],
) {
    if xs.iter().any(|x| x.len() != weights.len()) {
        return;
    }
    let mut sums = *acc;
    for (k, weights) in weights.iter().enumerate() {
        for (sums, x) in sums.iter_mut().zip(&xs) {
            let x = V::splat(x[k]);
            for (sum, &w) in sums.iter_mut().zip(weights) {
                *sum = x.mul_add(w, *sum);
            }
        }
    }
    *acc = sums;
}

/// The same with run and step known to the compiler.
#[inline(always)]
fn sum_fixed<const P: usize, const N: usize, const LEN: usize, const STEP: usize>(
    x: &[f32],
    weights: &[[V; N]],
    acc: &mut [[V; N]; P],
) {
    let Some(weights) = weights.first_chunk::<LEN>() else { return };
    let Some(x) = x.get(..(P - 1) * STEP + LEN) else { return };
    let mut sums = *acc;
    for (k, weights) in weights.iter().enumerate() {
        for (p, sums) in sums.iter_mut().enumerate() {
            let x = V::splat(x[p * STEP + k]);
            for (sum, &w) in sums.iter_mut().zip(weights) {
                *sum = x.mul_add(w, *sum);
            }
        }
    }
    *acc = sums;
}
