//! Chains of layers that run band by band together.
//!
//! Where the output of a layer is read by the next alone, it need not be in memory as a
//! whole: for each band of rows of the last layer's output, every layer before it adds
//! just the rows that are missing, after those that are read again have moved to the
//! front. A layer on its own is a chain of one; the same code runs its bands.

mod check;
mod needs;
mod schedule;

pub use needs::ChainNeeds;
pub(crate) use schedule::{Entry, KINDS, Kind, Kinds, STEPS};

use core::mem::offset_of;

use crate::backend::Owner;
use crate::error::{FormatError, ShapeError, some, tri};
use crate::model::bands::{Bands, Rows};
use crate::model::format::{LayerRecord, TensorRecord, word};
use crate::model::layer::{Layer, Span};
use crate::model::parse::Model;
use crate::model::route::{Route, known_route};

/// Layers of a chain at most.
pub const CHAIN: usize = 4;

/// Consecutive layers, each but the last one's output kept only as far as the next reads it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chain {
    pub(crate) layers: [Layer; CHAIN],
    /// 1 for a layer on its own.
    pub(crate) len: usize,
}

/// How far a run of a chain has come.
#[derive(Clone, Copy, Debug)]
struct Progress {
    /// Of each output, the row at its place in the arena, and one past the last that is done.
    start: [usize; CHAIN],
    done: [usize; CHAIN],
}

/// What a member of a chain does in a band.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    /// The layer for its new rows, with their places.
    pub(crate) layer: Layer,
    /// Rows of its output that the next layer reads again: where they are, and where they go.
    pub(crate) moved: Span,
    pub(crate) to: usize,
}

impl Chain {
    /// How the output of the last layer is cut, which drives the others.
    pub(crate) const fn bands(&self) -> Bands {
        self.layers[self.len - 1].bands
    }

    /// The steps of all members, band by band; `None` where the layers cannot be cut.
    pub(crate) const fn walk(&self) -> Option<Walk<'_>> {
        let (_, height) = some!(self.layers[self.len - 1].op.heights());
        let progress = Progress { start: [0; CHAIN], done: [0; CHAIN] };
        let none = Rows { first: 0, count: 0 };
        let (needs, from) = ([none; CHAIN], [0; CHAIN]);
        Some(Walk { chain: self, height, band: 0, member: self.len, needs, from, progress })
    }

    /// The rows that each layer has to add for `rows` of the last one, and the first row
    /// of each output that is still read.
    const fn needs(
        &self,
        rows: Rows,
        progress: &Progress,
    ) -> Option<([Rows; CHAIN], [usize; CHAIN])> {
        let none = Rows { first: 0, count: 0 };
        let (mut needs, mut from) = ([none; CHAIN], [0; CHAIN]);
        let mut i = self.len - 1;
        needs[i] = rows;
        while i > 0 && needs[i].count != 0 {
            let (_, read) = some!(self.layers[i].op.part(needs[i]));
            let read = some!(self.produced(i, read));
            i -= 1;
            let done = progress.done[i];
            let first = if read.first > done { read.first } else { done };
            let count = read.end().saturating_sub(first);
            (needs[i], from[i]) = (Rows { first, count }, read.first);
        }
        Some((needs, from))
    }

    /// The rows of the output of member `i - 1` in which these rows of the first input of member
    /// `i` lie: rows of element-wise operators are single elements.
    const fn produced(&self, i: usize, read: Rows) -> Option<Rows> {
        let (input, _) = some!(self.layers[i].op.heights());
        let (from, to) = (self.layers[i].inputs[0].span.len / input, some!(self.row(i - 1)));
        let (first, end) = (read.first * from / to, (read.end() * from).div_ceil(to));
        Some(Rows { first, count: end - first })
    }

    /// Bytes of a row of the output of member `i`.
    const fn row(&self, i: usize) -> Option<usize> {
        let (_, height) = some!(self.layers[i].op.heights());
        Some(self.layers[i].outputs[0].len / height)
    }

    /// Member `i` adds `rows`; its output is read from row `from` on.
    const fn step(
        &self,
        i: usize,
        rows: Rows,
        from: usize,
        progress: &mut Progress,
    ) -> Option<Step> {
        let whole = &self.layers[i];
        let (output, row) = (whole.outputs[0], some!(self.row(i)));
        let kept = i + 1 < self.len;
        let (mut moved, to) = (Span::EMPTY, output.at);
        if kept {
            let (start, done) = (progress.start[i], progress.done[i]);
            if from > start && done > from {
                moved = Span { at: to + (from - start) * row, len: (done - from) * row };
            }
            if from > start {
                progress.start[i] = from;
            }
        }
        let (mut layer, _) = some!(whole.band(rows));
        if kept {
            layer.outputs[0].at -= progress.start[i] * row;
        }
        if i > 0 {
            layer.inputs[0].span.at -= progress.start[i - 1] * some!(self.row(i - 1));
        }
        progress.done[i] = rows.end();
        Some(Step { layer, moved, to })
    }
}

/// A chain in the middle of its run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walk<'c> {
    chain: &'c Chain,
    height: usize,
    /// The next band, and the next member in this one.
    band: usize,
    member: usize,
    /// What the members have to add in this band, and the first row of each that is read.
    needs: [Rows; CHAIN],
    from: [usize; CHAIN],
    progress: Progress,
}

impl Walk<'_> {
    /// Number of bands.
    pub(crate) const fn bands(&self) -> usize {
        self.chain.bands().count(self.height)
    }

    /// The next member to run and what it does; nothing after the last band.
    ///
    /// # Errors
    /// [`ShapeError::Window`] where a layer cannot be cut there: never for a checked chain.
    pub(crate) const fn next(&mut self) -> Result<Option<(usize, Step)>, ShapeError> {
        loop {
            if self.member == self.chain.len {
                if self.band == self.bands() {
                    return Ok(None);
                }
                let rows = self.chain.bands().at(self.band, self.height);
                let Some((needs, from)) = self.chain.needs(rows, &self.progress) else {
                    return Err(ShapeError::Window);
                };
                (self.needs, self.from) = (needs, from);
                (self.band, self.member) = (self.band + 1, 0);
            }
            let i = self.member;
            self.member += 1;
            if self.needs[i].count != 0 {
                let (rows, from) = (self.needs[i], self.from[i]);
                return match self.chain.step(i, rows, from, &mut self.progress) {
                    Some(step) => Ok(Some((i, step))),
                    None => Err(ShapeError::Window),
                };
            }
        }
    }

    /// Rows of the output of member `i` that are in memory.
    const fn kept(&self, i: usize) -> usize {
        self.progress.done[i] - self.progress.start[i]
    }
}

impl<'a> Model<'a> {
    /// Whether the output of layer `index` is kept only as far as the next layer reads it.
    pub(crate) const fn keeps(&self, index: usize) -> bool {
        // Two words instead of two records: a run asks this of every layer.
        let output = offset_of!(LayerRecord, outputs);
        let layer = self.header.layers_at as usize + index * LayerRecord::SIZE;
        let id = word(self.bytes, layer + output) as usize;
        let tensor = self.header.tensors_at as usize + id * TensorRecord::SIZE;
        id < self.tensors() && word(self.bytes, tensor + offset_of!(TensorRecord, kept)) != 0
    }

    /// Whether layer `index` is part of a chain of several.
    pub(crate) const fn is_chained(&self, index: usize) -> bool {
        self.keeps(index) || index != 0 && self.keeps(index - 1)
    }

    /// Number of layers of the chain that begins with layer `index`; 0 inside a chain.
    pub(crate) const fn chain_len(&self, index: usize) -> usize {
        if index != 0 && self.keeps(index - 1) {
            return 0;
        }
        let mut len = 1;
        while index + len < self.layers() && self.keeps(index + len - 1) {
            len += 1;
        }
        len
    }

    /// The `len` layers from `index` on.
    pub(crate) const fn chain(&self, index: usize, len: usize) -> Result<Chain, FormatError> {
        let mut chain = Chain { layers: [Layer::NOTHING; CHAIN], len };
        if len == 0 || len > CHAIN {
            return Err(FormatError::Layer(index as u16, ShapeError::Window));
        }
        let mut i = 0;
        while i < len {
            chain.layers[i] = tri!(self.decode(index + i));
            i += 1;
        }
        Ok(chain)
    }

    /// The chain that begins with layer `index`, each layer with the route that suits all of
    /// its bands, if one does; a layer that does nothing where none begins.
    pub(crate) const fn routed_chain(&self, owner: Owner, index: usize) -> Chain {
        let nothing = Chain { layers: [Layer::NOTHING; CHAIN], len: 1 };
        if index >= self.layers() {
            return nothing;
        }
        let Ok(mut chain) = self.chain(index, self.chain_len(index)) else { return nothing };
        let unrouted = chain;
        let Some(mut walk) = unrouted.walk() else { return nothing };
        let mut seen = [false; CHAIN];
        while let Ok(Some((i, step))) = walk.next() {
            let now = known_route(owner, self, &step.layer);
            if !seen[i] {
                chain.layers[i].route = now;
            } else if !now.is(chain.layers[i].route) {
                chain.layers[i].route = Route::Ask;
            }
            seen[i] = true;
        }
        chain
    }
}

/// Moves bytes down to `to`, in pieces that do not overlap: of a copy within the arena
/// the compiler would make a function that nothing else needs.
pub(crate) fn shift(arena: &mut [u8], moved: Span, mut to: usize) {
    let Span { mut at, mut len } = moved;
    while len != 0 && to < at && at + len <= arena.len() {
        let (front, back) = arena.split_at_mut(at);
        let piece = if at - to < len { at - to } else { len };
        front[to..to + piece].copy_from_slice(&back[..piece]);
        (at, to, len) = (at + piece, to + piece, len - piece);
    }
}

/// Runs a chain of checked layers, each of its steps by `dispatch`.
pub(crate) fn run(
    model: &Model<'_>,
    chain: &Chain,
    arena: &mut [u8],
    dispatch: &mut impl FnMut(&Model<'_>, &Layer, &mut [u8]),
) {
    let Some(mut walk) = chain.walk() else { return };
    while let Ok(Some((_, step))) = walk.next() {
        shift(arena, step.moved, step.to);
        dispatch(model, &step.layer, arena);
    }
}
