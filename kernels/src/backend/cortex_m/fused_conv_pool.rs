//! Convolution and max-pool in one: 3 × 3 windows over one channel, 2 × 2 pools.
//!
//! The four outputs under a pool read a patch of 4 × 4 inputs, which stays in eight
//! registers while the channels stream past it. Along rows the convolution is a
//! Winograd F(2, 3): with rows `d0…d3` and taps `g0…g2`
//!
//! ```text
//! P = (d1 + d2)·(g0 + g1 + g2)      Q = (d2 − d1)·(g0 − g1 + g2)
//! 2·y0 = P + Q + (d0 − d2)·2g0      2·y1 = P − Q + (d3 − d1)·2g2
//! ```
//!
//! each product a sum over three columns. `P` is the same in both rows and added to the larger:
//! 16 multiplying instructions for four outputs.
//! All in integers, and twice the sum is what requantisation wants. The maximum is taken
//! over the four sums, and one of them is requantised. Other shapes go band by band.

use super::CortexM;
use super::epilogue::clamp;
use super::insn;
use super::{fill_words, images};
use crate::epilogue::Ending;
use crate::ops::fused::conv_pool2d::{self, ConvPool2d, ConvPool2dGeometry};
use crate::view::{View, ViewMut};
use crate::window::Axis;

/// Words per channel: outer taps of row 2 of the transform, inner ones of rows 2 and 3, outer ones
/// of rows 3 and 0, inner ones of rows 0 and 1, outer ones of row 1, mantissa, then bias and right
/// shift or, in the short form, the 64 bits that are added to the product before the last shift.
pub(super) const POOL_WORDS: usize = 9;

/// Rows of pools between two moves of the rows kept.
const POOLS: usize = 4;

/// A row of pooled outputs.
#[derive(Clone, Copy)]
pub(super) struct Patches<'a> {
    /// Four rows of inputs with their padding, `pitch` apart.
    pub(super) rows: &'a [i8],
    pub(super) pitch: usize,
    /// [`POOL_WORDS`] per channel.
    pub(super) weights: &'a [i32],
    /// A multiple of four.
    pub(super) channels: usize,
    pub(super) pixels: usize,
    pub(super) zero_point: i32,
    /// The last shift of the short form, 0 for the general one.
    pub(super) shift: usize,
}

/// Whether the shape is that of the loop.
const fn serves(g: &ConvPool2dGeometry) -> bool {
    let (window, pool) = (&g.convolution.window, &g.pool.window);
    three(&window.rows)
        && three(&window.columns)
        && two(&pool.rows)
        && two(&pool.columns)
        && g.convolution.input.c == 1
        && g.convolution.output.c.is_multiple_of(4)
}

const fn three(axis: &Axis) -> bool {
    axis.kernel == 3 && axis.stride == 1 && axis.dilation == 1
}

const fn two(axis: &Axis) -> bool {
    axis.kernel == 2 && axis.stride == 2 && axis.is_unpadded()
}

/// Bytes of a row of inputs under the pools, padding included.
const fn pitch(g: &ConvPool2dGeometry) -> usize {
    (2 * g.pool.output.w + 2).next_multiple_of(4)
}

/// Rows kept at once: those under [`POOLS`] rows of pools.
const fn rows(g: &ConvPool2dGeometry) -> usize {
    let pools = if g.pool.output.h < POOLS { g.pool.output.h } else { POOLS };
    2 * pools + 2
}

/// Bytes of scratch: weights and rows, or those of the bands.
pub(super) fn scratch(g: &ConvPool2dGeometry) -> usize {
    if !serves(g) {
        return conv_pool2d::band_scratch_bytes::<i8, CortexM>(g);
    }
    own_scratch(g).max(conv_pool2d::scratch_bytes::<i8>(g))
}

const fn own_scratch(g: &ConvPool2dGeometry) -> usize {
    g.output().c * POOL_WORDS * 4 + rows(g) * pitch(g)
}

/// Whether [`pooled`] computes a layer with this end in so much scratch.
pub(crate) const fn owns(g: &ConvPool2dGeometry, ending: &Ending, scratch: usize) -> bool {
    let exact = ending.is_short(g.convolution.depth()) && !ending.table;
    serves(g) && exact && scratch >= own_scratch(g)
}

/// See [`ConvPool2d`].
#[inline(never)]
pub(super) fn run(
    op: &ConvPool2d<'_, i8>,
    x: View<'_, i8>,
    y: ViewMut<'_, i8>,
    scratch: &mut [u8],
) {
    let g = &op.geometry;
    let ending = Ending::of(&op.convolution.epilogue);
    if owns(g, &ending, scratch.len()) {
        let weights = op.convolution.weights.iter();
        let largest = weights.fold(0, |most, w| u32::from(w.unsigned_abs()).max(most));
        pooled(op, x, y, scratch, variant(&ending, largest));
    } else if serves(g) {
        conv_pool2d::run::<i8, CortexM>(op, x, y, scratch);
    } else {
        conv_pool2d::run_bands::<i8, CortexM>(op, x, y, scratch);
    }
}

/// For layers that it [`owns`]; `shift` is their [`variant`].
#[inline(never)]
pub(super) fn pooled(
    op: &ConvPool2d<'_, i8>,
    x: View<'_, i8>,
    mut y: ViewMut<'_, i8>,
    scratch: &mut [u8],
    shift: u32,
) {
    let g = &op.geometry;
    let (output, pitch) = (g.output(), pitch(g));
    let (_, words, _) = bytemuck::pod_align_to_mut::<u8, i32>(scratch);
    let Some((weights, rest)) = words.split_at_mut_checked(output.c * POOL_WORDS) else { return };
    // A pitch is a multiple of four.
    let Some(rows) = rest.get_mut(..self::rows(g) * pitch / 4) else { return };
    let how = &op.convolution.epilogue;
    transform(op, shift as i32, weights);
    // Both clamps in one.
    let bounds = |code: i8| code.min(op.bounds.1).max(op.bounds.0);
    let (low, high) = (bounds(how.min), bounds(how.max));
    for (image, out) in images(x, &mut y, [g.input(), output]) {
        fill_words(rows, i32::from_ne_bytes([op.convolution.padding.cast_unsigned(); 4]));
        let rows: &mut [i8] = bytemuck::cast_slice_mut(rows);
        let mut source = Rows::new(op, image);
        source.copy(rows, 0);
        let mut first = 0;
        for out in out.chunks_exact_mut(output.row().max(1)) {
            if first + 4 * pitch > rows.len() {
                // The two last rows are the first of the next pools.
                let Some((front, last)) = rows.split_at_mut_checked(first) else { return };
                insn::copy(front, last);
                first = 0;
            }
            source.copy(rows, first + 2 * pitch);
            let patches = Patches {
                rows: rows.get(first..).unwrap_or(&[]),
                pitch,
                weights,
                channels: output.c,
                pixels: output.w,
                zero_point: how.zero_point,
                shift: shift as usize,
            };
            insn::pool_3x3(&patches, out);
            if low != i8::MIN || high != i8::MAX {
                clamp(out, low, high);
            }
            first += 2 * pitch;
        }
    }
}

/// The rows of an image with the padding above and below them.
struct Rows<'a> {
    /// Of the image, what is left.
    left: &'a [i8],
    width: usize,
    /// Rows of padding above that are left.
    above: usize,
    /// Cells of padding before a row, and cells of it that are read.
    cells: [usize; 2],
    padding: i8,
    pitch: usize,
}

impl<'a> Rows<'a> {
    fn new(op: &ConvPool2d<'_, i8>, image: &'a [i8]) -> Self {
        let g = &op.geometry;
        let (pitch, width) = (pitch(g), g.input().w);
        let before = g.convolution.window.columns.pad.min(pitch);
        Self {
            left: image,
            width,
            above: g.convolution.window.rows.pad,
            cells: [before, width.min(pitch - before)],
            padding: op.convolution.padding,
            pitch,
        }
    }

    /// Copies the next two rows to `rows`, from cell `first` on, between the padding at the
    /// sides, which stays.
    #[inline(never)]
    fn copy(&mut self, rows: &mut [i8], first: usize) {
        let [before, len] = self.cells;
        for at in [first, first + self.pitch] {
            let source = match self.above.checked_sub(1) {
                None => self.left.split_at_checked(self.width),
                Some(above) => {
                    self.above = above;
                    None
                }
            };
            let at = at + before;
            let Some(row) = rows.get_mut(at..at + len) else { return };
            if let Some((source, left)) = source {
                self.left = left;
                insn::copy(row, source);
            } else {
                for cell in row {
                    *cell = self.padding;
                }
            }
        }
    }
}

/// The last shift for which the short form is exact, or 0.
///
/// With a sum `a ≥ 0`, mantissa `m` and right shift `n`, double rounding is
/// `⌊(a·m + 2^30 + 2^(30+n)) / 2^(31+n)⌋`; with `a` scaled by `2^(1+N−n)` the division is by
/// `2^(32+N)`. A negative sum may come out one too high, but then below the zero point, −128.
pub(crate) const fn variant(ending: &Ending, largest: u32) -> u32 {
    if !ending.lowest {
        return 0;
    }
    let (least, most) = ending.right();
    // Twice a tap or the sum of three; sums without row 1 of the transform are up to twice as large.
    let taps = 3 * largest as u64;
    let sums = 9 * (1 << 14) + ending.largest_bias() as u64;
    let mut shift = 8;
    while shift <= 16 {
        let scale = 1 + shift - least;
        if most < shift
            && scale <= 12
            && taps << (scale - 1) <= i16::MAX as u64
            && sums << scale < 1 << 31
        {
            return shift as u32;
        }
        shift += 4;
    }
    0
}

/// Fills the words of every channel.
#[inline(never)]
fn transform(op: &ConvPool2d<'_, i8>, shift: i32, words: &mut [i32]) {
    let how = &op.convolution.epilogue;
    let (taps, _) = op.convolution.weights.as_chunks::<9>();
    let (words, _) = words.as_chunks_mut::<POOL_WORDS>();
    for (channel, (taps, words)) in taps.iter().zip(words).enumerate() {
        let by = how.multiplier(channel);
        let n = -by.shift;
        let bias = how.bias.get(channel).copied().unwrap_or(0);
        let (scale, rest) = if shift == 0 {
            (1, [bias << 1, n])
        } else {
            // The constant of the formula and the zero point, in units of the high word.
            let constant = (1 << (shift - n - 1)) + (1 << (shift - 1));
            let last = i64::from(constant + how.zero_point * (1 << shift)) << 32;
            let scale = 1 + shift - n;
            let rest = last + i64::from(bias << scale) * i64::from(by.mantissa);
            (scale, [rest as i32, (rest >> 32) as i32])
        };
        let [a, b, c] = [0, 1, 2].map(|kx| {
            let tap = |at: usize| taps.get(at).map_or(0, |&w| i32::from(w) << (scale - 1));
            let [g0, g1, g2] = [tap(kx), tap(3 + kx), tap(6 + kx)];
            [2 * g0, g0 + g1 + g2, g0 - g1 + g2, 2 * g2]
        });
        let pair = |low: i32, high: i32| (low & 0xffff) | high << 16;
        let [low, high] = rest;
        *words = [
            pair(a[2], c[2]),
            pair(b[2], b[3]),
            pair(a[3], c[3]),
            pair(a[0], c[0]),
            pair(b[0], b[1]),
            pair(a[1], c[1]),
            by.mantissa,
            low,
            high,
        ];
    }
}
