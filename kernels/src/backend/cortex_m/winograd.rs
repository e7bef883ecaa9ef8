//! 3 × 3 convolutions of stride 1 by Winograd's F(2 × 2, 3 × 3) in integers: 16 products for four
//! outputs of a channel instead of 36.
//!
//! ```text
//! V = Bᵀ d B      4 × 4 inputs d: sums and differences of rows, then of columns
//! U = 2G g (2G)ᵀ  3 × 3 weights g, on the host: four times the usual form, no fractions
//! M = Σ U · V     over input channels, place by place
//! 4y = Aᵀ M A     2 × 2 outputs
//! ```
//!
//! with `Bᵀ = [1 0 −1 0; 0 1 1 0; 0 −1 1 0; 0 −1 0 1]`, `2G = [2 0 0; 1 1 1; 1 −1 1; 0 0 2]` and
//! `Aᵀ = [1 1 1 0; 0 1 −1 1]`. Entries of V lie within ±512 and those of U within ±1152, so that
//! both are lanes of 16 bits. Sums wrap, which does not matter: `4y` is right modulo 2^32, and
//! fits where `|y| < 2^29`. Four biases are what the sums of place (1, 1) begin with, since
//! that one adds to all four outputs.

use super::epilogue::Finish;
use super::fill_words;
use super::insn;
use crate::epilogue::Requantize;
use crate::ops::Conv2dGeometry;
use crate::window::Axis;

/// Places of a transformed tile.
pub(super) const PLACES: usize = 16;
/// Tiles at once.
pub(super) const TILES: usize = 2;
/// Output channels at once.
pub(super) const CHANNELS: usize = 4;
/// Pairs of inputs per turn of the loop over them.
pub(super) const UNROLL: usize = 8;
/// Words of a cell of sums and differences of four rows.
const CELL: usize = 4;

/// Words of [`CHANNELS`] channels over `pairs` pairs of inputs: for each place four first sums
/// and then the weights pair by pair; mantissa, offset and right shift of each channel.
pub(super) const fn group(pairs: usize) -> usize {
    PLACES * CHANNELS * (1 + pairs) + 3 * CHANNELS
}

/// Two tiles side by side, all channels.
pub(super) struct Products<'a> {
    /// For each pair of inputs and each place, a word of either tile.
    pub(super) inputs: &'a [i32],
    pub(super) pairs: usize,
    /// Groups of [`group`] words.
    pub(super) weights: &'a [i32],
    pub(super) groups: usize,
    /// Sums of a group: of each place, four channels of either tile.
    pub(super) sums: &'a mut [i32],
    /// Channel `c` of column `x` goes to `out[x · step + c]`, of the lower row `row` further.
    pub(super) out: &'a mut [i8],
    pub(super) step: usize,
    pub(super) row: usize,
    /// Whether the lowest code is the zero point.
    pub(super) relu: bool,
}

impl Products<'_> {
    /// Whether all that is read and written lies in its slice.
    pub(super) const fn fits(&self) -> bool {
        let reach = (2 * TILES - 1).saturating_mul(self.step).saturating_add(self.row);
        self.pairs != 0
            && self.pairs.is_multiple_of(UNROLL)
            && self.groups != 0
            && self.inputs.len() / (PLACES * TILES) >= self.pairs
            && self.weights.len() / group(self.pairs) >= self.groups
            && self.sums.len() >= PLACES * TILES * CHANNELS
            && self.out.len() >= reach.saturating_add(self.groups.saturating_mul(CHANNELS))
    }
}

/// A layer; everything follows from its shape.
#[derive(Clone, Copy)]
pub(super) struct Plan {
    rows: Axis,
    columns: Axis,
    inputs: usize,
    outputs: usize,
}

impl Plan {
    /// `None` for groups, other windows, and channels that are not multiples of 16 in and 4 out.
    pub(super) const fn new(g: &Conv2dGeometry) -> Option<Self> {
        const fn plain(axis: &Axis) -> bool {
            axis.kernel == 3 && axis.stride == 1 && axis.dilation == 1
        }
        let (rows, columns) = (g.window.rows, g.window.columns);
        let (inputs, outputs) = (g.input.c, g.output.c);
        let serves = g.groups == 1
            && plain(&rows)
            && plain(&columns)
            && inputs.is_multiple_of(2 * UNROLL)
            && outputs.is_multiple_of(CHANNELS);
        if serves { Some(Self { rows, columns, inputs, outputs }) } else { None }
    }

    const fn pairs(&self) -> usize {
        self.inputs / 2
    }

    const fn groups(&self) -> usize {
        self.outputs / CHANNELS
    }

    /// Cells of a row, padding and a whole number of tiles included.
    const fn cells(&self) -> usize {
        self.columns.output.next_multiple_of(2 * TILES) + 2
    }

    /// Words of weights.
    pub(super) const fn weights(&self) -> usize {
        self.groups() * group(self.pairs())
    }

    /// Words of scratch: sums and differences of four rows, those of two tiles, products,
    /// outputs beyond the map, a row of padding.
    const fn parts(&self) -> [usize; 5] {
        [
            self.pairs().saturating_mul(self.cells() * CELL),
            self.pairs() * PLACES * TILES,
            PLACES * TILES * CHANNELS,
            self.outputs * TILES,
            self.columns.input.saturating_mul(self.inputs / 4),
        ]
    }

    /// Bytes of scratch.
    pub(super) const fn bytes(&self) -> usize {
        let [planes, inputs, sums, spare, blank] = self.parts();
        let rest = inputs + sums + spare;
        planes.saturating_add(rest).saturating_add(blank).saturating_mul(4)
    }

    /// Roughly the cycles of an image.
    pub(super) fn cycles(&self) -> usize {
        let [down, across] = [&self.rows, &self.columns].map(|axis| axis.output.div_ceil(2));
        let products = PLACES * (16 * self.pairs() + 6 * self.pairs() / UNROLL + 32) + 660;
        let pair = self.groups() * products + 105 * self.pairs() + 300;
        down * (across.div_ceil(TILES) * pair + self.cells() * self.pairs() * 17)
    }

    /// Whether four times a sum fits 32 bits.
    pub(super) fn holds(&self, how: &Requantize<'_>) -> bool {
        let products = (9 * self.inputs as u64).saturating_mul(1 << 14);
        how.bias.iter().all(|bias| products + u64::from(bias.unsigned_abs()) < 1 << 29)
    }

    /// Weights `[output][ky][kx][input]` in the order of the groups; `out` has [`Self::weights`].
    pub(super) fn pack(&self, data: &[i8], finish: &Finish<'_>, out: &mut [i32]) {
        let depth = 9 * self.inputs;
        let groups = out.chunks_exact_mut(group(self.pairs()));
        for (words, (first, data)) in
            groups.zip((0..).step_by(CHANNELS).zip(data.chunks_exact(CHANNELS * depth)))
        {
            let (places, ends) = words.split_at_mut(PLACES * CHANNELS * (1 + self.pairs()));
            let heads = [0, 1, 2, 3].map(|channel| finish.head(first + channel, 0));
            for (end, head) in ends.chunks_exact_mut(3).zip(heads) {
                end.copy_from_slice(&head[1..]);
            }
            for (place, words) in places.chunks_exact_mut(CHANNELS * (1 + self.pairs())).enumerate()
            {
                let (sums, words) = words.split_at_mut(CHANNELS);
                for (sum, head) in sums.iter_mut().zip(heads) {
                    *sum = if place == 5 { head[0].wrapping_mul(2) } else { 0 };
                }
                for (pair, words) in words.chunks_exact_mut(CHANNELS).enumerate() {
                    for (word, data) in words.iter_mut().zip(data.chunks_exact(depth)) {
                        let low = pair / 2 * 4 + pair % 2;
                        let [low, high] = [low, low + 2]
                            .map(|input| transformed(data, self.inputs, input, place));
                        *word = low & 0xffff | high << 16;
                    }
                }
            }
        }
    }

    /// Codes of an image of inputs, and of its outputs.
    pub(super) const fn image(&self) -> (usize, usize) {
        let (rows, columns) = (&self.rows, &self.columns);
        (rows.input * columns.input * self.inputs, rows.output * columns.output * self.outputs)
    }

    /// One image to `out`; `scratch` has [`Self::bytes`].
    pub(super) fn run(
        &self,
        weights: &[i32],
        finish: &Finish<'_>,
        zero_point: i8,
        image: &[i8],
        out: &mut [i8],
        scratch: &mut [i32],
    ) {
        let mut rest = scratch;
        let [planes, inputs, sums, spare, blank] = self.parts().map(|len| {
            let (part, more) =
                core::mem::take(&mut rest).split_at_mut_checked(len).unwrap_or_default();
            rest = more;
            part
        });
        fill_words(blank, i32::from_ne_bytes([zero_point as u8; 4]));
        let (blank, spare): (&[i8], _) =
            (bytemuck::cast_slice(blank), bytemuck::cast_slice_mut(spare));
        // Columns of padding stay as they are.
        let sum = 2 * i32::from(zero_point);
        for cell in planes.chunks_exact_mut(CELL) {
            cell.copy_from_slice(&[0, sum & 0xffff | sum << 16, 0, 0]);
        }
        let pitch = self.cells() * CELL;
        let inside = self.columns.input.min(self.cells() - self.columns.pad.min(self.cells()));
        for oy in (0..self.rows.output).step_by(2) {
            let rows = [0, 1, 2, 3].map(|k| self.row(image, oy + k).unwrap_or(blank));
            let place = planes.get_mut(self.columns.pad * CELL..).unwrap_or(&mut []);
            insn::twice(rows, [self.inputs, self.inputs / 4, inside], place, pitch);
            for ox in (0..self.columns.output).step_by(2 * TILES) {
                let cells = planes.get(ox * CELL..).unwrap_or(&[]);
                insn::two_tiles(cells, [pitch, self.pairs()], inputs);
                self.products(weights, finish.relu(), inputs, sums, [oy, ox], spare, out);
            }
        }
        finish.end(out);
    }

    /// Input row `v`, counted from the first that output row 0 reads; `None` in the padding.
    fn row<'b>(&self, image: &'b [i8], v: usize) -> Option<&'b [i8]> {
        let iy = v.checked_sub(self.rows.pad)?;
        let len = self.columns.input * self.inputs;
        image.get(iy * len..(iy + 1) * len)
    }

    /// The outputs of two tiles, the first of which begins at row `oy` and column `ox`.
    #[expect(clippy::too_many_arguments, reason = "the buffers are parts of one scratch")]
    fn products(
        &self,
        weights: &[i32],
        relu: bool,
        inputs: &[i32],
        sums: &mut [i32],
        [oy, ox]: [usize; 2],
        spare: &mut [i8],
        out: &mut [i8],
    ) {
        let (step, row) = (self.outputs, self.columns.output * self.outputs);
        let [down, across] = [self.rows.output - oy, self.columns.output - ox];
        let out = out.get_mut(oy * row + ox * step..).unwrap_or(&mut []);
        let whole = down >= 2 && across >= 2 * TILES;
        let (pairs, groups) = (self.pairs(), self.groups());
        if whole {
            insn::products(&mut Products {
                inputs,
                pairs,
                weights,
                groups,
                sums,
                out,
                step,
                row,
                relu,
            });
            return;
        }
        // What lies beyond the map ends elsewhere first.
        let beside = 2 * TILES * step;
        let all = &mut *spare;
        insn::products(&mut Products {
            inputs,
            pairs,
            weights,
            groups,
            sums,
            out: all,
            step,
            row: beside,
            relu,
        });
        let len = across.min(2 * TILES) * step;
        for (out, spare) in out.chunks_mut(row).zip(spare.chunks_exact(beside)).take(down.min(2)) {
            insn::copy(out, spare.get(..len).unwrap_or(&[]));
        }
    }
}

/// Place `place` of `2G g (2G)ᵀ` for the weights `[ky][kx][input]` of one output.
fn transformed(data: &[i8], inputs: usize, input: usize, place: usize) -> i32 {
    const FORM: [[i32; 3]; 4] = [[2, 0, 0], [1, 1, 1], [1, -1, 1], [0, 0, 2]];
    let (down, across) = (FORM[place / 4], FORM[place % 4]);
    let taps = data.iter().skip(input).step_by(inputs);
    let factors = down.iter().flat_map(|d| across.iter().map(move |a| d * a));
    taps.zip(factors).map(|(&weight, factor)| i32::from(weight) * factor).sum()
}
