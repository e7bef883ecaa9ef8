//! 3 × 3 convolutions of stride 1 to few channels: seven neighbouring pixels of one channel.
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
use super::plan::{Phase, pairs, thrice};
use super::planes::layout::{cells, pair, rest};
use super::stream::{put, two};
use super::{fill_words, insn};
use crate::backend::line::Line;
use crate::quant::lookup;

/// Pixels of a tile.
pub(super) const PIXELS: usize = 7;
/// Taps of a row, rows of a window.
pub(super) const TAPS: usize = 3;
/// Cells that a tile reads of a row.
pub(super) const CELLS: usize = PIXELS + TAPS - 1;
/// Words before the weights of a channel: doubled bias, mantissa, offset, right shift.
const HEAD: usize = 4;
/// Rows of weights: those of any three rows in the ring follow each other somewhere.
const ROWS: usize = 2 * TAPS - 1;

/// A row of outputs of one channel.
pub(super) struct Row<'a> {
    /// Of each tile three rows, of each row its pairs, of each pair [`CELLS`] words.
    pub(super) x: &'a [i32],
    pub(super) pairs: usize,
    /// For each row and pair three words.
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
        let slot = self.pairs.saturating_mul(TAPS * CELLS);
        self.pairs != 0
            && self.count >= PIXELS
            && self.x.len() >= self.tiles().saturating_mul(slot)
            && self.weights.len() >= self.pairs * TAPS * TAPS
            && self.out.len() > (self.count - 1).saturating_mul(self.step)
    }
}

/// Where the cells of each tile come from and go to.
pub(super) struct Tiles<'a> {
    /// Of each tile the byte of its first cell, the byte of its slot from which on its last cells
    /// are those of a whole tile or one without the last, and how many cells there are.
    list: &'a [[i32; 3]],
    /// Bytes between cells.
    step: usize,
    /// Fours of channels.
    fours: usize,
    /// Codes that are read, words up to the last that is written.
    reach: [usize; 2],
}

impl<'a> Tiles<'a> {
    /// For each tile, `place` gives its first cell in the row, its first word in the slots and the
    /// number of cells, at most [`CELLS`].
    fn new(
        list: &'a mut [[i32; 3]],
        [step, fours]: [usize; 2],
        place: impl Fn(usize) -> [usize; 3],
    ) -> Self {
        let mut reach = [0; 2];
        for (index, tile) in list.iter_mut().enumerate() {
            let [cell, word, cells] = place(index);
            let cells = cells.min(CELLS);
            *tile = [0; 3];
            if cells != 0 && fours != 0 {
                // Where pairs of cells would begin if there were four.
                let word_of_first = word as i32 - 2 * (CELLS / 2 - cells / 2) as i32;
                *tile = [(cell * step) as i32, 4 * word_of_first, cells as i32];
                reach[0] = reach[0].max((cell + cells - 1) * step + 4 * fours);
                reach[1] = reach[1].max(word + (2 * fours - 1) * CELLS + cells);
            }
        }
        Self { list, step, fours, reach }
    }

    /// The list, bytes between cells, and fours of channels.
    pub(super) const fn parts(&self) -> (&'a [[i32; 3]], usize, usize) {
        (self.list, self.step, self.fours)
    }

    /// Whether all that is read and written lies in the row and in the slots.
    pub(super) const fn fit(&self, x: &[i8], out: &[i32]) -> bool {
        let [codes, words] = self.reach;
        self.fours != 0 && x.len() >= codes && out.len() >= words
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

    const fn pairs(&self) -> usize {
        pairs(self.inputs)
    }

    const fn tiles(&self) -> usize {
        self.columns.outputs.div_ceil(PIXELS)
    }

    /// Words of a row of weights.
    const fn taps(&self) -> usize {
        TAPS * self.pairs()
    }

    /// Words of a channel.
    const fn channel(&self) -> usize {
        HEAD + ROWS * self.taps()
    }

    /// Words of a row of a tile.
    const fn slot(&self) -> usize {
        CELLS * self.pairs()
    }

    /// Words of weights.
    pub(super) const fn weights(&self) -> usize {
        self.outputs * self.channel()
    }

    /// Bytes of scratch: of each tile three rows, and a place in [`Tiles`].
    pub(super) const fn bytes(&self) -> usize {
        self.tiles().saturating_mul(4 * (TAPS * self.slot() + 3))
    }

    /// Roughly the cycles of an image; what a row takes beside its tiles is left out, as it is for
    /// the planes.
    pub(super) fn cycles(&self) -> usize {
        let passes = TAPS * self.pairs();
        let tile = 38 * passes + 6 * passes.div_ceil(6) + 90;
        let rest = if matches!(self.inputs % 4, 1 | 2) { 100 } else { 0 };
        let lay = 12 + 33 * self.pairs() + rest;
        self.rows.outputs * self.tiles() * (self.outputs * tile + lay)
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
                    for pair in 0..self.pairs() {
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
        let (ring, places) = (self.tiles() * TAPS * self.slot(), 3 * self.tiles());
        let Some((ring, rest)) = scratch.split_at_mut_checked(ring) else { return };
        let (places, _) = rest.get_mut(..places).unwrap_or(&mut []).as_chunks_mut::<3>();
        // A third channel is read with the next cell, whose code meets a weight of zero.
        let fours = (self.inputs + 1) / 4;
        let tiles = Tiles::new(places, [self.inputs, fours], |tile| self.place(tile));
        let zero = pair(zero_point, zero_point);
        // Cells of padding at the sides stay as they are.
        fill_words(ring, zero);
        let (table, step) = (finish.table(), self.outputs);
        let mut next = 0;
        for (oy, out) in out.chunks_exact_mut(self.columns.outputs * step).enumerate() {
            for v in next..oy + TAPS {
                let slots = ring.get_mut(v % TAPS * self.slot()..).unwrap_or(&mut []);
                match self.source(image, v) {
                    Some(x) => self.lay(x, &tiles, slots),
                    None => {
                        for slots in slots.chunks_mut(TAPS * self.slot()) {
                            fill_words(slots.get_mut(..self.slot()).unwrap_or(&mut []), zero);
                        }
                    }
                }
            }
            next = oy + TAPS;
            // The weights of the row in slot 0 come first.
            let first = (TAPS - oy % TAPS) % TAPS * self.taps();
            for (channel, words) in weights.chunks_exact(self.channel()).enumerate() {
                let Some((&head, words)) = words.split_first_chunk::<HEAD>() else { return };
                insn::sevens(&mut Row {
                    x: ring,
                    pairs: self.pairs(),
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

    /// Of a tile its first cell in the row, its first word in the slots, and the number of cells.
    fn place(&self, tile: usize) -> [usize; 3] {
        let first = (tile * PIXELS).min(self.columns.outputs - PIXELS) as isize;
        let first = self.columns.start + first;
        // Of the nine cells those before the row and those up to its end.
        let before = (-first).max(0) as usize;
        let end = (self.columns.input as isize - first).clamp(0, CELLS as isize) as usize;
        let word = tile * TAPS * self.slot() + before;
        [first.max(0) as usize, word, end.saturating_sub(before)]
    }

    /// The row at the front of `x` to a slot of every tile.
    fn lay(&self, x: &[i8], tiles: &Tiles<'_>, slots: &mut [i32]) {
        let fits = tiles.fit(x, slots);
        if fits {
            insn::lay(x, tiles, slots);
            if matches!(self.inputs % 4, 0 | 3) {
                return;
            }
        }
        for tile in 0..self.tiles() {
            let [cell, word, count] = self.place(tile);
            let size = [self.inputs, self.inputs, count];
            let x = x.get(cell * self.inputs..).unwrap_or(&[]);
            let out = slots.get_mut(word..).unwrap_or(&mut []);
            if fits {
                rest::<1>(x, size, out, CELLS);
            } else {
                cells::<1>(x, size, out, CELLS, false);
            }
        }
    }
}
