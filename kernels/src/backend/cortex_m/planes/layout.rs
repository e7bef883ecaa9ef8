//! Rows of codes to planes of channel pairs, as they are or as sums of four rows.

use super::Planes;
use crate::backend::cortex_m::plan::{Plan, SLOTS, lanes};
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
            let step = plan.stride * channels;
            if whole {
                insn::spread(x, [channels / 4, step, count], planes, plan.pitch());
                continue;
            }
            let Some(ahead) = ahead(channels, count) else {
                insn::spread(x, [channels / 4, step, count], planes, plan.pitch());
                self.spread_rest(x, step, count, planes);
                continue;
            };
            insn::spread(x, [channels.div_ceil(4), step, ahead], planes, plan.pitch());
            let x = x.get(ahead * step..).unwrap_or(&[]);
            let planes = planes.get_mut(ahead * SLOTS..).unwrap_or(&mut []);
            insn::spread(x, [channels / 4, step, 1], planes, plan.pitch());
            self.spread_rest(x, step, 1, planes);
        }
    }

    /// The channels that are no four.
    fn spread_rest(&self, x: &[i8], step: usize, count: usize, planes: &mut [i32]) {
        let plan = self.plan;
        for index in plan.inputs / 4 * 2..plan.pairs {
            let lanes = lanes(index, plan.inputs);
            let out = planes.get_mut(index * plan.pitch()..).unwrap_or(&mut []);
            for (word, x) in out.iter_mut().step_by(SLOTS).take(count).zip(x.chunks(step)) {
                let [low, high] = lanes.map(|lane| lane.and_then(|c| x.get(c)).copied());
                *word = pair(low.unwrap_or(0), high.unwrap_or(0));
            }
        }
    }
}

/// A word of two lanes.
#[inline(always)]
pub(super) fn pair(low: i8, high: i8) -> i32 {
    i32::from(low) & 0xffff | i32::from(high) << 16
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
