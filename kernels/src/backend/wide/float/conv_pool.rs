//! A 3×3 convolution and a 2×2 max-pool behind it: the four sums under a window of the
//! pool stay in registers, and the largest is stored.
//!
//! Where all four are not numbers, the result is the convolution's lower bound.

use super::pack;
use super::tile::sum_runs;
use super::vector::{Bounds, LANES, SLACK, V, larger, load, store};
use crate::backend::Wide;
use crate::epilogue::Activation;
use crate::ops::fused::conv_pool2d as portable;
use crate::ops::{ConvPool2d, ConvPool2dGeometry};
use crate::view::{View, ViewMut};
use crate::window::Axis;

/// Input rows under a row of the pool.
const ROWS: usize = 4;
/// Most bytes of weights of a block of output channels, which every window reads again.
const WEIGHT_BYTES: usize = 16 << 10;

/// Buffers; everything follows from the shapes.
struct Layout {
    /// Vectors of packed weights.
    weights: usize,
    /// Floats of a row of the ring.
    row: usize,
}

impl Layout {
    /// `None` where bands of rows are better.
    fn new(g: &ConvPool2dGeometry) -> Option<Self> {
        let (conv, pool) = (&g.convolution, &g.pool.window);
        let three = |axis: &Axis| axis.kernel == 3 && axis.stride == 1 && axis.dilation == 1;
        let two = |axis: &Axis| axis.kernel == 2 && axis.stride == 2;
        let inputs = conv.input.c;
        let suits = conv.groups == 1
            && 9 * inputs * 2 * size_of::<V>() <= WEIGHT_BYTES
            && three(&conv.window.rows)
            && three(&conv.window.columns)
            && two(&pool.rows)
            && two(&pool.columns)
            && pool.is_unpadded();
        let columns = &conv.window.columns;
        // A row of the map with its padding, from the first tap of the first output on.
        let cells = (columns.output + 2).max(columns.pad + columns.input);
        let weights = 9 * inputs * pack::all(conv.output.c);
        suits.then_some(Self { weights, row: cells * inputs })
    }

    /// Bytes of scratch, whatever its alignment.
    const fn bytes(&self) -> usize {
        (self.weights + (ROWS * self.row).div_ceil(LANES)) * size_of::<V>() + SLACK
    }
}

/// Bytes of scratch.
pub(super) fn scratch(g: &ConvPool2dGeometry) -> usize {
    match Layout::new(g) {
        Some(layout) => layout.bytes(),
        None => portable::band_scratch_bytes::<f32, Wide>(g),
    }
}

/// See [`ConvPool2d`].
#[inline(never)]
pub(super) fn run(
    op: &ConvPool2d<'_, f32>,
    x: View<'_, f32>,
    mut y: ViewMut<'_, f32>,
    scratch: &mut [u8],
) {
    let (g, how) = (&op.geometry, &op.convolution.epilogue);
    let Some(layout) = Layout::new(g) else {
        return portable::run_bands::<f32, Wide>(op, x, y, scratch);
    };
    let (_, vectors, _) = bytemuck::pod_align_to_mut::<u8, V>(scratch);
    let Some((weights, ring)) = vectors.split_at_mut_checked(layout.weights) else { return };
    let Some(ring) = bytemuck::cast_slice_mut(ring).get_mut(..ROWS * layout.row) else { return };
    let (inputs, outputs) = (g.convolution.input.c, g.convolution.output.c);
    let depth = 9 * inputs;
    let mut rest = &mut *weights;
    for first in (0..outputs).step_by(2 * LANES) {
        let (block, tail) = rest.split_at_mut(depth * pack::width(first, outputs));
        rest = tail;
        pack::run(&op.convolution.weights[first * depth..], depth, depth, outputs - first, block);
    }
    let pooled = Pooled {
        op,
        inputs,
        len: 3 * inputs,
        bounds: Bounds::new(how.min, how.max),
        pool_bounds: Bounds::new(op.bounds.0, op.bounds.1),
    };
    let images = x.data().chunks_exact(g.convolution.input.image());
    for (image, y) in images.zip(y.data_mut().chunks_exact_mut(g.pool.output.image())) {
        ring.fill(0.0);
        let mut next = 0;
        for (py, y) in y.chunks_exact_mut(g.pool.output.row()).enumerate() {
            let end = 2 * py + ROWS;
            for row in next..end {
                pooled.keep(image, row, &mut ring[row % ROWS * layout.row..][..layout.row]);
            }
            next = end;
            let rows =
                core::array::from_fn(|r| &ring[(2 * py + r) % ROWS * layout.row..][..layout.row]);
            pooled.blocks(rows, weights, y);
        }
    }
}

/// A layer of this file.
struct Pooled<'a, 'w> {
    op: &'a ConvPool2d<'w, f32>,
    inputs: usize,
    /// Factors of a row of a window.
    len: usize,
    /// Of the convolution.
    bounds: Bounds,
    /// Of the pool.
    pool_bounds: Bounds,
}

impl Pooled<'_, '_> {
    /// Copies row `row` of the padded map into its place of the ring.
    fn keep(&self, image: &[f32], row: usize, out: &mut [f32]) {
        let g = &self.op.geometry.convolution;
        let at = g.window.columns.pad * self.inputs;
        let out = &mut out[at..at + g.input.row()];
        let inside = row.checked_sub(g.window.rows.pad).filter(|&iy| iy < g.input.h);
        match inside {
            Some(iy) => out.copy_from_slice(&image[iy * g.input.row()..][..g.input.row()]),
            None => out.fill(0.0),
        }
    }

    /// One row of the pool's outputs, all blocks of channels.
    fn blocks(&self, rows: [&[f32]; ROWS], weights: &[V], y: &mut [f32]) {
        let outputs = self.op.geometry.pool.output.c;
        let mut rest = weights;
        for first in (0..outputs).step_by(2 * LANES) {
            let n = pack::width(first, outputs);
            let (block, tail) = rest.split_at(9 * self.inputs * n);
            rest = tail;
            let linear = self.op.convolution.epilogue.activation == Activation::Linear;
            let row = match (self.inputs, n, linear) {
                (1, 1, true) => Self::row::<1, 1, true>,
                (1, _, true) => Self::row::<2, 1, true>,
                (_, 1, true) => Self::row::<1, 0, true>,
                (_, _, true) => Self::row::<2, 0, true>,
                (_, 1, false) => Self::row::<1, 0, false>,
                (_, _, false) => Self::row::<2, 0, false>,
            };
            row(self, rows, block, first, y);
        }
    }

    /// One row of the pool's outputs, `N` vectors of channels from `first` on; `STEP` input
    /// channels, or any number where it is 0. `LINEAR` where no activation follows.
    #[inline(never)]
    fn row<const N: usize, const STEP: usize, const LINEAR: bool>(
        &self,
        rows: [&[f32]; ROWS],
        weights: &[V],
        first: usize,
        y: &mut [f32],
    ) {
        // A field, not a product: where the compiler sees a multiple of three, it unrolls.
        let (step, len) = if STEP == 0 { (self.inputs, self.len) } else { (STEP, 3 * STEP) };
        let weights = weights.as_chunks::<N>().0;
        let outputs = self.op.geometry.pool.output.c;
        let channels = (outputs - first).min(N * LANES);
        let bias = &self.op.convolution.epilogue.bias[first..first + channels];
        let bias: [V; N] = core::array::from_fn(|v| load(bias.get(v * LANES..).unwrap_or(&[])));
        for (px, y) in y.chunks_exact_mut(outputs).enumerate() {
            let mut acc = [[V::ZERO; N]; 4];
            for (pair, weights) in rows.windows(2).zip(weights.chunks_exact(len)) {
                let at = 2 * px * step;
                let windows = [(0, at), (0, at + step), (1, at), (1, at + step)];
                let windows = windows.map(|(row, at)| pair[row].get(at..at + len).unwrap_or(&[]));
                sum_runs(windows, weights, &mut acc);
            }
            let [a, b, c, d] = acc;
            let out = &mut y[first..first + channels];
            for v in 0..N {
                let best = self.finish::<LINEAR>([a[v], b[v], c[v], d[v]], bias[v]);
                store(best, out.get_mut(v * LANES..).unwrap_or(&mut []));
            }
        }
    }

    /// The largest of four outputs of the convolution, from their sums.
    #[inline(always)]
    fn finish<const LINEAR: bool>(&self, sums: [V; 4], bias: V) -> V {
        let best = if LINEAR {
            // Bias and bounds keep the order.
            self.bounds.clamp(largest(sums) + bias)
        } else {
            let mut outputs = sums.map(|sum| self.bounds.clamp(sum + bias).to_array());
            let activation = self.op.convolution.epilogue.activation;
            super::activation::apply(activation, outputs.as_flattened_mut());
            largest(outputs.map(V::new))
        };
        self.pool_bounds.clamp(best)
    }
}

#[inline(always)]
fn largest([a, b, c, d]: [V; 4]) -> V {
    let best = larger(V::splat(f32::NEG_INFINITY), a);
    larger(larger(larger(best, b), c), d)
}
