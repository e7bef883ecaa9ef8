//! Shapes and values for the conformance tests: odd ones first.

use proptest::prelude::*;

use crate::oracle::conv::Geometry;
use crate::oracle::{Nhwc, same, valid};

mod odd;
mod tensors;
mod values;

pub use odd::odd_windows;
pub use tensors::{Tensor, tensors};
pub use values::Values;

/// Random cases of a test: `most`, or fewer when the environment variable `MICROCONV_CASES`
/// says so, for emulators and interpreters.
///
/// # Panics
/// When the variable is not a number above zero.
pub fn cases(most: u32) -> u32 {
    let Ok(asked) = std::env::var("MICROCONV_CASES") else { return most };
    let asked: u32 = asked.parse().expect("MICROCONV_CASES is a number");
    assert!(asked > 0, "MICROCONV_CASES is zero: nothing would be tested");
    asked.min(most)
}

/// A window, its maps and a seed for values.
#[derive(Clone, Debug)]
pub struct Case {
    /// Of the (forward) input.
    pub input: Nhwc,
    /// Of the (forward) output.
    pub output: Nhwc,
    /// The window.
    pub geometry: Geometry,
    /// Channel groups.
    pub groups: usize,
    /// Of the values.
    pub seed: u64,
}

/// Channel counts that break tiles: one, primes, a tile and its neighbours.
fn channels() -> impl Strategy<Value = usize> {
    prop_oneof![3 => 1usize..6, 2 => prop::sample::select(vec![7, 8, 11, 13, 16, 17, 31, 33, 37])]
}

/// Maps from 1×1 up, kernels larger than maps, strides larger than kernels, dilation,
/// same, valid and lopsided padding, batches and groups.
pub fn windows(dilated: bool, grouped: bool) -> impl Strategy<Value = Case> {
    let extents = (1usize..3, 1usize..10, 1usize..10, channels(), channels());
    let window = (1usize..6, 1usize..6, 1usize..5, 1usize..5, 1usize..4, 1usize..4);
    let padding = (0usize..3, 0usize..3, 0usize..3);
    (extents, window, padding, 1usize..4, any::<u64>()).prop_filter_map(
        "the window does not fit",
        move |((n, h, w, c, o), (kh, kw, sh, sw, dh, dw), (how, top, left), groups, seed)| {
            let (dh, dw) = if dilated { (dh, dw) } else { (1, 1) };
            let axis = |input, kernel, stride, dilation, before| match how {
                0 => Some(same(input, kernel, stride, dilation)),
                1 => valid(input, kernel, stride, dilation).map(|output| (output, 0)),
                // Lopsided: padding before only.
                _ => valid(input + before, kernel, stride, dilation).map(|output| (output, before)),
            };
            let (rows, top) = axis(h, kh, sh, dh, top)?;
            let (columns, left) = axis(w, kw, sw, dw, left)?;
            let groups = if grouped { groups } else { 1 };
            Some(Case {
                input: [n, h, w, c * groups],
                output: [n, rows, columns, o * groups],
                geometry: Geometry {
                    kernel: [kh, kw],
                    stride: [sh, sw],
                    dilation: [dh, dw],
                    pad: [top, left],
                },
                groups,
                seed,
            })
        },
    )
}
