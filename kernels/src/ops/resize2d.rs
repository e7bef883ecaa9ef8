//! Nearest and bilinear resizing, with TFLite's `align_corners` and `half_pixel_centers`.
//!
//! Source: `tensorflow/lite/kernels/internal/reference/resize_*`. Nearest reads
//! `⌊(o + h)·s⌋` with `h` ½ for half-pixel centres and `s = in / out`; with
//! aligned corners `s = (in − 1) / (out − 1)` and the product is rounded half
//! away from zero. Bilinear weighs the four neighbours of `o·s` (or
//! `(o + ½)·s − ½`); int8 does so in 10-bit fixed point with 64-bit products,
//! rounded half away from zero.

use crate::backend::{Backend, Kernels, Native};
use crate::element::Element;
use crate::error::{ShapeError, tri};
use crate::ops::check_views;
use crate::ops::elementwise::ElementOps;
use crate::shape::Shape;
use crate::view::{View, ViewMut};

/// Shapes and sampling rule of a resize.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resize2dGeometry {
    /// Shape of the input.
    pub input: Shape,
    /// Shape of the output.
    pub output: Shape,
    /// Corners of input and output coincide.
    pub align_corners: bool,
    /// Samples lie at the centres of cells.
    pub half_pixel_centers: bool,
}

impl Resize2dGeometry {
    /// A resize of `input` to `h` rows and `w` columns.
    ///
    /// # Errors
    /// [`ShapeError::Range`] when both flags are set (TFLite refuses it too);
    /// [`ShapeError::Overflow`] when an extent exceeds 2^20, beyond which the
    /// fixed point would overflow.
    pub const fn new(
        input: Shape,
        h: usize,
        w: usize,
        align_corners: bool,
        half_pixel_centers: bool,
    ) -> Result<Self, ShapeError> {
        if align_corners && half_pixel_centers {
            return Err(ShapeError::Range);
        }
        const LIMIT: usize = 1 << 20;
        if input.h > LIMIT || input.w > LIMIT || h > LIMIT || w > LIMIT {
            return Err(ShapeError::Overflow);
        }
        let output = tri!(Shape::new(input.n, h, w, input.c));
        Ok(Self { input, output, align_corners, half_pixel_centers })
    }

    /// How often each cell of an axis comes, one after the other, where that is a power of two:
    /// TFLite's floats are exact then, at cell centres too, since `(o + ½) / factor` never reaches
    /// the next integer.
    pub(crate) fn factor(&self, input: usize, output: usize) -> Option<usize> {
        let factor = output / input;
        let whole = !self.align_corners && output == input * factor && factor.is_power_of_two();
        whole.then_some(factor)
    }

    /// The input cell that output `o` of an axis reads.
    pub(crate) fn nearest(&self, o: usize, input: usize, output: usize) -> usize {
        if let Some(factor) = self.factor(input, output) {
            return o / factor;
        }
        let offset = if self.half_pixel_centers { 0.5 } else { 0.0 };
        let at = (o as f32 + offset) * self.scale(input, output);
        let at = if self.align_corners { libm::roundf(at) } else { libm::floorf(at) };
        (at.max(0.0) as usize).min(input - 1)
    }

    /// Input cells per output cell.
    fn scale(&self, input: usize, output: usize) -> f32 {
        if self.align_corners && output > 1 {
            (input - 1) as f32 / (output - 1) as f32
        } else {
            input as f32 / output as f32
        }
    }

    /// The same in 10-bit fixed point, rounded.
    fn scale_fixed(&self, input: usize, output: usize) -> i64 {
        let (input, output) = if self.align_corners && output > 1 {
            (input - 1, output - 1)
        } else {
            (input, output)
        };
        ((input as i64) * 1024 + (output as i64) / 2) / output as i64
    }

    /// Neighbours of output `o` and the weight of the second, for float interpolation.
    fn sample(&self, o: usize, input: usize, output: usize) -> (usize, usize, f32) {
        let scale = self.scale(input, output);
        let at =
            if self.half_pixel_centers { (o as f32 + 0.5) * scale - 0.5 } else { o as f32 * scale };
        let lower = libm::floorf(at).max(0.0) as usize;
        let upper = (libm::ceilf(at).max(0.0) as usize).min(input - 1);
        let lower = lower.min(input - 1);
        (lower, upper, at - lower as f32)
    }

    /// Neighbours of output `o` and the weight of the second in 1/1024.
    fn sample_fixed(&self, o: usize, input: usize, output: usize) -> (usize, usize, i64) {
        let scale = self.scale_fixed(input, output);
        let at = if self.half_pixel_centers {
            o as i64 * scale + scale / 2 - 512
        } else {
            o as i64 * scale
        };
        let lower = (at / 1024).max(0) as usize;
        let upper = ((at + 1023) / 1024).max(0) as usize;
        let (lower, upper) = (lower.min(input - 1), upper.min(input - 1));
        (lower, upper, at - 1024 * lower as i64)
    }
}

/// Nearest-neighbour resize; whole factors are Keras' `UpSampling2D`.
#[derive(Clone, Copy, Debug)]
pub struct ResizeNearest2d {
    pub(crate) geometry: Resize2dGeometry,
}

/// Bilinear resize.
#[derive(Clone, Copy, Debug)]
pub struct ResizeBilinear2d {
    pub(crate) geometry: Resize2dGeometry,
}

impl ResizeNearest2d {
    /// A nearest resize.
    pub const fn new(geometry: Resize2dGeometry) -> Self {
        Self { geometry }
    }

    /// Runs on the native backend.
    ///
    /// # Errors
    /// [`ShapeError::Mismatch`] for views of other shapes.
    pub fn run<E: Element>(&self, x: View<'_, E>, y: ViewMut<'_, E>) -> Result<(), ShapeError>
    where
        Native: Kernels<E>,
    {
        self.run_on::<Native, E>(x, y)
    }

    /// Runs on the backend `B`.
    ///
    /// # Errors
    /// [`ShapeError::Mismatch`] for views of other shapes.
    pub fn run_on<B: Backend + Kernels<E>, E: Element>(
        &self,
        x: View<'_, E>,
        y: ViewMut<'_, E>,
    ) -> Result<(), ShapeError> {
        check_views(&x, self.geometry.input, &y, self.geometry.output)?;
        B::resize_nearest2d(self, x, y);
        Ok(())
    }
}

impl ResizeBilinear2d {
    /// A bilinear resize.
    pub const fn new(geometry: Resize2dGeometry) -> Self {
        Self { geometry }
    }

    /// Runs it.
    ///
    /// # Errors
    /// [`ShapeError::Mismatch`] for views of other shapes.
    pub fn run<E: ElementOps>(
        &self,
        x: View<'_, E>,
        mut y: ViewMut<'_, E>,
    ) -> Result<(), ShapeError> {
        check_views(&x, self.geometry.input, &y, self.geometry.output)?;
        E::bilinear(&self.geometry, x.data(), y.data_mut());
        Ok(())
    }
}

/// The portable nearest resize: a row that repeats its predecessor is copied.
pub(crate) fn nearest<E: Element>(op: &ResizeNearest2d, x: View<'_, E>, mut y: ViewMut<'_, E>) {
    let geometry = &op.geometry;
    let (input, output) = (geometry.input, geometry.output);
    let images = x.data().chunks_exact(input.image());
    for (image, out) in images.zip(y.data_mut().chunks_exact_mut(output.image())) {
        let mut last = None;
        for oy in 0..output.h {
            let iy = geometry.nearest(oy, input.h, output.h);
            let (done, rest) = out.split_at_mut(oy * output.row());
            let row = &mut rest[..output.row()];
            if last == Some(iy) {
                row.copy_from_slice(&done[(oy - 1) * output.row()..]);
                continue;
            }
            last = Some(iy);
            let source = &image[iy * input.row()..(iy + 1) * input.row()];
            for (ox, pixel) in row.chunks_exact_mut(output.c).enumerate() {
                let at = geometry.nearest(ox, input.w, output.w) * input.c;
                pixel.copy_from_slice(&source[at..at + input.c]);
            }
        }
    }
}

/// Calls `pixel(four neighbours, weights of the lower row and right column, out)`.
fn interpolate<E: Copy, W: Copy>(
    geometry: &Resize2dGeometry,
    x: &[E],
    y: &mut [E],
    sample: impl Fn(usize, usize, usize) -> (usize, usize, W),
    pixel: impl Fn([E; 4], [W; 2]) -> E,
) {
    let (input, output) = (geometry.input, geometry.output);
    for (image, out) in x.chunks_exact(input.image()).zip(y.chunks_exact_mut(output.image())) {
        for (oy, row) in out.chunks_exact_mut(output.row()).enumerate() {
            let (y0, y1, wy) = sample(oy, input.h, output.h);
            for (ox, cell) in row.chunks_exact_mut(output.c).enumerate() {
                let (x0, x1, wx) = sample(ox, input.w, output.w);
                let at = |y: usize, x: usize| (y * input.w + x) * input.c;
                let corners = [at(y0, x0), at(y1, x0), at(y0, x1), at(y1, x1)];
                for (c, value) in cell.iter_mut().enumerate() {
                    *value = pixel(corners.map(|corner| image[corner + c]), [wy, wx]);
                }
            }
        }
    }
}

/// Float interpolation, in TFLite's order of operations.
pub(crate) fn bilinear_f32(geometry: &Resize2dGeometry, x: &[f32], y: &mut [f32]) {
    let sample = |o, input, output| geometry.sample(o, input, output);
    interpolate(geometry, x, y, sample, |[a, b, c, d], [wy, wx]| {
        a * (1.0 - wy) * (1.0 - wx) + b * wy * (1.0 - wx) + c * (1.0 - wy) * wx + d * wy * wx
    });
}

/// Fixed-point interpolation of codes.
pub(crate) fn bilinear_i8(geometry: &Resize2dGeometry, x: &[i8], y: &mut [i8]) {
    let sample = |o, input, output| geometry.sample_fixed(o, input, output);
    interpolate(geometry, x, y, sample, |[a, b, c, d], [wy, wx]| {
        let [a, b, c, d] = [a, b, c, d].map(i64::from);
        let sum = a * (1024 - wy) * (1024 - wx)
            + b * wy * (1024 - wx)
            + c * (1024 - wy) * wx
            + d * wy * wx;
        let half = if sum > 0 { 1 << 19 } else { -(1 << 19) };
        ((sum + half) / (1 << 20)) as i8
    });
}
