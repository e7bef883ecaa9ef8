//! Every backend against the oracle: int8 bit for bit, floats exact on values
//! whose sums are exact. One line puts an operator, and one line a backend,
//! through everything.

mod conv2d;
mod dense;
mod depthwise_conv2d;
mod pool2d;
mod support;
mod transposed_conv2d;
mod upsample2d;

use conformance::generate::windows;
use microconv::backend::{CortexM, Scalar, Wide};

/// The operators: cases, and a test for each type.
macro_rules! operators {
    ($then:ident! $with:tt) => {
        $then! { $with
            conv2d: windows(true, true) => conv2d::int8, conv2d::float;
            depthwise_conv2d: windows(true, false) => depthwise_conv2d::int8, depthwise_conv2d::float;
            transposed_conv2d: windows(false, false) => transposed_conv2d::int8, transposed_conv2d::float;
            dense: windows(false, false) => dense::int8, dense::float;
            pool2d: windows(false, false) => pool2d::int8, pool2d::float;
            upsample2d: windows(false, false) => upsample2d::int8, upsample2d::float;
        }
    };
}

/// Stamps a backend with a test per operator and type.
macro_rules! stamp {
    (($backend:ty) $($name:ident: $cases:expr => $($int8:ident)::+, $($float:ident)::+;)*) => { $(
        mod $name {
            use super::super::*;

            #[test]
            fn i8() {
                support::check($cases, $($int8)::+::<$backend>);
            }
            #[test]
            fn f32() {
                support::check($cases, $($float)::+::<$backend>);
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
