//! Two operators in one pass over memory, each equal to the pair.
//!
//! The large map between the two is never stored. A fused operator holds the
//! parameters of its parts as they are, so that a backend is free in how it
//! computes them: the portable kernels below, bands of rows through the
//! backend's own operators (`conv_pool2d::run_bands`), or a loop of its own.
//!
//! int8 results are those of the pair bit for bit. Floats are summed in another
//! order by a [`UnpoolConv2d`] and by the kernels of backends; the portable
//! form of the others adds them in that of an im2col column.

pub mod conv_pool2d;
pub mod element;
pub mod unpool_conv2d;
pub mod upsample_conv2d;

pub use conv_pool2d::{ConvPool2d, ConvPool2dGeometry};
pub use element::FusedElement;
pub use unpool_conv2d::{UnpoolConv2d, UnpoolConv2dGeometry};
pub use upsample_conv2d::{UpsampleConv2d, UpsampleConv2dGeometry};

/// `geometry`, `run` and `run_on` of a fused operator with one input.
macro_rules! fused {
    ($name:ident, $geometry:ty, $method:ident, $scratch:ident) => {
        impl<E: FusedElement> $name<'_, E> {
            /// Shapes and windows.
            pub const fn geometry(&self) -> &$geometry {
                &self.geometry
            }

            #[doc = concat!("Runs on the native backend; `scratch` has [`Kernels::", stringify!($scratch), "`] bytes.")]
            ///
            /// # Errors
            /// [`ShapeError::Mismatch`] for views of other shapes, [`ShapeError::Length`] for too little scratch.
            pub fn run(
                &self,
                x: View<'_, E>,
                y: ViewMut<'_, E>,
                scratch: &mut [u8],
            ) -> Result<(), ShapeError>
            where
                $crate::backend::Native: Kernels<E>,
            {
                self.run_on::<$crate::backend::Native>(x, y, scratch)
            }

            /// Runs on the backend `B`.
            ///
            /// # Errors
            #[doc = concat!("As [`", stringify!($name), "::run`].")]
            pub fn run_on<B: $crate::backend::Backend + Kernels<E>>(
                &self,
                x: View<'_, E>,
                y: ViewMut<'_, E>,
                scratch: &mut [u8],
            ) -> Result<(), ShapeError> {
                $crate::ops::check_views(&x, self.geometry.input(), &y, self.geometry.output())?;
                let needed = <B as Kernels<E>>::$scratch(&self.geometry);
                $crate::ops::check_scratch(scratch, needed)?;
                B::$method(self, x, y, scratch);
                Ok(())
            }
        }
    };
}
pub(crate) use fused;

/// Whether the first and the last window of an axis touch the map, so that all of them begin
/// before its end and end after its beginning.
pub(crate) const fn touches(axis: &crate::window::Axis) -> bool {
    !axis.taps(0).is_empty() && !axis.taps(axis.output - 1).is_empty()
}

/// A scratch buffer cut in two at a multiple of 16, the first part with room for `bytes`;
/// the misaligned head is skipped.
pub(crate) fn split_scratch(scratch: &mut [u8], bytes: usize) -> (&mut [u8], &mut [u8]) {
    let skip = scratch.as_ptr().align_offset(4).min(scratch.len());
    let (_, aligned) = scratch.split_at_mut(skip);
    let at = bytes.next_multiple_of(16).min(aligned.len());
    aligned.split_at_mut(at)
}
