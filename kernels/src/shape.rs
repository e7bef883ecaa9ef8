//! NHWC shapes with counts that cannot overflow.

use crate::error::{ShapeError, tri};

/// Largest number of elements in a tensor, so that offsets fit an `i32` on every core.
pub const MAX_ELEMENTS: usize = i32::MAX as usize;

/// `a · b`, or [`ShapeError::Overflow`] above [`MAX_ELEMENTS`].
pub(crate) const fn product(a: usize, b: usize) -> Result<usize, ShapeError> {
    match a.checked_mul(b) {
        Some(value) if value <= MAX_ELEMENTS => Ok(value),
        _ => Err(ShapeError::Overflow),
    }
}

/// Extents of a map: batch, height, width, channels. All are positive and the
/// number of elements is at most [`MAX_ELEMENTS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Images in the batch.
    pub n: usize,
    /// Rows.
    pub h: usize,
    /// Columns.
    pub w: usize,
    /// Channels, contiguous in memory.
    pub c: usize,
}

impl Shape {
    /// A shape of `n` maps of `h` × `w` × `c`.
    ///
    /// # Errors
    /// [`ShapeError::Zero`] for an empty shape, [`ShapeError::Overflow`] for one that is too large.
    pub const fn new(n: usize, h: usize, w: usize, c: usize) -> Result<Self, ShapeError> {
        if n == 0 || h == 0 || w == 0 || c == 0 {
            return Err(ShapeError::Zero);
        }
        tri!(product(tri!(product(tri!(product(n, h)), w)), c));
        Ok(Self { n, h, w, c })
    }

    /// Number of elements.
    pub const fn count(&self) -> usize {
        self.n * self.h * self.w * self.c
    }

    /// Elements of one image.
    pub const fn image(&self) -> usize {
        self.h * self.w * self.c
    }

    /// Elements of one row.
    pub const fn row(&self) -> usize {
        self.w * self.c
    }

    /// Whether two shapes are the same.
    pub const fn equals(&self, other: &Self) -> bool {
        self.n == other.n && self.h == other.h && self.w == other.w && self.c == other.c
    }
}
