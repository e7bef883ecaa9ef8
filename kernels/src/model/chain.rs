//! Chains of layers that run band by band together.
//!
//! Where the output of a layer is read by the next alone, it need not be in memory as a
//! whole: for each band of rows of the last layer's output, every layer before it adds
//! just the rows that are missing, after those that are read again have moved to the
//! front. A layer on its own is a chain of one; the same code runs its bands.

mod needs;

pub use needs::ChainNeeds;

use core::mem::offset_of;

use crate::backend::Owner;
use crate::error::{FormatError, ShapeError, some, tri};
use crate::model::bands::Rows;
use crate::model::format::{LayerRecord, MAX_COUNT, TensorRecord, word};
use crate::model::layer::{Layer, Span};
use crate::model::parse::Model;
use crate::model::route::{Route, route};

/// Layers of a chain at most.
pub const CHAIN: usize = 4;

/// Consecutive layers, each but the last one's output kept only as far as the next reads it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chain<'l> {
    pub(crate) layers: [&'l Layer; CHAIN],
    /// 1 for a layer on its own.
    pub(crate) len: usize,
}

/// How far a run of a chain has come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress {
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

impl Progress {
    pub(crate) const START: Self = Self { start: [0; CHAIN], done: [0; CHAIN] };
}

impl Chain<'_> {
    /// Rows of the output of the last layer; `None` where the layers cannot be cut.
    pub(crate) const fn height(&self) -> Option<usize> {
        let (_, output) = some!(self.layers[self.len - 1].op.heights());
        Some(output)
    }

    /// The rows that each layer has to add for `rows` of the last one, and the first row
    /// of each output that is still read.
    pub(crate) const fn needs(
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
            i -= 1;
            let done = progress.done[i];
            let first = if read.first > done { read.first } else { done };
            let count = read.end().saturating_sub(first);
            (needs[i], from[i]) = (Rows { first, count }, read.first);
        }
        Some((needs, from))
    }

    /// Member `i` adds `rows`; its output is read from row `from` on.
    pub(crate) const fn step(
        &self,
        i: usize,
        rows: Rows,
        from: usize,
        progress: &mut Progress,
    ) -> Option<Step> {
        let whole = self.layers[i];
        let (_, height) = some!(whole.op.heights());
        let output = whole.outputs[0];
        let row = output.len / height;
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
            let (input, _) = some!(whole.op.heights());
            let slot = &mut layer.inputs[0];
            slot.span.at -= progress.start[i - 1] * (whole.inputs[0].span.len / input);
        }
        progress.done[i] = rows.end();
        Some(Step { layer, moved, to })
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

    /// Walks through the bands of the chain that begins with layer `index` and checks each
    /// step of it.
    pub(crate) const fn check_chain(&self, index: usize) -> Result<(), FormatError> {
        let len = self.chain_len(index);
        let bad = FormatError::Layer(index as u16, ShapeError::Window);
        if len > CHAIN {
            return Err(bad);
        }
        let layers = [
            tri!(self.decode_in(index, len, 0)),
            tri!(self.decode_in(index, len, 1)),
            tri!(self.decode_in(index, len, 2)),
            tri!(self.decode_in(index, len, 3)),
        ];
        let chain = Chain { layers: [&layers[0], &layers[1], &layers[2], &layers[3]], len };
        let Some(height) = chain.height() else { return Err(bad) };
        let bands = layers[len - 1].bands;
        // Rows come in order between layers.
        if bands.reverse && len > 1 || bands.count(height) > MAX_COUNT as usize {
            return Err(bad);
        }
        tri!(self.check_links(index, &chain));
        let mut progress = Progress::START;
        let mut unread = [layers[0].inputs[0].span, layers[0].inputs[1].span];
        let mut band = 0;
        while band < bands.count(height) {
            tri!(self.check_band(index, &chain, band, &mut progress, &mut unread));
            band += 1;
        }
        Ok(())
    }

    /// Layer `i` of a chain, or its first where it has fewer.
    const fn decode_in(&self, index: usize, len: usize, i: usize) -> Result<Layer, FormatError> {
        self.decode(if i < len { index + i } else { index })
    }

    /// Each layer of the chain reads what the one before it writes, first and only.
    const fn check_links(&self, index: usize, chain: &Chain<'_>) -> Result<(), FormatError> {
        let mut i = 1;
        while i < chain.len {
            let from = self.layer_record(index + i - 1).outputs[0];
            let record = self.layer_record(index + i);
            let mut layer = 0;
            while layer < self.layers() {
                let reads = self.layer_record(layer).inputs;
                let reader = layer == index + i;
                if reads[0] == from && !reader || reads[1] == from || reads[2] == from {
                    return Err(FormatError::Operand(layer as u16));
                }
                layer += 1;
            }
            let other = &chain.layers[i].inputs[1];
            let alone = other.constant || other.span.len == 0;
            if record.inputs[0] != from || !alone {
                return Err(FormatError::Operand((index + i) as u16));
            }
            i += 1;
        }
        Ok(())
    }

    /// The route of a checked layer: where it runs in bands, that of all of them, or none.
    pub(crate) const fn route(&self, owner: Owner, index: usize, layer: &Layer) -> Route {
        let mut first = index;
        while self.chain_len(first) == 0 {
            first -= 1;
        }
        let len = self.chain_len(first);
        if len == 1 && layer.bands.is_whole() {
            return route(owner, self, layer);
        }
        let (Ok(a), Ok(b)) = (self.decode_in(first, len, 0), self.decode_in(first, len, 1)) else {
            return Route::Ask;
        };
        let (Ok(c), Ok(d)) = (self.decode_in(first, len, 2), self.decode_in(first, len, 3)) else {
            return Route::Ask;
        };
        let layers = [a, b, c, d];
        let chain = Chain { layers: [&layers[0], &layers[1], &layers[2], &layers[3]], len };
        let Some(height) = chain.height() else { return Route::Ask };
        let bands = layers[len - 1].bands;
        let (mut found, mut progress, mut band) = (None, Progress::START, 0);
        while band < bands.count(height) {
            let needs = chain.needs(bands.at(band, height), &progress);
            let Some((needs, from)) = needs else { return Route::Ask };
            let mut i = 0;
            while i < len {
                if needs[i].count != 0 {
                    let step = chain.step(i, needs[i], from[i], &mut progress);
                    let Some(step) = step else { return Route::Ask };
                    if first + i == index {
                        let now = route(owner, self, &step.layer);
                        match found {
                            Some(route) if !now.is(route) => return Route::Ask,
                            _ => found = Some(now),
                        }
                    }
                }
                i += 1;
            }
            band += 1;
        }
        match found {
            Some(route) => route,
            None => Route::Ask,
        }
    }

    const fn check_band(
        &self,
        index: usize,
        chain: &Chain<'_>,
        band: usize,
        progress: &mut Progress,
        unread: &mut [Span; 2],
    ) -> Result<(), FormatError> {
        let bad = FormatError::Layer(index as u16, ShapeError::Window);
        let Some(height) = chain.height() else { return Err(bad) };
        let rows = chain.layers[chain.len - 1].bands.at(band, height);
        let Some((needs, from)) = chain.needs(rows, progress) else { return Err(bad) };
        let mut i = 0;
        while i < chain.len {
            if needs[i].count != 0 {
                let at = (index + i) as u16;
                let step = chain.step(i, needs[i], from[i], progress);
                let Some(step) = step else {
                    return Err(FormatError::Layer(at, ShapeError::Window));
                };
                tri!(self.check_scratch(index + i, &step.layer));
                tri!(self.check_overlap(index + i, &step.layer));
                if i == 0 {
                    *unread = remaining(chain, &step);
                }
                tri!(self.check_places(index + i, &step, unread));
            }
            i += 1;
        }
        Ok(())
    }

    /// What a member writes lies in what is kept of its output, and spoils no input row that
    /// the chain still has to read.
    const fn check_places(
        &self,
        index: usize,
        step: &Step,
        unread: &[Span; 2],
    ) -> Result<(), FormatError> {
        let output = step.layer.outputs[0];
        let tensor = self.tensor(self.layer_record(index).outputs[0] as usize);
        let inside = output.at >= tensor.at
            && output.at + output.len <= tensor.at + tensor.stored()
            && step.moved.at + step.moved.len <= tensor.at + tensor.stored();
        let mut i = 0;
        while i < unread.len() {
            let touched = output.overlaps(&unread[i]) || step.layer.scratch.overlaps(&unread[i]);
            if !inside || touched {
                return Err(FormatError::Overlap(index as u16));
            }
            i += 1;
        }
        Ok(())
    }
}

/// The input rows of a chain from those of `step`, of its first layer, to the end of its bands.
const fn remaining(chain: &Chain<'_>, step: &Step) -> [Span; 2] {
    let first = chain.layers[0];
    let mut unread = [Span::EMPTY; 2];
    let mut i = 0;
    while i < unread.len() {
        let (whole, now) = (&first.inputs[i], &step.layer.inputs[i].span);
        if !whole.constant && whole.span.len != 0 {
            let (start, end) = (whole.span.at, whole.span.at + whole.span.len);
            unread[i] = if first.bands.reverse {
                Span { at: start, len: now.at + now.len - start }
            } else {
                Span { at: now.at, len: end - now.at }
            };
        }
        i += 1;
    }
    unread
}

/// Runs a chain of checked layers, each of its steps by `dispatch`.
#[inline(always)]
pub(crate) fn run(
    model: &Model<'_>,
    chain: &Chain<'_>,
    arena: &mut [u8],
    dispatch: &mut impl FnMut(&Model<'_>, &Layer, &mut [u8]),
) {
    let Some(height) = chain.height() else { return };
    let bands = chain.layers[chain.len - 1].bands;
    let mut progress = Progress::START;
    for band in 0..bands.count(height) {
        let Some((needs, from)) = chain.needs(bands.at(band, height), &progress) else { return };
        // Unrolled, so that the operators of a model known at compile time stay constants.
        macro_rules! members {
            ($($i:literal)*) => { $(
                if $i < chain.len && needs[$i].count != 0 {
                    let step = chain.step($i, needs[$i], from[$i], &mut progress);
                    let Some(step) = step else { return };
                    let Span { at, len } = step.moved;
                    if len != 0 && at + len <= arena.len() {
                        arena.copy_within(at..at + len, step.to);
                    }
                    dispatch(model, &step.layer, arena);
                }
            )* };
        }
        members!(0 1 2 3);
    }
}
