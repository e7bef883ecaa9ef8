//! An image through a transposed convolution on quads, two rows of a phase at a time.

use super::*;

/// A layer whose weights the host has brought into order.
pub(in crate::backend::cortex_m) struct Layer<'a> {
    pub(in crate::backend::cortex_m) plan: &'a Plan,
    pub(in crate::backend::cortex_m) phases: &'a [Phase],
    pub(in crate::backend::cortex_m) weights: &'a [i32],
    pub(in crate::backend::cortex_m) finish: Finish<'a>,
    /// Whether weights are scaled for [`End::Short`].
    pub(in crate::backend::cortex_m) short: bool,
    /// Cells of an output row.
    pub(in crate::backend::cortex_m) width: usize,
}

impl Layer<'_> {
    /// One image to `y`; `scratch` has [`Plan::bytes`].
    pub(in crate::backend::cortex_m) fn run(
        &self,
        input: &Input<'_>,
        y: &mut [i8],
        scratch: &mut [i32],
    ) {
        let (plan, phases) = (self.plan, self.phases);
        let [_, row, tiles, spare] = plan.parts();
        let Some((rows, rest)) = scratch.split_at_mut_checked(ROWS * row) else { return };
        let Some((x, rest)) = rest.split_at_mut_checked(tiles) else { return };
        let Some(spare) = rest.get_mut(..spare) else { return };
        crate::backend::cortex_m::fill_words(rows, i32::from_ne_bytes([input.zero_point as u8; 4]));
        let most = phases.iter().map(|phase| phase.rows.outputs).max().unwrap_or(0);
        let mut next = 0;
        for oy in (0..most).step_by(2) {
            for v in next.max(oy)..oy + ROWS {
                let row = rows.get_mut(v % ROWS * row..).unwrap_or(&mut []);
                self.copy(input, v, bytemuck::cast_slice_mut(row));
            }
            next = oy + ROWS;
            let at = |down: usize| rows.get((oy + down) % ROWS * row..).unwrap_or(&[]);
            let sources = [at(2 * plan.above), at(0), at(1), at(2)];
            insn::weave(sources, plan.pairs / 2, plan.tiles, x);
            let mut rest = self.weights;
            for phase in phases {
                let words = plan.groups() * plan.group(phase);
                let Some((weights, more)) = rest.split_at_checked(words) else { return };
                rest = more;
                if oy < phase.rows.outputs {
                    self.rows(phase, weights, x, oy, y, spare);
                }
            }
        }
        self.finish.end(y);
    }

    /// Input row `v` into a row between padding.
    fn copy(&self, input: &Input<'_>, v: usize, row: &mut [i8]) {
        let plan = self.plan;
        let [cell, len, ..] = plan.parts();
        let Some(row) = row.get_mut(..4 * len) else { return };
        let cells = PIXELS * plan.tiles + 1;
        let columns = self.phases.first().map_or(0, |phase| phase.columns.input);
        let source = usize::try_from(plan.start[0] + v as isize).ok().and_then(|iy| {
            input.image.get(iy * columns * plan.inputs..(iy + 1) * columns * plan.inputs)
        });
        let before = plan.start[1].min(0).unsigned_abs().min(cells);
        let skip = (plan.start[1].max(0) as usize).min(columns);
        let inside = (columns - skip).min(cells - before);
        let Some(row) = row.get_mut(4 * cell * before..4 * cell * (before + inside)) else {
            return;
        };
        let Some(source) = source.and_then(|source| source.get(skip * plan.inputs..)) else {
            for code in row {
                *code = input.zero_point;
            }
            return;
        };
        if plan.inputs.is_multiple_of(4) {
            return insn::copy(row, source);
        }
        let cells = row.chunks_exact_mut(4 * cell);
        for (cell, source) in cells.zip(source.chunks_exact(plan.inputs)) {
            for (code, &source) in cell.iter_mut().zip(source) {
                *code = source;
            }
        }
    }

    /// Output rows `oy` and, where there is one, `oy + 1` of a phase.
    fn rows(
        &self,
        phase: &Phase,
        weights: &[i32],
        x: &[i32],
        oy: usize,
        y: &mut [i8],
        spare: &mut [i32],
    ) {
        let plan = self.plan;
        let (rows, columns) = (&phase.rows, &phase.columns);
        let [_, before] = plan.corner(phase);
        let slot = CELLS * plan.pairs;
        let down = rows.taps == 2;
        let (first, other) = if down || plan.above == 1 { (slot, 0) } else { (0, slot) };
        let (groups, rest) = (plan.outputs / CHANNELS, plan.outputs % CHANNELS);
        let cell = (rows.first + oy * rows.every) * self.width + columns.first;
        let Some(out) = y.get_mut(cell * plan.outputs..) else { return };
        let two = oy + 1 < rows.outputs;
        let second = rows.every * self.width * plan.outputs;
        let end = match (self.short, self.finish.relu()) {
            (true, _) => End::Short,
            (false, true) => End::Relu,
            (false, false) => End::Code,
        };
        let mut quads = Quads {
            x,
            pairs: plan.pairs,
            starts: [first + before, other + before],
            weights,
            groups,
            across: columns.taps == 2,
            down,
            out,
            count: columns.outputs,
            step: columns.every * plan.outputs,
            second: two.then_some(second),
            end,
        };
        insn::quads(&mut quads);
        if rest == 0 {
            return;
        }
        // A group that is not whole ends elsewhere first.
        let row = CHANNELS * columns.outputs;
        let codes: &mut [i8] = bytemuck::cast_slice_mut(spare);
        let Some(weights) = weights.get(groups * plan.group(phase)..) else { return };
        insn::quads(&mut Quads {
            weights,
            groups: 1,
            out: codes,
            step: CHANNELS,
            second: two.then_some(row),
            ..quads
        });
        for (codes, at) in codes.chunks_exact(row).zip([0, second]).take(1 + usize::from(two)) {
            let Some(out) = y.get_mut(cell * plan.outputs + at + groups * CHANNELS..) else {
                return;
            };
            let pixels = out.chunks_mut(columns.every * plan.outputs);
            for (out, codes) in pixels.zip(codes.chunks_exact(CHANNELS)) {
                for (out, &code) in out.iter_mut().zip(&codes[..rest]) {
                    *out = code;
                }
            }
        }
    }
}
