//! Places of a program's tensors and scratch, and the bands of its layers.

use microconv::Model;
use microconv::backend::{CortexM, Scalar};
use microconv::model::{Bands, ChainNeeds};

use super::program::{Program, Storage};
use super::{Cut, Target, cost};
use crate::plan::bands::{Layers, Unit, choose, work};
use crate::plan::{Buffer, Overlap, Plan, estimate, plan};

/// Percent of the work of whole layers that bands may take by default.
const MORE_WORK: u64 = 110;

/// A place in the arena.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    pub(super) at: usize,
    pub(super) bytes: usize,
}

/// Offsets of the buffers of tensors, and of the scratch of layers.
pub(super) struct Layout {
    pub(super) plan: Plan,
    /// How each layer is cut.
    pub(super) bands: Vec<Bands>,
    /// Rows of each tensor that are kept at a time; 0 for all.
    pub(super) kept: Vec<usize>,
    /// Roughly the cycles with whole layers, and as they are cut.
    work: [u64; 2],
    lives: Lives,
}

/// The buffers of a program in some units, before they have places.
struct Lives {
    all: Vec<Buffer>,
    overlaps: Vec<Overlap>,
    /// Place in `all` of each arena buffer of the program, and of each layer's scratch.
    buffers: Vec<usize>,
    scratch: Vec<Option<usize>>,
}

pub(super) fn arena(storage: Storage) -> Option<usize> {
    match storage {
        Storage::Arena(buffer, _) => Some(buffer),
        Storage::Constant(_) => None,
    }
}

impl Layout {
    /// Every layer on its own, all rows at once.
    pub(super) fn whole(program: &Program) -> Self {
        let units: Vec<Unit> = (0..program.layers.len()).map(Unit::whole).collect();
        Self::of(program, &units)
    }

    /// Layers cut and chained where that needs less memory, if `cheap` for no more work than
    /// [pays](Self::pays) if that is possible; `None` where nothing does.
    pub(super) fn cut(
        program: &Program,
        model: &Model<'_>,
        target: Target,
        cheap: bool,
    ) -> Option<Self> {
        let cuts = Cuts { program, model, target };
        let whole: Vec<Unit> = (0..program.layers.len()).map(Unit::whole).collect();
        let before = work(&cuts, &whole);
        // A hundredth in hand for what the estimate is off.
        let units = choose(&cuts, cheap.then_some(before * (MORE_WORK - 1) / 100));
        let work = [before, work(&cuts, &units)];
        let cut = units.iter().any(|unit| unit.needs.is_some());
        cut.then(|| Self { work, ..Self::of(program, &units) })
    }

    /// Whether bands are worth their price beside the plan of whole layers: an arena smaller by
    /// 15 % or more, a kilobyte at least, for 10 % more work at most.
    pub(super) fn pays(&self, whole: &Plan) -> bool {
        let [before, after] = self.work;
        let much = self.plan.bytes * 100 <= whole.bytes * 85;
        let cheap = after * 100 <= before * MORE_WORK;
        much && self.plan.bytes + 1024 <= whole.bytes && cheap
    }

    /// These cuts, all other layers whole.
    pub(super) fn given(
        program: &Program,
        model: &Model<'_>,
        target: Target,
        cuts: &[Cut],
    ) -> Option<Self> {
        let layers = Cuts { program, model, target };
        let mut units: Vec<Unit> = (0..program.layers.len()).map(Unit::whole).collect();
        for &Cut { first, len, bands } in cuts {
            let feeds = (first..first + len.saturating_sub(1)).all(|i| layers.feeds_next(i));
            let needs = layers.needs(first, len, bands).filter(|_| feeds)?;
            units.retain(|unit| unit.first < first || unit.first >= first + len);
            let scratch = needs.scratch;
            units.push(Unit { first, len, bands, needs: Some(needs), scratch });
        }
        units.sort_by_key(|unit| unit.first);
        Some(Self::of(program, &units))
    }

    fn of(program: &Program, units: &[Unit]) -> Self {
        let lives = Lives::of(program, units);
        let mut bands = vec![Bands::WHOLE; program.layers.len()];
        let mut kept = vec![0; program.tensors.len()];
        for unit in units {
            let Some(needs) = &unit.needs else { continue };
            let last = unit.first + unit.len - 1;
            bands[last] = unit.bands;
            for (layer, &rows) in (unit.first..last).zip(&needs.kept) {
                kept[program.layers[layer].outputs[0]] = rows;
            }
        }
        let plan = plan(lives.all.clone(), &lives.overlaps);
        Self { plan, bands, kept, work: [0; 2], lives }
    }

    pub(super) fn tensor(&self, storage: Storage) -> usize {
        match storage {
            Storage::Arena(buffer, at) => self.plan.offsets[self.lives.buffers[buffer]] + at,
            Storage::Constant(at) => at as usize,
        }
    }

    pub(super) fn scratch(&self, layer: usize) -> Place {
        let place = |place: usize| Place {
            at: self.plan.offsets[place],
            bytes: self.plan.buffers[place].bytes,
        };
        self.lives.scratch[layer].map(place).unwrap_or_default()
    }
}

impl Lives {
    /// Step 0 is the caller filling the inputs, step `i + 1` is layer `i`, the
    /// last one the caller reading the outputs. Layers of a chain run at the steps of all of them.
    fn of(program: &Program, units: &[Unit]) -> Self {
        let count =
            program.tensors.iter().filter_map(|t| arena(t.storage)).max().map_or(0, |b| b + 1);
        let mut lives: Vec<Option<Buffer>> = vec![None; count];
        let mut touch = |tensor: usize, steps: [usize; 2], rows: usize| {
            let tensor = &program.tensors[tensor];
            let Some(buffer) = arena(tensor.storage) else { return };
            let [first, last] = steps;
            let fresh = Buffer { name: tensor.name.clone(), bytes: 0, first, last };
            let life = lives[buffer].get_or_insert(fresh);
            let bytes = match rows {
                0 => tensor.bytes(),
                rows => tensor.bytes() / tensor.shape[1] * rows,
            };
            life.bytes = life.bytes.max(tensor.storage.offset() + bytes);
            (life.first, life.last) = (life.first.min(first), life.last.max(last));
        };
        program.inputs.iter().for_each(|&id| touch(id, [0, 0], 0));
        for unit in units {
            let steps = [unit.first + 1, unit.first + unit.len];
            let kept = unit.needs.map_or([0; microconv::model::CHAIN], |needs| needs.kept);
            for i in 0..unit.len {
                let layer = &program.layers[unit.first + i];
                let before = if i == 0 { 0 } else { kept[i - 1] };
                // What a layer reads beside its chain is whole.
                let rows = |place| if place == 0 { before } else { 0 };
                let inputs = layer.inputs.iter().enumerate();
                inputs.for_each(|(place, &id)| touch(id, steps, rows(place)));
                layer.outputs.iter().for_each(|&id| touch(id, steps, kept[i]));
            }
        }
        let end = program.layers.len() + 1;
        program.outputs.iter().for_each(|&id| touch(id, [end, end], 0));
        let merged = merge_in_place(program, units, &mut lives);
        let mut all = Vec::new();
        let mut places = vec![0; count];
        for (buffer, life) in lives.into_iter().enumerate() {
            if let Some(life) = life {
                places[buffer] = all.len();
                all.push(life);
            }
        }
        let buffers = (0..count).map(|buffer| places[merged[buffer]]).collect();
        let scratch = vec![None; program.layers.len()];
        let mut lives = Self { all, overlaps: Vec::new(), buffers, scratch };
        units.iter().for_each(|unit| lives.add_unit(program, unit));
        lives
    }

    /// One scratch buffer for all layers of a unit, and how its output may overlap its inputs.
    fn add_unit(&mut self, program: &Program, unit: &Unit) {
        let (first, last) = (unit.first, unit.first + unit.len - 1);
        let bytes = unit.needs.map_or(program.layers[first].scratch, |_| unit.scratch);
        if bytes > 0 {
            let name = format!("scratch of {}", program.layers[first].name);
            for slot in &mut self.scratch[first..=last] {
                *slot = Some(self.all.len());
            }
            self.all.push(Buffer { name, bytes, first: first + 1, last: last + 1 });
        }
        let Some(needs) = unit.needs else { return };
        let place = |id: usize| arena(program.tensors[id].storage).map(|b| self.buffers[b]);
        let whole = |id: usize, place: usize| {
            let tensor = &program.tensors[id];
            tensor.storage.offset() == 0 && tensor.bytes() == self.all[place].bytes
        };
        let output = program.layers[last].outputs[0];
        let Some(written) = place(output).filter(|&place| whole(output, place)) else { return };
        let others = program.layers[first + 1..=last].iter().flat_map(|layer| &layer.inputs);
        let others: Vec<usize> = others.filter_map(|&id| place(id)).collect();
        for (&input, &clearance) in program.layers[first].inputs.iter().zip(&needs.clearance) {
            let Some(read) = place(input).filter(|&place| whole(input, place)) else { continue };
            // The clearance is that of the first layer's rows.
            if others.contains(&read) {
                continue;
            }
            // Read for the last time, and written for the first.
            let passed = self.all[read].last == last + 1 && self.all[written].first == first + 1;
            let known = self.overlaps.iter().any(|o| o.read == read && o.written == written);
            if passed && read != written && !known {
                let reverse = unit.bands.reverse;
                self.overlaps.push(Overlap { read, written, clearance, reverse });
            }
        }
    }
}

/// A layer that may work in place does so when its input is not needed afterwards; the last
/// of a chain in the place of its second operand, which the others do not read.
/// Returns the buffer that each buffer became.
fn merge_in_place(program: &Program, units: &[Unit], lives: &mut [Option<Buffer>]) -> Vec<usize> {
    let mut merged: Vec<usize> = (0..lives.len()).collect();
    for unit in units.iter().filter(|unit| unit.needs.is_none() || unit.len > 1) {
        let (first, last) = (unit.first, unit.first + unit.len - 1);
        let layer = &program.layers[last];
        let storage = |id: usize| arena(program.tensors[id].storage).map(|b| merged[b]);
        let Some(to) = storage(layer.outputs[0]) else { continue };
        let dies_here = |i: usize| {
            let from = storage(layer.inputs[i])?;
            let (a, b) = (lives[from].as_ref()?, lives[to].as_ref()?);
            let read = program.layers[first..=last].iter().flat_map(|layer| &layer.inputs);
            let once = read.filter(|&&id| storage(id) == Some(from)).count() == 1;
            let passes_on = a.last == last + 1 && b.first == first + 1;
            // Neither is a part of something else.
            let whole = |id: usize, life: &Buffer| {
                let tensor = &program.tensors[id];
                tensor.storage.offset() == 0 && tensor.bytes() == life.bytes
            };
            let passes_on = passes_on && whole(layer.inputs[i], a) && whole(layer.outputs[0], b);
            (once && from != to && passes_on).then_some(from)
        };
        let allowed = (usize::from(last > first)..2).filter(|&i| layer.in_place[i]);
        let Some(from) = allowed.filter_map(dies_here).next() else { continue };
        let (Some(a), Some(b)) = (lives[from].clone(), lives[to].take()) else { continue };
        lives[from] = Some(Buffer { name: b.name, last: b.last, ..a });
        merged.iter_mut().filter(|buffer| **buffer == to).for_each(|buffer| *buffer = from);
    }
    merged
}

/// A program and its model, for the choice of bands.
struct Cuts<'a> {
    program: &'a Program,
    model: &'a Model<'a>,
    target: Target,
}

impl Layers for Cuts<'_> {
    fn count(&self) -> usize {
        self.program.layers.len()
    }

    fn height(&self, layer: usize) -> Option<usize> {
        self.model.height(layer)
    }

    fn feeds_next(&self, layer: usize) -> bool {
        let [output] = self.program.layers[layer].outputs[..] else { return false };
        let buffer = |id: usize| arena(self.program.tensors[id].storage);
        let shares = |id: usize| buffer(id) == buffer(output);
        let readers = self.program.layers.iter().enumerate().flat_map(|(index, layer)| {
            layer.inputs.iter().filter(|&&id| shares(id)).map(move |&id| (index, id))
        });
        let next = layer + 1;
        let map = self.program.tensors[output].shape.len() == 4;
        let out = self.program.outputs.iter().any(|&id| shares(id));
        // Another tensor in the same memory is a reshape of this one, or they are parts of one.
        let only = readers.eq([(next, output)]);
        map && only && !out && self.program.layers[next].inputs.first() == Some(&output)
    }

    fn needs(&self, first: usize, len: usize, bands: Bands) -> Option<ChainNeeds> {
        match self.target {
            Target::Portable => self.model.chain_needs::<Scalar>(first, len, bands, false),
            Target::Native => self.model.chain_needs::<microconv::Native>(first, len, bands, true),
            Target::CortexM | Target::CortexMSmall => {
                self.model.chain_needs::<CortexM>(first, len, bands, true)
            }
        }
    }

    fn alone(&self, unit: &Unit) -> usize {
        let layer = &self.program.layers[unit.first];
        let bytes = |ids: &[usize]| -> Vec<usize> {
            let stored = ids.iter().map(|&id| &self.program.tensors[id]);
            stored.filter(|t| arena(t.storage).is_some()).map(|t| t.bytes()).collect()
        };
        let (inputs, outputs) = (bytes(&layer.inputs), bytes(&layer.outputs));
        let all: usize = inputs.iter().chain(&outputs).sum();
        let Some(needs) = unit.needs else {
            let over = if layer.in_place == [false; 2] { 0 } else { outputs.iter().sum() };
            return all - over + layer.scratch;
        };
        let (x, y) = (inputs.first().unwrap_or(&0), outputs.first().unwrap_or(&0));
        // Both from the lower of the two on.
        let clear = needs.clearance[0];
        let joined = if unit.bands.reverse { *x.max(&(clear + y)) } else { *y.max(&(clear + x)) };
        all - x - y + joined.min(x + y) + needs.scratch
    }

    fn cost(&self, unit: &Unit) -> u64 {
        let members = unit.first..unit.first + unit.len;
        members.map(|index| cost::of(self.program, self.model, unit, index)).sum()
    }

    fn estimate(&self, units: &[Unit]) -> (usize, Vec<[usize; 2]>) {
        let lives = Lives::of(self.program, units);
        estimate(&lives.all, &lives.overlaps)
    }
}
