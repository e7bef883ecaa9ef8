//! Sliding windows: output sizes and in-bounds taps. All of the crate's
//! padding arithmetic is here.
//!
//! Along one axis, output `o` reads inputs `o · stride − pad + t · dilation` for
//! the taps `t` in `0..kernel`. SAME padding is TensorFlow's
//! (`tensorflow/core/framework/common_shape_fns`): the output has
//! `ceil(input / stride)` cells, the total padding is what the last window
//! lacks, and the smaller half goes before.

use crate::error::{ShapeError, tri};
use crate::shape::{MAX_ELEMENTS, Shape};

/// How the border is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// `ceil(input / stride)` outputs, total padding halved.
    Same,
    /// Windows inside the input only.
    Valid,
    /// Cells before and after, on both axes: `[[top, bottom], [left, right]]`.
    Explicit([[usize; 2]; 2]),
}

/// One axis of a window over an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Axis {
    /// Input cells.
    pub input: usize,
    /// Output cells.
    pub output: usize,
    /// Taps.
    pub kernel: usize,
    /// Input cells between neighbouring outputs.
    pub stride: usize,
    /// Input cells between neighbouring taps.
    pub dilation: usize,
    /// Padding cells before the input.
    pub pad: usize,
}

/// The taps of one output cell that lie inside the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taps {
    /// First tap inside.
    pub first: usize,
    /// One past the last tap inside; equal to `first` when none is.
    pub end: usize,
    /// Input cell of the tap `first`.
    pub input: usize,
}

impl Taps {
    /// Number of taps inside.
    pub const fn len(&self) -> usize {
        self.end - self.first
    }

    /// Whether the window lies wholly in the padding.
    pub const fn is_empty(&self) -> bool {
        self.end == self.first
    }
}

impl Axis {
    /// An axis with all extents given.
    ///
    /// # Errors
    /// [`ShapeError::Zero`] or [`ShapeError::Overflow`].
    pub const fn new(
        input: usize,
        output: usize,
        kernel: usize,
        stride: usize,
        dilation: usize,
        pad: usize,
    ) -> Result<Self, ShapeError> {
        if input == 0 || output == 0 || kernel == 0 || stride == 0 || dilation == 0 {
            return Err(ShapeError::Zero);
        }
        let (Some(last), Some(reach)) =
            ((output - 1).checked_mul(stride), (kernel - 1).checked_mul(dilation))
        else {
            return Err(ShapeError::Overflow);
        };
        // Every intermediate of `taps` then fits: each is a sum of at most four of these.
        let limit = MAX_ELEMENTS / 4;
        if last > limit || reach > limit || pad > limit || input > limit || stride > limit {
            return Err(ShapeError::Overflow);
        }
        Ok(Self { input, output, kernel, stride, dilation, pad })
    }

    /// An axis whose output size follows from the padding (`[before, after]`
    /// when explicit, `None` for SAME).
    const fn fit(
        input: usize,
        kernel: usize,
        stride: usize,
        dilation: usize,
        pads: Option<[usize; 2]>,
    ) -> Result<Self, ShapeError> {
        if input == 0 || kernel == 0 || stride == 0 || dilation == 0 {
            return Err(ShapeError::Zero);
        }
        let Some(reach) = (kernel - 1).checked_mul(dilation) else {
            return Err(ShapeError::Overflow);
        };
        if reach > MAX_ELEMENTS / 4 || input > MAX_ELEMENTS / 4 {
            return Err(ShapeError::Overflow);
        }
        match pads {
            None => {
                let output = input.div_ceil(stride);
                let Some(last) = (output - 1).checked_mul(stride) else {
                    return Err(ShapeError::Overflow);
                };
                let total = (last + reach + 1).saturating_sub(input);
                Self::new(input, output, kernel, stride, dilation, total / 2)
            }
            Some([before, after]) => {
                if before > MAX_ELEMENTS / 4 || after > MAX_ELEMENTS / 4 {
                    return Err(ShapeError::Overflow);
                }
                let padded = input + before + after;
                if padded < reach + 1 {
                    return Err(ShapeError::Window);
                }
                let output = (padded - reach - 1) / stride + 1;
                Self::new(input, output, kernel, stride, dilation, before)
            }
        }
    }

    /// The taps of output `o` that lie inside the input.
    #[inline]
    pub const fn taps(&self, o: usize) -> Taps {
        let start = o * self.stride;
        let first = if start >= self.pad { 0 } else { (self.pad - start).div_ceil(self.dilation) };
        // Taps t with start + t·dilation < pad + input.
        let room = (self.pad + self.input).saturating_sub(start);
        let end = room.div_ceil(self.dilation);
        let end = if end < self.kernel { end } else { self.kernel };
        if first >= end {
            return Taps { first: 0, end: 0, input: 0 };
        }
        Taps { first, end, input: start + first * self.dilation - self.pad }
    }

    /// Whether every tap of every output lies inside.
    pub const fn is_unpadded(&self) -> bool {
        self.pad == 0 && self.taps(self.output - 1).len() == self.kernel
    }

    /// Outputs `first..end` whose windows lie wholly inside the input.
    pub const fn interior(&self) -> (usize, usize) {
        let first = self.pad.div_ceil(self.stride);
        let reach = (self.kernel - 1) * self.dilation;
        let room = self.input + self.pad;
        let end = if room > reach { (room - reach - 1) / self.stride + 1 } else { 0 };
        let end = if end < self.output { end } else { self.output };
        if first >= end { (0, 0) } else { (first, end) }
    }

    /// The axis of the outputs `first..first + count` alone, over the inputs that they read,
    /// and the first of those inputs. Every window must touch the input.
    pub const fn band(&self, first: usize, count: usize) -> (Self, usize) {
        let reach = (self.kernel - 1) * self.dilation + 1;
        let start = first * self.stride;
        let from = start.saturating_sub(self.pad);
        let from = if from < self.input { from } else { self.input - 1 };
        let end = (start + (count - 1) * self.stride + reach).saturating_sub(self.pad);
        let end = if end < self.input { end } else { self.input };
        let input = if end > from { end - from } else { 1 };
        let pad = self.pad.saturating_sub(start);
        (Self { input, output: count, pad, ..*self }, from)
    }
}

/// Kernel, stride, dilation and padding of a two-dimensional window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window2d {
    kernel: [usize; 2],
    stride: [usize; 2],
    dilation: [usize; 2],
    padding: Padding,
}

impl Window2d {
    /// A `rows` × `columns` window of stride 1, dilation 1, valid padding.
    pub const fn new(rows: usize, columns: usize) -> Self {
        Self { kernel: [rows, columns], stride: [1, 1], dilation: [1, 1], padding: Padding::Valid }
    }

    /// With this stride along rows and columns.
    #[must_use]
    pub const fn stride(mut self, rows: usize, columns: usize) -> Self {
        self.stride = [rows, columns];
        self
    }

    /// With this dilation along rows and columns.
    #[must_use]
    pub const fn dilation(mut self, rows: usize, columns: usize) -> Self {
        self.dilation = [rows, columns];
        self
    }

    /// With this padding.
    #[must_use]
    pub const fn padding(mut self, padding: Padding) -> Self {
        self.padding = padding;
        self
    }

    /// The window over an input of `h` rows and `w` columns.
    ///
    /// # Errors
    /// [`ShapeError`] for a zero parameter, an overflow, or a window that does not fit.
    pub const fn over(&self, h: usize, w: usize) -> Result<Window, ShapeError> {
        let (rows, columns) = match self.padding {
            Padding::Same => (None, None),
            Padding::Valid => (Some([0, 0]), Some([0, 0])),
            Padding::Explicit([rows, columns]) => (Some(rows), Some(columns)),
        };
        let [kh, kw] = self.kernel;
        Ok(Window {
            rows: tri!(Axis::fit(h, kh, self.stride[0], self.dilation[0], rows)),
            columns: tri!(Axis::fit(w, kw, self.stride[1], self.dilation[1], columns)),
        })
    }
}

/// A window over a particular input: two resolved axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The vertical axis.
    pub rows: Axis,
    /// The horizontal axis.
    pub columns: Axis,
}

impl Window {
    /// Taps of the kernel.
    pub const fn taps(&self) -> usize {
        self.rows.kernel * self.columns.kernel
    }

    /// Shape of the input for `n` images of `c` channels.
    ///
    /// # Errors
    /// [`ShapeError::Overflow`] when it is too large.
    pub const fn input(&self, n: usize, c: usize) -> Result<Shape, ShapeError> {
        Shape::new(n, self.rows.input, self.columns.input, c)
    }

    /// Shape of the output for `n` images of `c` channels.
    ///
    /// # Errors
    /// [`ShapeError::Overflow`] when it is too large.
    pub const fn output(&self, n: usize, c: usize) -> Result<Shape, ShapeError> {
        Shape::new(n, self.rows.output, self.columns.output, c)
    }

    /// Whether no window touches padding.
    pub const fn is_unpadded(&self) -> bool {
        self.rows.is_unpadded() && self.columns.is_unpadded()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn naive(axis: &Axis, o: usize) -> Vec<(usize, usize)> {
        (0..axis.kernel)
            .filter_map(|t| {
                let i = (o * axis.stride + t * axis.dilation) as isize - axis.pad as isize;
                (i >= 0 && (i as usize) < axis.input).then_some((t, i as usize))
            })
            .collect()
    }

    /// Input, kernel, stride, dilation, padding, output.
    fn axes() -> impl Iterator<Item = (usize, usize, usize, usize, usize, usize)> {
        let ranges = (1..9).flat_map(|input| (1..6).map(move |kernel| (input, kernel)));
        ranges.flat_map(|(input, kernel)| {
            (0..3 * 3 * 5 * 6)
                .map(move |i| (input, kernel, i % 3 + 1, i / 3 % 3 + 1, i / 9 % 5, i / 45 % 6 + 1))
        })
    }

    #[test]
    fn taps_are_exactly_those_inside() {
        for (input, kernel, stride, dilation, pad, output) in axes() {
            let axis = Axis::new(input, output, kernel, stride, dilation, pad).unwrap();
            for o in 0..output {
                let taps = axis.taps(o);
                let got: Vec<_> = (taps.first..taps.end)
                    .map(|t| (t, taps.input + (t - taps.first) * dilation))
                    .collect();
                assert_eq!(got, naive(&axis, o), "{axis:?} {o}");
                let (first, end) = axis.interior();
                let inside = got.len() == kernel;
                assert_eq!(inside, (first..end).contains(&o), "{axis:?} {o}");
            }
        }
    }

    #[test]
    fn bands_read_what_the_whole_axis_reads() {
        let mut bands = 0;
        for (input, kernel, stride, dilation, pad, output) in axes() {
            let axis = Axis::new(input, output, kernel, stride, dilation, pad).unwrap();
            if naive(&axis, 0).is_empty() || naive(&axis, output - 1).is_empty() {
                continue;
            }
            for first in 0..output {
                for count in 1..=output - first {
                    let (band, from) = axis.band(first, count);
                    assert!(from + band.input <= input, "{axis:?} {first} {count}");
                    for o in 0..count {
                        let moved: Vec<_> =
                            naive(&band, o).into_iter().map(|(t, i)| (t, i + from)).collect();
                        assert_eq!(moved, naive(&axis, first + o), "{axis:?} {first} {count}");
                    }
                    bands += 1;
                }
            }
        }
        assert!(bands > 10_000);
    }

    #[test]
    fn keras_course_examples() {
        let image = Window2d::new(5, 5).stride(5, 5).over(1080, 1920).unwrap();
        assert_eq!((image.rows.output, image.columns.output), (216, 384));
        let same = Window2d::new(3, 3).stride(2, 2).padding(Padding::Same).over(28, 27).unwrap();
        assert_eq!((same.rows.output, same.rows.pad), (14, 0));
        assert_eq!((same.columns.output, same.columns.pad), (14, 1));
        assert_eq!(Window2d::new(3, 3).over(2, 9), Err(ShapeError::Window));
        assert_eq!(Window2d::new(3, 3).stride(0, 1).over(9, 9), Err(ShapeError::Zero));
        assert_eq!(Window2d::new(usize::MAX, 3).over(9, 9), Err(ShapeError::Overflow));
    }
}
