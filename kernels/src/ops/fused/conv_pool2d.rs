//! Convolution and max-pool in one.
//!
//! ```text
//! y[n, py, px, o] = clamp( max over the pool's taps of conv(x)[n, oy, ox, o] )
//! ```
//!
//! In int8 requantisation never decreases, so the maximum is taken over the sums
//! and one of them is requantised, not all (unless a table follows, or a shift
//! to the left might wrap). Windows of the pool do not overlap: no sum is
//! computed twice.

use super::{FusedElement, fused, split_scratch};
use crate::backend::Kernels;
use crate::element::Element;
use crate::error::{ShapeError, tri};
use crate::ops::conv2d::gather;
use crate::ops::{BLOCK, Conv2d, Conv2dGeometry, MaxPool2d, Pool2dGeometry, scratch_as};
use crate::shape::Shape;
use crate::view::{View, ViewMut};
use crate::window::Window;

/// Bytes of convolved rows that [`run_bands`] keeps, unless one row of the pool takes more.
const BAND_BYTES: usize = 8192;

/// Shapes and windows of a convolution and the pool that follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvPool2dGeometry {
    /// The convolution.
    pub convolution: Conv2dGeometry,
    /// The pool; its input is the convolution's output.
    pub pool: Pool2dGeometry,
}

impl ConvPool2dGeometry {
    /// `pool` over what `convolution` writes.
    ///
    /// # Errors
    /// [`ShapeError::Mismatch`] when their shapes do not fit; [`ShapeError::Window`] when
    /// windows of the pool overlap, or one of the convolution lies wholly in the padding.
    pub const fn new(
        convolution: Conv2dGeometry,
        pool: Pool2dGeometry,
    ) -> Result<Self, ShapeError> {
        if !pool.input.equals(&convolution.output) {
            return Err(ShapeError::Mismatch);
        }
        let (rows, columns) = (&pool.window.rows, &pool.window.columns);
        let apart = rows.stride >= rows.kernel && columns.stride >= columns.kernel;
        let window = &convolution.window;
        if !apart || !super::touches(&window.rows) || !super::touches(&window.columns) {
            return Err(ShapeError::Window);
        }
        Ok(Self { convolution, pool })
    }

    /// Shape of the input.
    pub const fn input(&self) -> Shape {
        self.convolution.input
    }

    /// Shape of the output.
    pub const fn output(&self) -> Shape {
        self.pool.output
    }

    /// Multiply-accumulates of the convolution.
    pub const fn macs(&self) -> u64 {
        self.convolution.macs()
    }
}

/// A convolution and a max-pool ready to run.
#[derive(Clone, Copy, Debug)]
pub struct ConvPool2d<'a, E: Element> {
    pub(crate) geometry: ConvPool2dGeometry,
    pub(crate) convolution: Conv2d<'a, E>,
    pub(crate) bounds: (E, E),
}

impl<'a, E: Element> ConvPool2d<'a, E> {
    /// The pair as one operator.
    ///
    /// # Errors
    /// As [`ConvPool2dGeometry::new`].
    pub const fn new(convolution: Conv2d<'a, E>, pool: MaxPool2d<E>) -> Result<Self, ShapeError> {
        let geometry = tri!(ConvPool2dGeometry::new(convolution.geometry, pool.geometry));
        Ok(Self { geometry, convolution, bounds: pool.bounds })
    }
}

fused!(ConvPool2d, ConvPool2dGeometry, conv_pool2d, conv_pool2d_scratch);

/// Bytes of scratch of the portable form: one column.
pub const fn scratch_bytes<E: Element>(geometry: &ConvPool2dGeometry) -> usize {
    geometry.convolution.depth().saturating_mul(size_of::<E>())
}

/// The portable form: one output of the pool at a time, its convolution never stored.
pub(crate) fn run<E: FusedElement, B: Kernels<E>>(
    op: &ConvPool2d<'_, E>,
    x: View<'_, E>,
    mut y: ViewMut<'_, E>,
    scratch: &mut [u8],
) {
    let (input, output) = (op.geometry.input(), op.geometry.output());
    let Some(column) = scratch_as::<E>(scratch, op.geometry.convolution.depth()) else { return };
    let monotone = E::monotone(&op.convolution.epilogue, op.geometry.convolution.depth());
    let images = x.data().chunks_exact(input.image());
    for (image, out) in images.zip(y.data_mut().chunks_exact_mut(output.image())) {
        for (index, pixel) in out.chunks_exact_mut(output.c).enumerate() {
            let at = [index / output.w, index % output.w];
            let groups = op.geometry.convolution.groups;
            for (group, out) in pixel.chunks_exact_mut(output.c / groups).enumerate() {
                for (block, out) in out.chunks_mut(BLOCK).enumerate() {
                    let first = group * (output.c / groups) + block * BLOCK;
                    if monotone {
                        largest_sum::<E, B>(op, image, at, [group, first], column, out);
                    } else {
                        largest_output::<E, B>(op, image, at, [group, first], column, out);
                    }
                }
            }
            let (min, max) = op.bounds;
            for value in pixel {
                *value = if *value > max { max } else { E::larger(min, *value) };
            }
        }
    }
}

/// Calls `each` with the sums of every convolution output under the pool's window `at`.
#[inline(always)]
fn for_sums<E: Element, B: Kernels<E>>(
    op: &ConvPool2d<'_, E>,
    image: &[E],
    at: [usize; 2],
    [group, first]: [usize; 2],
    column: &mut [E],
    count: usize,
    mut each: impl FnMut(&[E::Acc]),
) {
    let (convolution, pool) = (&op.geometry.convolution, &op.geometry.pool.window);
    let depth = convolution.depth();
    let inputs = convolution.input.c / convolution.groups;
    let channels = [group * inputs, inputs, convolution.input.c];
    let (rows, columns) = (pool.rows.taps(at[0]), pool.columns.taps(at[1]));
    for oy in rows.input..rows.input + rows.len() {
        for ox in columns.input..columns.input + columns.len() {
            let padding = op.convolution.padding;
            gather(&convolution.window, image, [oy, ox], channels, padding, column);
            let mut acc = [E::ACC_ZERO; BLOCK];
            let acc = &mut acc[..count];
            B::mac(acc, column, &op.convolution.weights[first * depth..], depth);
            each(acc);
        }
    }
}

/// `out` = the epilogue of the largest sums.
fn largest_sum<E: FusedElement, B: Kernels<E>>(
    op: &ConvPool2d<'_, E>,
    image: &[E],
    at: [usize; 2],
    from: [usize; 2],
    column: &mut [E],
    out: &mut [E],
) {
    let mut best = [E::ACC_ZERO; BLOCK];
    let best = &mut best[..out.len()];
    let mut started = false;
    for_sums::<E, B>(op, image, at, from, column, out.len(), |acc| {
        for (best, &acc) in best.iter_mut().zip(acc) {
            *best = if started { E::larger_sum(*best, acc) } else { acc };
        }
        started = true;
    });
    B::finish(out, best, from[1], &op.convolution.epilogue);
}

/// `out` = the largest outputs of the convolution.
fn largest_output<E: FusedElement, B: Kernels<E>>(
    op: &ConvPool2d<'_, E>,
    image: &[E],
    at: [usize; 2],
    from: [usize; 2],
    column: &mut [E],
    out: &mut [E],
) {
    out.fill(E::LOWEST);
    for_sums::<E, B>(op, image, at, from, column, out.len(), |acc| {
        let mut values = [E::ZERO; BLOCK];
        let values = &mut values[..out.len()];
        B::finish(values, acc, from[1], &op.convolution.epilogue);
        B::reduce_max(out, values);
    });
}

impl ConvPool2dGeometry {
    /// Rows of the pool's output in a band, and bytes of the convolved rows below them.
    fn band<E>(&self) -> (usize, usize) {
        let row = self.convolution.output.row() * size_of::<E>();
        let rows = &self.pool.window.rows;
        let count = (BAND_BYTES / row.saturating_mul(rows.stride).max(1)).clamp(1, rows.output);
        // `count` windows, the gaps between them included.
        let convolved = ((count - 1) * rows.stride + rows.kernel).min(rows.input);
        (count, convolved * row)
    }

    /// The parts of the band of `count` output rows from `first` on: the convolution and the
    /// first input row that it reads, and the pool.
    fn parts(&self, first: usize, count: usize) -> Option<(Conv2dGeometry, usize, Pool2dGeometry)> {
        let (convolution, pool) = (&self.convolution, &self.pool);
        let (rows, from) = pool.window.rows.band(first, count);
        let over = Window { rows, columns: pool.window.columns };
        let pool = Pool2dGeometry::new(over, 1, pool.input.c).ok()?;
        let (rows, input) = convolution.window.rows.band(from, rows.input);
        let window = Window { rows, columns: convolution.window.columns };
        let (inputs, outputs) = (convolution.input.c, convolution.output.c);
        let convolution = Conv2dGeometry::new(window, 1, inputs, outputs, convolution.groups);
        Some((convolution.ok()?, input, pool))
    }
}

/// Bytes of scratch of `run_bands`: the convolved rows of a band, and what the backend's
/// convolution needs for them.
pub fn band_scratch_bytes<E: Element, B: Kernels<E>>(geometry: &ConvPool2dGeometry) -> usize {
    let (count, bytes) = geometry.band::<E>();
    let bands = (0..geometry.output().h).step_by(count);
    let convolutions = bands.filter_map(|first| {
        let (convolution, ..) = geometry.parts(first, count.min(geometry.output().h - first))?;
        Some(B::conv2d_scratch(&convolution))
    });
    bytes.next_multiple_of(16) + convolutions.max().unwrap_or(0)
}

/// The pair by bands of rows, each through the backend's own convolution and pool: for a
/// backend whose convolution is worth more than fewer requantisations.
pub(crate) fn run_bands<E: FusedElement, B: Kernels<E>>(
    op: &ConvPool2d<'_, E>,
    x: View<'_, E>,
    mut y: ViewMut<'_, E>,
    scratch: &mut [u8],
) {
    let (input, output) = (op.geometry.input(), op.geometry.output());
    let (count, bytes) = op.geometry.band::<E>();
    let (band, rest) = split_scratch(scratch, bytes);
    let images = x.data().chunks_exact(input.image());
    for (image, out) in images.zip(y.data_mut().chunks_exact_mut(output.image())) {
        let outs = out.chunks_mut(count * output.row());
        for (first, out) in (0..output.h).step_by(count).zip(outs) {
            let Some((geometry, from, pool)) =
                op.geometry.parts(first, count.min(output.h - first))
            else {
                return;
            };
            let convolution = Conv2d { geometry, ..op.convolution };
            let pool = MaxPool2d { geometry: pool, bounds: op.bounds };
            let Some(map) = scratch_as::<E>(band, geometry.output.count()) else { return };
            let rows =
                image.get(from * input.row()..).and_then(|x| x.get(..geometry.input.count()));
            let Some(rows) = rows else { return };
            let (Ok(x), Ok(z)) =
                (View::new(geometry.input, rows), ViewMut::new(geometry.output, map))
            else {
                return;
            };
            B::conv2d(&convolution, x, z, rest);
            let (Ok(z), Ok(y)) =
                (View::new(geometry.output, map), ViewMut::new(pool.geometry.output, out))
            else {
                return;
            };
            B::max_pool2d(&pool, z, y);
        }
    }
}
