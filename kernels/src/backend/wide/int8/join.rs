//! Two rows of a depthwise convolution as words: what lies above in the low half, what
//! lies below in the high one.

use super::lanes::{self, Words};
use crate::ops::DepthwiseConv2d;

/// The rows `above` and `below`, or padding, as `[block][cell]` words of eight output
/// channels; with a depth multiplier each word is repeated.
pub(super) fn rows(
    op: &DepthwiseConv2d<'_, i8>,
    above: Option<&[i8]>,
    below: Option<&[i8]>,
    cells: usize,
    out: &mut [Words],
) {
    let g = &op.geometry;
    let zero = lanes::word(op.padding, op.padding);
    let before = g.window.columns.pad.min(cells);
    let inside = g.input.w.min(cells - before);
    for (block, out) in out.chunks_exact_mut(cells).enumerate() {
        let (head, rest) = out.split_at_mut(before);
        let (body, tail) = rest.split_at_mut(inside);
        head.fill([zero; 8]);
        tail.fill([zero; 8]);
        match (above, below) {
            (Some(a), Some(b)) => fill(op, block, body, [a, b], |a, b| [a, b]),
            (Some(a), None) => fill(op, block, body, [a, a], |a, _| [a, op.padding]),
            (None, Some(b)) => fill(op, block, body, [b, b], |_, b| [op.padding, b]),
            (None, None) => body.fill([zero; 8]),
        }
    }
}

/// One block: `pair` says what of both rows goes into a word.
#[inline(always)]
fn fill(
    op: &DepthwiseConv2d<'_, i8>,
    block: usize,
    out: &mut [Words],
    rows: [&[i8]; 2],
    pair: impl Fn(i8, i8) -> [i8; 2] + Copy,
) {
    let channels = op.geometry.input.c;
    let repeat = op.geometry.output.c / channels;
    let word = |a: i8, b: i8| {
        let [a, b] = pair(a, b);
        lanes::word(a, b)
    };
    let [above, below] = rows.map(|row| row.chunks_exact(channels));
    for ((a, b), out) in above.zip(below).zip(out) {
        if repeat == 1 {
            if let (Some(a), Some(b)) = (eight(a, 8 * block), eight(b, 8 * block)) {
                *out = core::array::from_fn(|lane| word(a[lane], b[lane]));
                continue;
            }
        } else if repeat.is_multiple_of(8) {
            let channel = 8 * block / repeat;
            *out = [word(a[channel], b[channel]); 8];
            continue;
        }
        *out = core::array::from_fn(|lane| {
            let channel = (8 * block + lane) / repeat;
            let of = |row: &[i8]| row.get(channel).copied().unwrap_or(0);
            word(of(a), of(b))
        });
    }
}

#[inline(always)]
fn eight(cell: &[i8], first: usize) -> Option<&[i8; 8]> {
    cell.get(first..)?.first_chunk()
}
