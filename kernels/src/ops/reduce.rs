//! Mean and maximum over axes.
//!
//! Axes fall into kept and reduced ones, up to three of each after neighbours
//! are merged; global pooling keeps `[n, c]` and reduces `[h·w]`. int8 MEAN
//! folds the count into the multiplier (TFLite's `MEAN`):
//! `y = zero point + round((Σx − count·zx) · M / count)`.

use crate::backend::Kernels;
use crate::element::Element;
use crate::error::{ShapeError, tri};
use crate::ops::BLOCK;
use crate::shape::{MAX_ELEMENTS, product};

/// Kept axes, and reduced axes.
pub const REDUCE_AXES: usize = 3;

/// Extents and strides of the kept and the reduced axes, outermost first; unused axes have extent 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReduceGeometry {
    /// Extents of the output.
    pub kept: [usize; REDUCE_AXES],
    /// Input elements between neighbours along a kept axis.
    pub kept_strides: [usize; REDUCE_AXES],
    /// Extents of what is reduced.
    pub reduced: [usize; REDUCE_AXES],
    /// Input elements between neighbours along a reduced axis.
    pub reduced_strides: [usize; REDUCE_AXES],
}

impl ReduceGeometry {
    /// Mean or maximum over rows and columns of NHWC maps.
    pub const fn global(n: usize, cells: usize, channels: usize) -> Self {
        Self {
            kept: [1, n, channels],
            kept_strides: [0, cells * channels, 1],
            reduced: [1, 1, cells],
            reduced_strides: [0, 0, channels],
        }
    }

    /// Elements of the output.
    pub const fn outputs(&self) -> usize {
        self.kept[0] * self.kept[1] * self.kept[2]
    }

    /// Elements per output.
    pub const fn count(&self) -> usize {
        self.reduced[0] * self.reduced[1] * self.reduced[2]
    }

    /// Checks that it reads each of `input` elements once at most and writes `output` elements.
    ///
    /// # Errors
    /// [`ShapeError::Zero`], [`ShapeError::Overflow`] or [`ShapeError::Length`].
    pub const fn check(&self, input: usize, output: usize) -> Result<(), ShapeError> {
        let (mut outputs, mut count, mut last, mut axis) = (1, 1, 0usize, 0);
        while axis < REDUCE_AXES {
            if self.kept[axis] == 0 || self.reduced[axis] == 0 {
                return Err(ShapeError::Zero);
            }
            outputs = tri!(product(outputs, self.kept[axis]));
            count = tri!(product(count, self.reduced[axis]));
            last += tri!(product(self.kept[axis] - 1, self.kept_strides[axis]));
            last += tri!(product(self.reduced[axis] - 1, self.reduced_strides[axis]));
            if last > MAX_ELEMENTS {
                return Err(ShapeError::Overflow);
            }
            axis += 1;
        }
        // Each element of the input belongs to one output, and is read once.
        let read = tri!(product(outputs, count));
        if last >= input || outputs != output || read > input {
            return Err(ShapeError::Length);
        }
        Ok(())
    }

    /// Calls `each(block of outputs, runs)` where `runs` calls back with every run of cells that
    /// is reduced to the block: elements from the first cell on.
    fn for_blocks<E: Element>(
        &self,
        x: &[E],
        y: &mut [E],
        mut each: impl FnMut(&mut [E], &dyn Fn(&mut dyn FnMut(&[E]))),
    ) {
        let [d0, d1, _] = self.reduced;
        let [s0, s1, _] = self.reduced_strides;
        let [a, b, c] = self.kept;
        let [sa, sb, sc] = self.kept_strides;
        // Channels that lie side by side are reduced together, others one at a time.
        let block = if sc == 1 { BLOCK } else { 1 };
        for (row, out) in y.chunks_exact_mut(c).take(a * b).enumerate() {
            let base = (row / b) * sa + (row % b) * sb;
            for (index, out) in out.chunks_mut(block).enumerate() {
                let start = base + index * block * sc;
                each(out, &|run| {
                    for i in 0..d0 * d1 {
                        run(&x[start + i / d1 * s0 + i % d1 * s1..]);
                    }
                });
            }
        }
    }
}

/// Mean over axes.
#[derive(Clone, Copy, Debug)]
pub struct Mean<'a, E: Element> {
    /// Axes.
    pub geometry: ReduceGeometry,
    /// What the sum starts from: `−count · zero point` for int8.
    pub initial: E::Acc,
    /// int8: requantisation with the count folded in, without bias. f32: the clamp.
    pub epilogue: E::Epilogue<'a>,
}

impl Mean<'_, i8> {
    /// Runs on the backend `B`.
    ///
    /// # Errors
    /// As [`ReduceGeometry::check`].
    pub fn run_on<B: Kernels<i8>>(&self, x: &[i8], y: &mut [i8]) -> Result<(), ShapeError> {
        self.geometry.check(x.len(), y.len())?;
        let ReduceGeometry { reduced: [.., cells], reduced_strides: [.., pitch], .. } =
            self.geometry;
        self.geometry.for_blocks(x, y, |out, runs| {
            let mut sum = [self.initial; BLOCK];
            let sum = &mut sum[..out.len()];
            runs(&mut |x| B::sum_cells(sum, x, pitch, cells));
            B::finish(out, sum, 0, &self.epilogue);
        });
        Ok(())
    }
}

impl Mean<'_, f32> {
    /// Runs on the backend `B`.
    ///
    /// # Errors
    /// As [`ReduceGeometry::check`].
    pub fn run_on<B: Kernels<f32>>(&self, x: &[f32], y: &mut [f32]) -> Result<(), ShapeError> {
        self.geometry.check(x.len(), y.len())?;
        let bounds = (self.epilogue.min, self.epilogue.max);
        let ReduceGeometry { reduced: [.., cells], reduced_strides: [.., pitch], .. } =
            self.geometry;
        self.geometry.for_blocks(x, y, |out, runs| {
            let mut sum = [self.initial; BLOCK];
            let sum = &mut sum[..out.len()];
            runs(&mut |x| B::sum_cells(sum, x, pitch, cells));
            B::average(out, sum, self.geometry.count(), bounds);
        });
        Ok(())
    }
}

/// Maximum over axes; input and output share their quantisation.
#[derive(Clone, Copy, Debug)]
pub struct ReduceMax {
    /// Axes.
    pub geometry: ReduceGeometry,
}

impl ReduceMax {
    /// Runs on the backend `B`.
    ///
    /// # Errors
    /// As [`ReduceGeometry::check`].
    pub fn run_on<B: Kernels<E>, E: Element>(
        &self,
        x: &[E],
        y: &mut [E],
    ) -> Result<(), ShapeError> {
        self.geometry.check(x.len(), y.len())?;
        let ReduceGeometry { reduced: [.., cells], reduced_strides: [.., pitch], .. } =
            self.geometry;
        self.geometry.for_blocks(x, y, |out, runs| {
            out.fill(E::LOWEST);
            runs(&mut |x| {
                for cell in 0..cells {
                    B::reduce_max(out, &x[cell * pitch..][..out.len()]);
                }
            });
        });
        Ok(())
    }
}
