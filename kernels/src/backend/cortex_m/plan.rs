//! How a convolution, or the phases of a transposed one, run on the tile of the planes.

use super::slide::{CELL, HEAD, PIXELS, Run, STEPS};
use crate::backend::line::Line;
use crate::window::Window;

/// Bytes of plain weights that are brought into order at once, unless two channels take more.
const WEIGHT_BYTES: usize = 10_496;
/// Tiles of columns that are copied at once.
pub(super) const COLUMN_TILES: usize = 4;
/// Rows that lie side by side in a word's [`CELL`].
pub(super) const SLOTS: usize = CELL / 4;
/// Phases of a transposed convolution that share their planes.
pub(super) const PHASES: usize = 4;
/// Most runs of neighbouring taps in a row of a window.
const RUNS: usize = 8;
/// Words per channel of [`Form::Patch`].
pub(super) const PATCH: usize = 10;

/// Cycles of a tile beside its runs, and of a run beside its passes.
const ENDING: usize = 66;
const RUN: usize = 25;

/// What is read, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Planes of rows as they are.
    Rows,
    /// Planes of sums and differences of four rows, for two rows of outputs and three taps
    /// down: Winograd's F(2, 3), four products instead of six.
    Twice,
    /// One output channel: the next row of outputs takes the place of the second.
    Double,
    /// Windows copied to columns.
    Columns,
    /// The rows of windows as they stand in widened rows.
    Segments,
    /// One channel, three by three: the window of two rows of outputs stays in registers.
    Patch,
}

/// One convolution over the input: all of it, or a phase of a transposed convolution.
#[derive(Clone, Copy)]
pub(super) struct Phase {
    pub(super) rows: Line,
    pub(super) columns: Line,
    /// First bias.
    pub(super) bias: usize,
}

impl Phase {
    /// The phases of a transposed convolution that have outputs, and how many; `None` where
    /// they are too many to run together.
    pub(super) const fn transposed(
        window: &Window,
        outputs: usize,
    ) -> Option<([Self; PHASES], usize)> {
        let stride = window.columns.stride;
        let nothing = Line::forward(&window.rows);
        let mut list = [Self { rows: nothing, columns: nothing, bias: 0 }; PHASES];
        let (mut phase, mut count) = (0, 0);
        while phase < window.rows.stride * stride {
            let rows = Line::phase(&window.rows, phase / stride);
            let columns = Line::phase(&window.columns, phase % stride);
            if let (Some(rows), Some(columns)) = (rows, columns) {
                if count == PHASES {
                    return None;
                }
                let (rows, columns) = (rows.reading(), columns.reading());
                list[count] = Self { rows, columns, bias: phase * outputs };
                count += 1;
            }
            phase += 1;
        }
        Some((list, count))
    }
}

/// Taps of a row that neighbour each other in a plane.
#[derive(Clone, Copy, Debug)]
pub(super) struct Neighbours {
    pub(super) run: Run,
    /// Bytes from the cell of output 0 to the first of them.
    pub(super) at: usize,
    /// The first tap, and the distance of the next.
    pub(super) tap: usize,
    pub(super) every: usize,
}

/// The runs of a row of a window.
#[derive(Clone, Copy)]
pub(super) struct Runs {
    list: [Neighbours; RUNS],
    len: usize,
}

impl Runs {
    /// `None` where there are too many, or where stride and dilation have a common factor
    /// other than the stride.
    #[inline(never)]
    fn new(columns: &Line, cells: usize) -> Option<Self> {
        let nothing = Neighbours { run: Run::One, at: 0, tap: 0, every: 1 };
        let mut runs = Self { list: [nothing; RUNS], len: 0 };
        let stride = columns.stride;
        for phase in 0..stride {
            let (mut tap, mut run, mut len, mut last) = (0, nothing, 0, 0);
            let (mut rest, mut cell) = (0, 0);
            while tap < columns.taps {
                if rest == phase {
                    if len != 0
                        && len < 3
                        && cell == last + 1
                        && (len == 1 || tap == run.tap + len * run.every)
                    {
                        if len == 1 {
                            run.every = tap - run.tap;
                        }
                        len += 1;
                    } else {
                        if len != 0 {
                            runs.push(run, len)?;
                        }
                        run = Neighbours { tap, at: (phase * cells + cell) * CELL, ..nothing };
                        len = 1;
                    }
                    last = cell;
                }
                tap += 1;
                rest += columns.step;
                while rest >= stride {
                    (rest, cell) = (rest - stride, cell + 1);
                }
            }
            if len != 0 {
                runs.push(run, len)?;
            }
        }
        Some(runs)
    }

    fn push(&mut self, run: Neighbours, len: usize) -> Option<()> {
        *self.list.get_mut(self.len)? = Neighbours { run: Run::of(len), ..run };
        self.len += 1;
        Some(())
    }

    pub(super) fn list(&self) -> &[Neighbours] {
        self.list.get(..self.len).unwrap_or(&[])
    }
}

/// Buffers and weights of a layer; everything follows from the shapes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(super) form: Form,
    pub(super) inputs: usize,
    /// Pairs of channels, or of elements of a column.
    pub(super) pairs: usize,
    /// Input row and column of the first tap of output 0, over all phases.
    pub(super) start: [isize; 2],
    /// Cells of each phase of a row, padding included, over all phases.
    pub(super) cells: usize,
    /// Cells that neighbouring outputs are apart: phases of a row of cells.
    pub(super) stride: usize,
    /// Rows that are kept: a ring.
    pub(super) ring: usize,
    /// Words of a group of two channels, all phases.
    pub(super) group: usize,
    /// Groups, and how many have their weights in scratch at once.
    pub(super) groups: usize,
    pub(super) at_once: usize,
    /// Cells of an input row.
    width: usize,
}

impl Plan {
    /// The form that takes the fewest cycles; `None` where a window falls into too many
    /// runs or rows are shorter than a tile.
    pub(super) fn new(phases: &[Phase], channels: [usize; 2], packed: bool) -> Option<Self> {
        use Form::{Columns, Double, Patch, Rows, Segments, Twice};
        let forms = [Patch, Rows, Twice, Double, Segments, Columns];
        let (mut best, mut least) = (None, usize::MAX);
        for form in forms {
            let Some(plan) = Self::of(form, phases, channels, packed) else { continue };
            if form == Form::Patch {
                return Some(plan);
            }
            let cycles = plan.cycles(phases);
            if cycles < least {
                (best, least) = (Some(plan), cycles);
            }
        }
        best
    }

    /// The plan of a form, from inputs and outputs; `None` where the form does not serve.
    pub(super) const fn of(
        form: Form,
        phases: &[Phase],
        channels: [usize; 2],
        packed: bool,
    ) -> Option<Self> {
        Self::folded(form, phases, channels, packed)
    }

    /// The same, inlined: of constants it is a constant.
    #[inline(always)]
    pub(super) const fn folded(
        form: Form,
        phases: &[Phase],
        [inputs, outputs]: [usize; 2],
        packed: bool,
    ) -> Option<Self> {
        let first = match phases {
            [first] => first,
            [first, ..] if matches!(form, Form::Rows) => first,
            _ => return None,
        };
        let (rows, columns) = (&first.rows, &first.columns);
        let mut plan = Self {
            form,
            inputs,
            pairs: pairs(inputs),
            start: [rows.start, columns.start],
            cells: 0,
            stride: columns.stride,
            ring: 0,
            group: 0,
            groups: outputs.div_ceil(2),
            at_once: 0,
            width: columns.input,
        };
        let mut i = 0;
        while i < phases.len() {
            let phase = &phases[i];
            plan.start[0] = smaller(plan.start[0], phase.rows.start);
            plan.start[1] = smaller(plan.start[1], phase.columns.start);
            if phase.columns.outputs < PIXELS && !matches!(form, Form::Columns | Form::Patch) {
                return None;
            }
            i += 1;
        }
        let mut i = 0;
        while i < phases.len() {
            if !plan.add(&phases[i]) {
                return None;
            }
            i += 1;
        }
        let single = outputs == 1;
        if matches!(form, Form::Patch) && single || matches!(form, Form::Double) && !single {
            return None;
        }
        let fit = WEIGHT_BYTES / (4 * plan.group);
        // As many in each pass as in the others.
        let passes = if packed { 1 } else { plan.groups.div_ceil(if fit == 0 { 1 } else { fit }) };
        plan.at_once = plan.groups.div_ceil(passes);
        Some(plan)
    }

    /// Room for a phase; whether the form serves it.
    #[inline(always)]
    const fn add(&mut self, phase: &Phase) -> bool {
        let (rows, columns) = (&phase.rows, &phase.columns);
        let taps = rows.taps * columns.taps;
        let reach = (columns.taps - 1) * columns.step;
        let above = (rows.start - self.start[0]) as usize;
        let before = (columns.start - self.start[1]) as usize;
        let cells = before + columns.outputs + reach / columns.stride;
        let ring = above + (rows.taps - 1) * rows.step + 1;
        let dense = rows.every == 1 && columns.every == 1;
        // Rows that are kept as they are, widened.
        let widened = (columns.outputs - 1) * columns.stride + reach + 1;
        let (serves, words, ring, cells) = match self.form {
            Form::Rows => {
                let serves = taps < STEPS && columns.taps <= RUNS;
                (serves, taps * self.pairs * 2, ring, cells)
            }
            Form::Twice => {
                let few = columns.taps <= RUNS && SLOTS * columns.taps < STEPS;
                let serves = few && thrice(rows) && columns.stride == 1 && rows.outputs > 1;
                (serves, SLOTS * columns.taps * self.pairs * 2, SLOTS, cells)
            }
            Form::Double => {
                let down = rows.taps + rows.stride;
                let few = columns.taps <= RUNS && down * columns.taps < STEPS;
                let serves = few && rows.step == 1 && rows.outputs > 1 && !rows.empty;
                (serves, down * columns.taps * self.pairs * 2, down, cells)
            }
            Form::Patch => {
                let serves = self.inputs == 1 && thrice(rows) && thrice(columns);
                (serves, 2 * PATCH - HEAD, SLOTS, cells)
            }
            Form::Segments => {
                self.pairs = (columns.taps * self.inputs).div_ceil(2);
                let serves = (columns.step == 1 || columns.taps == 1) && rows.taps < STEPS;
                (serves, rows.taps * self.pairs * 2, ring, widened)
            }
            Form::Columns => {
                self.pairs = (taps * self.inputs).div_ceil(2);
                let serves = dense && taps < STEPS && rows.outputs * columns.outputs >= PIXELS;
                (serves, self.pairs * 2, ring, widened)
            }
        };
        self.group += HEAD + words;
        if ring > self.ring {
            self.ring = ring;
        }
        if cells > self.cells {
            self.cells = cells;
        }
        serves
    }

    /// Roughly the cycles of a row of outputs.
    pub(super) fn cycles(&self, phases: &[Phase]) -> usize {
        let mut cycles = 0;
        for phase in phases {
            let (rows, columns) = (&phase.rows, &phase.columns);
            let across = columns.outputs.div_ceil(PIXELS) * self.groups;
            cycles += match self.form {
                Form::Rows => across * (rows.taps * self.row_cycles(phase) + ENDING),
                Form::Double => {
                    across * ((rows.taps + rows.stride) * self.row_cycles(phase) + ENDING) / 2
                }
                Form::Twice => across * (2 * self.row_cycles(phase) + ENDING + 30),
                Form::Segments => {
                    across * (ENDING + rows.taps * (RUN + 12 * self.pairs + self.pairs / 2))
                }
                // Tiles go on from row to row.
                _ => {
                    let tile = ENDING + RUN + 12 * self.pairs + self.pairs / 2;
                    columns.outputs * self.groups * tile / PIXELS
                }
            };
        }
        let Some(Phase { rows, columns, .. }) = phases.first() else { return cycles };
        let row = self.width * self.inputs;
        let prepare = match self.form {
            Form::Twice => 5 * row,
            Form::Columns => {
                let runs = rows.taps * if columns.step == 1 { 1 } else { columns.taps };
                2 * row * rows.stride + columns.outputs * (20 + runs * 14 + 3 * self.pairs)
            }
            _ => 2 * row * rows.stride,
        };
        let passes =
            if self.at_once == self.groups { 1 } else { self.groups.div_ceil(self.at_once) };
        cycles + prepare * passes
    }

    /// The runs of a row of a window.
    pub(super) fn runs(&self, phase: &Phase) -> Option<Runs> {
        Runs::new(&phase.columns, self.cells)
    }

    /// Roughly the cycles of a row of a window.
    fn row_cycles(&self, phase: &Phase) -> usize {
        let pass = |run: &Neighbours| [13, 23, 33][run.run.taps() - 1];
        let cycles = |run: &Neighbours| RUN + self.pairs * pass(run) + self.pairs / 2;
        self.runs(phase).map_or(1 << 20, |runs| runs.list().iter().map(cycles).sum())
    }

    /// Elements of a widened row, even, with one of slack.
    pub(super) const fn row(&self) -> usize {
        (self.cells * self.inputs + 2) & !1
    }

    /// Words between pairs.
    pub(super) const fn pitch(&self) -> usize {
        self.stride * self.cells * SLOTS
    }

    /// Banks of [`SLOTS`] rows.
    pub(super) const fn banks(&self) -> usize {
        self.ring.div_ceil(SLOTS)
    }

    /// Words of planes, or of the ring of widened rows.
    pub(super) const fn planes(&self) -> usize {
        match self.form {
            Form::Rows | Form::Double => self.banks() * self.pairs * self.pitch(),
            Form::Twice => self.pairs * self.pitch(),
            Form::Columns | Form::Segments => self.ring * self.row() / 2,
            Form::Patch => 2 * self.cells,
        }
    }

    /// Words of columns, with one of slack, or of a row of padding.
    pub(super) const fn extra(&self) -> usize {
        match self.form {
            Form::Columns => COLUMN_TILES * PIXELS * self.pairs + 1,
            Form::Rows | Form::Double => 0,
            // An odd run of the last row reads one element more.
            Form::Segments => 1,
            Form::Twice | Form::Patch => (self.width * self.inputs).div_ceil(4),
        }
    }

    /// Bytes of scratch; packed weights stay where they are.
    pub(super) const fn bytes(&self, packed: bool) -> usize {
        let weights = if packed { 0 } else { self.at_once * self.group };
        4 * (weights + self.planes() + self.extra())
    }
}

const fn smaller(a: isize, b: isize) -> isize {
    if a < b { a } else { b }
}

/// Whether an axis has three neighbouring taps and moves by one.
pub(super) const fn thrice(line: &Line) -> bool {
    line.taps == 3 && line.stride == 1 && line.step == 1
}

/// Pairs of `inputs` channels.
pub(super) const fn pairs(inputs: usize) -> usize {
    inputs / 4 * 2 + [0, 1, 1, 2][inputs % 4]
}

/// The two channels of pair `pair`: fours are split as `sxtb16` does it.
pub(super) const fn lanes(pair: usize, inputs: usize) -> [Option<usize>; 2] {
    let first = pair / 2 * 4;
    let rest = inputs - first;
    let (low, high) = if rest == 2 { (0, 1) } else { (pair % 2, pair % 2 + 2) };
    [
        if low < rest { Some(first + low) } else { None },
        if high < rest { Some(first + high) } else { None },
    ]
}
