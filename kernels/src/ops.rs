//! The operators: geometry, written once, safe, generic over the backend.
//!
//! Each operator is built by a constructor that checks everything and is the
//! last thing that can fail for its parameters; `run` then only compares the
//! shapes of the views it is given.

pub mod arrange;
pub mod conv2d;
pub mod dense;
pub mod depthwise_conv2d;
pub mod elementwise;
pub mod fused;
pub mod pool2d;
pub mod quantize;
pub mod reduce;
pub mod resize2d;
pub mod softmax;
pub mod transposed_conv2d;
pub mod unpool2d;

pub use arrange::{AXES, StridedCopy};
pub use conv2d::{Conv2d, Conv2dGeometry, Method};
pub use dense::{Dense, DenseGeometry};
pub use depthwise_conv2d::DepthwiseConv2d;
pub use elementwise::{Binary, Broadcast, ElementOps};
pub use fused::{
    ConvPool2d, ConvPool2dGeometry, FusedElement, UnpoolConv2d, UnpoolConv2dGeometry,
    UpsampleConv2d, UpsampleConv2dGeometry,
};
pub use pool2d::{AveragePool2d, MaxPool2d, MaxPool2dWithIndices, Pool2dGeometry, WindowIndex};
pub use reduce::{Mean, ReduceGeometry, ReduceMax};
pub use resize2d::{Resize2dGeometry, ResizeBilinear2d, ResizeNearest2d};
pub use softmax::Softmax;
pub use transposed_conv2d::{TransposedConv2d, TransposedConv2dGeometry};
pub use unpool2d::{BedOfNails2d, MaxUnpool2d};

use crate::element::Element;
use crate::error::ShapeError;
use crate::shape::Shape;
use crate::view::{View, ViewMut};

/// `geometry`, `run` and `run_on` of an operator with weights: the views are compared
/// with its shapes and the scratch with what the backend asks for.
macro_rules! windowed {
    ($name:ident, $geometry:ty, $method:ident, $scratch:ident) => {
        impl<E: $crate::element::Element> $name<'_, E> {
            /// Shapes and window.
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
                $crate::ops::check_views(&x, self.geometry.input, &y, self.geometry.output)?;
                let needed = <B as Kernels<E>>::$scratch(&self.geometry);
                $crate::ops::check_scratch(scratch, needed)?;
                B::$method(self, x, y, scratch);
                Ok(())
            }
        }
    };
}
pub(crate) use windowed;

/// Output channels summed at once: accumulators live on the stack, so that no
/// operator needs an i32 copy of a map.
pub(crate) const BLOCK: usize = 32;

/// The first `count` elements of a byte buffer, past its misaligned head.
pub(crate) fn scratch_as<E: Element>(scratch: &mut [u8], count: usize) -> Option<&mut [E]> {
    let (_, elements, _) = bytemuck::pod_align_to_mut::<u8, E>(scratch);
    elements.get_mut(..count)
}

/// Whether views have the shapes that an operator was built for.
pub(crate) fn check_views<E>(
    x: &View<'_, E>,
    input: Shape,
    y: &ViewMut<'_, E>,
    output: Shape,
) -> Result<(), ShapeError> {
    if x.shape().equals(&input) && y.shape().equals(&output) {
        Ok(())
    } else {
        Err(ShapeError::Mismatch)
    }
}

/// [`ShapeError::Length`] unless a scratch buffer holds `needed` aligned bytes.
pub(crate) fn check_scratch(scratch: &[u8], needed: usize) -> Result<(), ShapeError> {
    let skipped = scratch.as_ptr().align_offset(4);
    if needed == 0 || scratch.len() >= needed.saturating_add(skipped) {
        Ok(())
    } else {
        Err(ShapeError::Length)
    }
}
