//! Convolutions on the tile of the planes: rows are laid out once, weights are brought
//! into order a block of channels at a time, and whole rows of tiles run in one call.

pub(super) mod layout;
pub(super) mod twos;
mod widened;

use layout::{padding, pair, sums};

use super::epilogue::Finish;
use super::expand::Weights;
use super::fill_words;
use super::insn;
use super::linear::Input;
use super::plan::{Form, PATCH, PHASES, Phase, Plan, Runs, SLOTS};
use super::slide::{CELL, Program, Slide, Then};
use super::stream::{self, TWICE};

/// A convolution, or phases of a transposed one, with sums that end in the short form.
pub(super) struct Planes<'a> {
    pub(super) plan: &'a Plan,
    /// At most [`PHASES`].
    pub(super) phases: &'a [Phase],
    pub(super) weights: Weights<'a>,
    pub(super) finish: Finish<'a>,
    /// Cells of an output row.
    pub(super) width: usize,
}

/// Channels of a block and their weights in order.
struct Block<'a> {
    first: usize,
    channels: usize,
    words: &'a [i32],
}

/// Pixels: their number, where they read and write.
struct Place {
    count: usize,
    /// Bytes between pairs of a plane, or between columns; bytes between pixels.
    pitch: usize,
    pixel: usize,
    /// First output, distance of pixels and of the two rows.
    out: usize,
    step: usize,
    second: usize,
    /// Distance of the two channels of a group; of two rows of [`Form::Double`].
    other: usize,
}

impl Planes<'_> {
    /// All outputs of one image; `y` is the whole image, `scratch` has [`Plan::bytes`].
    pub(super) fn run(&self, input: &Input<'_>, y: &mut [i8], scratch: &mut [i32]) {
        let plan = self.plan;
        let outputs = self.weights.outputs;
        let weights = plan.at_once * plan.group;
        // What is left over is not to be filled.
        let Some(scratch) = scratch.get_mut(..plan.bytes(false) / 4) else { return };
        let Some((words, rest)) = scratch.split_at_mut_checked(weights) else { return };
        for first in (0..outputs).step_by(2 * plan.at_once) {
            let channels = (outputs - first).min(2 * plan.at_once);
            let groups = words.chunks_exact_mut(plan.group).take(channels.div_ceil(2));
            for (group, words) in groups.enumerate() {
                let channel = first + 2 * group;
                stream::group(&self.weights, &self.finish, plan, self.phases, channel, words);
            }
            let whole = input.channels.is_multiple_of(4);
            self.block(plan.form, whole, &Block { first, channels, words }, input, y, rest);
        }
    }

    /// The same with all weights in order already; `self.weights` has none. `form` is that of
    /// the plan and `whole` says that channels come in fours: known to the compiler.
    #[inline(always)]
    pub(super) fn packed(
        &self,
        form: Form,
        whole: bool,
        words: &[i32],
        input: &Input<'_>,
        y: &mut [i8],
        scratch: &mut [i32],
    ) {
        let block = Block { first: 0, channels: self.weights.outputs, words };
        self.block(form, whole, &block, input, y, scratch);
    }

    #[inline(always)]
    fn block(
        &self,
        form: Form,
        whole: bool,
        block: &Block<'_>,
        input: &Input<'_>,
        y: &mut [i8],
        scratch: &mut [i32],
    ) {
        let plan = self.plan;
        if let (Form::Segments, [phase]) = (form, self.phases) {
            // The ring and the slack behind it.
            return self.segments(block, phase, input, y, scratch);
        }
        let Some((planes, extra)) = scratch.split_at_mut_checked(plan.planes()) else { return };
        match (form, self.phases) {
            (Form::Rows | Form::Double, _) => self.rows(block, input, y, planes, whole),
            (Form::Twice, [phase]) => {
                self.twice(block, phase, input, y, [planes, extra], whole);
            }
            (Form::Columns, [phase]) => self.columns(block, phase, input, y, [planes, extra]),
            (Form::Patch, [phase]) => self.patch(block, phase, input, y, [planes, extra]),
            _ => {}
        }
    }

    /// Input row `v`, counted from the first of output row 0; `None` in the padding.
    #[inline(never)]
    fn source<'b>(&self, input: &Input<'b>, v: usize) -> Option<&'b [i8]> {
        let iy = usize::try_from(self.plan.start[0] + v as isize).ok()?;
        let len = self.phases.first()?.columns.input * input.channels;
        input.image.get(iy * len..(iy + 1) * len)
    }

    /// Cells of padding before a row, and input cells that are skipped and used.
    fn span(&self) -> [usize; 3] {
        let widened = matches!(self.plan.form, Form::Columns | Form::Segments);
        let cells = self.plan.cells * if widened { 1 } else { self.plan.stride };
        let start = self.plan.start[1];
        let width = self.phases.first().map_or(0, |phase| phase.columns.input);
        let before = start.min(0).unsigned_abs().min(cells);
        let skip = start.max(0) as usize;
        [before, skip, width.saturating_sub(skip).min(cells - before)]
    }

    #[inline(never)]
    fn rows(
        &self,
        block: &Block<'_>,
        input: &Input<'_>,
        y: &mut [i8],
        planes: &mut [i32],
        whole: bool,
    ) {
        let plan = self.plan;
        let zero = pair(input.zero_point, input.zero_point);
        fill_words(planes, zero);
        let pitch = plan.pitch() * 4;
        let bank = plan.pairs * plan.pitch();
        let place = |v: usize| v / SLOTS % plan.banks() * bank + v % SLOTS;
        let mut runs = [const { None::<Runs> }; PHASES];
        for (runs, phase) in runs.iter_mut().zip(self.phases) {
            *runs = plan.runs(phase);
        }
        let span = self.span();
        let stride = self.phases.first().map_or(1, |phase| phase.rows.stride);
        let most = self.phases.iter().map(|phase| phase.rows.outputs).max().unwrap_or(0);
        let double = plan.form == Form::Double;
        let mut program = Program::new();
        let mut next = 0;
        for oy in (0..most).step_by(if double { 2 } else { 1 }) {
            let begin = oy * stride;
            for v in next.max(begin)..begin + plan.ring {
                let planes = planes.get_mut(place(v)..).unwrap_or(&mut []);
                match self.source(input, v) {
                    Some(x) => self.spread(x, span, planes, whole),
                    None => {
                        for word in planes.iter_mut().take(bank).step_by(SLOTS) {
                            *word = zero;
                        }
                    }
                }
            }
            next = begin + plan.ring;
            let mut words = 0;
            for (phase, runs) in self.phases.iter().zip(&runs) {
                let Some(runs) = runs else { return };
                let rows = &phase.rows;
                let above = begin + (rows.start - plan.start[0]) as usize;
                let before = (phase.columns.start - plan.start[1]) as usize * CELL;
                program.clear();
                let down = if double { rows.taps + rows.stride } else { rows.taps };
                for ky in 0..down {
                    let row = place(above + ky * rows.step) * 4 + before;
                    for run in runs.list() {
                        program.push(row + run.at, plan.pairs, run.run, Then::Next);
                    }
                }
                if oy < rows.outputs {
                    program.end(Then::Last);
                    let words = block.words.get(words..).unwrap_or(&[]);
                    self.row(
                        &Block { words, ..*block },
                        phase,
                        &mut program,
                        planes,
                        [oy, 0, pitch, CELL],
                        y,
                    );
                }
                words += program.words();
            }
        }
    }

    /// The four rows that output rows `oy` and `oy + 1` read, from column `skip` on.
    fn four<'b>(
        &self,
        input: &Input<'b>,
        oy: usize,
        skip: usize,
        blank: &'b [i8],
    ) -> [&'b [i8]; 4] {
        [0, 1, 2, 3].map(|k| {
            let row = self.source(input, oy + k).unwrap_or(blank);
            row.get(skip * input.channels..).unwrap_or(&[])
        })
    }

    #[inline(never)]
    fn twice(
        &self,
        block: &Block<'_>,
        phase: &Phase,
        input: &Input<'_>,
        y: &mut [i8],
        [planes, blank]: [&mut [i32]; 2],
        whole: bool,
    ) {
        let plan = self.plan;
        layout::blank(planes, input.zero_point);
        let blank = padding(blank, input.zero_point);
        let Some(runs) = plan.runs(phase) else { return };
        let pitch = plan.pitch() * 4;
        let [before, skip, inside] = self.span();
        let mut program = Program::new();
        for oy in (0..phase.rows.outputs).step_by(2) {
            let rows = self.four(input, oy, skip, blank);
            let place = planes.get_mut(before * SLOTS..).unwrap_or(&mut []);
            sums(rows, inside, place, plan, whole);
            let second = oy + 1 < phase.rows.outputs;
            if oy == 0 || !second {
                let row = if second { Then::First } else { Then::Last };
                let ends = [Then::Stash, Then::Combine, row, Then::Last];
                program.clear();
                for (slot, end) in TWICE.into_iter().zip(ends).take(if second { 4 } else { 3 }) {
                    for run in runs.list() {
                        program.push(slot * 4 + run.at, plan.pairs, run.run, Then::Next);
                    }
                    program.end(end);
                }
            }
            self.row(block, phase, &mut program, planes, [oy, usize::from(second), pitch, CELL], y);
        }
    }

    #[inline(never)]
    fn patch(
        &self,
        block: &Block<'_>,
        phase: &Phase,
        input: &Input<'_>,
        y: &mut [i8],
        [planes, blank]: [&mut [i32]; 2],
    ) {
        let zero = pair(input.zero_point, input.zero_point);
        fill_words(planes, zero);
        let blank = padding(blank, input.zero_point);
        let [before, skip, inside] = self.span();
        let outputs = self.weights.outputs;
        let step = phase.columns.every * outputs;
        let words = block.words.get(..block.channels * PATCH).unwrap_or(&[]);
        for oy in (0..phase.rows.outputs).step_by(2) {
            let [a, b, c, d] = self.four(input, oy, skip, blank);
            let cells = planes.chunks_exact_mut(2).skip(before).take(inside);
            let codes = a.iter().zip(b).zip(c.iter().zip(d));
            for (cell, ((&a, &b), (&c, &d))) in cells.zip(codes) {
                cell.copy_from_slice(&[pair(a, b), pair(c, d)]);
            }
            let second = usize::from(oy + 1 < phase.rows.outputs);
            let out = y.get_mut(self.cell(phase, oy) * outputs + block.first..).unwrap_or(&mut []);
            let size = [
                block.channels,
                phase.columns.outputs,
                step,
                second * phase.rows.every * self.width * outputs,
            ];
            insn::patch(planes, words, self.finish.relu(), size, out);
            for oy in oy..=oy + second {
                self.codes(block, phase, oy, y);
            }
        }
    }

    /// Row `oy`, and the next where `second` is 1; bytes between pairs and between pixels.
    #[inline(never)]
    fn row(
        &self,
        block: &Block<'_>,
        phase: &Phase,
        program: &mut Program,
        planes: &[i32],
        [oy, second, pitch, pixel]: [usize; 4],
        y: &mut [i8],
    ) {
        let outputs = self.weights.outputs;
        let place = Place {
            count: phase.columns.outputs,
            pitch,
            pixel,
            out: self.cell(phase, oy) * outputs + block.first,
            step: phase.columns.every * outputs,
            second: second * phase.rows.every * self.width * outputs,
            other: match self.plan.form {
                Form::Double if oy + 1 < phase.rows.outputs => phase.rows.every * self.width,
                _ => 1,
            },
        };
        self.tiles(block, program, planes, &place, y);
        let double = self.plan.form == Form::Double && oy + 1 < phase.rows.outputs;
        let second = if double { 1 } else { second };
        for oy in oy..=oy + second {
            self.codes(block, phase, oy, y);
        }
    }

    /// First cell of output row `oy`.
    fn cell(&self, phase: &Phase, oy: usize) -> usize {
        (phase.rows.first + oy * phase.rows.every) * self.width + phase.columns.first
    }

    /// Tiles of all channels of the block.
    fn tiles(
        &self,
        block: &Block<'_>,
        program: &mut Program,
        x: &[i32],
        place: &Place,
        y: &mut [i8],
    ) {
        let plan = self.plan;
        let pairs = block.channels / 2;
        let odd = block.channels % 2;
        for (skip, groups, one) in [(0, pairs, false), (pairs, odd, place.other == 1)] {
            if groups == 0 {
                continue;
            }
            program.style(self.finish.style(one));
            insn::slide(&mut Slide {
                program,
                x,
                weights: block.words.get(skip * plan.group..).unwrap_or(&[]),
                out: y.get_mut(place.out + 2 * skip..).unwrap_or(&mut []),
                pairs: plan.pairs,
                pitch: place.pitch,
                group: plan.group,
                groups,
                count: place.count,
                pixel: place.pixel,
                step: place.step,
                second: place.second,
                other: place.other,
            });
        }
    }

    /// Clamp and table of row `oy`.
    fn codes(&self, block: &Block<'_>, phase: &Phase, oy: usize, y: &mut [i8]) {
        let outputs = self.weights.outputs;
        let step = phase.columns.every * outputs;
        let first = self.cell(phase, oy) * outputs + block.first;
        let len = (phase.columns.outputs - 1) * step + block.channels;
        if let Some(out) = y.get_mut(first..first + len) {
            self.finish.codes([block.channels, step], out);
        }
    }
}
