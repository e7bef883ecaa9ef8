//! Depthwise 3 × 3 of stride 1: two output rows at once, four channels after four.
//!
//! Four input rows are two *planes* of words that hold a column of two rows; the lower
//! plane of two output rows is the upper one of the next two, so each input is widened
//! and packed once. With the weights (w0, w1) and (w1, w2) of a column
//!
//! ```text
//! upper output += r0·w0 + r1·w1 | r2·w2      smlad (r0, r1), (w0, w1); smlabt (r2, r3), (w1, w2)
//! lower output += r1·w0 | r2·w1 + r3·w2      smlatb (r0, r1), (w0, w1); smlad (r2, r3), (w1, w2)
//! ```
//!
//! Weights and biases are doubled, which is the doubling of the requantisation.

use crate::backend::cortex_m::epilogue::Finish;
use crate::backend::cortex_m::insn;
use crate::ops::{Conv2dGeometry, DepthwiseConv2d};
use crate::window::Axis;

/// Rows and columns of the kernel.
pub(in crate::backend::cortex_m) const TAPS: usize = 3;
/// Channels at a time.
pub(in crate::backend::cortex_m) const CHANNELS: usize = 4;
/// Words of a channel: two per column of weights, bias, mantissa, right shift.
pub(in crate::backend::cortex_m) const WORDS: usize = 2 * TAPS + 3;

/// Columns of a plane, padding included.
const fn cells(g: &Conv2dGeometry) -> usize {
    g.output.w + TAPS - 1
}

/// Cells of a map below which the work per channel outweighs what is saved.
const LEAST: usize = 16;

/// Words of scratch; `None` for windows that are not 3 × 3 of stride 1, fewer than four
/// channels, a depth multiplier, or small maps.
pub(super) const fn words(g: &Conv2dGeometry) -> Option<usize> {
    const fn plain(axis: &Axis) -> bool {
        axis.kernel == TAPS && axis.stride == 1 && axis.dilation == 1
    }
    let fits = plain(&g.window.rows)
        && plain(&g.window.columns)
        && g.output.c == g.input.c
        && g.input.c >= CHANNELS
        && g.output.w >= 2
        && g.output.h * g.output.w >= LEAST;
    if fits { Some(2 * CHANNELS * cells(g) + CHANNELS * WORDS) } else { None }
}

/// One image; `scratch` has [`words`], and the short form of requantisation is exact.
pub(super) fn run(
    op: &DepthwiseConv2d<'_, i8>,
    finish: &Finish<'_>,
    image: &[i8],
    out: &mut [i8],
    scratch: &mut [i32],
) {
    let g = &op.geometry;
    let (planes, weights) = scratch.split_at_mut(2 * CHANNELS * cells(g));
    // Columns of padding stay as they are; the others are overwritten.
    for word in planes.iter_mut() {
        *word = i32::from(op.padding) & 0xffff | i32::from(op.padding) << 16;
    }
    let (mut above, mut below) = planes.split_at_mut(CHANNELS * cells(g));
    for first in (0..g.input.c).step_by(CHANNELS) {
        // The last channels once more, where there are not four.
        let first = first.min(g.input.c - CHANNELS);
        expand(op, finish, first, weights);
        pack(op, image, [0, first], above);
        for oy in (0..g.output.h).step_by(2) {
            pack(op, image, [oy + 2, first], below);
            let row = if oy + 1 < g.output.h { g.output.row() } else { 0 };
            let out = out.get_mut(oy * g.output.row() + first..).unwrap_or(&mut []);
            let size = [g.output.w, g.output.c, row];
            insn::two_rows([above, below], weights, op.epilogue.zero_point, size, out);
            (above, below) = (below, above);
        }
    }
    finish.end(out);
}

/// Rows `v` and `v + 1`, counted from the first that output row 0 reads.
fn pack(op: &DepthwiseConv2d<'_, i8>, image: &[i8], [v, first]: [usize; 2], plane: &mut [i32]) {
    let g = &op.geometry;
    let (rows, columns) = (&g.window.rows, &g.window.columns);
    let inside = columns.input.min(cells(g) - columns.pad.min(cells(g)));
    let padding = [op.padding; CHANNELS];
    let row = |v: usize| {
        let iy = v.checked_sub(rows.pad).filter(|&iy| iy < rows.input);
        match iy.and_then(|iy| image.get(iy * g.input.row() + first..)) {
            Some(row) => (row, g.input.c),
            None => (&padding[..], 0),
        }
    };
    let [(upper, a), (lower, b)] = [row(v), row(v + 1)];
    let plane = plane.get_mut(columns.pad * CHANNELS..).unwrap_or(&mut []);
    insn::pack_rows([upper, lower], [a, b], inside, plane);
}

/// The words of four channels from `first` on.
fn expand(op: &DepthwiseConv2d<'_, i8>, finish: &Finish<'_>, first: usize, words: &mut [i32]) {
    let channels = op.geometry.output.c;
    for (words, channel) in words.chunks_exact_mut(WORDS).zip(first..) {
        let weight = |ky: usize, kx: usize| {
            let at = (ky * TAPS + kx) * channels + channel;
            2 * op.weights.get(at).copied().map_or(0, i32::from)
        };
        let (pairs, end) = words.split_at_mut(2 * TAPS);
        for (kx, pair) in pairs.chunks_exact_mut(2).enumerate() {
            let [w0, w1, w2] = [0, 1, 2].map(|ky| weight(ky, kx));
            pair.copy_from_slice(&[w0 & 0xffff | w1 << 16, w1 & 0xffff | w2 << 16]);
        }
        end.copy_from_slice(&finish.parts(channel));
    }
}
