//! The forms whose rows are widened cell by cell: windows read in segments, or copied to columns.

use super::{Block, Place, Planes};
use crate::backend::cortex_m::insn;
use crate::backend::cortex_m::linear::{Input, fill};
use crate::backend::cortex_m::plan::{COLUMN_TILES, Phase};
use crate::backend::cortex_m::slide::{PIXELS, Program, Run, STEPS, Then};

impl Planes<'_> {
    /// Row `v` to its place in the ring of widened rows.
    fn widen(
        &self,
        input: &Input<'_>,
        v: usize,
        [before, skip, inside]: [usize; 3],
        ring: &mut [i16],
    ) {
        let (channels, len) = (input.channels, self.plan.row());
        let at = v % self.plan.ring * len;
        let body = at + before * channels..at + (before + inside) * channels;
        let Some(body) = ring.get_mut(body) else { return };
        match self.source(input, v) {
            Some(x) => insn::widen(&x[skip * channels..(skip + inside) * channels], body),
            None => fill(body, input.zero_point.into()),
        }
    }

    #[inline(never)]
    pub(super) fn segments(
        &self,
        block: &Block<'_>,
        phase: &Phase,
        input: &Input<'_>,
        y: &mut [i8],
        words: &mut [i32],
    ) {
        let plan = self.plan;
        let Some(words) = words.get_mut(..plan.planes() + plan.extra()) else { return };
        fill(bytemuck::cast_slice_mut(words), input.zero_point.into());
        let span = self.span();
        let pitch = phase.columns.stride * plan.inputs * 2;
        let mut program = Program::new();
        let mut next = 0;
        for oy in 0..phase.rows.outputs {
            let begin = oy * phase.rows.stride;
            for v in next.max(begin)..begin + plan.ring {
                self.widen(input, v, span, bytemuck::cast_slice_mut(words));
            }
            next = begin + plan.ring;
            program.clear();
            for ky in 0..phase.rows.taps {
                let row = (begin + ky * phase.rows.step) % plan.ring * plan.row();
                program.push(2 * row, plan.pairs, Run::Column, Then::Next);
            }
            program.end(Then::Last);
            self.row(block, phase, &mut program, words, [oy, 0, pitch, pitch], y);
        }
    }

    #[inline(never)]
    pub(super) fn columns(
        &self,
        block: &Block<'_>,
        phase: &Phase,
        input: &Input<'_>,
        y: &mut [i8],
        [ring, columns]: [&mut [i32]; 2],
    ) {
        let plan = self.plan;
        let (rows, across) = (&phase.rows, &phase.columns);
        let ring: &mut [i16] = bytemuck::cast_slice_mut(ring);
        let (channels, len) = (plan.inputs, plan.row());
        fill(ring, input.zero_point.into());
        let span = self.span();
        let joined = across.step == 1 || across.taps == 1;
        let per_row = if joined { 1 } else { across.taps };
        let run = if joined { across.taps * channels } else { channels };
        let step = across.stride * channels;
        let (mut starts, mut last) = ([0; STEPS], 0);
        let mut program = Program::new();
        program.push(0, plan.pairs, Run::Column, Then::Last);
        let (mut next, mut oy, mut ox) = (0, 0, 0);
        let (total, outputs) = (rows.outputs * across.outputs, self.weights.outputs);
        let mut done = 0;
        while done < total {
            let count = batch(total - done);
            let mut filled = 0;
            while filled < count {
                if ox == 0 {
                    let begin = oy * rows.stride;
                    for v in next.max(begin)..begin + plan.ring {
                        self.widen(input, v, span, ring);
                    }
                    next = begin + plan.ring;
                    last = 0;
                    let mut places = starts.iter_mut();
                    for ky in 0..rows.taps {
                        let row = (begin + ky * rows.step) % plan.ring * len;
                        for kx in 0..per_row {
                            let start = 2 * (row + kx * across.step * channels);
                            last = last.max(start);
                            if let Some(place) = places.next() {
                                *place = start as u32;
                            }
                        }
                    }
                }
                let size = (count - filled).min(across.outputs - ox);
                let Some(starts) = starts.get(..rows.taps * per_row) else { return };
                let x = ring.get(ox * step..).unwrap_or(&[]);
                let out = columns.get_mut(filled * plan.pairs..).unwrap_or(&mut []);
                let out: &mut [i16] = bytemuck::cast_slice_mut(out);
                insn::gather(x, (starts, last), [size, run, step, plan.pairs * 2], out);
                (filled, ox) = (filled + size, ox + size);
                if ox == across.outputs {
                    (ox, oy) = (0, oy + 1);
                }
            }
            let pitch = plan.pairs * 4;
            let place = Place {
                count,
                pitch,
                pixel: pitch,
                out: done * outputs + block.first,
                step: outputs,
                second: 0,
                other: 1,
            };
            self.tiles(block, &mut program, columns, &place, y);
            let first = done * outputs + block.first;
            if let Some(out) = y.get_mut(first..first + (count - 1) * outputs + block.channels) {
                self.finish.codes([block.channels, outputs], out);
            }
            done += count;
        }
    }
}

/// Columns of the next batch: never one or two at the end.
fn batch(left: usize) -> usize {
    const FULL: usize = COLUMN_TILES * PIXELS;
    if left <= FULL {
        left
    } else if left < FULL + PIXELS {
        FULL - PIXELS
    } else {
        FULL
    }
}
