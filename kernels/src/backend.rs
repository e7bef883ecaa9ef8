//! What a core can make fast, and the one place that asks which core it is.
//!
//! Operators hold the geometry and are written once over [`Kernels`]. A backend
//! supplies the five micro-kernels, in files of the same names, and may take
//! over a whole operator where a measurement justifies it.

pub mod cortex_m;
mod line;
pub mod scalar;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "wasm32"))]
pub mod wide;

use crate::element::Element;
use crate::ops;
use crate::ops::elementwise::Own;
use crate::ops::{
    AveragePool2d, BedOfNails2d, Binary, Conv2d, ConvPool2d, Dense, DepthwiseConv2d, MaxPool2d,
    MaxPool2dWithIndices, MaxUnpool2d, ResizeNearest2d, TransposedConv2d, UnpoolConv2d,
    UpsampleConv2d, WindowIndex,
};
use crate::view::{View, ViewMut};

pub use cortex_m::CortexM;
pub use scalar::Scalar;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "wasm32"))]
pub use wide::Wide;

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::cortex_m::CortexM {}
    impl Sealed for super::scalar::Scalar {}
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "wasm32"))]
    impl Sealed for super::wide::Wide {}
}

/// Micro-kernels over one element type, and the operators built on them.
///
/// The operator methods are called with views whose shapes are those of the
/// operator and with at least the scratch that [`Kernels::conv2d_scratch`] and
/// its kin return; they cannot fail.
pub trait Kernels<E: Element>: Sized {
    /// `acc[o] += Σ_k x[k] · weights[o · stride + k]` over `k < x.len()`. Wrapping in i32.
    fn mac(acc: &mut [E::Acc], x: &[E], weights: &[E], stride: usize);
    /// `acc[c · m + j] += x[c] · weights[c · m + j]` for `j < m`, `m = acc.len() / x.len()`.
    fn depthwise(acc: &mut [E::Acc], x: &[E], weights: &[E]);
    /// `out[c] = max(out[c], x[c])`.
    fn reduce_max(out: &mut [E], x: &[E]);
    /// `acc[c] += x[c]`.
    fn reduce_sum(acc: &mut [E::Acc], x: &[E]);
    /// The same of `count` cells that begin `pitch` elements apart.
    fn sum_cells(acc: &mut [E::Acc], x: &[E], pitch: usize, count: usize) {
        for cell in 0..count {
            let from = cell * pitch;
            Self::reduce_sum(acc, x.get(from..from + acc.len()).unwrap_or(&[]));
        }
    }
    /// `out[i] = how(acc[i], channel first + i)`.
    fn finish(out: &mut [E], acc: &[E::Acc], first: usize, how: &E::Epilogue<'_>);
    /// `sum / count`: i8 to nearest with ties away from zero, f32 exactly; then clamped.
    fn average(out: &mut [E], sum: &[E::Acc], count: usize, bounds: (E, E));

    /// Bytes of scratch for [`Kernels::conv2d`].
    fn conv2d_scratch(op: &ops::Conv2dGeometry) -> usize {
        ops::conv2d::scratch_bytes::<E>(op)
    }
    /// See [`Conv2d`].
    fn conv2d(op: &Conv2d<'_, E>, x: View<'_, E>, y: ViewMut<'_, E>, scratch: &mut [u8]) {
        ops::conv2d::run::<E, Self>(op, x, y, scratch);
    }
    /// Bytes of scratch for [`Kernels::depthwise_conv2d`].
    fn depthwise_conv2d_scratch(op: &ops::Conv2dGeometry) -> usize {
        ops::depthwise_conv2d::scratch_bytes::<E>(op)
    }
    /// Bytes from which [`Kernels::depthwise_conv2d`] runs, in a slower form if need be.
    fn depthwise_conv2d_least(op: &ops::Conv2dGeometry) -> usize {
        Self::depthwise_conv2d_scratch(op)
    }
    /// See [`DepthwiseConv2d`].
    fn depthwise_conv2d(
        op: &DepthwiseConv2d<'_, E>,
        x: View<'_, E>,
        y: ViewMut<'_, E>,
        scratch: &mut [u8],
    ) {
        ops::depthwise_conv2d::run::<E, Self>(op, x, y, scratch);
    }
    /// The same for a layer that is known to suit the kernel of [`Backend::OWNER`].
    fn own_depthwise_conv2d(
        op: &DepthwiseConv2d<'_, E>,
        x: View<'_, E>,
        y: ViewMut<'_, E>,
        scratch: &mut [u8],
    ) {
        Self::depthwise_conv2d(op, x, y, scratch);
    }
    /// Bytes of scratch for [`Kernels::transposed_conv2d`].
    fn transposed_conv2d_scratch(op: &ops::TransposedConv2dGeometry) -> usize {
        ops::transposed_conv2d::scratch_bytes::<E>(op)
    }
    /// See [`TransposedConv2d`].
    fn transposed_conv2d(
        op: &TransposedConv2d<'_, E>,
        x: View<'_, E>,
        y: ViewMut<'_, E>,
        scratch: &mut [u8],
    ) {
        ops::transposed_conv2d::run::<E, Self>(op, x, y, scratch);
    }
    /// Bytes of scratch for [`Kernels::dense`].
    fn dense_scratch(op: &ops::DenseGeometry) -> usize {
        let _ = op;
        0
    }
    /// See [`Dense`].
    fn dense(op: &Dense<'_, E>, x: &[E], y: &mut [E], scratch: &mut [u8]) {
        let _ = scratch;
        ops::dense::run::<E, Self>(op, x, y);
    }
    /// See [`MaxPool2d`].
    fn max_pool2d(op: &MaxPool2d<E>, x: View<'_, E>, y: ViewMut<'_, E>) {
        ops::pool2d::max::<E, Self>(op, x, y);
    }
    /// See [`AveragePool2d`].
    fn average_pool2d(op: &AveragePool2d<E>, x: View<'_, E>, y: ViewMut<'_, E>) {
        ops::pool2d::average::<E, Self>(op, x, y);
    }
    /// See [`MaxPool2dWithIndices`].
    fn max_pool2d_with_indices<I: WindowIndex>(
        op: &MaxPool2dWithIndices,
        x: View<'_, E>,
        y: ViewMut<'_, E>,
        indices: &mut [I],
    ) {
        ops::pool2d::max_with_indices(op, x, y, indices);
    }
    /// See [`MaxUnpool2d`].
    fn max_unpool2d<I: WindowIndex>(
        op: &MaxUnpool2d<E>,
        x: View<'_, E>,
        indices: &[I],
        y: ViewMut<'_, E>,
    ) {
        ops::unpool2d::max_unpool(op, x, indices, y);
    }
    /// See [`BedOfNails2d`].
    fn bed_of_nails2d(op: &BedOfNails2d<E>, x: View<'_, E>, y: ViewMut<'_, E>) {
        ops::unpool2d::bed_of_nails(op, x, y);
    }
    /// See [`ResizeNearest2d`].
    fn resize_nearest2d(op: &ResizeNearest2d, x: View<'_, E>, y: ViewMut<'_, E>) {
        ops::resize2d::nearest(op, x, y);
    }
    /// Bytes of scratch for [`Kernels::conv_pool2d`].
    fn conv_pool2d_scratch(op: &ops::ConvPool2dGeometry) -> usize
    where
        E: ops::FusedElement,
    {
        ops::fused::conv_pool2d::band_scratch_bytes::<E, Self>(op)
    }
    /// See [`ConvPool2d`]: by bands of rows through this backend's convolution, unless it is overridden.
    fn conv_pool2d(op: &ConvPool2d<'_, E>, x: View<'_, E>, y: ViewMut<'_, E>, scratch: &mut [u8])
    where
        E: ops::FusedElement,
    {
        ops::fused::conv_pool2d::run_bands::<E, Self>(op, x, y, scratch);
    }
    /// The same for a layer that is known to suit a kernel of [`Backend::OWNER`], in this variant.
    fn own_conv_pool2d(
        op: &ConvPool2d<'_, E>,
        x: View<'_, E>,
        y: ViewMut<'_, E>,
        scratch: &mut [u8],
        variant: u32,
    ) where
        E: ops::FusedElement,
    {
        let _ = variant;
        Self::conv_pool2d(op, x, y, scratch);
    }
    /// Bytes of scratch for [`Kernels::upsample_conv2d`].
    fn upsample_conv2d_scratch(op: &ops::UpsampleConv2dGeometry) -> usize
    where
        E: ops::FusedElement,
    {
        ops::fused::upsample_conv2d::band_scratch_bytes::<E, Self>(op)
    }
    /// See [`UpsampleConv2d`]: by bands of rows through this backend's convolution, unless it is overridden.
    fn upsample_conv2d(
        op: &UpsampleConv2d<'_, E>,
        x: View<'_, E>,
        y: ViewMut<'_, E>,
        scratch: &mut [u8],
    ) where
        E: ops::FusedElement,
    {
        ops::fused::upsample_conv2d::run_bands::<E, Self>(op, x, y, scratch);
    }
    /// The same for a layer that is known to suit the kernel of [`Backend::OWNER`].
    fn own_upsample_conv2d(
        op: &UpsampleConv2d<'_, E>,
        x: View<'_, E>,
        y: ViewMut<'_, E>,
        scratch: &mut [u8],
        variant: u32,
    ) where
        E: ops::FusedElement,
    {
        let _ = variant;
        Self::upsample_conv2d(op, x, y, scratch);
    }
    /// Bytes of scratch for [`Kernels::unpool_conv2d`].
    fn unpool_conv2d_scratch(op: &ops::UnpoolConv2dGeometry) -> usize {
        ops::fused::unpool_conv2d::scratch_bytes::<E>(op)
    }
    /// See [`UnpoolConv2d`].
    fn unpool_conv2d<I: WindowIndex>(
        op: &UnpoolConv2d<'_, E>,
        x: View<'_, E>,
        indices: &[I],
        y: ViewMut<'_, E>,
        scratch: &mut [u8],
    ) where
        E: ops::FusedElement,
    {
        ops::fused::unpool_conv2d::run::<E, Self, I>(op, x, indices, y, scratch);
    }
    /// `codes[i] = table[codes[i] + 128]`, or the float activation, in place.
    fn unary(op: &E::Unary<'_>, y: &mut [E])
    where
        E: ops::ElementOps,
    {
        E::unary(op, y);
    }
    /// See [`Binary`].
    fn binary(op: &Binary<E>, a: &[E], b: &[E], y: &mut [E])
    where
        E: ops::ElementOps,
    {
        ops::elementwise::binary(op, a, b, y);
    }
    /// [`Self::binary`] where `y` holds one of the operands, element by element, and the result
    /// takes its place.
    fn binary_in_place(op: &Binary<E>, own: Own, other: &[E], y: &mut [E])
    where
        E: ops::ElementOps,
    {
        ops::elementwise::binary_in_place(op, own, other, y);
    }
    /// See [`ops::Softmax`], in place.
    fn softmax(op: &ops::Softmax<'_, E>, y: &mut [E])
    where
        E: ops::ElementOps,
    {
        E::softmax(op, y);
    }
}

/// Whose kernels may be chosen for a layer before it runs, at compile time for an embedded model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Owner {
    /// Nobody's: operators look at a layer when it runs.
    Nobody,
    /// Those of [`CortexM`].
    CortexM,
}

/// A core: kernels over both element types.
pub trait Backend: sealed::Sealed + Kernels<i8> + Kernels<f32> {
    /// Name on the command line and in reports.
    const NAME: &'static str;
    /// Whose kernels a layer may be given directly: the methods `own_…` of [`Kernels`].
    const OWNER: Owner = Owner::Nobody;
}

cfg_select! {
    microconv_backend = "scalar" => {
        /// The backend for this target: the portable one was forced.
        pub type Native = Scalar;
    }
    any(microconv_backend = "cortex_m", arm_dsp) => {
        /// The backend for this target; `--cfg microconv_backend="scalar"` forces the portable one.
        pub type Native = CortexM;
    }
    any(
        microconv_backend = "wide",
        target_arch = "x86_64",
        target_arch = "aarch64",
        all(target_arch = "wasm32", target_feature = "simd128"),
    ) => {
        /// The backend for this target; `--cfg microconv_backend="scalar"` forces the portable one.
        pub type Native = Wide;
    }
    _ => {
        /// The backend for this target.
        pub type Native = Scalar;
    }
}
