//! Convolutions on the tile, phase by phase.
//!
//! Where windows leave the map along a row, rows are copied into a ring with zeros
//! beside them; elsewhere they are read where they lie. Rows above and below the map
//! are left out of the sums.

use super::geometry::{Geometry, Phase, Reach};
use super::tile::{Kind, Row};
use super::vector::{Bounds, LANES, SLACK, V, load};
use super::{dot, pack};
use crate::backend::line::Line;
use crate::epilogue::Activate;

/// Most runs of a window; a window of more takes the portable form.
pub(super) const RUNS: usize = 64;
/// Phases that pass over a map together: those of stride or factor 2.
const PHASES: usize = 4;
/// Bytes of input rows that should stay in the first cache while blocks of channels pass.
const CHUNK_BYTES: usize = 24 << 10;

/// Buffers of a convolution; everything follows from the shapes.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    kind: Kind,
    /// Vectors of packed weights of one group.
    weights: usize,
    /// Floats of the summed weights of a phase.
    summed: usize,
    /// Rows of the ring; 0 where rows are read in place.
    slots: usize,
    /// Cells of zeros before a row of the ring.
    left: usize,
    /// Floats of a row of the ring.
    row: usize,
    /// Elements between neighbouring cells, where a window reads them.
    pitch: usize,
    /// First input row of output row 0, over all phases.
    top: isize,
    /// Input rows from it to the last that output row 0 reads.
    span: usize,
}

impl Layout {
    /// `None` where a window has too many runs.
    pub(super) fn new(g: &Geometry) -> Option<Self> {
        let reach = Reach::of(g);
        let (left, right, top, span) = (reach.left(), reach.right(), reach.top(), reach.span());
        let ring = left + right > 0;
        let pitch = if ring { g.inputs() } else { g.input.c };
        let row = if ring { (left + g.input.w + right) * pitch } else { 0 };
        let kind = if dot::suits(g.outputs(), g.inputs()) { Kind::Dot } else { Kind::Tile };
        let slots = if ring { span } else { 0 };
        let mut layout = Self { kind, weights: 0, summed: 0, slots, left, row, pitch, top, span };
        for phase in g.phases() {
            if phase.rows.taps * layout.runs_per_row(g, &phase.columns) > RUNS {
                return None;
            }
            layout.weights += layout.packed(g, &phase);
            if g.is_summed() {
                layout.summed = layout.summed.max(g.depth(&phase) * g.outputs());
            }
        }
        Some(layout)
    }

    /// Bytes of scratch, whatever its alignment.
    pub(super) const fn bytes(&self) -> usize {
        (self.weights + self.floats().div_ceil(LANES)) * size_of::<V>() + SLACK
    }

    /// Floats of the ring, which serves for summed weights before.
    const fn floats(&self) -> usize {
        let ring = self.slots * self.row;
        if ring > self.summed { ring } else { self.summed }
    }

    /// Vectors of packed weights of a phase.
    fn packed(&self, g: &Geometry, phase: &Phase) -> usize {
        let products = phase.taps() * g.inputs();
        match self.kind {
            Kind::Tile => products * pack::all(g.outputs()),
            Kind::Dot => products / LANES * g.outputs(),
        }
    }

    /// Runs of memory in one row of a window.
    const fn runs_per_row(&self, g: &Geometry, columns: &Line) -> usize {
        if columns.step == 1 && self.pitch == g.inputs() && columns.taps > 0 {
            1
        } else {
            columns.taps
        }
    }
}

/// The part of a layer that belongs to one group of channels, and its buffers.
struct Group<'a> {
    g: &'a Geometry,
    layout: &'a Layout,
    how: &'a Activate<'a>,
    bounds: Bounds,
    /// Index of the group.
    index: usize,
    weights: &'a [V],
}

/// See [`Geometry::run`].
pub(super) fn run(
    g: &Geometry,
    weights: &[f32],
    how: &Activate<'_>,
    x: &[f32],
    y: &mut [f32],
    scratch: &mut [u8],
) -> bool {
    let Some(layout) = Layout::new(g) else { return false };
    let (_, vectors, _) = bytemuck::pod_align_to_mut::<u8, V>(scratch);
    let Some((packed, ring)) = vectors.split_at_mut_checked(layout.weights) else { return false };
    let ring: &mut [f32] = bytemuck::cast_slice_mut(ring);
    let Some(ring) = ring.get_mut(..layout.floats()) else { return false };
    let depth = g.window.taps() * g.inputs();
    for index in 0..g.groups {
        let first = index * g.outputs() * depth;
        pack_group(g, &layout, weights.get(first..).unwrap_or(&[]), ring, packed);
        ring.fill(0.0);
        let group = Group {
            g,
            layout: &layout,
            how,
            bounds: Bounds::new(how.min, how.max),
            index,
            weights: packed,
        };
        let images = x.chunks_exact(g.input.image());
        for (image, out) in images.zip(y.chunks_exact_mut(g.output.image())) {
            group.image(image, out, ring);
        }
    }
    true
}

/// The weights of one group, phase by phase and block by block. `sums` is memory.
fn pack_group(g: &Geometry, layout: &Layout, weights: &[f32], sums: &mut [f32], packed: &mut [V]) {
    let mut rest = packed;
    for phase in g.phases() {
        let vectors = layout.packed(g, &phase);
        let Some((block, tail)) = core::mem::take(&mut rest).split_at_mut_checked(vectors) else {
            return;
        };
        rest = tail;
        let weights = if g.is_summed() {
            let sums = sums.get_mut(..g.depth(&phase) * g.outputs()).unwrap_or(&mut []);
            g.sum(&phase, weights, sums);
            &*sums
        } else {
            weights
        };
        match layout.kind {
            Kind::Tile => pack_blocks(g, &phase, weights, block),
            Kind::Dot => pack_dot(g, &phase, weights, block),
        }
    }
}

/// Weights for the tiles.
fn pack_blocks(g: &Geometry, phase: &Phase, weights: &[f32], packed: &mut [V]) {
    let Phase { rows, columns, .. } = phase;
    let (inputs, outputs) = (g.inputs(), g.outputs());
    let depth = g.depth(phase);
    let products = phase.taps() * inputs;
    let mut rest = packed;
    for first in (0..outputs).step_by(2 * LANES) {
        let n = pack::width(first, outputs);
        let channels = outputs - first;
        let (block, tail) = core::mem::take(&mut rest).split_at_mut(products * n);
        rest = tail;
        let weights = weights.get(first * depth..).unwrap_or(&[]);
        if columns.ascending() && rows.ascending() {
            pack::run(weights, depth, products, channels, block);
            continue;
        }
        for (tap, run) in g.taps(phase).zip(block.chunks_exact_mut(inputs * n)) {
            let weights = weights.get(tap * inputs..).unwrap_or(&[]);
            pack::run(weights, depth, inputs, channels, run);
        }
    }
}

/// Weights for few output channels.
fn pack_dot(g: &Geometry, phase: &Phase, weights: &[f32], packed: &mut [V]) {
    let (inputs, outputs) = (g.inputs(), g.outputs());
    let per_tap = inputs / LANES * outputs;
    for (tap, run) in g.taps(phase).zip(packed.chunks_exact_mut(per_tap)) {
        let weights = weights.get(tap * inputs..).unwrap_or(&[]);
        dot::pack(weights, g.depth(phase), outputs, run);
    }
}

impl Group<'_> {
    /// A few phases at a time, so that none has to be found again for each row.
    fn image(&self, image: &[f32], out: &mut [f32], ring: &mut [f32]) {
        let (mut phases, mut weights) = (self.g.phases(), self.weights);
        loop {
            let mut some = [None; PHASES];
            for (place, phase) in some.iter_mut().zip(phases.by_ref()) {
                let (packed, rest) = weights.split_at(self.layout.packed(self.g, &phase));
                weights = rest;
                *place = Some((phase, packed));
            }
            if some[0].is_none() {
                return;
            }
            self.rows(&some, image, out, ring);
        }
    }

    /// All rows of these phases.
    fn rows(
        &self,
        phases: &[Option<(Phase, &[V])>],
        image: &[f32],
        out: &mut [f32],
        ring: &mut [f32],
    ) {
        let phases = || phases.iter().flatten();
        let rows = phases().map(|(phase, _)| phase.rows.outputs).fold(0, usize::max);
        let stride = phases().next().map_or(1, |(phase, _)| phase.rows.stride);
        let mut next = 0;
        for row in 0..rows {
            if self.layout.slots > 0 {
                let begin = self.layout.top + (row * stride) as isize;
                let end = begin + self.layout.span as isize;
                let end = (end.max(0) as usize).min(self.g.input.h);
                for iy in next.max(begin.max(0) as usize)..end {
                    self.keep(image, iy, ring);
                }
                next = next.max(end);
            }
            for (phase, packed) in phases() {
                if row < phase.rows.outputs {
                    let x = if self.layout.slots > 0 { &*ring } else { image };
                    self.row(phase, row, packed, x, out);
                }
            }
        }
    }

    /// Copies input row `iy` into the ring.
    fn keep(&self, image: &[f32], iy: usize, ring: &mut [f32]) {
        let (layout, input) = (self.layout, self.g.input);
        let at = iy % layout.slots * layout.row + layout.left * layout.pitch;
        let Some(out) = ring.get_mut(at..at + input.w * layout.pitch) else { return };
        let Some(row) = image.get(iy * input.row()..(iy + 1) * input.row()) else { return };
        if layout.pitch == input.c {
            out.copy_from_slice(row);
            return;
        }
        let first = self.index * layout.pitch;
        for (out, cell) in out.chunks_exact_mut(layout.pitch).zip(row.chunks_exact(input.c)) {
            out.copy_from_slice(&cell[first..first + layout.pitch]);
        }
    }

    /// Row `row` of a phase.
    fn row(&self, phase: &Phase, row: usize, weights: &[V], x: &[f32], out: &mut [f32]) {
        let (g, layout, columns) = (self.g, self.layout, &phase.columns);
        let inputs = g.inputs();
        let per_row = layout.runs_per_row(g, columns);
        let len = if per_row == 1 { columns.taps * inputs } else { inputs };
        // Places of the runs of the window of output column 0, rows outside the map left out.
        let mut starts = [0; RUNS];
        let (mut runs, mut skipped) = (0, 0);
        let column = (columns.start + layout.left as isize).max(0) as usize * layout.pitch;
        for ky in 0..phase.rows.taps {
            let Some(iy) = phase.rows.tap(row, ky) else {
                skipped += usize::from(runs == 0) * per_row;
                continue;
            };
            let base = if layout.slots > 0 {
                iy % layout.slots * layout.row
            } else {
                iy * g.input.row() + self.index * inputs
            };
            for kx in 0..per_row {
                if let Some(start) = starts.get_mut(runs) {
                    *start = base + column + kx * columns.step * layout.pitch;
                    runs += 1;
                }
            }
        }
        let line = (phase.rows.first + row * phase.rows.every) * g.output.w + columns.first;
        let tiles = Row {
            kind: layout.kind,
            x,
            starts: starts.get(..runs).unwrap_or(&[]),
            len,
            step: columns.stride * layout.pitch,
            weights: &[],
            bias: [V::ZERO; 2],
            bounds: self.bounds,
            channels: 0,
            pitch: columns.every * g.output.c,
        };
        let chunk = self.chunk(tiles.step * runs.max(1));
        for first in (0..columns.outputs).step_by(chunk) {
            let count = chunk.min(columns.outputs - first);
            let at = (line + first * columns.every) * g.output.c + self.index * g.outputs();
            let out = out.get_mut(at..).unwrap_or(&mut []);
            self.blocks(phase, tiles, [first, count], skipped * len, weights, out);
        }
    }

    /// `count` pixels of a row from `first` on, all blocks of channels; `skipped` products
    /// of each output come before the first run.
    fn blocks(
        &self,
        phase: &Phase,
        tiles: Row<'_>,
        [first, count]: [usize; 2],
        skipped: usize,
        weights: &[V],
        out: &mut [f32],
    ) {
        let (outputs, inputs) = (self.g.outputs(), self.g.inputs());
        let depth = phase.taps() * inputs;
        let (mut blocks, mut channel) = (weights, 0);
        while channel < outputs {
            let n = pack::width(channel, outputs);
            let (block, skip) = match self.layout.kind {
                Kind::Tile => (depth * n, skipped * n),
                Kind::Dot => (blocks.len(), skipped / LANES * outputs),
            };
            let (block, rest) = blocks.split_at(block.min(blocks.len()));
            blocks = rest;
            let channels = (outputs - channel).min(n * LANES);
            let bias = self.bias(phase, self.index * outputs + channel, channels);
            let weights = block.get(skip..).unwrap_or(&[]);
            let tiles = Row { weights, bias, channels, ..tiles };
            tiles.run(first, count, out.get_mut(channel..).unwrap_or(&mut []));
            channel += channels;
        }
    }

    /// Pixels of a row that pass all blocks of channels before the next ones come.
    const fn chunk(&self, floats_per_pixel: usize) -> usize {
        let pixels = CHUNK_BYTES / size_of::<f32>() / floats_per_pixel;
        // A multiple of both tile sizes.
        let pixels = pixels.next_multiple_of(12);
        if pixels < 24 { 24 } else { pixels }
    }

    fn bias(&self, phase: &Phase, output: usize, channels: usize) -> [V; 2] {
        let first = phase.bias + output;
        let bias = self.how.bias.get(first..first + channels).unwrap_or(&[]);
        [load(bias), load(bias.get(LANES..).unwrap_or(&[]))]
    }
}
