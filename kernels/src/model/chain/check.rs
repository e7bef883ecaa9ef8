//! What a blob has to fulfil for a chain to run.

use super::{Chain, Step, Walk};
use crate::error::{FormatError, ShapeError, tri};
use crate::model::format::MAX_COUNT;
use crate::model::layer::{Layer, Span};
use crate::model::parse::Model;

impl Model<'_> {
    /// Walks through the bands of the chain that begins with layer `index` and checks each
    /// step of it.
    pub(crate) const fn check_chain(&self, index: usize) -> Result<(), FormatError> {
        let chain = tri!(self.chain(index, self.chain_len(index)));
        let bad = FormatError::Layer(index as u16, ShapeError::Window);
        let Some(mut walk) = chain.walk() else { return Err(bad) };
        // Rows come in order between layers.
        if chain.bands().reverse && chain.len > 1 || walk.bands() > MAX_COUNT as usize {
            return Err(bad);
        }
        tri!(self.check_links(index, &chain));
        loop {
            let (i, step) = match walk.next() {
                Ok(Some(step)) => step,
                Ok(None) => return Ok(()),
                Err(why) => return Err(FormatError::Layer(index as u16, why)),
            };
            tri!(self.check_scratch(index + i, &step.layer));
            tri!(self.check_overlap(index + i, &step.layer));
            // The first layer is done with what it read before the next one writes.
            let unread = match i {
                0 => remaining(&chain, &step),
                _ => walk.unread(),
            };
            tri!(self.check_places(index + i, &step, &unread));
            tri!(self.check_places(index + i, &step, &[walk.beside()]));
        }
    }

    /// Each layer of the chain reads what the one before it writes, and no other map but for
    /// the second operand of the last; that nobody else reads it is checked for each layer.
    const fn check_links(&self, index: usize, chain: &Chain) -> Result<(), FormatError> {
        let mut i = 1;
        while i < chain.len {
            let from = self.layer_record(index + i - 1).outputs[0];
            if self.layer_record(index + i).inputs[0] != from || !chain.may_read(i) {
                return Err(FormatError::Operand((index + i) as u16));
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
        unread: &[Span],
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

impl Layer {
    /// Whether nothing but the first input is in the arena.
    const fn reads_one_map(&self) -> bool {
        let other = &self.inputs[1];
        other.constant || other.span.len == 0
    }
}

impl Chain {
    /// Whether member `i`, not the first, may read what it reads: the last one also a whole map.
    pub(super) const fn may_read(&self, i: usize) -> bool {
        i + 1 == self.len || self.layers[i].reads_one_map()
    }
}

impl Walk<'_> {
    /// The rows that the last of several layers has not read yet of its second operand.
    const fn beside(&self) -> Span {
        let last = self.chain.len - 1;
        let layer = &self.chain.layers[last];
        if last == 0 || layer.reads_one_map() {
            return Span::EMPTY;
        }
        let Span { at, len } = layer.inputs[1].span;
        let done = self.progress.done[last] * (len / self.height);
        Span { at: at + done, len: len - done }
    }

    /// The input rows of the chain that the steps to come read.
    pub(super) const fn unread(&self) -> [Span; 2] {
        let mut ahead = *self;
        while let Ok(Some((i, step))) = ahead.next() {
            if i == 0 {
                return remaining(self.chain, &step);
            }
        }
        [Span::EMPTY; 2]
    }
}

/// The input rows of a chain from those of `step`, of its first layer, to the end of its bands.
pub(super) const fn remaining(chain: &Chain, step: &Step) -> [Span; 2] {
    let first = &chain.layers[0];
    let mut unread = [Span::EMPTY; 2];
    let mut i = 0;
    while i < unread.len() {
        let (whole, now) = (&first.inputs[i], &step.layer.inputs[i].span);
        if !whole.constant && whole.span.len != 0 {
            let (start, end) = (whole.span.at, whole.span.at + whole.span.len);
            unread[i] = if chain.bands().reverse {
                Span { at: start, len: now.at + now.len - start }
            } else {
                Span { at: now.at, len: end - now.at }
            };
        }
        i += 1;
    }
    unread
}
