//! One, two or four input channels to a few outputs: lanes are elements of a row as they
//! lie, so that no input is rearranged; the channels of a pixel are added up at the end.
//!
//! Rows are copied into a ring with zeros beside them, a row of zeros stands for those above
//! and below the map. The outputs of each phase and channel are made in a row of their own;
//! then they are interleaved.

use wide::f32x4;

use super::geometry::{Geometry, Reach};
use super::vector::{Bounds, LANES, SLACK, V, load};
use crate::epilogue::Activate;

/// Most output channels.
const CHANNELS: usize = 4;
/// Most phases: those of stride or factor 2.
const PHASES: usize = 4;
/// Most rows of a window.
const TAPS: usize = 8;
/// Floats of a tile: four vectors.
const TILE: usize = 4 * LANES;

/// A phase, seen from the buffers.
#[derive(Clone, Copy, Default)]
struct Place {
    /// First input row of output row 0.
    top: isize,
    /// Rows and columns of a window.
    taps: [usize; 2],
    /// Rows of outputs.
    rows: usize,
    /// Float of a row of the ring with which the window of output column 0 begins.
    column: usize,
    /// Its first row of outputs among those that are interleaved, and how many floats it has.
    line: usize,
    count: usize,
    /// Its first bias.
    bias: usize,
}

/// Phases and buffers; everything follows from the shapes.
pub(super) struct Layout {
    places: [Place; PHASES],
    phases: usize,
    reach: Reach,
    /// Input rows between neighbouring rows of outputs, and of a window.
    steps: [usize; 2],
    /// Floats of a row of the ring.
    row: usize,
    /// Floats of a row of outputs of one phase and channel.
    line: usize,
    /// Rows and columns from an output to the next of its phase.
    every: [usize; 2],
    /// Vectors of packed weights.
    weights: usize,
    /// Floats of the summed weights of a phase.
    summed: usize,
}

impl Layout {
    /// `None` where other kernels are better.
    pub(super) fn new(g: &Geometry) -> Option<Self> {
        let (inputs, outputs) = (g.inputs(), g.outputs());
        if g.groups != 1 || outputs > CHANNELS || !matches!(inputs, 1 | 2 | 4) {
            return None;
        }
        let mut layout = Self {
            places: [Place::default(); PHASES],
            phases: 0,
            reach: Reach::NOTHING,
            steps: [1, 1],
            row: 0,
            line: 0,
            every: [1, 1],
            weights: 0,
            summed: 0,
        };
        let mut starts = [0; PHASES];
        for (i, phase) in g.phases().enumerate() {
            let (rows, columns) = (&phase.rows, &phase.columns);
            let unit = columns.stride == 1 && columns.step == 1;
            let taps = [rows.taps, columns.taps];
            if !unit || !matches!(taps, [1..=TAPS, 1 | 2 | 3 | 5]) {
                return None;
            }
            layout.reach.add(&phase);
            *starts.get_mut(i)? = columns.start;
            layout.places[i] = Place {
                top: rows.start,
                taps,
                rows: rows.outputs,
                column: 0,
                line: (rows.first * columns.every + columns.first) * outputs,
                count: (columns.outputs * inputs).next_multiple_of(TILE) / inputs,
                bias: phase.bias,
            };
            layout.phases = i + 1;
            layout.steps = [rows.stride, rows.step];
            layout.line = layout.line.max(layout.places[i].count);
            layout.every = [rows.every, columns.every];
            layout.weights += phase.taps() * outputs;
            if g.is_summed() {
                layout.summed = layout.summed.max(g.depth(&phase) * outputs);
            }
        }
        let (left, right) = (layout.reach.left(), layout.reach.right());
        layout.row = (left + g.input.w + right) * inputs;
        for (place, start) in layout.places.iter_mut().zip(starts).take(layout.phases) {
            place.column = (left as isize + start) as usize * inputs;
            let end = place.column + (place.count + place.taps[1] - 1) * inputs;
            layout.row = layout.row.max(end);
        }
        Some(layout)
    }

    /// Rows of outputs that are interleaved.
    const fn lines(&self, g: &Geometry) -> usize {
        self.every[0] * self.every[1] * g.output.c
    }

    /// Floats after the packed weights: the ring and its row of zeros, rows of outputs.
    const fn floats(&self, g: &Geometry) -> usize {
        let both = (self.reach.span() + 1) * self.row + self.lines(g) * self.line;
        if both > self.summed { both } else { self.summed }
    }

    /// Bytes of scratch, whatever its alignment.
    pub(super) const fn bytes(&self, g: &Geometry) -> usize {
        (self.weights + self.floats(g).div_ceil(LANES)) * size_of::<V>() + SLACK
    }
}

/// See [`Geometry::run`].
pub(super) fn run(
    g: &Geometry,
    layout: &Layout,
    weights: &[f32],
    how: &Activate<'_>,
    x: &[f32],
    y: &mut [f32],
    scratch: &mut [u8],
) -> bool {
    let (_, vectors, _) = bytemuck::pod_align_to_mut::<u8, V>(scratch);
    let span = layout.reach.span();
    let Some((packed, rest)) = vectors.split_at_mut_checked(layout.weights) else { return false };
    let rest: &mut [f32] = bytemuck::cast_slice_mut(rest);
    let Some(rest) = rest.get_mut(..layout.floats(g)) else { return false };
    pack(g, weights, rest, packed);
    let (ring, lines) = rest.split_at_mut((span + 1) * layout.row);
    ring.fill(0.0);
    let bounds = Bounds::new(how.min, how.max);
    let layer = Layer { g, layout, span, bias: how.bias, bounds, weights: packed };
    let images = x.chunks_exact(g.input.image());
    for (image, out) in images.zip(y.chunks_exact_mut(g.output.image())) {
        layer.image(image, out, ring, lines);
    }
    true
}

/// `packed[phase][output][row][column]`, each vector the weights of a cell as often as they
/// fit. `sums` is memory.
fn pack(g: &Geometry, weights: &[f32], sums: &mut [f32], packed: &mut [V]) {
    let inputs = g.inputs();
    let mut places = packed.iter_mut();
    for phase in g.phases() {
        let phase = &phase;
        let depth = g.depth(phase);
        let weights = if g.is_summed() {
            let sums = sums.get_mut(..depth * g.outputs()).unwrap_or(&mut []);
            g.sum(phase, weights, sums);
            &*sums
        } else {
            weights
        };
        for weights in weights.chunks_exact(depth).take(g.outputs()) {
            for (tap, place) in g.taps(phase).zip(places.by_ref().take(phase.taps())) {
                let cell = weights.get(tap * inputs..).unwrap_or(&[]);
                let lane = |lane: usize| cell.get(lane % inputs).copied().unwrap_or(0.0);
                *place = V::new(core::array::from_fn(lane));
            }
        }
    }
}

/// A layer of this file.
struct Layer<'a> {
    g: &'a Geometry,
    layout: &'a Layout,
    /// Rows of the ring.
    span: usize,
    bias: &'a [f32],
    bounds: Bounds,
    weights: &'a [V],
}

impl Layer<'_> {
    fn image(&self, image: &[f32], out: &mut [f32], ring: &mut [f32], lines: &mut [f32]) {
        let (g, layout) = (self.g, self.layout);
        let [tall, wide] = layout.every;
        let per_row = wide * g.output.c;
        let places = layout.places.get(..layout.phases).unwrap_or(&[]);
        let mut next = 0;
        for (row, outs) in out.chunks_mut(tall * g.output.row()).enumerate() {
            let end = layout.reach.top() + (row * layout.steps[0] + self.span) as isize;
            let end = (end.max(0) as usize).min(g.input.h);
            for iy in next..end {
                self.keep(image, iy, ring);
            }
            next = next.max(end);
            let mut weights = self.weights;
            for place in places {
                let taps = place.taps[0] * place.taps[1];
                let (packed, rest) = weights.split_at(taps * g.output.c);
                weights = rest;
                if row < place.rows {
                    self.phase(place, row, packed, ring, lines);
                }
            }
            let mut lines = &*lines;
            for out in outs.chunks_exact_mut(g.output.row()) {
                let (these, rest) = lines.split_at(per_row * layout.line);
                lines = rest;
                match per_row {
                    1 => out.copy_from_slice(these.get(..out.len()).unwrap_or(&[])),
                    2 => interleave::<2>(these, layout.line, out),
                    4 => interleave::<4>(these, layout.line, out),
                    _ => interleave_any(these, layout.line, per_row, out),
                }
            }
        }
    }

    /// Copies input row `iy` into the ring.
    fn keep(&self, image: &[f32], iy: usize, ring: &mut [f32]) {
        let len = self.g.input.row();
        let at = iy % self.span * self.layout.row + self.layout.reach.left() * self.g.input.c;
        let Some(out) = ring.get_mut(at..at + len) else { return };
        out.copy_from_slice(image.get(iy * len..(iy + 1) * len).unwrap_or(&[]));
    }

    /// Row `row` of a phase, a row of outputs for each channel.
    fn phase(&self, place: &Place, row: usize, weights: &[V], ring: &[f32], lines: &mut [f32]) {
        let (layout, height) = (self.layout, self.g.input.h);
        let [rows, columns] = place.taps;
        let mut starts = [0; TAPS];
        for (ky, start) in starts.iter_mut().take(rows).enumerate() {
            let iy = place.top + (row * layout.steps[0] + ky * layout.steps[1]) as isize;
            let inside = usize::try_from(iy).ok().filter(|&iy| iy < height);
            let slot = inside.map_or(self.span, |iy| iy % self.span);
            *start = slot * layout.row + place.column;
        }
        let starts = starts.get(..rows).unwrap_or(&[]);
        let mut weights = weights;
        for o in 0..self.g.output.c {
            let (these, rest) = weights.split_at(rows * columns);
            weights = rest;
            let at = (place.line + o) * layout.line;
            let Some(out) = lines.get_mut(at..at + place.count) else { return };
            let bias = V::splat(self.bias.get(place.bias + o).copied().unwrap_or(0.0));
            let line = Line { ring, starts, weights: these, bias, bounds: self.bounds };
            line.run(self.g.input.c, columns, out);
        }
    }
}

/// What one row of outputs of one channel is made of.
struct Line<'a> {
    ring: &'a [f32],
    /// Places of the first tap of the first output, row by row of the window.
    starts: &'a [usize],
    weights: &'a [V],
    bias: V,
    bounds: Bounds,
}

impl Line<'_> {
    fn run(&self, inputs: usize, taps: usize, out: &mut [f32]) {
        match (inputs, taps) {
            (1, 1) => self.tiles::<1, 1>(out),
            (1, 2) => self.tiles::<1, 2>(out),
            (1, 3) => self.tiles::<1, 3>(out),
            (1, 5) => self.tiles::<1, 5>(out),
            (2, 1) => self.tiles::<2, 1>(out),
            (2, 2) => self.tiles::<2, 2>(out),
            (2, 3) => self.tiles::<2, 3>(out),
            (2, 5) => self.tiles::<2, 5>(out),
            (4, 1) => self.tiles::<4, 1>(out),
            (4, 2) => self.tiles::<4, 2>(out),
            (4, 3) => self.tiles::<4, 3>(out),
            (4, 5) => self.tiles::<4, 5>(out),
            _ => {}
        }
    }

    /// Tiles of `32 / C` outputs.
    #[inline(never)]
    fn tiles<const C: usize, const KX: usize>(&self, out: &mut [f32]) {
        let weights = self.weights.as_chunks::<KX>().0;
        for (tile, out) in out.chunks_exact_mut(TILE / C).enumerate() {
            let mut acc = [V::ZERO; 4];
            for (start, weights) in self.starts.iter().zip(weights) {
                let at = start + tile * TILE;
                let Some(x) = self.ring.get(at..at + TILE + (KX - 1) * C) else { return };
                for (kx, &w) in weights.iter().enumerate() {
                    for (t, sum) in acc.iter_mut().enumerate() {
                        *sum = load(&x[kx * C + t * LANES..][..LANES]).mul_add(w, *sum);
                    }
                }
            }
            let pixels = match C {
                1 => acc,
                2 => [pairs([acc[0], acc[1]]), pairs([acc[2], acc[3]]), V::ZERO, V::ZERO],
                _ => [fours(acc), V::ZERO, V::ZERO, V::ZERO],
            };
            for (out, &sum) in out.as_chunks_mut::<LANES>().0.iter_mut().zip(&pixels) {
                *out = self.bounds.clamp(sum + self.bias).to_array();
            }
        }
    }
}

/// `out[i · N + j] = lines[j][i]`.
fn interleave<const N: usize>(lines: &[f32], len: usize, out: &mut [f32]) {
    let line: [&[f32]; N] = core::array::from_fn(|j| lines.get(j * len..).unwrap_or(&[]));
    let (cells, rest) = out.as_chunks_mut::<N>();
    let whole = line.map(|line| line.get(..cells.len()).unwrap_or(&[]));
    if whole.iter().any(|line| line.len() != cells.len()) {
        return;
    }
    for (i, cell) in cells.iter_mut().enumerate() {
        *cell = whole.map(|line| line[i]);
    }
    for (out, line) in rest.iter_mut().zip(&line) {
        *out = line.get(cells.len()).copied().unwrap_or(0.0);
    }
}

/// The same for any number of lines.
fn interleave_any(lines: &[f32], len: usize, n: usize, out: &mut [f32]) {
    for (i, cell) in out.chunks_mut(n).enumerate() {
        for (out, line) in cell.iter_mut().zip(lines.chunks_exact(len)) {
            *out = line.get(i).copied().unwrap_or(0.0);
        }
    }
}

/// Sums of neighbours.
#[inline(always)]
fn pairs(x: [V; 2]) -> V {
    let x = x.map(V::to_array);
    let x = x.as_flattened();
    V::new(core::array::from_fn(|i| x[2 * i] + x[2 * i + 1]))
}

/// Sums of four neighbours.
#[inline(always)]
fn fours(x: [V; 4]) -> V {
    let quads: [f32x4; 8] = bytemuck::cast(x);
    let sum = |quads: [f32x4; 4]| {
        let [a, b, c, d] = f32x4::transpose(quads);
        (a + b) + (c + d)
    };
    let [a, b, c, d, e, f, g, h] = quads;
    bytemuck::cast([sum([a, b, c, d]), sum([e, f, g, h])])
}
