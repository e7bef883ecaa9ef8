//! Two-dimensional convolution.
//!
//! ```text
//! y[n, oy, ox, o] = epilogue( Σ_{ky, kx, i} x[n, oy·sh + ky·dh − top, ox·sw + kx·dw − left, g·I + i] · w[o, ky, kx, i] )
//! ```
//!
//! with `I` input channels per group and `g` the group of output channel `o`
//! (the cross-correlation that Keras and TFLite call `Conv2D`). Weights are OHWI. A tap in the padding reads the
//! padding value: 0 in f32, the input's zero point in int8. A 1-D convolution
//! is the case of one row.

mod direct;
mod im2col;

use crate::backend::Kernels;
use crate::element::Element;
use crate::error::{ShapeError, tri};
use crate::ops::{check_scratch, check_views, windowed};
use crate::shape::{Shape, product};
use crate::view::{View, ViewMut};
use crate::window::Window;

/// Shapes, window and groups of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv2dGeometry {
    /// Shape of the input.
    pub input: Shape,
    /// Shape of the output.
    pub output: Shape,
    /// The resolved window.
    pub window: Window,
    /// Channel groups; 1 for an ordinary convolution.
    pub groups: usize,
}

/// How the windows of a convolution are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Rows of a window straight from the input; only windows that touch the
    /// padding are copied.
    Direct,
    /// Windows copied to columns, several at a time.
    Im2col,
}

impl Conv2dGeometry {
    /// A convolution of `n` images from `inputs` to `outputs` channels.
    ///
    /// # Errors
    /// [`ShapeError::Channels`] when a channel count is no multiple of `groups`;
    /// [`ShapeError::Zero`] or [`ShapeError::Overflow`].
    pub const fn new(
        window: Window,
        n: usize,
        inputs: usize,
        outputs: usize,
        groups: usize,
    ) -> Result<Self, ShapeError> {
        if groups == 0 {
            return Err(ShapeError::Zero);
        }
        if !inputs.is_multiple_of(groups) || !outputs.is_multiple_of(groups) {
            return Err(ShapeError::Channels);
        }
        let geometry = Self {
            input: tri!(window.input(n, inputs)),
            output: tri!(window.output(n, outputs)),
            window,
            groups,
        };
        let taps = tri!(product(window.rows.kernel, window.columns.kernel));
        tri!(product(tri!(product(taps, inputs / groups)), outputs));
        Ok(geometry)
    }

    /// Products per output: taps times input channels of a group.
    pub const fn depth(&self) -> usize {
        // Groups are never 0; a division that cannot panic links no message.
        match self.input.c.checked_div(self.groups) {
            Some(inputs) => self.window.taps() * inputs,
            None => 0,
        }
    }

    /// Number of weights.
    pub const fn weights(&self) -> usize {
        self.depth() * self.output.c
    }

    /// Multiply-accumulates, those with padding included.
    pub const fn macs(&self) -> u64 {
        self.depth() as u64 * self.output.count() as u64
    }

    /// The method for this shape: direct where the rows of a window are runs in
    /// memory, columns where dilation or groups break them up.
    pub const fn method(&self) -> Method {
        let runs = self.groups == 1
            && (self.window.columns.dilation == 1 || self.window.columns.kernel == 1);
        if runs { Method::Direct } else { Method::Im2col }
    }
}

/// A convolution ready to run.
#[derive(Clone, Copy, Debug)]
pub struct Conv2d<'a, E: Element> {
    pub(crate) geometry: Conv2dGeometry,
    pub(crate) weights: &'a [E],
    pub(crate) padding: E,
    pub(crate) epilogue: E::Epilogue<'a>,
}

impl<'a> Conv2d<'a, i8> {
    /// An int8 convolution; `zero_point` is that of the input, the bias of the
    /// epilogue has it folded in.
    ///
    /// # Errors
    /// [`ShapeError`] when weights or epilogue do not fit the geometry.
    pub fn new(
        geometry: Conv2dGeometry,
        weights: &'a [i8],
        zero_point: i8,
        epilogue: crate::epilogue::Requantize<'a>,
    ) -> Result<Self, ShapeError> {
        epilogue.check(geometry.output.c, geometry.output.c)?;
        if weights.len() != geometry.weights() {
            return Err(ShapeError::Length);
        }
        Ok(Self { geometry, weights, padding: zero_point, epilogue })
    }
}

impl<'a> Conv2d<'a, f32> {
    /// A float convolution.
    ///
    /// # Errors
    /// [`ShapeError`] when weights or epilogue do not fit the geometry.
    pub fn new(
        geometry: Conv2dGeometry,
        weights: &'a [f32],
        epilogue: crate::epilogue::Activate<'a>,
    ) -> Result<Self, ShapeError> {
        epilogue.check(geometry.output.c)?;
        if weights.len() != geometry.weights() {
            return Err(ShapeError::Length);
        }
        Ok(Self { geometry, weights, padding: 0.0, epilogue })
    }
}

windowed!(Conv2d, Conv2dGeometry, conv2d, conv2d_scratch);

impl<E: Element> Conv2d<'_, E> {
    /// Runs the portable geometry with a given method; `scratch` has [`scratch_bytes_for`] bytes.
    ///
    /// # Errors
    /// As [`Conv2d::run`]; [`ShapeError::Channels`] for a direct convolution in groups.
    pub fn run_as<B: Kernels<E>>(
        &self,
        method: Method,
        x: View<'_, E>,
        y: ViewMut<'_, E>,
        scratch: &mut [u8],
    ) -> Result<(), ShapeError> {
        check_views(&x, self.geometry.input, &y, self.geometry.output)?;
        check_scratch(scratch, scratch_bytes_for::<E>(&self.geometry, method))?;
        match method {
            Method::Direct if self.geometry.groups != 1 => return Err(ShapeError::Channels),
            Method::Direct => direct::run::<E, B>(self, x, y, scratch),
            Method::Im2col => im2col::run::<E, B>(self, x, y, scratch),
        }
        Ok(())
    }
}

/// Bytes of scratch of the portable convolution, aligned as `E`.
pub const fn scratch_bytes<E: Element>(geometry: &Conv2dGeometry) -> usize {
    scratch_bytes_for::<E>(geometry, geometry.method())
}

/// Bytes of scratch of one method.
pub const fn scratch_bytes_for<E: Element>(geometry: &Conv2dGeometry, method: Method) -> usize {
    let columns = match method {
        Method::Direct if direct::needs_column(geometry) => 1,
        Method::Direct => 0,
        Method::Im2col => im2col::COLUMNS,
    };
    (columns * geometry.depth()).saturating_mul(size_of::<E>())
}

/// The portable convolution, by the method of its shape.
pub(crate) fn run<E: Element, B: Kernels<E>>(
    op: &Conv2d<'_, E>,
    x: View<'_, E>,
    y: ViewMut<'_, E>,
    scratch: &mut [u8],
) {
    match op.geometry.method() {
        Method::Direct => direct::run::<E, B>(op, x, y, scratch),
        Method::Im2col => im2col::run::<E, B>(op, x, y, scratch),
    }
}

/// Copies the window of output (`oy`, `ox`) of one image, channels `first..first + channels`,
/// into `column`, row-major; taps outside read `padding`.
pub(crate) fn gather<E: Element>(
    window: &Window,
    image: &[E],
    [oy, ox]: [usize; 2],
    [first, channels, stride]: [usize; 3],
    padding: E,
    column: &mut [E],
) {
    let (rows, columns) = (window.rows.taps(oy), window.columns.taps(ox));
    let row_len = window.columns.kernel * channels;
    for (ky, row) in column.chunks_exact_mut(row_len.max(1)).enumerate() {
        if ky < rows.first || ky >= rows.end || columns.is_empty() {
            row.fill(padding);
            continue;
        }
        let iy = rows.input + (ky - rows.first) * window.rows.dilation;
        let (before, rest) = row.split_at_mut(columns.first * channels);
        let (inside, after) = rest.split_at_mut(columns.len() * channels);
        before.fill(padding);
        after.fill(padding);
        let mut at = (iy * window.columns.input + columns.input) * stride + first;
        if window.columns.dilation == 1 && channels == stride {
            inside.copy_from_slice(&image[at..at + inside.len()]);
            continue;
        }
        for cell in inside.chunks_exact_mut(channels) {
            cell.copy_from_slice(&image[at..at + channels]);
            at += window.columns.dilation * stride;
        }
    }
}
