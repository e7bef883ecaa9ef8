//! Transposed convolution, by stride phases.
//!
//! The definition scatters: input `(iy, ix)` adds `x · w[ky, kx]` to output
//! `(iy·sh + ky − top, ix·sw + kx − left)`. Read from the output, row `oy` with
//! `q = (oy + top) / sh` and phase `p = (oy + top) mod sh` gathers
//!
//! ```text
//! y[oy] = epilogue_p( Σ_j x[q − j] · w[p + j·sh] )
//! ```
//!
//! so each phase is a small dense convolution of the input as it is, and no
//! inserted zero is ever multiplied. With a 3×3 kernel and stride 2, along one axis:
//!
//! ```text
//! phase 0:  taps w0, w2   y = x[q]·w0 + x[q−1]·w2
//! phase 1:  tap  w1       y = x[q]·w1
//! ```
//!
//! A phase without a tap (kernel < stride) is bias only. Taps outside the map
//! read the padding value, so the zero point is folded into one bias vector
//! per phase: the bias of phase `(py, px)` starts at `(py·sw + px)·outputs`.
//!
//! Source: TFLite's `TRANSPOSE_CONV`, Keras' `Conv2DTranspose`; the padding is
//! that of the forward convolution from the output to the input.

use crate::backend::Kernels;
use crate::element::Element;
use crate::error::{ShapeError, tri};
use crate::ops::{BLOCK, scratch_as, windowed};
use crate::shape::{Shape, product};
use crate::view::{View, ViewMut};
use crate::window::{Axis, Window};

/// Shapes and window of a transposed convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransposedConv2dGeometry {
    /// Shape of the input.
    pub input: Shape,
    /// Shape of the output.
    pub output: Shape,
    /// The window of the forward convolution: its input is this operator's output.
    pub window: Window,
}

impl TransposedConv2dGeometry {
    /// The transpose of the convolution with this window, from `inputs` to `outputs` channels.
    ///
    /// # Errors
    /// [`ShapeError`] for a dilated window, an empty or too large shape.
    pub const fn new(
        window: Window,
        n: usize,
        inputs: usize,
        outputs: usize,
    ) -> Result<Self, ShapeError> {
        if window.rows.dilation != 1 || window.columns.dilation != 1 {
            return Err(ShapeError::Window);
        }
        let taps = tri!(product(window.rows.kernel, window.columns.kernel));
        tri!(product(tri!(product(taps, inputs)), outputs));
        tri!(product(tri!(product(window.rows.stride, window.columns.stride)), outputs));
        Ok(Self {
            input: tri!(window.output(n, inputs)),
            output: tri!(window.input(n, outputs)),
            window,
        })
    }

    /// Number of weights, OHWI.
    pub const fn weights(&self) -> usize {
        self.window.taps() * self.input.c * self.output.c
    }

    /// Phases: stride squared, in general.
    pub const fn phases(&self) -> usize {
        self.window.rows.stride * self.window.columns.stride
    }

    /// Biases: one vector per phase.
    pub const fn biases(&self) -> usize {
        self.phases() * self.output.c
    }

    /// Multiply-accumulates of the definition.
    pub const fn macs(&self) -> u64 {
        self.window.taps() as u64 * self.output.c as u64 * self.input.count() as u64
    }
}

/// A transposed convolution ready to run.
#[derive(Clone, Copy, Debug)]
pub struct TransposedConv2d<'a, E: Element> {
    pub(crate) geometry: TransposedConv2dGeometry,
    pub(crate) weights: &'a [E],
    pub(crate) padding: E,
    pub(crate) epilogue: E::Epilogue<'a>,
}

impl<'a> TransposedConv2d<'a, i8> {
    /// An int8 transposed convolution; the epilogue has one bias vector per phase.
    ///
    /// # Errors
    /// [`ShapeError`] when weights or epilogue do not fit the geometry.
    pub fn new(
        geometry: TransposedConv2dGeometry,
        weights: &'a [i8],
        zero_point: i8,
        epilogue: crate::epilogue::Requantize<'a>,
    ) -> Result<Self, ShapeError> {
        epilogue.check(geometry.biases(), geometry.output.c)?;
        if weights.len() != geometry.weights() {
            return Err(ShapeError::Length);
        }
        Ok(Self { geometry, weights, padding: zero_point, epilogue })
    }
}

impl<'a> TransposedConv2d<'a, f32> {
    /// A float transposed convolution; the epilogue has one bias vector per phase.
    ///
    /// # Errors
    /// [`ShapeError`] when weights or epilogue do not fit the geometry.
    pub fn new(
        geometry: TransposedConv2dGeometry,
        weights: &'a [f32],
        epilogue: crate::epilogue::Activate<'a>,
    ) -> Result<Self, ShapeError> {
        epilogue.check(geometry.biases())?;
        if weights.len() != geometry.weights() {
            return Err(ShapeError::Length);
        }
        Ok(Self { geometry, weights, padding: 0.0, epilogue })
    }
}

windowed!(TransposedConv2d, TransposedConv2dGeometry, transposed_conv2d, transposed_conv2d_scratch);

/// The taps that feed one output along one axis.
#[derive(Clone, Copy)]
struct Phase {
    /// `o + pad` modulo the stride: the first tap.
    phase: usize,
    /// `(o + pad) / stride`: the input of the first tap.
    newest: usize,
    /// Taps of the phase.
    taps: usize,
}

impl Phase {
    fn of(axis: &Axis, o: usize) -> Self {
        let (newest, phase) = ((o + axis.pad) / axis.stride, (o + axis.pad) % axis.stride);
        Self { phase, newest, taps: axis.kernel.saturating_sub(phase).div_ceil(axis.stride) }
    }

    /// Input of tap `j`, when inside.
    fn input(&self, j: usize, axis: &Axis) -> Option<usize> {
        self.newest.checked_sub(j).filter(|&i| i < axis.output)
    }
}

/// Bytes of scratch: a run of padding values.
pub const fn scratch_bytes<E: Element>(geometry: &TransposedConv2dGeometry) -> usize {
    geometry.input.c * size_of::<E>()
}

/// The portable transposed convolution.
pub(crate) fn run<E: Element, B: Kernels<E>>(
    op: &TransposedConv2d<'_, E>,
    x: View<'_, E>,
    mut y: ViewMut<'_, E>,
    scratch: &mut [u8],
) {
    let (input, output) = (op.geometry.input, op.geometry.output);
    let Some(padding) = scratch_as::<E>(scratch, input.c) else { return };
    padding.fill(op.padding);
    let images = x.data().chunks_exact(input.image());
    for (image, out) in images.zip(y.data_mut().chunks_exact_mut(output.image())) {
        for (index, pixel) in out.chunks_exact_mut(output.c).enumerate() {
            let rows = Phase::of(&op.geometry.window.rows, index / output.w);
            let columns = Phase::of(&op.geometry.window.columns, index % output.w);
            gather::<E, B>(op, image, padding, [rows, columns], pixel);
        }
    }
}

/// One output pixel from the taps of its phases.
fn gather<E: Element, B: Kernels<E>>(
    op: &TransposedConv2d<'_, E>,
    image: &[E],
    padding: &[E],
    [rows, columns]: [Phase; 2],
    pixel: &mut [E],
) {
    let (input, window) = (op.geometry.input, &op.geometry.window);
    let depth = window.taps() * input.c;
    let phase = rows.phase * window.columns.stride + columns.phase;
    let channels = op.geometry.output.c;
    let epilogue = E::with_bias(&op.epilogue, phase * channels, channels);
    for (block, out) in pixel.chunks_mut(BLOCK).enumerate() {
        let mut acc = [E::ACC_ZERO; BLOCK];
        let acc = &mut acc[..out.len()];
        let first = block * BLOCK;
        for jy in 0..rows.taps {
            let iy = rows.input(jy, &window.rows);
            let ky = rows.phase + jy * window.rows.stride;
            for jx in 0..columns.taps {
                let ix = columns.input(jx, &window.columns);
                let kx = columns.phase + jx * window.columns.stride;
                let x = match (iy, ix) {
                    (Some(iy), Some(ix)) => {
                        let at = (iy * input.w + ix) * input.c;
                        &image[at..at + input.c]
                    }
                    _ if op.padding == E::ZERO => continue,
                    _ => padding,
                };
                let tap = (ky * window.columns.kernel + kx) * input.c;
                B::mac(acc, x, &op.weights[first * depth + tap..], depth);
            }
        }
        B::finish(out, acc, first, &epilogue);
    }
}
