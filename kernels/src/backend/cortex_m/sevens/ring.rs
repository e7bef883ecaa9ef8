//! The rows that tiles read, each cell a word per pair of channels: `[tile][row][pair][cell]`.

use super::{CELLS, PIXELS};
use crate::backend::cortex_m::plan::pairs;
use crate::backend::cortex_m::planes::layout::{cells, pair, rest};
use crate::backend::cortex_m::{fill_words, insn};

/// A few rows of a map, each in the place of one that is no longer read.
#[derive(Clone, Copy)]
pub(in crate::backend::cortex_m) struct Ring {
    /// Column of the first cell of output 0; may lie outside.
    pub(in crate::backend::cortex_m) start: isize,
    /// Columns and channels of the map.
    pub(in crate::backend::cortex_m) columns: usize,
    pub(in crate::backend::cortex_m) channels: usize,
    /// Pixels of a row of outputs, a tile at least.
    pub(in crate::backend::cortex_m) outputs: usize,
    /// Rows that are kept.
    pub(in crate::backend::cortex_m) rows: usize,
}

/// A ring in the scratch memory.
pub(in crate::backend::cortex_m) struct Rows<'a> {
    ring: &'a Ring,
    tiles: Tiles<'a>,
    words: &'a mut [i32],
    /// A pair of codes of padding.
    zero: i32,
}

impl Ring {
    pub(in crate::backend::cortex_m) const fn pairs(&self) -> usize {
        pairs(self.channels)
    }

    pub(in crate::backend::cortex_m) const fn tiles(&self) -> usize {
        self.outputs.div_ceil(PIXELS)
    }

    /// Words of a row of a tile.
    const fn slot(&self) -> usize {
        CELLS * self.pairs()
    }

    /// Bytes of scratch: of each tile the rows, and a place in [`Tiles`].
    pub(in crate::backend::cortex_m) const fn bytes(&self) -> usize {
        self.tiles().saturating_mul(4 * (self.rows * self.slot() + 3))
    }

    /// Padding everywhere; `None` where `scratch` has fewer than [`Self::bytes`].
    pub(in crate::backend::cortex_m) fn begin<'a>(
        &'a self,
        zero_point: i8,
        scratch: &'a mut [i32],
    ) -> Option<Rows<'a>> {
        let len = self.tiles() * self.rows * self.slot();
        let (words, more) = scratch.split_at_mut_checked(len)?;
        let (list, _) = more.get_mut(..3 * self.tiles())?.as_chunks_mut::<3>();
        // A third channel is read with the next cell, whose code meets a weight of zero.
        let fours = (self.channels + 1) / 4;
        let tiles = Tiles::new(list, [self.channels, fours], |tile| self.place(tile));
        let zero = pair(zero_point, zero_point);
        fill_words(words, zero);
        Some(Rows { ring: self, tiles, words, zero })
    }

    /// Of a tile its first cell in the row, its first word in the slots, and the number of cells.
    fn place(&self, tile: usize) -> [usize; 3] {
        let first = (tile * PIXELS).min(self.outputs - PIXELS) as isize;
        let first = self.start + first;
        // Of the nine cells those before the row and those up to its end.
        let before = (-first).max(0) as usize;
        let end = (self.columns as isize - first).clamp(0, CELLS as isize) as usize;
        let word = tile * self.rows * self.slot() + before;
        [first.max(0) as usize, word, end.saturating_sub(before)]
    }
}

impl Rows<'_> {
    pub(in crate::backend::cortex_m) const fn words(&self) -> &[i32] {
        self.words
    }

    /// Puts the row at the front of `x`, or one of padding, to the place of row `v`.
    pub(in crate::backend::cortex_m) fn put(&mut self, v: usize, x: Option<&[i8]>) {
        let Self { ring, tiles, words, zero } = self;
        let slot = ring.slot();
        let slots = words.get_mut(v % ring.rows * slot..).unwrap_or(&mut []);
        let Some(x) = x else {
            for slots in slots.chunks_mut(ring.rows * slot) {
                fill_words(slots.get_mut(..slot).unwrap_or(&mut []), *zero);
            }
            return;
        };
        let fits = tiles.fit(x, slots);
        if fits {
            insn::lay(x, tiles, slots);
            if matches!(ring.channels % 4, 0 | 3) {
                return;
            }
        }
        for tile in 0..ring.tiles() {
            let [cell, word, count] = ring.place(tile);
            let size = [ring.channels, ring.channels, count];
            let x = x.get(cell * ring.channels..).unwrap_or(&[]);
            let out = slots.get_mut(word..).unwrap_or(&mut []);
            if fits {
                rest::<1>(x, size, out, CELLS);
            } else {
                cells::<1>(x, size, out, CELLS, false);
            }
        }
    }
}

/// Where the cells of each tile come from and go to.
pub(in crate::backend::cortex_m) struct Tiles<'a> {
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
    pub(in crate::backend::cortex_m) const fn parts(&self) -> (&'a [[i32; 3]], usize, usize) {
        (self.list, self.step, self.fours)
    }

    /// Whether all that is read and written lies in the row and in the slots.
    pub(in crate::backend::cortex_m) const fn fit(&self, x: &[i8], out: &[i32]) -> bool {
        let [codes, words] = self.reach;
        self.fours != 0 && x.len() >= codes && out.len() >= words
    }
}
