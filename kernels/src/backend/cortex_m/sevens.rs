//! 3 × 3 convolutions of stride 1 to few channels, and 2 × 2 ones as the phases of an upsampling:
//! seven neighbouring pixels of one channel.
//!
//! ```text
//! cells    x0 x1 x2 x3 x4 x5 x6 x7 x8      a pair of input channels of a row
//! sums     y0 = w0 x0 + w1 x1 + w2 x2, y1 = w0 x1 + …, y6 = w0 x6 + w1 x7 + w2 x8
//! ```
//!
//! Twelve loads serve 21 products of pairs, in the fourteen registers of seven sums, three
//! weights, two cells and two pointers. Three rows are kept, each in the place of the one that
//! is no longer read, `[tile][row][pair][cell]`: neighbouring tiles share two cells, each of
//! which lies there twice, so that a tile is read from front to back. What turns with the rows
//! is the order of the weights, whose rows are 0, 1, 2, 0, 1. The last tile ends where the map
//! does, and repeats pixels of the one before.

use super::epilogue::Finish;
use super::expand::Weights;
use super::insn;
use super::plan::{Phase, thrice};
use super::stream::{put, two};
use crate::backend::line::Line;
use crate::quant::lookup;

mod ring;

pub(super) use ring::{Ring, Tiles};

/// Pixels of a tile.
pub(super) const PIXELS: usize = 7;
/// Most taps of a row, and rows of a window.
pub(super) const TAPS: usize = 3;
/// Cells that a tile reads of a row.
pub(super) const CELLS: usize = PIXELS + TAPS - 1;
/// Words before the weights of a channel: doubled bias, mantissa, offset, right shift.
const HEAD: usize = 4;
/// Rows of weights: those of any three rows in the ring follow each other somewhere.
const ROWS: usize = 2 * TAPS - 1;

/// A row of outputs of one channel.
pub(super) struct Row<'a> {
    /// Of each tile `taps` rows, of each row its pairs, of each pair [`CELLS`] words; may begin at a
    /// later cell.
    pub(super) x: &'a [i32],
    pub(super) pairs: usize,
    /// Rows and columns of the window, 2 or 3.
    pub(super) taps: usize,
    /// For each row and pair a word per tap.
    pub(super) weights: &'a [i32],
    pub(super) head: [i32; HEAD],
    /// Whether the lowest code is the zero point.
    pub(super) relu: bool,
    /// What every code is looked up in.
    pub(super) table: Option<&'a lookup::Table>,
    /// Pixel `p` goes to `out[p · step]`.
    pub(super) out: &'a mut [i8],
    pub(super) step: usize,
    /// Pixels.
    pub(super) count: usize,
}

impl Row<'_> {
    pub(super) const fn tiles(&self) -> usize {
        self.count.div_ceil(PIXELS)
    }

    /// Whether all that is read and written lies in its slice.
    pub(super) const fn fits(&self) -> bool {
        if self.taps != 2 && self.taps != TAPS {
            return false;
        }
        let slots = self.pairs.saturating_mul(self.taps * CELLS);
        // Fewer taps do not read the last cell.
        let unread = CELLS + 1 - PIXELS - self.taps;
        self.pairs != 0
            && self.count >= PIXELS
            && self.x.len() >= self.tiles().saturating_mul(slots) - unread
            && self.weights.len() >= self.pairs * self.taps * self.taps
            && self.out.len() > (self.count - 1).saturating_mul(self.step)
    }
}

/// A layer; everything follows from its shape.
#[derive(Clone, Copy)]
pub(super) struct Plan {
    rows: Line,
    columns: Line,
    inputs: usize,
    outputs: usize,
}

impl Plan {
    /// From inputs and outputs; `None` for several phases, other windows, and rows shorter than
    /// a tile.
    pub(super) const fn new(phases: &[Phase], [inputs, outputs]: [usize; 2]) -> Option<Self> {
        let [Phase { rows, columns, bias: 0 }] = phases else { return None };
        if thrice(rows) && thrice(columns) && columns.outputs >= PIXELS {
            return Some(Self { rows: *rows, columns: *columns, inputs, outputs });
        }
        None
    }

    const fn ring(&self) -> Ring {
        let Line { start, input, outputs, .. } = self.columns;
        Ring { start, columns: input, channels: self.inputs, outputs, rows: TAPS }
    }

    /// Words of a row of weights.
    const fn taps(&self) -> usize {
        TAPS * self.ring().pairs()
    }

    /// Words of a channel.
    const fn channel(&self) -> usize {
        HEAD + ROWS * self.taps()
    }

    /// Words of weights.
    pub(super) const fn weights(&self) -> usize {
        self.outputs * self.channel()
    }

    /// Bytes of scratch.
    pub(super) const fn bytes(&self) -> usize {
        self.ring().bytes()
    }

    /// Roughly the cycles of an image; what a row takes beside its tiles is left out, as it is for
    /// the planes.
    pub(super) fn cycles(&self) -> usize {
        let (passes, ring) = (self.taps(), self.ring());
        let tile = 38 * passes + 6 * passes.div_ceil(6) + 90;
        let rest = if matches!(self.inputs % 4, 1 | 2) { 100 } else { 0 };
        let lay = 12 + 33 * ring.pairs() + rest;
        self.rows.outputs * ring.tiles() * (self.outputs * tile + lay)
    }

    /// The weights in the order of the tiles; `out` has [`Self::weights`].
    pub(super) fn pack(&self, weights: &Weights<'_>, finish: &Finish<'_>, out: &mut [i32]) {
        for (channel, words) in out.chunks_exact_mut(self.channel()).enumerate() {
            let (head, words) = words.split_at_mut(HEAD);
            head.copy_from_slice(&finish.head(channel, 0));
            for (row, words) in words.chunks_exact_mut(self.taps()).enumerate() {
                let ky = self.rows.weight_of(row % TAPS);
                for t in 0..TAPS {
                    let taps = [ky, self.columns.weight_of(t)];
                    let taps = weights.run(channel, taps, self.inputs);
                    for pair in 0..self.ring().pairs() {
                        put(words, TAPS * pair + t, 2 * two(taps, pair, self.inputs));
                    }
                }
            }
        }
    }

    /// Codes of an image of inputs, and of its outputs.
    pub(super) const fn image(&self) -> (usize, usize) {
        let (rows, columns) = (&self.rows, &self.columns);
        (rows.input * columns.input * self.inputs, rows.outputs * columns.outputs * self.outputs)
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
        let ring = self.ring();
        let Some(mut rows) = ring.begin(zero_point, scratch) else { return };
        let (table, step) = (finish.table(), self.outputs);
        let mut next = 0;
        for (oy, out) in out.chunks_exact_mut(self.columns.outputs * step).enumerate() {
            for v in next..oy + TAPS {
                rows.put(v, self.source(image, v));
            }
            next = oy + TAPS;
            // The weights of the row in slot 0 come first.
            let first = (TAPS - oy % TAPS) % TAPS * self.taps();
            for (channel, words) in weights.chunks_exact(self.channel()).enumerate() {
                let Some((&head, words)) = words.split_first_chunk::<HEAD>() else { return };
                insn::sevens(&mut Row {
                    x: rows.words(),
                    pairs: ring.pairs(),
                    taps: TAPS,
                    weights: words.get(first..).unwrap_or(&[]),
                    head,
                    relu: finish.relu(),
                    table,
                    out: out.get_mut(channel..).unwrap_or(&mut []),
                    step,
                    count: self.columns.outputs,
                });
            }
            if table.is_none() {
                finish.codes([step, step], out);
            }
        }
    }

    /// An image from input row `v` on, counted from the first of output row 0; `None` in the
    /// padding.
    fn source<'b>(&self, image: &'b [i8], v: usize) -> Option<&'b [i8]> {
        let iy = usize::try_from(self.rows.start + v as isize).ok()?;
        let (rows, len) = (self.rows.input, self.columns.input * self.inputs);
        image.get(iy * len..).filter(|_| iy < rows)
    }
}
