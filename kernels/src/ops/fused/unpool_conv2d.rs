//! Max-unpooling and convolution in one.
//!
//! Of the cells under a window of the pool one holds a value and the others the
//! code of zero, so only products with those values are computed:
//!
//! ```text
//! y[n, oy, ox, o] = epilogue( Σ zero·w + Σ over remembered places under the window of (x − zero) · w )
//! ```
//!
//! With 2×2 windows that is a quarter of the products. Windows of the pool do not
//! overlap, so no place is remembered twice. An index that no tap inside the map
//! has is ignored, as in [`crate::ops::MaxUnpool2d`].

use super::{FusedElement, split_scratch};
use crate::backend::{Backend, Kernels, Native};
use crate::element::Element;
use crate::error::{ShapeError, tri};
use crate::ops::{
    BLOCK, Conv2d, Conv2dGeometry, MaxUnpool2d, Pool2dGeometry, WindowIndex, check_scratch,
    check_views, scratch_as,
};
use crate::shape::Shape;
use crate::view::{View, ViewMut};
use crate::window::{Axis, Taps};

/// Shapes and windows of an unpooling and the convolution that follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnpoolConv2dGeometry {
    /// The pool that is undone.
    pub pool: Pool2dGeometry,
    /// The convolution over the map.
    pub convolution: Conv2dGeometry,
}

impl UnpoolConv2dGeometry {
    /// `convolution` over the map that undoes `pool`.
    ///
    /// # Errors
    /// [`ShapeError::Mismatch`] when their shapes do not fit, [`ShapeError::Channels`] for a
    /// convolution in groups, [`ShapeError::Window`] for a dilated one, for windows of the
    /// pool that overlap and for more than 65,536 taps.
    pub const fn new(
        pool: Pool2dGeometry,
        convolution: Conv2dGeometry,
    ) -> Result<Self, ShapeError> {
        if !convolution.input.equals(&pool.input) {
            return Err(ShapeError::Mismatch);
        }
        if convolution.groups != 1 {
            return Err(ShapeError::Channels);
        }
        let (rows, columns) = (&pool.window.rows, &pool.window.columns);
        let window = &convolution.window;
        let apart = rows.stride >= rows.kernel && columns.stride >= columns.kernel;
        let dense = window.rows.dilation == 1 && window.columns.dilation == 1;
        if !apart || !dense || pool.window.taps() > u16::TAPS {
            return Err(ShapeError::Window);
        }
        Ok(Self { pool, convolution })
    }

    /// Shape of the values.
    pub const fn values(&self) -> Shape {
        self.pool.output
    }

    /// Shape of the output.
    pub const fn output(&self) -> Shape {
        self.convolution.output
    }

    /// Multiply-accumulates with what is not zero, if every value were remembered and
    /// every window of the convolution lay inside.
    pub const fn macs(&self) -> u64 {
        let taps = (self.pool.window.rows.stride * self.pool.window.columns.stride) as u64;
        self.convolution.macs().div_ceil(taps)
    }
}

/// An unpooling and a convolution ready to run.
#[derive(Clone, Copy, Debug)]
pub struct UnpoolConv2d<'a, E: Element> {
    pub(crate) geometry: UnpoolConv2dGeometry,
    pub(crate) convolution: Conv2d<'a, E>,
    pub(crate) zero: E,
}

impl<'a, E: FusedElement> UnpoolConv2d<'a, E> {
    /// The pair as one operator.
    ///
    /// # Errors
    /// As [`UnpoolConv2dGeometry::new`]; [`ShapeError::Range`] when the zeros of the unpooling
    /// are not the padding of the convolution.
    pub fn new(unpool: MaxUnpool2d<E>, convolution: Conv2d<'a, E>) -> Result<Self, ShapeError> {
        let geometry = tri!(UnpoolConv2dGeometry::new(unpool.pool, convolution.geometry));
        if unpool.zero != convolution.padding {
            return Err(ShapeError::Range);
        }
        Ok(Self { geometry, convolution, zero: unpool.zero })
    }

    /// Shapes and windows.
    pub const fn geometry(&self) -> &UnpoolConv2dGeometry {
        &self.geometry
    }

    /// Runs on the native backend; `scratch` has [`Kernels::unpool_conv2d_scratch`] bytes.
    ///
    /// # Errors
    /// [`ShapeError::Mismatch`] for views of other shapes, [`ShapeError::Length`] for too
    /// little scratch or another number of indices.
    pub fn run<I: WindowIndex>(
        &self,
        x: View<'_, E>,
        indices: &[I],
        y: ViewMut<'_, E>,
        scratch: &mut [u8],
    ) -> Result<(), ShapeError>
    where
        Native: Kernels<E>,
    {
        self.run_on::<Native, I>(x, indices, y, scratch)
    }

    /// Runs on the backend `B`.
    ///
    /// # Errors
    /// As [`UnpoolConv2d::run`].
    pub fn run_on<B: Backend + Kernels<E>, I: WindowIndex>(
        &self,
        x: View<'_, E>,
        indices: &[I],
        y: ViewMut<'_, E>,
        scratch: &mut [u8],
    ) -> Result<(), ShapeError> {
        check_views(&x, self.geometry.values(), &y, self.geometry.output())?;
        check_scratch(scratch, <B as Kernels<E>>::unpool_conv2d_scratch(&self.geometry))?;
        if indices.len() != self.geometry.values().count() {
            return Err(ShapeError::Length);
        }
        B::unpool_conv2d(self, x, indices, y, scratch);
        Ok(())
    }
}

/// Bytes of scratch: a column of zeros, and what it sums to for every output channel.
pub const fn scratch_bytes<E: Element>(geometry: &UnpoolConv2dGeometry) -> usize {
    let column = geometry.convolution.depth().saturating_mul(size_of::<E>());
    column.next_multiple_of(16) + geometry.convolution.output.c * size_of::<E::Acc>()
}

/// Cells of the pool's output whose windows touch the cells `taps.input..` of the map.
fn cells(axis: &Axis, taps: Taps) -> core::ops::Range<usize> {
    if taps.is_empty() {
        return 0..0;
    }
    let first = (taps.input + axis.pad) / axis.stride;
    let last = (taps.input + taps.len() - 1 + axis.pad) / axis.stride;
    first.min(axis.output)..(last + 1).min(axis.output)
}

/// The portable form.
pub(crate) fn run<E: FusedElement, B: Kernels<E>, I: WindowIndex>(
    op: &UnpoolConv2d<'_, E>,
    x: View<'_, E>,
    indices: &[I],
    mut y: ViewMut<'_, E>,
    scratch: &mut [u8],
) {
    let (values, output) = (op.geometry.values(), op.geometry.output());
    let convolution = &op.convolution;
    let depth = convolution.geometry.depth();
    let (column, rest) = split_scratch(scratch, depth * size_of::<E>());
    let Some(column) = scratch_as::<E>(column, depth) else { return };
    let (_, zeros, _) = bytemuck::pod_align_to_mut::<u8, E::Acc>(rest);
    let Some(zeros) = zeros.get_mut(..output.c) else { return };
    column.fill(op.zero);
    zeros.fill(E::ACC_ZERO);
    B::mac(zeros, column, convolution.weights, depth);
    let images = x.data().chunks_exact(values.image()).zip(indices.chunks_exact(values.image()));
    for (image, out) in images.zip(y.data_mut().chunks_exact_mut(output.image())) {
        for (index, pixel) in out.chunks_exact_mut(output.c).enumerate() {
            let at = [index / output.w, index % output.w];
            for (block, out) in pixel.chunks_mut(BLOCK).enumerate() {
                let first = block * BLOCK;
                let mut acc = [E::ACC_ZERO; BLOCK];
                let acc = &mut acc[..out.len()];
                acc.copy_from_slice(&zeros[first..first + out.len()]);
                add_values(op, image, at, first, acc);
                B::finish(out, acc, first, &convolution.epilogue);
            }
        }
    }
}

/// Adds to `acc` the products of output `at` with the values under its window.
fn add_values<E: FusedElement, I: WindowIndex>(
    op: &UnpoolConv2d<'_, E>,
    (values, indices): (&[E], &[I]),
    [oy, ox]: [usize; 2],
    first: usize,
    acc: &mut [E::Acc],
) {
    let (pool, convolution) = (&op.geometry.pool.window, &op.geometry.convolution.window);
    let (small, depth) = (op.geometry.values(), op.geometry.convolution.depth());
    let (rows, columns) = (convolution.rows.taps(oy), convolution.columns.taps(ox));
    for py in cells(&pool.rows, rows) {
        for px in cells(&pool.columns, columns) {
            let at = (py * small.w + px) * small.c;
            // Taps of the convolution on the cells of this window: the tap of its first cell,
            // which may lie before the first.
            let row = (py * pool.rows.stride + rows.first).wrapping_sub(pool.rows.pad + rows.input);
            let column = (px * pool.columns.stride + columns.first)
                .wrapping_sub(pool.columns.pad + columns.input);
            let cell = values[at..at + small.c].iter().zip(&indices[at..at + small.c]);
            for (c, (&value, index)) in cell.enumerate() {
                let (iy, ix) =
                    (index.tap() / pool.columns.kernel, index.tap() % pool.columns.kernel);
                let (ky, kx) = (row.wrapping_add(iy), column.wrapping_add(ix));
                let inside = iy < pool.rows.kernel
                    && (rows.first..rows.end).contains(&ky)
                    && (columns.first..columns.end).contains(&kx);
                if inside {
                    let tap = (ky * convolution.columns.kernel + kx) * small.c + c;
                    let weights = &op.convolution.weights[first * depth + tap..];
                    E::mac_from(acc, value, op.zero, weights, depth);
                }
            }
        }
    }
}
