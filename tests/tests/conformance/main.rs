//! Every backend against the oracle: int8 bit for bit, floats exact on values whose sums
//! are exact, else within the table of `tolerance.rs`. One line puts an operator, and one
//! line a backend, through everything.

mod activation;
mod arrange;
mod binary;
mod conv2d;
mod convert;
mod dense;
mod depthwise_conv2d;
mod network;
mod pool2d;
mod readme;
mod reduce;
mod refused;
mod support;
mod transposed_conv2d;
mod upsample2d;

use microconv::backend::{CortexM, Scalar, Wide};
use support::{tensors, windows};

/// The operators: what the README calls each, the methods of `Kernels` with which a
/// backend takes it over, the module with a test for each type, and its cases.
macro_rules! operators {
    ($then:ident! $with:tt) => {
        $then! { $with
            conv2d "Conv2D: stride, dilation, groups, 1-D, same/valid/explicit padding" ["conv2d"]: conv2d, windows(true, true);
            depthwise_conv2d "DepthwiseConv2D with multiplier" ["depthwise_conv2d"]: depthwise_conv2d, windows(true, false);
            transposed_conv2d "Conv2DTranspose: any stride, by phases" ["transposed_conv2d"]: transposed_conv2d, windows(false, false);
            dense "Dense" ["dense"]: dense, windows(false, false);
            max_pool2d "MaxPooling2D" ["max_pool2d"]: pool2d::max, windows(false, false);
            average_pool2d "AveragePooling2D" ["average_pool2d"]: pool2d::average, windows(false, false);
            max_unpool2d "MaxPooling2D with indices, MaxUnpooling2D" ["max_pool2d_with_indices" "max_unpool2d"]: pool2d::unpool, windows(false, false);
            bed_of_nails2d "BedOfNails2D" ["bed_of_nails2d"]: upsample2d::bed_of_nails, windows(false, false);
            resize_nearest2d "Resize, nearest (UpSampling2D)" ["resize_nearest2d"]: upsample2d::nearest, tensors(4, 4);
            resize_bilinear2d "Resize, bilinear" []: upsample2d::bilinear, tensors(4, 4);
            relu "ReLU" ["unary"]: activation::relu, tensors(1, 4);
            relu6 "ReLU6" ["unary"]: activation::relu6, tensors(1, 4);
            relu_n1_to_1 "ReLU −1…1" ["unary"]: activation::relu_n1_to_1, tensors(1, 4);
            leaky_relu "LeakyReLU" ["unary"]: activation::leaky_relu, tensors(1, 4);
            elu "ELU" ["unary"]: activation::elu, tensors(1, 4);
            sigmoid "Sigmoid" ["unary"]: activation::sigmoid, tensors(1, 4);
            tanh "Tanh" ["unary"]: activation::tanh, tensors(1, 4);
            hard_swish "HardSwish" ["unary"]: activation::hard_swish, tensors(1, 4);
            softmax "Softmax" ["softmax"]: activation::over_last_axis, tensors(1, 4);
            prelu "PReLU" ["binary Kind8::Prelu"]: binary::prelu, tensors(1, 5);
            add "Add, broadcast" ["binary Kind8::Add"]: binary::add, tensors(1, 5);
            sub "Subtract, broadcast" ["binary Kind8::Sub"]: binary::sub, tensors(1, 5);
            mul "Multiply, broadcast" ["binary Kind8::Mul"]: binary::mul, tensors(1, 5);
            batch_norm "BatchNormalization alone" ["binary Kind8::Mul"]: binary::batch_norm, tensors(2, 4);
            mean "Mean over axes" []: reduce::mean, tensors(2, 5);
            reduce_max "ReduceMax over axes" []: reduce::reduce_max, tensors(2, 5);
            global_average_pool "GlobalAveragePooling2D" []: reduce::global_average_pool, tensors(4, 4);
            global_max_pool "GlobalMaxPooling2D" []: reduce::global_max_pool, tensors(4, 4);
            concat "Concatenate on any axis" []: arrange::concat, tensors(1, 5);
            pad "Pad: constant, reflect, symmetric" []: arrange::pad, tensors(1, 4);
            slice "Slice, crop, strides of either sign" []: arrange::slice, tensors(1, 5);
            tile "Tile" []: arrange::tile, tensors(1, 4);
            transpose "Transpose, Permute" []: arrange::transpose, tensors(1, 5);
            reshape "Reshape, Flatten, Squeeze" []: arrange::reshape, tensors(1, 5);
            convert "Quantize, Dequantize, requantize" []: convert, tensors(1, 4);
        }
    };
}

/// Stamps a backend with a test per operator and type.
macro_rules! stamp {
    (($backend:ty) $($name:ident $label:literal [$($hook:literal)*]: $($module:ident)::+, $cases:expr;)*) => { $(
        mod $name {
            use super::super::*;

            #[test]
            fn i8() {
                support::check($cases, $($module)::+::int8::<$backend>);
            }
            #[test]
            fn f32() {
                support::check($cases, $($module)::+::float::<$backend>);
            }
        }
    )* };
}

/// What the README says of the operators.
macro_rules! described {
    (() $($name:ident $label:literal [$($hook:literal)*]: $($module:ident)::+, $cases:expr;)*) => {
        const OPERATORS: &[readme::Operator] =
            &[$(readme::Operator { label: $label, hooks: &[$($hook),*] }),*];
    };
}

operators!(described!());

/// Puts backends through every test.
macro_rules! conformance {
    ($($name:ident => $backend:ty),* $(,)?) => {
        const BACKENDS: &[&str] = &[$(stringify!($name)),*];
        $(mod $name {
            operators!(stamp! ($backend));
        })*
    };
}

conformance! { scalar => Scalar, cortex_m => CortexM, wide => Wide }
