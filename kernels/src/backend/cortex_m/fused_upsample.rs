//! Nearest × 2 and a 3 × 3 convolution in one: each of the four phases is a 2 × 2 convolution of
//! the small map. Few output channels run on [`tiles`]; over four channels the eight words of summed
//! weights of a phase stay in registers, and a column of cells ends one output and begins the
//! next. Other shapes go band by band.

use super::CortexM;
use super::insn;
use super::{fill_words, images};
use crate::epilogue::{Ending, Requantize};
use crate::ops::fused::upsample_conv2d::{self, UpsampleConv2d, UpsampleConv2dGeometry};
use crate::quant::lookup;
use crate::view::{View, ViewMut};

mod tiles;

/// Channels of the small map.
const CHANNELS: usize = 4;
/// Words of a phase: four cells of two words.
const PHASE_WORDS: usize = 8;

/// What ends the sums of one output channel.
#[derive(Clone, Copy)]
pub(super) struct End<'a> {
    /// Doubled, like the weights.
    pub(super) bias: i32,
    pub(super) mantissa: i32,
    /// To the right.
    pub(super) shift: i32,
    pub(super) zero_point: i32,
    /// Read last.
    pub(super) table: &'a lookup::Table,
}

/// The outputs of one phase in a row.
#[derive(Clone, Copy)]
pub(super) struct Lane {
    /// The first column of cells.
    pub(super) left: usize,
    /// Offset of the first output.
    pub(super) first: usize,
    /// Their number; the second lane may have none.
    pub(super) outputs: usize,
}

/// The table of no function.
static IDENTITY: lookup::Table = {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        table[code] = (code as i32 - 128) as i8;
        code += 1;
    }
    table
};

/// The variant of [`tiles`].
const TILES: u32 = 4;

/// Whether the layer has four phases of 2 × 2 cells.
const fn takes(g: &UpsampleConv2dGeometry) -> bool {
    let window = &g.convolution.window;
    g.has_phases()
        && g.factor[0] == 2
        && g.factor[1] == 2
        && window.rows.kernel == 3
        && window.columns.kernel == 3
}

/// Whether the shape is that of the loop over four channels.
const fn serves(g: &UpsampleConv2dGeometry) -> bool {
    takes(g) && g.small.c == CHANNELS
}

/// Columns before the map, and all columns of cells that a row of outputs reads.
const fn columns(g: &UpsampleConv2dGeometry) -> (usize, usize) {
    let pad = g.convolution.window.columns.pad;
    let before = pad.div_ceil(2);
    // The last output begins at cell ⌊(o − pad) / 2⌋ and reads two.
    (before, (g.output().w - 1 + 2 * before - pad) / 2 + 2)
}

/// Bytes of scratch: weights and two rows, or those of the bands.
pub(super) fn scratch(g: &UpsampleConv2dGeometry) -> usize {
    if !serves(g) && !tiles::serves(g) {
        return upsample_conv2d::band_scratch_bytes::<i8, CortexM>(g);
    }
    let own = if tiles::serves(g) { tiles::scratch(g) } else { own_scratch(g) };
    own.max(upsample_conv2d::scratch_bytes::<i8>(g))
}

const fn own_scratch(g: &UpsampleConv2dGeometry) -> usize {
    g.output().c * 4 * PHASE_WORDS * 4 + columns(g).1 * 8
}

/// Whether [`own`] computes a layer with this end in so much scratch.
pub(crate) const fn owns(g: &UpsampleConv2dGeometry, ending: &Ending, scratch: usize) -> bool {
    ending.is_short(g.convolution.depth())
        && (on_tiles(g, scratch) || !ending.narrow && serves(g) && scratch >= own_scratch(g))
}

/// See [`UpsampleConv2d`].
#[inline(never)]
pub(super) fn run(
    op: &UpsampleConv2d<'_, i8>,
    x: View<'_, i8>,
    y: ViewMut<'_, i8>,
    scratch: &mut [u8],
) {
    let g = &op.geometry;
    let ending = Ending::of(&op.convolution.epilogue);
    if owns(g, &ending, scratch.len()) {
        let variant = variant(g, &ending, scratch.len());
        own(op, x, y, scratch, variant);
    } else if serves(g) || tiles::serves(g) {
        upsample_conv2d::run::<i8, CortexM>(op, x, y, scratch);
    } else {
        upsample_conv2d::run_bands::<i8, CortexM>(op, x, y, scratch);
    }
}

/// Whether [`tiles`] compute a layer in so much scratch, which a blob of before has less of.
const fn on_tiles(g: &UpsampleConv2dGeometry, scratch: usize) -> bool {
    tiles::serves(g) && scratch >= tiles::scratch(g)
}

/// How [`own`] computes a layer: 4 on [`tiles`], else 1 if it ends through a table, and 2 for a single
/// channel.
pub(crate) const fn variant(g: &UpsampleConv2dGeometry, ending: &Ending, scratch: usize) -> u32 {
    if on_tiles(g, scratch) {
        return TILES;
    }
    ending.table as u32 + 2 * (g.convolution.output.c == 1) as u32
}

/// For layers that it [`owns`], and their [`variant`].
#[inline(always)]
pub(super) fn own(
    op: &UpsampleConv2d<'_, i8>,
    x: View<'_, i8>,
    y: ViewMut<'_, i8>,
    scratch: &mut [u8],
    variant: u32,
) {
    if variant == TILES {
        tiles::run(op, x, y, scratch);
    } else {
        by_phases(op, x, y, scratch, variant);
    }
}

#[inline(never)]
fn by_phases(
    op: &UpsampleConv2d<'_, i8>,
    x: View<'_, i8>,
    mut y: ViewMut<'_, i8>,
    scratch: &mut [u8],
    variant: u32,
) {
    let g = &op.geometry;
    let (small, output) = (g.small, g.output());
    let (before, len) = columns(g);
    let (_, words, _) = bytemuck::pod_align_to_mut::<u8, u32>(scratch);
    let Some((weights, rest)) = words.split_at_mut_checked(output.c * 4 * PHASE_WORDS) else {
        return;
    };
    let (cells, _) = rest.as_chunks_mut::<2>();
    let Some(cells) = cells.get_mut(..len) else { return };
    let weights: &mut [i32] = bytemuck::cast_slice_mut(weights);
    sum(op.convolution.weights, output.c, weights);
    let (weights, _) = weights.as_chunks::<PHASE_WORDS>();
    let padding = u32::from_le_bytes([op.convolution.padding.cast_unsigned(); CHANNELS]);
    let [pad_rows, pad_columns] = [g.convolution.window.rows.pad, g.convolution.window.columns.pad];
    // Outputs 0 and 1 of a row begin its two phases.
    let lanes = [0, 1].map(|ox| Lane {
        left: (ox + pad_columns % 2) / 2,
        first: ox * output.c,
        outputs: (output.w - ox).div_ceil(2),
    });
    for (image, out) in images(x, &mut y, [small, output]) {
        let mut below = image;
        let mut above = pad_rows.div_ceil(2);
        fill_words(bytemuck::cast_slice_mut(cells), padding as i32);
        // The first two rows of cells, then one more after every output row of phase 1.
        let mut missing = 2;
        for (oy, out) in out.chunks_exact_mut(output.row().max(1)).enumerate() {
            for _ in 0..missing {
                let mut row: &[i8] = &[];
                if above != 0 {
                    above -= 1;
                } else if let Some((next, rest)) = below.split_at_checked(small.row()) {
                    (row, below) = (next, rest);
                }
                next_row(cells, [before, small.w], row, padding);
            }
            let py = (oy + pad_rows) % 2;
            missing = py;
            let phases = weights.get(2 * py * output.c..).unwrap_or(&[]);
            let Some((left, right)) = phases.split_at_checked(output.c) else { return };
            let [first, second] = if pad_columns % 2 == 0 { [left, right] } else { [right, left] };
            for (o, weights) in first.iter().zip(second).enumerate() {
                let how = &op.convolution.epilogue;
                let table = if variant & 1 == 0 { Some(&IDENTITY) } else { how.table };
                let Some(table) = table else { return };
                let end = end(how, o, table);
                let Some((_, out)) = out.split_at_mut_checked(o) else { return };
                let step = if variant & 2 == 0 { 2 * output.c } else { 2 };
                insn::upsampled_row(cells, &lanes, weights.into(), &end, step, out);
            }
        }
    }
}

/// Moves the lower cells up and puts the `small` ones of `row` below them, padding where it is
/// empty; cells `before` and behind them stay padding.
#[inline(never)]
fn next_row(cells: &mut [[u32; 2]], [before, small]: [usize; 2], row: &[i8], padding: u32) {
    let (row, _) = row.as_chunks::<CHANNELS>();
    let inside = cells.iter_mut().skip(before).take(small);
    if row.is_empty() {
        for cell in inside {
            *cell = [cell[1], padding];
        }
        return;
    }
    for (cell, &codes) in inside.zip(row) {
        *cell = [cell[1], u32::from_le_bytes(codes.map(i8::cast_unsigned))];
    }
}

fn end<'a>(how: &Requantize<'a>, channel: usize, table: &'a lookup::Table) -> End<'a> {
    let by = how.multiplier(channel);
    let bias = how.bias.get(channel).copied().unwrap_or(0);
    End {
        bias: bias << 1,
        mantissa: by.mantissa,
        shift: -by.shift,
        zero_point: how.zero_point,
        table,
    }
}

/// Doubled sums of weights, `[phase y][phase x][output]`.
#[inline(never)]
fn sum(weights: &[i8], outputs: usize, words: &mut [i32]) {
    let (words, _) = words.as_chunks_mut::<PHASE_WORDS>();
    let (taps, _) = weights.as_chunks::<CHANNELS>();
    for (phase, words) in words.chunks_exact_mut(outputs.max(1)).enumerate() {
        let (mut taps, px) = (taps.iter(), phase % 2);
        for words in words {
            *words = [0; PHASE_WORDS];
            // Twice the row and the column of a tap in the map that is never made.
            let (mut ky, mut kx) = (phase / 2, px);
            while ky < 3 + phase / 2 {
                let Some(&[a, b, c, d]) = taps.next() else { return };
                for (i, [low, high]) in [[a, c], [b, d]].into_iter().enumerate() {
                    if let Some(word) = words.get_mut(ky / 2 * 2 + kx / 2 * 4 + i) {
                        *word += 2 * (i32::from(low) + (i32::from(high) << 16));
                    }
                }
                kx += 1;
                if kx == 3 + px {
                    (ky, kx) = (ky + 1, px);
                }
            }
            for word in words {
                // The low half borrowed one from the high half when it is negative.
                *word = word.wrapping_add((*word & 0x8000) << 1);
            }
        }
    }
}
