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
mod reduce;
mod support;
mod transposed_conv2d;
mod upsample2d;

use microconv::backend::{CortexM, Scalar, Wide};
use support::{tensors, windows};

/// The operators: a module with a test for each type, and its cases.
macro_rules! operators {
    ($then:ident! $with:tt) => {
        $then! { $with
            conv2d: conv2d, windows(true, true);
            depthwise_conv2d: depthwise_conv2d, windows(true, false);
            transposed_conv2d: transposed_conv2d, windows(false, false);
            dense: dense, windows(false, false);
            max_pool2d: pool2d::max, windows(false, false);
            average_pool2d: pool2d::average, windows(false, false);
            max_unpool2d: pool2d::unpool, windows(false, false);
            bed_of_nails2d: upsample2d::bed_of_nails, windows(false, false);
            resize_nearest2d: upsample2d::nearest, tensors(4, 4);
            resize_bilinear2d: upsample2d::bilinear, tensors(4, 4);
            relu: activation::relu, tensors(1, 4);
            relu6: activation::relu6, tensors(1, 4);
            relu_n1_to_1: activation::relu_n1_to_1, tensors(1, 4);
            leaky_relu: activation::leaky_relu, tensors(1, 4);
            elu: activation::elu, tensors(1, 4);
            sigmoid: activation::sigmoid, tensors(1, 4);
            tanh: activation::tanh, tensors(1, 4);
            hard_swish: activation::hard_swish, tensors(1, 4);
            softmax: activation::over_last_axis, tensors(1, 4);
            prelu: binary::prelu, tensors(1, 5);
            add: binary::add, tensors(1, 5);
            sub: binary::sub, tensors(1, 5);
            mul: binary::mul, tensors(1, 5);
            batch_norm: binary::batch_norm, tensors(2, 4);
            mean: reduce::mean, tensors(2, 5);
            reduce_max: reduce::reduce_max, tensors(2, 5);
            global_average_pool: reduce::global_average_pool, tensors(4, 4);
            global_max_pool: reduce::global_max_pool, tensors(4, 4);
            concat: arrange::concat, tensors(1, 5);
            pad: arrange::pad, tensors(1, 4);
            slice: arrange::slice, tensors(1, 5);
            tile: arrange::tile, tensors(1, 4);
            transpose: arrange::transpose, tensors(1, 5);
            reshape: arrange::reshape, tensors(1, 5);
            convert: convert, tensors(1, 4);
        }
    };
}

/// Stamps a backend with a test per operator and type.
macro_rules! stamp {
    (($backend:ty) $($name:ident: $($module:ident)::+, $cases:expr;)*) => { $(
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

/// Puts backends through every test.
macro_rules! conformance {
    ($($name:ident => $backend:ty),* $(,)?) => { $(
        mod $name {
            operators!(stamp! ($backend));
        }
    )* };
}

conformance! { scalar => Scalar, cortex_m => CortexM, wide => Wide }
