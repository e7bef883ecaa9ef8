//! Rows of codes to planes of channel pairs, as they are or as sums of four rows.

use super::Planes;
use crate::backend::cortex_m::plan::{Plan, SLOTS, lanes, pairs};
use crate::backend::cortex_m::{fill_words, insn};

impl Planes<'_> {
    /// A row to its slot of the planes; `whole`: channels come in fours.
    pub(super) fn spread(
        &self,
        x: &[i8],
        [before, skip, inside]: [usize; 3],
        planes: &mut [i32],
        whole: bool,
    ) {
        let plan = self.plan;
        let channels = plan.inputs;
        for phase in 0..plan.stride {
            // The first cell inside of this phase.
            let first = if before <= phase { 0 } else { (before - phase).div_ceil(plan.stride) };
            let from = first * plan.stride + phase - before;
            if from >= inside {
                continue;
            }
            let count =
                if plan.stride == 1 { inside } else { (inside - from).div_ceil(plan.stride) };
            let Some(x) = x.get((skip + from) * channels..) else { return };
            let at = (phase * plan.cells + first) * SLOTS;
            let Some(planes) = planes.get_mut(at..) else { return };
            let size = [channels, plan.stride * channels, count];
            cells::<SLOTS>(x, size, planes, plan.pitch(), whole);
        }
    }
}

/// Pairs of `channels` channels of `count` cells, `step` elements apart in `x`, `BETWEEN` words in
/// `out`, where pairs lie `pitch` words apart; `whole`: channels come in fours.
#[inline(always)]
pub(in crate::backend::cortex_m) fn cells<const BETWEEN: usize>(
    x: &[i8],
    [channels, step, count]: [usize; 3],
    out: &mut [i32],
    pitch: usize,
    whole: bool,
) {
    if whole {
        return insn::spread::<BETWEEN>(x, [channels / 4, step, count], out, pitch);
    }
    let Some(ahead) = ahead(channels, count) else {
        insn::spread::<BETWEEN>(x, [channels / 4, step, count], out, pitch);
        return rest::<BETWEEN>(x, [channels, step, count], out, pitch);
    };
    insn::spread::<BETWEEN>(x, [channels.div_ceil(4), step, ahead], out, pitch);
    let x = x.get(ahead * step..).unwrap_or(&[]);
    let out = out.get_mut(ahead * BETWEEN..).unwrap_or(&mut []);
    insn::spread::<BETWEEN>(x, [channels / 4, step, 1], out, pitch);
    rest::<BETWEEN>(x, [channels, step, 1], out, pitch);
}

/// The channels that are no four.
#[inline(never)]
pub(in crate::backend::cortex_m) fn rest<const BETWEEN: usize>(
    x: &[i8],
    [channels, step, count]: [usize; 3],
    out: &mut [i32],
    pitch: usize,
) {
    for index in channels / 4 * 2..pairs(channels) {
        let out = out.get_mut(index * pitch..).unwrap_or(&mut []);
        let words = out.iter_mut().step_by(BETWEEN).take(count);
        let codes = |lane: Option<usize>| {
            let codes = lane.and_then(|channel| x.get(channel..)).unwrap_or(&[]);
            codes.iter().step_by(step)
        };
        let [low, high] = lanes(index, channels).map(codes);
        if high.len() == 0 {
            words.zip(low).for_each(|(word, &low)| *word = pair(low, 0));
        } else {
            words.zip(low.zip(high)).for_each(|(word, (&low, &high))| *word = pair(low, high));
        }
    }
}

/// A word of two lanes.
#[inline(always)]
pub(in crate::backend::cortex_m) fn pair(low: i8, high: i8) -> i32 {
    i32::from(low) & 0xffff | i32::from(high) << 16
}

/// Cells of padding: sums and differences of four rows of it.
pub(super) fn blank(planes: &mut [i32], code: i8) {
    let sum = 2 * i32::from(code);
    let sum = sum & 0xffff | sum << 16;
    let (cells, _) = planes.as_chunks_mut::<SLOTS>();
    // Word by word: a copy of four words would be a call.
    for [a, b, c, d] in cells {
        (*a, *b, *c, *d) = (0, sum, 0, 0);
    }
}

/// A row of padding.
pub(super) fn padding(words: &mut [i32], code: i8) -> &[i8] {
    fill_words(words, i32::from_ne_bytes([code as u8; 4]));
    bytemuck::cast_slice(words)
}

/// Cells that can be read by whole words although a channel is missing in the last: the byte
/// behind it belongs to the next cell, and meets a weight of zero.
fn ahead(channels: usize, cells: usize) -> Option<usize> {
    if channels % 4 == 3 { cells.checked_sub(1) } else { None }
}

/// Sums and differences of four rows of `cells` cells; `whole`: channels come in fours.
pub(super) fn sums(rows: [&[i8]; 4], cells: usize, out: &mut [i32], plan: &Plan, whole: bool) {
    let (channels, pitch) = (plan.inputs, plan.pitch());
    if whole {
        return insn::twice(rows, [channels, channels / 4, cells], out, pitch);
    }
    let Some(ahead) = ahead(channels, cells) else {
        insn::twice(rows, [channels, channels / 4, cells], out, pitch);
        return twice_rest(rows, [channels, cells], out, plan);
    };
    insn::twice(rows, [channels, channels.div_ceil(4), ahead], out, pitch);
    let rows = rows.map(|row| row.get(ahead * channels..).unwrap_or(&[]));
    let out = out.get_mut(ahead * SLOTS..).unwrap_or(&mut []);
    insn::twice(rows, [channels, channels / 4, 1], out, pitch);
    twice_rest(rows, [channels, 1], out, plan);
}

/// The channels that are no four: sums and differences as [`insn::twice`] makes them.
fn twice_rest(rows: [&[i8]; 4], [channels, cells]: [usize; 2], out: &mut [i32], plan: &Plan) {
    for index in channels / 4 * 2..plan.pairs {
        let lanes = lanes(index, channels);
        let out = out.get_mut(index * plan.pitch()..).unwrap_or(&mut []);
        for (i, cell) in out.chunks_exact_mut(SLOTS).take(cells).enumerate() {
            let mut sums = [[0; 2]; SLOTS];
            for (half, lane) in lanes.into_iter().enumerate() {
                let Some(channel) = lane else { continue };
                let at = i * channels + channel;
                let [a, b, c, d] = rows.map(|row| row.get(at).map_or(0, |&code| i32::from(code)));
                for (sum, value) in sums.iter_mut().zip([a - c, b + c, c - b, d - b]) {
                    sum[half] = value;
                }
            }
            for (word, [low, high]) in cell.iter_mut().zip(sums) {
                *word = low & 0xffff | high << 16;
            }
        }
    }
}
