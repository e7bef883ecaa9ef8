//! The bytes that a layer reads and writes.

use crate::model::layer::{Slot, Span};
use crate::quant::lookup::Table;

/// The arena cut at what a layer writes: two outputs and its scratch. The rest can be read.
pub(super) struct Carved<'a> {
    pub(super) gaps: [(usize, &'a [u8]); 4],
    pub(super) writes: [&'a mut [u8]; 3],
}

impl<'a> Carved<'a> {
    // Of an embedded model all spans are constants, and this folds to a few addresses.
    #[inline(always)]
    pub(super) fn new(arena: &'a mut [u8], spans: [Span; 3]) -> Self {
        let mut carved = Self { gaps: [(0, &[]); 4], writes: [&mut [], &mut [], &mut []] };
        // A sorting network, so that no sort is linked.
        let mut order = [0usize, 1, 2];
        for (low, high) in [(0, 1), (1, 2), (0, 1)] {
            if spans[order[low]].at > spans[order[high]].at {
                order.swap(low, high);
            }
        }
        let (mut rest, mut base, mut gaps) = (arena, 0, 0);
        for index in order {
            let span = spans[index];
            // Spans of a checked layer lie inside and do not overlap; anything else is left empty.
            let Some(skip) = span.at.checked_sub(base) else { continue };
            if span.len == 0 || rest.len() < skip || rest.len() - skip < span.len {
                continue;
            }
            let (gap, tail) = rest.split_at_mut(skip);
            let (write, tail) = tail.split_at_mut(span.len);
            carved.gaps[gaps] = (base, gap);
            carved.writes[index] = write;
            (rest, base, gaps) = (tail, span.at + span.len, gaps + 1);
        }
        carved.gaps[gaps] = (base, rest);
        carved
    }
}

/// The bytes of an operand in the blob or in what a layer does not write; empty when it is not there.
#[inline(always)]
pub(super) fn read<'s>(gaps: &[(usize, &'s [u8]); 4], blob: &'s [u8], slot: Slot) -> &'s [u8] {
    let Span { at, len } = slot.span;
    if slot.constant {
        return blob.get(at..at + len).unwrap_or(&[]);
    }
    let inside = |&(base, gap): &(usize, &'s [u8])| {
        at.checked_sub(base).and_then(|start| gap.get(start..start + len))
    };
    gaps.iter().find_map(inside).unwrap_or(&[])
}

pub(super) fn elements<E: bytemuck::Pod>(bytes: &[u8]) -> &[E] {
    bytemuck::try_cast_slice(bytes).unwrap_or(&[])
}

pub(super) fn elements_mut<E: bytemuck::Pod>(bytes: &mut [u8]) -> &mut [E] {
    bytemuck::try_cast_slice_mut(bytes).unwrap_or(&mut [])
}

pub(super) fn array<E: bytemuck::Pod>(blob: &[u8], span: Span) -> &[E] {
    elements(blob.get(span.at..span.at + span.len).unwrap_or(&[]))
}

pub(super) fn table(blob: &[u8], span: Span) -> Option<&Table> {
    array::<i8>(blob, span).try_into().ok()
}
