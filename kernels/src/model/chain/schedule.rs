//! Chains of embedded models as programs.
//!
//! The steps of a chain are of few kinds: of each layer bands that begin at the border,
//! bands in the middle, and bands that end at the border. Of an embedded model each kind is
//! a layer that the compiler knows, with a kernel chosen for it; a list says which kind
//! follows which, and at which rows a step reads and writes.

use super::{Chain, Step};
use crate::backend::Owner;
use crate::error::some;
use crate::model::layer::{Layer, Places, Span};
use crate::model::parse::Model;
use crate::model::route::known_route;

/// Kinds of steps at most; a chain that has more is walked through at run time.
pub(crate) const KINDS: usize = 16;

/// Steps at most, likewise.
pub(crate) const STEPS: usize = 512;

/// Steps that differ in nothing but their places.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    member: usize,
    /// The layer for as many rows as a step computes; its places are those of row 0.
    pub(crate) layer: Layer,
    /// Bytes of a row of the first input, of the others, and of the output.
    rows: [usize; 3],
}

/// The kinds of steps of a chain.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kinds {
    list: [Kind; KINDS],
    len: usize,
    pub(crate) steps: usize,
}

/// A step: its kind and rows. Rows of what is kept in part count from the one at its place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) kind: u16,
    /// First rows of the first input, of the others, and of the output.
    at: [u16; 3],
    /// Rows of the output that first move to row 0: the first one, and how many.
    moved: [u16; 2],
}

impl Kind {
    const NOTHING: Self = Self { member: 0, layer: Layer::NOTHING, rows: [0; 3] };

    /// The kind of a step of a member of `chain`.
    const fn of(chain: &Chain, member: usize, step: &Step) -> Self {
        let whole = &chain.layers[member];
        let mut layer = step.layer;
        let mut i = 0;
        while i < layer.inputs.len() {
            layer.inputs[i].span.at = whole.inputs[i].span.at;
            i += 1;
        }
        layer.outputs[0].at = whole.outputs[0].at;
        let (input, output) = match whole.op.heights() {
            Some(heights) => heights,
            None => (1, 1),
        };
        let mut others = 0;
        let mut i = 1;
        while i < whole.inputs.len() {
            if whole.inputs[i].span.len != 0 {
                others = whole.inputs[i].span.len / input;
            }
            i += 1;
        }
        let rows = [whole.inputs[0].span.len / input, others, whole.outputs[0].len / output];
        Self { member, layer, rows }
    }

    /// Where a step reads and writes.
    #[inline(always)]
    pub(crate) fn places(&self, entry: &Entry) -> Places {
        let mut places = self.layer.places();
        let [first, others, output] = entry.at;
        places.inputs[0].span.at += usize::from(first) * self.rows[0];
        places.inputs[1].span.at += usize::from(others) * self.rows[1];
        places.inputs[2].span.at += usize::from(others) * self.rows[1];
        places.outputs[0].at += usize::from(output) * self.rows[2];
        places
    }

    /// The rows that move before a step, and where to.
    #[inline(always)]
    pub(crate) fn moved(&self, entry: &Entry) -> (Span, usize) {
        let [from, count] = entry.moved;
        let (to, row) = (self.layer.outputs[0].at, self.rows[2]);
        (Span { at: to + usize::from(from) * row, len: usize::from(count) * row }, to)
    }
}

impl Kinds {
    /// Of no step.
    const NONE: Self = Self { list: [Kind::NOTHING; KINDS], len: 0, steps: 0 };

    /// The kinds of steps of the chain that begins with layer `index`, on a backend of `owner`:
    /// none where no chain begins, and where a list would be too long.
    pub(crate) const fn of(owner: Owner, model: &Model<'_>, index: usize) -> Self {
        let mut kinds = Self::NONE;
        if index >= model.layers() {
            return kinds;
        }
        let Ok(chain) = model.chain(index, model.chain_len(index)) else { return Self::NONE };
        if chain.len == 1 && chain.bands().is_whole() {
            return Self::NONE;
        }
        let Some(mut walk) = chain.walk() else { return Self::NONE };
        while let Ok(Some((member, step))) = walk.next() {
            if kinds.find(member, &step) == kinds.len {
                if kinds.len == KINDS {
                    return Self::NONE;
                }
                let mut kind = Kind::of(&chain, member, &step);
                kind.layer.route = known_route(owner, model, &kind.layer);
                kinds.list[kinds.len] = kind;
                kinds.len += 1;
            }
            kinds.steps += 1;
            if kinds.steps > STEPS || kinds.entry(&chain, member, &step).is_none() {
                return Self::NONE;
            }
        }
        kinds
    }

    /// Whether there is a kind `index`.
    pub(crate) const fn has(&self, index: usize) -> bool {
        index < self.len
    }

    /// Kind `index`, below [`KINDS`].
    pub(crate) const fn get(&self, index: usize) -> Kind {
        self.list[index]
    }

    /// The kind of a step; their number where there is none yet.
    const fn find(&self, member: usize, step: &Step) -> usize {
        let mut k = 0;
        while k < self.len {
            let kind = &self.list[k];
            if kind.member == member && same(&kind.layer.op.rows(), &step.layer.op.rows()) {
                return k;
            }
            k += 1;
        }
        k
    }

    /// A step as it stands in the list; `None` where a row has no room there.
    const fn entry(&self, chain: &Chain, member: usize, step: &Step) -> Option<Entry> {
        let k = self.find(member, step);
        let kind = &self.list[k];
        let (whole, layer) = (&chain.layers[member], &step.layer);
        let mut others = 0;
        let mut i = 1;
        while i < whole.inputs.len() {
            if whole.inputs[i].span.len != 0 {
                others = layer.inputs[i].span.at - whole.inputs[i].span.at;
            }
            i += 1;
        }
        let (first, output) = (&whole.inputs[0].span, &whole.outputs[0]);
        let at = [
            some!(rows(layer.inputs[0].span.at - first.at, kind.rows[0])),
            some!(rows(others, kind.rows[1])),
            some!(rows(layer.outputs[0].at - output.at, kind.rows[2])),
        ];
        let Span { at: from, len } = step.moved;
        let moved = if len == 0 {
            [0, 0]
        } else {
            [some!(rows(from - step.to, kind.rows[2])), some!(rows(len, kind.rows[2]))]
        };
        Some(Entry { kind: k as u16, at, moved })
    }

    /// The steps of the chain that begins with layer `index`, in order, as far as `N` goes.
    pub(crate) const fn entries<const N: usize>(
        &self,
        model: &Model<'_>,
        index: usize,
    ) -> [Entry; N] {
        let mut entries = [Entry { kind: 0, at: [0; 3], moved: [0; 2] }; N];
        if self.steps == 0 {
            return entries;
        }
        let Ok(chain) = model.chain(index, model.chain_len(index)) else { return entries };
        let Some(mut walk) = chain.walk() else { return entries };
        let mut i = 0;
        while let Ok(Some((member, step))) = walk.next()
            && i < N
        {
            if let Some(entry) = self.entry(&chain, member, &step) {
                entries[i] = entry;
            }
            i += 1;
        }
        entries
    }
}

/// Bytes as rows.
const fn rows(bytes: usize, row: usize) -> Option<u16> {
    if bytes == 0 {
        return Some(0);
    }
    let rows = bytes / row;
    if rows <= u16::MAX as usize { Some(rows as u16) } else { None }
}

const fn same(a: &[usize; 6], b: &[usize; 6]) -> bool {
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}
