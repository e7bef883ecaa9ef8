//! Nearest upsampling by whole factors and convolution in one.
//!
//! Several taps of the convolution see the same cell of the small map. In int8
//! their weights are added up first: along one axis, output `o` begins at row
//! `v = o − pad` of the upsampled map, so with `q = ⌊v / f⌋` and phase
//! `p = v mod f` it reads
//!
//! ```text
//! y[o] = Σ_j x[q + j] · W_p[j]      W_p[j] = Σ w[t] over the taps t with ⌊(p + t) / f⌋ = j
//! ```
//!
//! which with factor 2 turns a 3×3 convolution into four of 2×2:
//!
//! ```text
//! phase 0:  W = [w0 + w1, w2]      phase 1:  W = [w0, w1 + w2]
//! ```
//!
//! A cell beyond the border holds only taps that lie in the padding, and a cell
//! of the map none of them, so borders are no special case. The sums need more
//! than eight bits; they are made in the scratch memory at the start of a run,
//! which costs less than one output row. Portably, floats, strides and dilation
//! read a column through the small map instead, every tap on its own.

use super::{FusedElement, fused, split_scratch};
use crate::backend::Kernels;
use crate::element::Element;
use crate::error::{ShapeError, tri};
use crate::ops::{BLOCK, Conv2d, Conv2dGeometry, scratch_as};
use crate::shape::{Shape, product};
use crate::view::{View, ViewMut};
use crate::window::{Axis, Window};

/// Most bytes of summed weights; a layer of more reads columns.
const WEIGHT_BYTES: usize = 8192;
/// Bytes of upsampled rows that [`run_bands`] keeps, unless one row of outputs needs more.
const BAND_BYTES: usize = 8192;

/// Shapes, factors and window of an upsampling and the convolution that follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpsampleConv2dGeometry {
    /// Shape of the small map.
    pub small: Shape,
    /// Rows and columns that a cell becomes.
    pub factor: [usize; 2],
    /// The convolution over the upsampled map.
    pub convolution: Conv2dGeometry,
}

impl UpsampleConv2dGeometry {
    /// `convolution` over `small` with each cell repeated `factor` times along rows and columns.
    ///
    /// # Errors
    /// [`ShapeError::Mismatch`] when the convolution has another input, [`ShapeError::Channels`]
    /// when it is in groups, [`ShapeError::Window`] when a window of it lies wholly in the padding.
    pub const fn new(
        small: Shape,
        factor: [usize; 2],
        convolution: Conv2dGeometry,
    ) -> Result<Self, ShapeError> {
        let (h, w) = (tri!(product(small.h, factor[0])), tri!(product(small.w, factor[1])));
        let upsampled = tri!(Shape::new(small.n, h, w, small.c));
        if !upsampled.equals(&convolution.input) {
            return Err(ShapeError::Mismatch);
        }
        if convolution.groups != 1 {
            return Err(ShapeError::Channels);
        }
        let window = &convolution.window;
        if !super::touches(&window.rows) || !super::touches(&window.columns) {
            return Err(ShapeError::Window);
        }
        // No more weights than this even when every tap is a cell of its own.
        let rows = tri!(product(window.rows.kernel, factor[0]));
        let columns = tri!(product(window.columns.kernel, factor[1]));
        tri!(product(tri!(product(tri!(product(rows, columns)), small.c)), convolution.output.c));
        Ok(Self { small, factor, convolution })
    }

    /// Shape of the input.
    pub const fn input(&self) -> Shape {
        self.small
    }

    /// Shape of the output.
    pub const fn output(&self) -> Shape {
        self.convolution.output
    }

    /// Summed weights of all phases: a kernel longer by `factor − 1` along each axis.
    pub const fn weights(&self) -> usize {
        let window = &self.convolution.window;
        let rows = window.rows.kernel + self.factor[0] - 1;
        let columns = window.columns.kernel + self.factor[1] - 1;
        rows * columns * self.small.c * self.convolution.output.c
    }

    /// Whether every output is a window of cells of the small map.
    pub const fn has_phases(&self) -> bool {
        let (rows, columns) = (&self.convolution.window.rows, &self.convolution.window.columns);
        rows.stride == 1 && columns.stride == 1 && rows.dilation == 1 && columns.dilation == 1
    }

    /// Multiply-accumulates by phases.
    pub const fn macs(&self) -> u64 {
        if !self.has_phases() {
            return self.convolution.macs();
        }
        // Each axis has, over its phases, `kernel + factor − 1` cells.
        let output = self.convolution.output;
        let cells = output.n as u64 * (output.h as u64) * (output.w as u64);
        self.weights() as u64 * cells / (self.factor[0] * self.factor[1]) as u64
    }
}

/// An upsampling and a convolution ready to run.
#[derive(Clone, Copy, Debug)]
pub struct UpsampleConv2d<'a, E: Element> {
    pub(crate) geometry: UpsampleConv2dGeometry,
    pub(crate) convolution: Conv2d<'a, E>,
}

impl<'a, E: Element> UpsampleConv2d<'a, E> {
    /// `convolution` over the upsampled `small` map.
    ///
    /// # Errors
    /// As [`UpsampleConv2dGeometry::new`].
    pub const fn new(
        small: Shape,
        factor: [usize; 2],
        convolution: Conv2d<'a, E>,
    ) -> Result<Self, ShapeError> {
        let geometry = tri!(UpsampleConv2dGeometry::new(small, factor, convolution.geometry));
        Ok(Self { geometry, convolution })
    }
}

fused!(UpsampleConv2d, UpsampleConv2dGeometry, upsample_conv2d, upsample_conv2d_scratch);

/// One axis of the convolution, seen from the small map.
#[derive(Clone, Copy)]
pub(crate) struct Phases {
    factor: usize,
    kernel: usize,
    pad: usize,
    /// Cells of the small map.
    cells: usize,
}

impl Phases {
    pub(crate) const fn new(axis: &Axis, factor: usize) -> Self {
        Self { factor, kernel: axis.kernel, pad: axis.pad, cells: axis.input / factor }
    }

    /// The cell of `phase` that tap `t` falls on.
    pub(crate) const fn tap(&self, phase: usize, t: usize) -> usize {
        (phase + t) / self.factor
    }

    /// Cells that the outputs of `phase` read.
    pub(crate) const fn taps(&self, phase: usize) -> usize {
        (phase + self.kernel - 1) / self.factor + 1
    }

    /// Cells of all phases before `phase`.
    pub(crate) const fn before(&self, phase: usize) -> usize {
        let (mut sum, mut p) = (0, 0);
        while p < phase {
            sum += self.taps(p);
            p += 1;
        }
        sum
    }

    /// The phase of output `o`, and the first cell that it reads, which may lie outside.
    pub(crate) const fn of(&self, o: usize) -> (usize, isize) {
        let skipped = self.pad.div_ceil(self.factor);
        let shifted = o + skipped * self.factor - self.pad;
        (shifted % self.factor, (shifted / self.factor) as isize - skipped as isize)
    }

    /// Cell `first + j` when it lies inside.
    const fn cell(&self, first: isize, j: usize) -> Option<usize> {
        let cell = first + j as isize;
        if cell >= 0 && (cell as usize) < self.cells { Some(cell as usize) } else { None }
    }
}

/// Whether weights are summed in scratch memory.
const fn sums<E: FusedElement>(geometry: &UpsampleConv2dGeometry) -> bool {
    let window = &geometry.convolution.window;
    E::EXACT
        && geometry.has_phases()
        && geometry.weights() * size_of::<E::Wide>() <= WEIGHT_BYTES
        && smaller(window.rows.kernel, geometry.factor[0])
            * smaller(window.columns.kernel, geometry.factor[1])
            <= E::WIDE_TAPS
}

const fn smaller(a: usize, b: usize) -> usize {
    if a < b { a } else { b }
}

/// Bytes of scratch of the portable form: a column and the summed weights.
pub const fn scratch_bytes<E: FusedElement>(geometry: &UpsampleConv2dGeometry) -> usize {
    let column = geometry.convolution.depth().saturating_mul(size_of::<E>());
    if sums::<E>(geometry) {
        column.next_multiple_of(16) + geometry.weights() * size_of::<E::Wide>()
    } else {
        column
    }
}

/// The portable form: by phases where weights may be summed, else by columns.
pub(crate) fn run<E: FusedElement, B: Kernels<E>>(
    op: &UpsampleConv2d<'_, E>,
    x: View<'_, E>,
    y: ViewMut<'_, E>,
    scratch: &mut [u8],
) {
    let depth = op.geometry.convolution.depth();
    let (column, rest) = split_scratch(scratch, depth * size_of::<E>());
    let Some(column) = scratch_as::<E>(column, depth) else { return };
    if sums::<E>(&op.geometry) {
        let (_, wide, _) = bytemuck::pod_align_to_mut::<u8, E::Wide>(rest);
        let Some(wide) = wide.get_mut(..op.geometry.weights()) else { return };
        sum_weights(op, wide);
        by_phases::<E, B>(op, x, y, column, wide);
    } else {
        by_columns::<E, B>(op, x, y, column);
    }
}

/// Both axes.
pub(crate) const fn axes(geometry: &UpsampleConv2dGeometry) -> [Phases; 2] {
    let window = &geometry.convolution.window;
    [
        Phases::new(&window.rows, geometry.factor[0]),
        Phases::new(&window.columns, geometry.factor[1]),
    ]
}

/// `wide` = the weights of all phases, `[phase y][phase x][o][cell y][cell x][i]`.
pub(crate) fn sum_weights<E: FusedElement>(op: &UpsampleConv2d<'_, E>, wide: &mut [E::Wide]) {
    let [rows, columns] = axes(&op.geometry);
    let (channels, inputs) = (op.geometry.output().c, op.geometry.small.c);
    let taps = rows.kernel * columns.kernel * inputs;
    wide.fill(bytemuck::Zeroable::zeroed());
    let mut rest = wide;
    for py in 0..rows.factor {
        for px in 0..columns.factor {
            let (ty, tx) = (rows.taps(py), columns.taps(px));
            let depth = ty * tx * inputs;
            let (phase, after) = rest.split_at_mut(channels * depth);
            rest = after;
            let outputs = phase.chunks_exact_mut(depth.max(1));
            for (out, weights) in outputs.zip(op.convolution.weights.chunks_exact(taps.max(1))) {
                for (tap, weights) in weights.chunks_exact(inputs).enumerate() {
                    let (ky, kx) = (tap / columns.kernel, tap % columns.kernel);
                    let cell = rows.tap(py, ky) * tx + columns.tap(px, kx);
                    let cell = &mut out[cell * inputs..][..inputs];
                    for (sum, &weight) in cell.iter_mut().zip(weights) {
                        *sum = E::add_weight(*sum, weight);
                    }
                }
            }
        }
    }
}

/// Each output a window of cells with summed weights.
fn by_phases<E: FusedElement, B: Kernels<E>>(
    op: &UpsampleConv2d<'_, E>,
    x: View<'_, E>,
    mut y: ViewMut<'_, E>,
    column: &mut [E],
    wide: &[E::Wide],
) {
    let (small, output) = (op.geometry.small, op.geometry.output());
    let [rows, columns] = axes(&op.geometry);
    // Weights of one output channel and one row of cells, over all phases of columns.
    let pitch = columns.before(columns.factor) * output.c * small.c;
    let images = x.data().chunks_exact(small.image());
    for (image, out) in images.zip(y.data_mut().chunks_exact_mut(output.image())) {
        for (index, pixel) in out.chunks_exact_mut(output.c).enumerate() {
            let (py, top) = rows.of(index / output.w);
            let (px, left) = columns.of(index % output.w);
            let (ty, tx) = (rows.taps(py), columns.taps(px));
            let depth = ty * tx * small.c;
            let begin = rows.before(py) * pitch + columns.before(px) * ty * output.c * small.c;
            let weights = &wide[begin..begin + output.c * depth];
            let column = &mut column[..depth];
            for (cell, out) in column.chunks_exact_mut(small.c).enumerate() {
                match (rows.cell(top, cell / tx), columns.cell(left, cell % tx)) {
                    (Some(iy), Some(ix)) => {
                        let at = (iy * small.w + ix) * small.c;
                        out.copy_from_slice(&image[at..at + small.c]);
                    }
                    _ => out.fill(op.convolution.padding),
                }
            }
            for (block, out) in pixel.chunks_mut(BLOCK).enumerate() {
                let mut acc = [E::ACC_ZERO; BLOCK];
                let acc = &mut acc[..out.len()];
                let first = block * BLOCK;
                E::mac_wide(acc, column, &weights[first * depth..]);
                B::finish(out, acc, first, &op.convolution.epilogue);
            }
        }
    }
}

/// Each output a column of the upsampled map, read through the small one.
fn by_columns<E: Element, B: Kernels<E>>(
    op: &UpsampleConv2d<'_, E>,
    x: View<'_, E>,
    mut y: ViewMut<'_, E>,
    column: &mut [E],
) {
    let (small, output) = (op.geometry.small, op.geometry.output());
    let window = &op.geometry.convolution.window;
    let [fy, fx] = op.geometry.factor;
    let row_len = window.columns.kernel * small.c;
    let images = x.data().chunks_exact(small.image());
    for (image, out) in images.zip(y.data_mut().chunks_exact_mut(output.image())) {
        for (index, pixel) in out.chunks_exact_mut(output.c).enumerate() {
            let rows = window.rows.taps(index / output.w);
            let columns = window.columns.taps(index % output.w);
            column.fill(op.convolution.padding);
            for (ky, cells) in column.chunks_exact_mut(row_len).enumerate() {
                if ky < rows.first || ky >= rows.end {
                    continue;
                }
                let iy = (rows.input + (ky - rows.first) * window.rows.dilation) / fy;
                let cells = cells.chunks_exact_mut(small.c).skip(columns.first);
                for (j, cell) in cells.take(columns.len()).enumerate() {
                    let ix = (columns.input + j * window.columns.dilation) / fx;
                    let at = (iy * small.w + ix) * small.c;
                    cell.copy_from_slice(&image[at..at + small.c]);
                }
            }
            for (block, out) in pixel.chunks_mut(BLOCK).enumerate() {
                let mut acc = [E::ACC_ZERO; BLOCK];
                let acc = &mut acc[..out.len()];
                let first = block * BLOCK;
                B::mac(acc, column, &op.convolution.weights[first * column.len()..], column.len());
                B::finish(out, acc, first, &op.convolution.epilogue);
            }
        }
    }
}

impl UpsampleConv2dGeometry {
    /// Output rows of a band, and bytes of the upsampled rows above them.
    fn band<E>(&self) -> (usize, usize) {
        let rows = &self.convolution.window.rows;
        let row = self.convolution.input.row() * size_of::<E>();
        let reach = (rows.kernel - 1) * rows.dilation + 1;
        let fits = (BAND_BYTES / row.max(1)).saturating_sub(reach) / rows.stride + 1;
        let count = smaller(fits, rows.output);
        let read = smaller((count - 1) * rows.stride + reach, rows.input);
        (count, read * row)
    }

    /// The convolution of `count` output rows from `first` on, and the first upsampled row
    /// that it reads.
    fn part(&self, first: usize, count: usize) -> Option<(Conv2dGeometry, usize)> {
        let g = &self.convolution;
        let (rows, from) = g.window.rows.band(first, count);
        let window = Window { rows, columns: g.window.columns };
        Some((Conv2dGeometry::new(window, 1, g.input.c, g.output.c, 1).ok()?, from))
    }
}

/// Bytes of scratch of `run_bands`: the upsampled rows of a band, and what the backend's
/// convolution needs for them.
pub fn band_scratch_bytes<E: Element, B: Kernels<E>>(geometry: &UpsampleConv2dGeometry) -> usize {
    let (count, bytes) = geometry.band::<E>();
    let bands = (0..geometry.output().h).step_by(count);
    let convolutions = bands.filter_map(|first| {
        let (convolution, _) = geometry.part(first, count.min(geometry.output().h - first))?;
        Some(B::conv2d_scratch(&convolution))
    });
    bytes.next_multiple_of(16) + convolutions.max().unwrap_or(0)
}

/// The pair by bands of rows, each upsampled into scratch memory and convolved by the
/// backend's own kernel.
pub(crate) fn run_bands<E: FusedElement, B: Kernels<E>>(
    op: &UpsampleConv2d<'_, E>,
    x: View<'_, E>,
    mut y: ViewMut<'_, E>,
    scratch: &mut [u8],
) {
    let (small, output) = (op.geometry.small, op.geometry.output());
    let (count, bytes) = op.geometry.band::<E>();
    let (band, rest) = split_scratch(scratch, bytes);
    let images = x.data().chunks_exact(small.image());
    for (image, out) in images.zip(y.data_mut().chunks_exact_mut(output.image())) {
        let outs = out.chunks_mut(count * output.row());
        for (first, out) in (0..output.h).step_by(count).zip(outs) {
            let Some((geometry, from)) = op.geometry.part(first, count.min(output.h - first))
            else {
                return;
            };
            let Some(map) = scratch_as::<E>(band, geometry.input.count()) else { return };
            repeat(&op.geometry, image, from, map);
            let convolution = Conv2d { geometry, ..op.convolution };
            let (Ok(z), Ok(y)) =
                (View::new(geometry.input, map), ViewMut::new(geometry.output, out))
            else {
                return;
            };
            B::conv2d(&convolution, z, y, rest);
        }
    }
}

/// Rows of the upsampled map from `from` on.
fn repeat<E: Element>(geometry: &UpsampleConv2dGeometry, image: &[E], from: usize, out: &mut [E]) {
    let (small, [fy, fx]) = (geometry.small, geometry.factor);
    let len = small.row() * fx;
    let rows = out.len() / len.max(1);
    for r in 0..rows {
        let (done, rest) = out.split_at_mut(r * len);
        let row = &mut rest[..len];
        if r > 0 && !(from + r).is_multiple_of(fy) {
            row.copy_from_slice(&done[(r - 1) * len..]);
            continue;
        }
        let source = &image[(from + r) / fy * small.row()..][..small.row()];
        let cells = source.chunks_exact(small.c).zip(row.chunks_exact_mut(fx * small.c));
        for (cell, copies) in cells {
            for copy in copies.chunks_exact_mut(small.c) {
                copy.copy_from_slice(cell);
            }
        }
    }
}
