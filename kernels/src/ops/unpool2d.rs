//! Unpooling: max-unpool by remembered indices, and bed of nails.
//!
//! Max-unpool writes zeros, then each value at the place that its pool
//! remembered; where overlapping windows remembered the same place, the later
//! window in row-major order wins. Bed of nails writes each value at the top
//! left of a cell of zeros. In int8 a zero is the zero point.

use crate::backend::{Backend, Kernels, Native};
use crate::element::Element;
use crate::error::{ShapeError, tri};
use crate::ops::check_views;
use crate::ops::pool2d::{Pool2dGeometry, WindowIndex};
use crate::shape::{Shape, product};
use crate::view::{View, ViewMut};

/// The inverse of a max-pool with indices.
#[derive(Clone, Copy, Debug)]
pub struct MaxUnpool2d<E> {
    pub(crate) pool: Pool2dGeometry,
    pub(crate) zero: E,
}

impl<E: Element> MaxUnpool2d<E> {
    /// Undoes `pool`; `zero` fills the places that no window remembered.
    ///
    /// # Errors
    /// [`ShapeError::Window`] for more than 65,536 taps.
    pub const fn new(pool: Pool2dGeometry, zero: E) -> Result<Self, ShapeError> {
        if pool.window.taps() > u16::TAPS {
            Err(ShapeError::Window)
        } else {
            Ok(Self { pool, zero })
        }
    }

    /// Shapes and window of the pool that it undoes.
    pub const fn pool(&self) -> &Pool2dGeometry {
        &self.pool
    }

    /// Runs on the native backend. An index that no tap inside the map has is
    /// ignored: indices are data and never trusted.
    ///
    /// # Errors
    /// [`ShapeError::Mismatch`] or [`ShapeError::Length`].
    pub fn run<I: WindowIndex>(
        &self,
        x: View<'_, E>,
        indices: &[I],
        y: ViewMut<'_, E>,
    ) -> Result<(), ShapeError>
    where
        Native: Kernels<E>,
    {
        self.run_on::<Native, I>(x, indices, y)
    }

    /// Runs on the backend `B`.
    ///
    /// # Errors
    /// As [`MaxUnpool2d::run`].
    pub fn run_on<B: Backend + Kernels<E>, I: WindowIndex>(
        &self,
        x: View<'_, E>,
        indices: &[I],
        y: ViewMut<'_, E>,
    ) -> Result<(), ShapeError> {
        check_views(&x, self.pool.output, &y, self.pool.input)?;
        if indices.len() != self.pool.output.count() {
            return Err(ShapeError::Length);
        }
        B::max_unpool2d(self, x, indices, y);
        Ok(())
    }
}

/// The portable max-unpool.
pub(crate) fn max_unpool<E: Element, I: WindowIndex>(
    op: &MaxUnpool2d<E>,
    x: View<'_, E>,
    indices: &[I],
    mut y: ViewMut<'_, E>,
) {
    let (pooled, map, window) = (op.pool.output, op.pool.input, &op.pool.window);
    y.data_mut().fill(op.zero);
    let sources = x.data().chunks_exact(pooled.image()).zip(indices.chunks_exact(pooled.image()));
    for ((values, indices), image) in sources.zip(y.data_mut().chunks_exact_mut(map.image())) {
        let pixels = values.chunks_exact(pooled.c).zip(indices.chunks_exact(pooled.c));
        for (index, (values, indices)) in pixels.enumerate() {
            let top = index / pooled.w * window.rows.stride;
            let left = index % pooled.w * window.columns.stride;
            for (c, (&value, tap)) in values.iter().zip(indices).enumerate() {
                let (ky, kx) =
                    (tap.tap() / window.columns.kernel, tap.tap() % window.columns.kernel);
                let row = (top + ky).checked_sub(window.rows.pad);
                let column = (left + kx).checked_sub(window.columns.pad);
                if let (Some(row), Some(column)) = (row, column)
                    && ky < window.rows.kernel
                    && row < map.h
                    && column < map.w
                {
                    image[(row * map.w + column) * map.c + c] = value;
                }
            }
        }
    }
}

/// Each value at the top left of a cell of zeros.
#[derive(Clone, Copy, Debug)]
pub struct BedOfNails2d<E> {
    pub(crate) input: Shape,
    pub(crate) output: Shape,
    pub(crate) stride: [usize; 2],
    pub(crate) zero: E,
}

impl<E: Element> BedOfNails2d<E> {
    /// Cells of `rows` × `columns` for each cell of `input`.
    ///
    /// # Errors
    /// [`ShapeError::Zero`] or [`ShapeError::Overflow`].
    pub const fn new(
        input: Shape,
        rows: usize,
        columns: usize,
        zero: E,
    ) -> Result<Self, ShapeError> {
        let (h, w) = (tri!(product(input.h, rows)), tri!(product(input.w, columns)));
        let output = tri!(Shape::new(input.n, h, w, input.c));
        Ok(Self { input, output, stride: [rows, columns], zero })
    }

    /// Shape of the output.
    pub const fn output(&self) -> Shape {
        self.output
    }

    /// Runs on the native backend.
    ///
    /// # Errors
    /// [`ShapeError::Mismatch`] for views of other shapes.
    pub fn run(&self, x: View<'_, E>, y: ViewMut<'_, E>) -> Result<(), ShapeError>
    where
        Native: Kernels<E>,
    {
        self.run_on::<Native>(x, y)
    }

    /// Runs on the backend `B`.
    ///
    /// # Errors
    /// As [`BedOfNails2d::run`].
    pub fn run_on<B: Backend + Kernels<E>>(
        &self,
        x: View<'_, E>,
        y: ViewMut<'_, E>,
    ) -> Result<(), ShapeError> {
        check_views(&x, self.input, &y, self.output)?;
        B::bed_of_nails2d(self, x, y);
        Ok(())
    }
}

/// The portable bed of nails.
pub(crate) fn bed_of_nails<E: Element>(
    op: &BedOfNails2d<E>,
    x: View<'_, E>,
    mut y: ViewMut<'_, E>,
) {
    let (c, [rows, columns]) = (op.input.c, op.stride);
    let out = y.data_mut();
    out.fill(op.zero);
    let bands = out.chunks_exact_mut(rows * op.output.row());
    for (row, band) in x.data().chunks_exact(op.input.row()).zip(bands) {
        for (value, cell) in row.chunks_exact(c).zip(band.chunks_exact_mut(columns * c)) {
            cell[..c].copy_from_slice(value);
        }
    }
}
