//! Reductions over windows.

use super::cells::Cells;
use super::insn;
use crate::ops::BLOCK;

/// `acc[c] += x[c]`.
pub(super) fn sum(acc: &mut [i32], x: &[i8]) {
    let len = acc.len().min(x.len());
    let whole = len / 4 * 4;
    let (words, rest) = acc[..len].split_at_mut(whole);
    insn::add_into(words, &x[..whole]);
    for (sum, &x) in rest.iter_mut().zip(&x[whole..]) {
        *sum = sum.wrapping_add(i32::from(x));
    }
}

/// [`sum`] of `count` cells that begin `pitch` elements apart, in 16-bit lanes.
pub(super) fn sum_cells(acc: &mut [i32], x: &[i8], pitch: usize, count: usize) {
    let mut sums = [0; BLOCK];
    let mut block = sums.get_mut(..acc.len()).filter(|sums| sums.len() >= Cells::LEAST);
    for first in (0..count).step_by(Cells::MOST) {
        let x = x.get(first * pitch..).unwrap_or(&[]);
        let columns = (count - first).min(Cells::MOST);
        let Some(block) = block.as_deref_mut() else {
            for cell in 0..columns {
                sum(acc, x.get(cell * pitch..).unwrap_or(&[]));
            }
            continue;
        };
        let (channels, size) = (block.len(), [1, columns]);
        let cells = Cells { x, channels, pitch, row: 0, size, windows: 1, step: 0 };
        insn::sum_cells(&cells, block);
        for (acc, &sum) in acc.iter_mut().zip(&*block) {
            *acc = acc.wrapping_add(sum);
        }
    }
}

/// `out[c] = max(out[c], x[c])`.
pub(super) fn max(out: &mut [i8], x: &[i8]) {
    let len = out.len().min(x.len());
    let whole = len / 4 * 4;
    let (words, rest) = out[..len].split_at_mut(whole);
    insn::max_into(words, x);
    for (out, &x) in rest.iter_mut().zip(&x[whole..]) {
        *out = (*out).max(x);
    }
}
