//! Operators, by the number in [`LayerRecord::opcode`](super::LayerRecord::opcode).

/// [`crate::ops::Conv2d`].
pub const CONV_2D: u32 = 1;
/// [`crate::ops::DepthwiseConv2d`].
pub const DEPTHWISE_CONV_2D: u32 = 2;
/// [`crate::ops::TransposedConv2d`].
pub const TRANSPOSED_CONV_2D: u32 = 3;
/// [`crate::ops::Dense`].
pub const DENSE: u32 = 4;
/// [`crate::ops::MaxPool2d`].
pub const MAX_POOL_2D: u32 = 5;
/// [`crate::ops::MaxPool2dWithIndices`].
pub const MAX_POOL_2D_WITH_INDICES: u32 = 6;
/// [`crate::ops::AveragePool2d`].
pub const AVERAGE_POOL_2D: u32 = 7;
/// [`crate::ops::MaxUnpool2d`].
pub const MAX_UNPOOL_2D: u32 = 8;
/// [`crate::ops::BedOfNails2d`].
pub const BED_OF_NAILS_2D: u32 = 9;
/// [`crate::ops::ResizeNearest2d`].
pub const RESIZE_NEAREST_2D: u32 = 10;
/// [`crate::ops::ResizeBilinear2d`].
pub const RESIZE_BILINEAR_2D: u32 = 11;
/// A table (i8) or an activation (f32).
pub const UNARY: u32 = 12;
/// [`crate::ops::Binary`].
pub const BINARY: u32 = 13;
/// [`crate::ops::Softmax`].
pub const SOFTMAX: u32 = 14;
/// [`crate::ops::Mean`].
pub const MEAN: u32 = 15;
/// [`crate::ops::ReduceMax`].
pub const REDUCE_MAX: u32 = 16;
/// [`crate::ops::StridedCopy`], one or several.
pub const ARRANGE: u32 = 17;
/// [`crate::ops::quantize::quantize`].
pub const QUANTIZE: u32 = 18;
/// [`crate::ops::quantize::dequantize`].
pub const DEQUANTIZE: u32 = 19;
/// [`crate::ops::ConvPool2d`].
pub const CONV_POOL_2D: u32 = 20;
/// [`crate::ops::UpsampleConv2d`].
pub const UPSAMPLE_CONV_2D: u32 = 21;
/// [`crate::ops::UnpoolConv2d`].
pub const UNPOOL_CONV_2D: u32 = 22;
