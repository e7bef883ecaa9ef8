//! Moving elements: transpose, slice, crop, tile, concatenation and padding are
//! strided copies, one or several.
//!
//! A copy runs over up to six axes, outermost first; `y[at_y + Σ iₖ·outₖ] = x[at_x + Σ iₖ·inₖ]`.
//! Tiling is an axis of input stride 0, reversal a negative stride,
//! concatenation one copy per input, padding a fill and a copy, mirror padding
//! a copy per border.

use crate::error::{ShapeError, tri};
use crate::shape::{MAX_ELEMENTS, product};

/// Axes of a copy or of a broadcast.
pub const AXES: usize = 6;

/// One past the last element that these extents and strides touch.
pub(crate) const fn span(
    dims: &[usize; AXES],
    strides: &[usize; AXES],
) -> Result<usize, ShapeError> {
    let (mut last, mut axis) = (0usize, 0);
    while axis < AXES {
        if dims[axis] == 0 {
            return Err(ShapeError::Zero);
        }
        last += tri!(product(dims[axis] - 1, strides[axis]));
        if last > MAX_ELEMENTS {
            return Err(ShapeError::Overflow);
        }
        axis += 1;
    }
    Ok(last + 1)
}

/// A copy between two strided layouts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StridedCopy {
    /// Extents, outermost first; unused axes are 1.
    pub dims: [usize; AXES],
    /// First element read.
    pub input_offset: usize,
    /// Elements between neighbours in the input; 0 repeats, negative reverses.
    pub input_strides: [isize; AXES],
    /// First element written.
    pub output_offset: usize,
    /// Elements between neighbours in the output; positive where the extent is not 1.
    pub output_strides: [usize; AXES],
}

impl StridedCopy {
    /// Checks that it stays within `input` and `output` elements, and writes no more
    /// of them than there are.
    ///
    /// # Errors
    /// [`ShapeError::Zero`], [`ShapeError::Overflow`], or [`ShapeError::Length`] when it leaves a
    /// buffer or would write some element again and again.
    pub const fn check(&self, input: usize, output: usize) -> Result<(), ShapeError> {
        let written = tri!(span(&self.dims, &self.output_strides));
        match written.checked_add(self.output_offset) {
            Some(end) if end <= output => {}
            _ => return Err(ShapeError::Length),
        }
        let (mut low, mut high) = (self.input_offset as i64, self.input_offset as i64);
        let (mut count, mut axis) = (1, 0);
        while axis < AXES {
            count = tri!(product(count, self.dims[axis]));
            let Some(reach) =
                (self.dims[axis] as i64 - 1).checked_mul(self.input_strides[axis] as i64)
            else {
                return Err(ShapeError::Overflow);
            };
            if reach.unsigned_abs() > MAX_ELEMENTS as u64 {
                return Err(ShapeError::Overflow);
            }
            if reach < 0 {
                low += reach
            } else {
                high += reach
            }
            axis += 1;
        }
        if low < 0 || high >= input as i64 || input > MAX_ELEMENTS || count > output {
            return Err(ShapeError::Length);
        }
        Ok(())
    }

    /// Copies.
    ///
    /// # Errors
    /// As [`StridedCopy::check`].
    pub fn run<T: Copy>(&self, x: &[T], y: &mut [T]) -> Result<(), ShapeError> {
        self.check(x.len(), y.len())?;
        self.copy(x, y);
        Ok(())
    }

    /// Copies after a check.
    pub(crate) fn copy<T: Copy>(&self, x: &[T], y: &mut [T]) {
        const INNER: usize = AXES - 1;
        let rows: usize = self.dims[..INNER].iter().product();
        let length = self.dims[INNER];
        let (step_in, step_out) = (self.input_strides[INNER], self.output_strides[INNER]);
        let mut index = [0usize; AXES];
        let (mut from, mut to) = (self.input_offset as isize, self.output_offset);
        for _ in 0..rows {
            if step_in == 1 && step_out == 1 {
                let start = from as usize;
                y[to..to + length].copy_from_slice(&x[start..start + length]);
            } else {
                let mut source = from;
                for cell in y[to..].iter_mut().step_by(step_out.max(1)).take(length) {
                    *cell = x[source as usize];
                    source += step_in;
                }
            }
            for axis in (0..INNER).rev() {
                index[axis] += 1;
                from += self.input_strides[axis];
                to += self.output_strides[axis];
                if index[axis] < self.dims[axis] {
                    break;
                }
                index[axis] = 0;
                from -= self.input_strides[axis] * self.dims[axis] as isize;
                to -= self.output_strides[axis] * self.dims[axis];
            }
        }
    }
}
