//! Between floats and codes, and from one quantisation to another.

use conformance::generate::{Tensor, Values};
use conformance::oracle::activation::requantize;
use host_train::graph::Op;
use microconv::backend::Backend;

use crate::network::{NONE, Network};

/// QUANTIZE from int8 to int8.
pub(crate) fn int8<B: Backend>(case: Tensor) {
    let mut values = Values::new(case.seed);
    let from = values.affine();
    let to = values.affine_near(from);
    let x: Vec<i8> = (-128..=127).collect();
    let expected: Vec<i8> = x.iter().map(|&code| requantize(code, from, to)).collect();
    let mut network = Network::default();
    let input = network.input(&[256], from, &x);
    let y = network.node::<i8>(Op::Quantize, &[input], &[256], to);
    assert_eq!(network.run::<B, i8>(y), expected, "{from:?} {to:?}");
}

/// QUANTIZE from floats and DEQUANTIZE to floats, exactly.
pub(crate) fn float<B: Backend>(case: Tensor) {
    let mut values = Values::new(case.seed);
    let of = values.affine();
    let count = case.shape.iter().product();
    let mut x = values.reals(count);
    if values.once_in(2) {
        // Halves between codes, and far outside.
        x.fill_with(|| (values.below(1200) as f32 - 600.0) * 0.5 * of.scale);
    }
    let codes: Vec<i8> = x.iter().map(|&x| of.quantize(x)).collect();
    let mut network = Network::default();
    let input = network.input(&case.shape, NONE, &x);
    let y = network.node::<i8>(Op::Quantize, &[input], &case.shape, of);
    assert_eq!(network.run::<B, i8>(y), codes, "{of:?}");

    let expected: Vec<f32> = codes.iter().map(|&code| of.dequantize(code)).collect();
    let mut network = Network::default();
    let input = network.input(&case.shape, of, &codes);
    let y = network.node::<f32>(Op::Dequantize, &[input], &case.shape, NONE);
    assert_eq!(network.run::<B, f32>(y), expected, "{of:?}");
}
