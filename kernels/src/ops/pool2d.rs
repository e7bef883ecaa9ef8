//! Max and average pooling.
//!
//! ```text
//! max:      y[n, oy, ox, c] = clamp( max  over taps inside the map of x )
//! average:  y[n, oy, ox, c] = clamp( mean over taps inside the map of x )
//! ```
//!
//! Padding never wins and is never counted (TFLite's `MAX_POOL_2D` and
//! `AVERAGE_POOL_2D`). int8 averages raw codes, ties away from zero; input and
//! output share their quantisation. With indices, the first maximum in
//! row-major order wins, as in `tf.nn.max_pool_with_argmax`; an index is the
//! offset of the tap within its window, `ky · kw + kx`, so that one byte is
//! enough for windows of up to 256 taps.

use crate::backend::{Backend, Kernels, Native};
use crate::element::Element;
use crate::error::{ShapeError, tri};
use crate::ops::{BLOCK, check_views};
use crate::shape::Shape;
use crate::view::{View, ViewMut};
use crate::window::Window;

/// Shapes and window of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool2dGeometry {
    /// Shape of the input.
    pub input: Shape,
    /// Shape of the output.
    pub output: Shape,
    /// The resolved window.
    pub window: Window,
}

impl Pool2dGeometry {
    /// A pool over `n` maps of `channels` channels. Every window must touch the map.
    ///
    /// # Errors
    /// [`ShapeError::Window`] for a dilated window or one that lies in the padding.
    pub const fn new(window: Window, n: usize, channels: usize) -> Result<Self, ShapeError> {
        let (rows, columns) = (&window.rows, &window.columns);
        // The first and the last window of an axis are those that reach out furthest.
        let touches = !rows.taps(0).is_empty()
            && !rows.taps(rows.output - 1).is_empty()
            && !columns.taps(0).is_empty()
            && !columns.taps(columns.output - 1).is_empty();
        if !touches || rows.dilation != 1 || columns.dilation != 1 {
            return Err(ShapeError::Window);
        }
        Ok(Self {
            input: tri!(window.input(n, channels)),
            output: tri!(window.output(n, channels)),
            window,
        })
    }
}

macro_rules! pool {
    ($(#[$doc:meta])* $name:ident, $method:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name<E> {
            pub(crate) geometry: Pool2dGeometry,
            pub(crate) bounds: (E, E),
        }

        impl<E: Element> $name<E> {
            /// A pool whose outputs are clamped to `min..=max` (a fused activation).
            ///
            /// # Errors
            /// [`ShapeError::Range`] unless `min <= max`.
            pub fn new(geometry: Pool2dGeometry, min: E, max: E) -> Result<Self, ShapeError> {
                if min <= max {
                    Ok(Self { geometry, bounds: (min, max) })
                } else {
                    Err(ShapeError::Range)
                }
            }

            /// Shapes and window.
            pub const fn geometry(&self) -> &Pool2dGeometry {
                &self.geometry
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
            /// [`ShapeError::Mismatch`] for views of other shapes.
            pub fn run_on<B: Backend + Kernels<E>>(
                &self,
                x: View<'_, E>,
                y: ViewMut<'_, E>,
            ) -> Result<(), ShapeError> {
                check_views(&x, self.geometry.input, &y, self.geometry.output)?;
                B::$method(self, x, y);
                Ok(())
            }
        }
    };
}

pool!(
    /// Maximum over windows.
    MaxPool2d,
    max_pool2d
);
pool!(
    /// Mean over windows.
    AveragePool2d,
    average_pool2d
);

/// Calls `each(tap, cells)` for the taps of one output that lie inside, row-major.
#[inline]
fn for_taps<E>(
    geometry: &Pool2dGeometry,
    image: &[E],
    index: usize,
    mut each: impl FnMut(usize, &[E]),
) -> usize {
    let (window, input) = (&geometry.window, geometry.input);
    let rows = window.rows.taps(index / geometry.output.w);
    let columns = window.columns.taps(index % geometry.output.w);
    for (iy, ky) in (rows.input..).zip(rows.first..rows.end) {
        let at = (iy * input.w + columns.input) * input.c;
        let run = &image[at..at + columns.len() * input.c];
        for (kx, cells) in (columns.first..).zip(run.chunks_exact(input.c)) {
            each(ky * window.columns.kernel + kx, cells);
        }
    }
    rows.len() * columns.len()
}

/// The portable max-pool.
pub(crate) fn max<E: Element, B: Kernels<E>>(
    op: &MaxPool2d<E>,
    x: View<'_, E>,
    mut y: ViewMut<'_, E>,
) {
    let geometry = &op.geometry;
    let (min, max) = op.bounds;
    let images = x.data().chunks_exact(geometry.input.image());
    for (image, out) in images.zip(y.data_mut().chunks_exact_mut(geometry.output.image())) {
        for (index, pixel) in out.chunks_exact_mut(geometry.output.c).enumerate() {
            pixel.fill(E::LOWEST);
            for_taps(geometry, image, index, |_, cells| B::reduce_max(pixel, cells));
            for value in pixel {
                *value = if *value > max { max } else { E::larger(min, *value) };
            }
        }
    }
}

/// The portable average-pool.
pub(crate) fn average<E: Element, B: Kernels<E>>(
    op: &AveragePool2d<E>,
    x: View<'_, E>,
    mut y: ViewMut<'_, E>,
) {
    let geometry = &op.geometry;
    let images = x.data().chunks_exact(geometry.input.image());
    for (image, out) in images.zip(y.data_mut().chunks_exact_mut(geometry.output.image())) {
        for (index, pixel) in out.chunks_exact_mut(geometry.output.c).enumerate() {
            for (block, out) in pixel.chunks_mut(BLOCK).enumerate() {
                let mut sum = [E::ACC_ZERO; BLOCK];
                let sum = &mut sum[..out.len()];
                let first = block * BLOCK;
                let count = for_taps(geometry, image, index, |_, cells| {
                    B::reduce_sum(sum, &cells[first..first + out.len()]);
                });
                B::average(out, sum, count, op.bounds);
            }
        }
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for u8 {}
    impl Sealed for u16 {}
}

/// What remembers a tap within a window: `u8` up to 256 taps, else `u16`.
pub trait WindowIndex: sealed::Sealed + bytemuck::Pod {
    /// Taps that it can tell apart.
    const TAPS: usize;
    /// Keeps a tap.
    fn of(tap: usize) -> Self;
    /// The tap.
    fn tap(self) -> usize;
}

impl WindowIndex for u8 {
    const TAPS: usize = 1 << 8;
    fn of(tap: usize) -> Self {
        tap as Self
    }
    fn tap(self) -> usize {
        usize::from(self)
    }
}

impl WindowIndex for u16 {
    const TAPS: usize = 1 << 16;
    fn of(tap: usize) -> Self {
        tap as Self
    }
    fn tap(self) -> usize {
        usize::from(self)
    }
}

/// Max-pool that remembers which tap won.
#[derive(Clone, Copy, Debug)]
pub struct MaxPool2dWithIndices {
    pub(crate) geometry: Pool2dGeometry,
}

impl MaxPool2dWithIndices {
    /// A pool that remembers its maxima.
    ///
    /// # Errors
    /// [`ShapeError::Window`] for more than 65,536 taps.
    pub const fn new(geometry: Pool2dGeometry) -> Result<Self, ShapeError> {
        if geometry.window.taps() > u16::TAPS {
            Err(ShapeError::Window)
        } else {
            Ok(Self { geometry })
        }
    }

    /// Shapes and window.
    pub const fn geometry(&self) -> &Pool2dGeometry {
        &self.geometry
    }

    /// Runs on the native backend. `indices` has the length of the output.
    ///
    /// # Errors
    /// [`ShapeError::Mismatch`], [`ShapeError::Length`], or [`ShapeError::Window`]
    /// when `I` is too narrow for the taps.
    pub fn run<E: Element, I: WindowIndex>(
        &self,
        x: View<'_, E>,
        y: ViewMut<'_, E>,
        indices: &mut [I],
    ) -> Result<(), ShapeError>
    where
        Native: Kernels<E>,
    {
        self.run_on::<Native, E, I>(x, y, indices)
    }

    /// Runs on the backend `B`.
    ///
    /// # Errors
    /// As [`MaxPool2dWithIndices::run`].
    pub fn run_on<B: Backend + Kernels<E>, E: Element, I: WindowIndex>(
        &self,
        x: View<'_, E>,
        y: ViewMut<'_, E>,
        indices: &mut [I],
    ) -> Result<(), ShapeError> {
        check_views(&x, self.geometry.input, &y, self.geometry.output)?;
        if indices.len() != self.geometry.output.count() {
            return Err(ShapeError::Length);
        }
        if self.geometry.window.taps() > I::TAPS {
            return Err(ShapeError::Window);
        }
        B::max_pool2d_with_indices(self, x, y, indices);
        Ok(())
    }
}

/// The portable max-pool with indices.
pub(crate) fn max_with_indices<E: Element, I: WindowIndex>(
    op: &MaxPool2dWithIndices,
    x: View<'_, E>,
    mut y: ViewMut<'_, E>,
    indices: &mut [I],
) {
    let geometry = &op.geometry;
    let (input, output) = (geometry.input, geometry.output);
    let images = x.data().chunks_exact(input.image());
    let outs = y.data_mut().chunks_exact_mut(output.image());
    for ((image, out), indices) in images.zip(outs).zip(indices.chunks_exact_mut(output.image())) {
        let pixels = out.chunks_exact_mut(output.c).zip(indices.chunks_exact_mut(output.c));
        for (index, (pixel, indices)) in pixels.enumerate() {
            let mut started = false;
            for_taps(geometry, image, index, |tap, cells| {
                let winners = pixel.iter_mut().zip(indices.iter_mut());
                for ((best, winner), &x) in winners.zip(cells) {
                    if !started || x > *best {
                        (*best, *winner) = (x, I::of(tap));
                    }
                }
                started = true;
            });
        }
    }
}
