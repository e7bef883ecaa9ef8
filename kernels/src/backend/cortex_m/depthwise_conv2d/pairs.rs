//! Depthwise 3 × 3, four channels after four: of stride 1 two output rows at once, of stride 2
//! one.
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
//! With stride 2 each output row is the upper one of its two planes, and the lower plane is the
//! upper one of the next row.
//!
//! Weights and biases are doubled, which is the doubling of the requantisation. That takes four
//! instructions: zero point and the half that rounds are added with the product of the multiplier,
//! and so is the sign of the sum, since ties round away from zero.

use crate::backend::cortex_m::epilogue::Finish;
use crate::backend::cortex_m::{fill_words, insn};
use crate::ops::{Conv2dGeometry, DepthwiseConv2d};
use crate::window::Axis;

/// Rows and columns of the kernel.
pub(in crate::backend::cortex_m) const TAPS: usize = 3;
/// Channels at a time.
pub(in crate::backend::cortex_m) const CHANNELS: usize = 4;
/// Words of a channel: two per column of weights, bias, mantissa, offset, right shift.
pub(in crate::backend::cortex_m) const WORDS: usize = 2 * TAPS + 4;

/// Words that are wanted for planes and weights of the channels at a time: a third of the bytes
/// of the input, which is what else lies in memory, within these bounds.
const BUDGET: [usize; 2] = [256, 1024];
/// Cells of a map below which the work per channel outweighs what is saved.
const LEAST: usize = 5;

/// Columns of a plane, padding included.
const fn cells(g: &Conv2dGeometry) -> usize {
    (g.output.w - 1) * g.window.columns.stride + TAPS
}

/// Words of four channels: planes and weights.
const fn four(g: &Conv2dGeometry) -> usize {
    2 * CHANNELS * cells(g) + CHANNELS * WORDS
}

/// Fours of channels at a time in `words`, about as many in each pass; one where there is no room.
const fn at_once(g: &Conv2dGeometry, words: usize) -> usize {
    let (fours, most) = (g.input.c / CHANNELS, words / four(g));
    fours.div_ceil(fours.div_ceil(if most == 0 { 1 } else { most }))
}

/// Words of [`BUDGET`].
const fn budget(g: &Conv2dGeometry) -> usize {
    let [least, most] = BUDGET;
    let third = g.input.h * g.input.row() / 3 / size_of::<i32>();
    if third < least {
        least
    } else if third > most {
        most
    } else {
        third
    }
}

/// Words of scratch, at least and as wanted; `None` for windows that are not 3 × 3 of stride 1
/// or 2, fewer than four channels, a depth multiplier, or small maps.
pub(super) const fn words(g: &Conv2dGeometry) -> Option<[usize; 2]> {
    const fn plain(axis: &Axis, stride: usize) -> bool {
        axis.kernel == TAPS && axis.stride == stride && stride <= 2 && axis.dilation == 1
    }
    let stride = g.window.rows.stride;
    let fits = plain(&g.window.rows, stride)
        && plain(&g.window.columns, stride)
        && g.output.c == g.input.c
        && g.input.c >= CHANNELS
        && g.output.w >= 2
        && g.output.h * g.output.w >= LEAST;
    if fits { Some([four(g), at_once(g, budget(g)) * four(g)]) } else { None }
}

/// Neighbouring fours of channels over an image.
pub(in crate::backend::cortex_m) struct Rows<'a> {
    /// The upper and the lower two rows: `[four][cell][channel]`.
    pub(in crate::backend::cortex_m) planes: [&'a [i32]; 2],
    /// [`WORDS`] of each channel.
    pub(in crate::backend::cortex_m) weights: &'a [i32],
    pub(in crate::backend::cortex_m) fours: usize,
    /// Outputs of a row, at least two.
    pub(in crate::backend::cortex_m) columns: usize,
    /// Outputs between columns, and between the two rows: of stride 2 there is one.
    pub(in crate::backend::cortex_m) step: usize,
    pub(in crate::backend::cortex_m) row: usize,
    /// Cells between columns: 1 or 2.
    pub(in crate::backend::cortex_m) stride: usize,
    /// Whether the lowest code is the zero point.
    pub(in crate::backend::cortex_m) relu: bool,
}

impl Rows<'_> {
    /// Cells of a plane.
    pub(in crate::backend::cortex_m) const fn cells(&self) -> usize {
        (self.columns - 1) * self.stride + TAPS
    }

    /// Whether all that is read, and written to `out`, lies in its slice.
    pub(in crate::backend::cortex_m) fn fits(&self, out: &[i8]) -> bool {
        let channels = self.fours.saturating_mul(CHANNELS);
        let reach = self.columns.saturating_sub(1).saturating_mul(self.step);
        self.columns >= 2
            && self.fours != 0
            && (1..=2).contains(&self.stride)
            && self.planes.iter().all(|plane| plane.len() / self.cells() >= channels)
            && self.weights.len() / WORDS >= channels
            && out.len() >= reach.saturating_add(self.row).saturating_add(channels)
    }
}

/// One image; `scratch` has the least of [`words`], the more of them the more channels run
/// together; `finish` is short and roomy.
pub(super) fn run(
    op: &DepthwiseConv2d<'_, i8>,
    finish: &Finish<'_>,
    image: &[i8],
    out: &mut [i8],
    scratch: &mut [i32],
) {
    let g = &op.geometry;
    let fours = at_once(g, scratch.len());
    let planes = fours * 2 * CHANNELS * cells(g);
    let Some((planes, weights)) = scratch.split_at_mut_checked(planes) else { return };
    // Columns of padding stay as they are; the others are overwritten.
    fill_words(planes, i32::from(op.padding) & 0xffff | i32::from(op.padding) << 16);
    let (above, below) = planes.split_at_mut(fours * CHANNELS * cells(g));
    let whole = g.input.c / CHANNELS;
    for four in (0..whole).step_by(fours) {
        let fours = fours.min(whole - four);
        block(op, finish, [four * CHANNELS, fours], image, out, [above, below], weights);
    }
    if !g.input.c.is_multiple_of(CHANNELS) {
        // The last channels once more, where there are not four.
        let first = g.input.c - CHANNELS;
        block(op, finish, [first, 1], image, out, [above, below], weights);
    }
    finish.end(out);
}

/// `fours` fours of channels from `first` on.
fn block(
    op: &DepthwiseConv2d<'_, i8>,
    finish: &Finish<'_>,
    [first, fours]: [usize; 2],
    image: &[i8],
    out: &mut [i8],
    [mut above, mut below]: [&mut [i32]; 2],
    weights: &mut [i32],
) {
    let g = &op.geometry;
    let stride = g.window.rows.stride;
    expand(op, finish, [first, fours], weights);
    pack(op, image, [0, first, fours], above);
    for oy in (0..g.output.h).step_by(3 - stride) {
        pack(op, image, [oy * stride + 2, first, fours], below);
        let second = stride == 1 && oy + 1 < g.output.h;
        let rows = Rows {
            planes: [above, below],
            weights,
            fours,
            columns: g.output.w,
            step: g.output.c,
            row: if second { g.output.row() } else { 0 },
            stride,
            relu: finish.relu(),
        };
        let out = out.get_mut(oy * g.output.row() + first..).unwrap_or(&mut []);
        if stride == 1 {
            insn::two_rows(&rows, out)
        } else {
            insn::one_row(&rows, out)
        }
        (above, below) = (below, above);
    }
}

/// Rows `v` and `v + 1`, counted from the first that output row 0 reads.
fn pack(
    op: &DepthwiseConv2d<'_, i8>,
    image: &[i8],
    [v, first, fours]: [usize; 3],
    plane: &mut [i32],
) {
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
    insn::pack_rows([upper, lower], [a, b], [inside, cells(g), fours], plane);
}

/// The words of `fours` fours of channels from `first` on.
fn expand(
    op: &DepthwiseConv2d<'_, i8>,
    finish: &Finish<'_>,
    [first, fours]: [usize; 2],
    words: &mut [i32],
) {
    let channels = op.geometry.output.c;
    let four = words.chunks_exact_mut(CHANNELS * WORDS).take(fours);
    for (four, first) in four.zip((first..).step_by(CHANNELS)) {
        insn::pair_weights(op.weights.get(first..).unwrap_or(&[]), channels, four);
        for (words, channel) in four.chunks_exact_mut(WORDS).zip(first..) {
            if let Some(end) = words.last_chunk_mut() {
                *end = finish.roomy_head(channel);
            }
        }
    }
}
