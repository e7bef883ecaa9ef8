//! Depthwise convolution.
//!
//! ```text
//! y[n, oy, ox, c·m + j] = epilogue( Σ_{ky, kx} x[n, oy·sh + ky·dh − top, ox·sw + kx·dw − left, c] · w[ky, kx, c·m + j] )
//! ```
//!
//! with depth multiplier `m` (TFLite's `DEPTHWISE_CONV_2D`, weights `[1, kh, kw, c·m]`).
//! Its geometry is a [`Conv2dGeometry`] with as many groups as input channels.

use crate::backend::Kernels;
use crate::element::Element;
use crate::error::ShapeError;
use crate::ops::{BLOCK, Conv2dGeometry, scratch_as, windowed};
use crate::view::{View, ViewMut};

/// A depthwise convolution ready to run.
#[derive(Clone, Copy, Debug)]
pub struct DepthwiseConv2d<'a, E: Element> {
    pub(crate) geometry: Conv2dGeometry,
    pub(crate) weights: &'a [E],
    pub(crate) padding: E,
    pub(crate) epilogue: E::Epilogue<'a>,
}

fn check(geometry: &Conv2dGeometry, weights: usize) -> Result<(), ShapeError> {
    if geometry.groups != geometry.input.c {
        return Err(ShapeError::Channels);
    }
    if weights != geometry.window.taps() * geometry.output.c {
        return Err(ShapeError::Length);
    }
    Ok(())
}

impl<'a> DepthwiseConv2d<'a, i8> {
    /// An int8 depthwise convolution; `zero_point` is that of the input.
    ///
    /// # Errors
    /// [`ShapeError`] when weights or epilogue do not fit the geometry.
    pub fn new(
        geometry: Conv2dGeometry,
        weights: &'a [i8],
        zero_point: i8,
        epilogue: crate::epilogue::Requantize<'a>,
    ) -> Result<Self, ShapeError> {
        check(&geometry, weights.len())?;
        epilogue.check(geometry.output.c, geometry.output.c)?;
        Ok(Self { geometry, weights, padding: zero_point, epilogue })
    }
}

impl<'a> DepthwiseConv2d<'a, f32> {
    /// A float depthwise convolution.
    ///
    /// # Errors
    /// [`ShapeError`] when weights or epilogue do not fit the geometry.
    pub fn new(
        geometry: Conv2dGeometry,
        weights: &'a [f32],
        epilogue: crate::epilogue::Activate<'a>,
    ) -> Result<Self, ShapeError> {
        check(&geometry, weights.len())?;
        epilogue.check(geometry.output.c)?;
        Ok(Self { geometry, weights, padding: 0.0, epilogue })
    }
}

windowed!(DepthwiseConv2d, Conv2dGeometry, depthwise_conv2d, depthwise_conv2d_scratch);

/// Input channels handled at once, so that their outputs fill a block of accumulators.
const fn channel_block(multiplier: usize) -> usize {
    if multiplier >= BLOCK { 1 } else { BLOCK / multiplier }
}

/// Bytes of scratch: a run of padding values for windows that leave the map.
pub const fn scratch_bytes<E: Element>(geometry: &Conv2dGeometry) -> usize {
    if geometry.window.is_unpadded() {
        return 0;
    }
    let block = channel_block(geometry.output.c / geometry.input.c);
    let channels = if block < geometry.input.c { block } else { geometry.input.c };
    channels * size_of::<E>()
}

/// The portable depthwise convolution.
pub(crate) fn run<E: Element, B: Kernels<E>>(
    op: &DepthwiseConv2d<'_, E>,
    x: View<'_, E>,
    mut y: ViewMut<'_, E>,
    scratch: &mut [u8],
) {
    let (input, output) = (op.geometry.input, op.geometry.output);
    let multiplier = output.c / input.c;
    let needed = scratch_bytes::<E>(&op.geometry) / size_of::<E>();
    let Some(padding) = scratch_as::<E>(scratch, needed) else { return };
    padding.fill(op.padding);
    let images = x.data().chunks_exact(input.image());
    for (image, out) in images.zip(y.data_mut().chunks_exact_mut(output.image())) {
        for (index, pixel) in out.chunks_exact_mut(output.c).enumerate() {
            let at = [index / output.w, index % output.w];
            if multiplier <= BLOCK {
                let step = channel_block(multiplier);
                for (block, out) in pixel.chunks_mut(step * multiplier).enumerate() {
                    window::<E, B>(op, image, padding, at, [block * step, multiplier], 0, out);
                }
            } else {
                // One input channel at a time, its many outputs in blocks.
                for (channel, out) in pixel.chunks_mut(multiplier).enumerate() {
                    for (block, out) in out.chunks_mut(BLOCK).enumerate() {
                        let skip = block * BLOCK;
                        window::<E, B>(op, image, padding, at, [channel, multiplier], skip, out);
                    }
                }
            }
        }
    }
}

/// The outputs `out` of input channels from `channel` on, `skip` outputs into the first.
fn window<E: Element, B: Kernels<E>>(
    op: &DepthwiseConv2d<'_, E>,
    image: &[E],
    padding: &[E],
    [oy, ox]: [usize; 2],
    [channel, multiplier]: [usize; 2],
    skip: usize,
    out: &mut [E],
) {
    let (window, input) = (&op.geometry.window, op.geometry.input);
    let (rows, columns) = (window.rows.taps(oy), window.columns.taps(ox));
    let channels = (out.len() / multiplier).max(1);
    let first = channel * multiplier + skip;
    let mut acc = [E::ACC_ZERO; BLOCK];
    let acc = &mut acc[..out.len()];
    for ky in 0..window.rows.kernel {
        for kx in 0..window.columns.kernel {
            let inside =
                ky >= rows.first && ky < rows.end && kx >= columns.first && kx < columns.end;
            let x = if inside {
                let iy = rows.input + (ky - rows.first) * window.rows.dilation;
                let ix = columns.input + (kx - columns.first) * window.columns.dilation;
                let at = (iy * input.w + ix) * input.c + channel;
                &image[at..at + channels]
            } else if op.padding == E::ZERO {
                continue;
            } else {
                &padding[..channels]
            };
            let at = (ky * window.columns.kernel + kx) * op.geometry.output.c + first;
            B::depthwise(acc, x, &op.weights[at..at + out.len()]);
        }
    }
    B::finish(out, acc, first, &op.epilogue);
}
