//! Depthwise convolution.

use conformance::generate::{Case, Values};
use conformance::oracle::conv;
use microconv::backend::{Backend, Kernels};
use microconv::epilogue::Activate;
use microconv::ops::{Conv2dGeometry, DepthwiseConv2d};
use microconv::{View, ViewMut};

use crate::support::{Parts, biases, finish_f32, fold, guarded, linear, window};

/// The window case as a depthwise one: the output channels become a multiplier.
fn depthwise(mut case: Case) -> Case {
    case.output[3] = case.input[3] * (1 + case.output[3] % 3);
    case.groups = case.input[3];
    case
}

pub(crate) fn int8<B: Backend>(case: Case) {
    let case = depthwise(case);
    let mut values = Values::new(case.seed);
    let zero = values.zero_point();
    let channels = case.output[3];
    let g = Conv2dGeometry::new(window(&case), case.input[0], case.input[3], channels, case.groups)
        .unwrap();
    let x = values.codes(g.input.count(), zero);
    let w = values.weights(g.window.taps() * channels);
    let codes = values.codes_of(channels, zero);
    let bias = biases(&mut values, channels);
    let product = |x: i8, w: i8| f64::from((i32::from(x) - i32::from(zero)) * i32::from(w));
    let sums = conv::depthwise(&x, case.input, &w, case.output, case.geometry, product);
    let expected: Vec<i8> = sums
        .iter()
        .enumerate()
        .map(|(i, sum)| codes.code(*sum as i64 + i64::from(bias[i % channels]), i % channels))
        .collect();
    let parts = Parts::new(&codes, fold(bias, &w, zero, |i| i % channels));
    let op = DepthwiseConv2d::<i8>::new(g, &w, zero, parts.epilogue(&codes)).unwrap();
    let scratch = <B as Kernels<i8>>::depthwise_conv2d_scratch(&g);
    let got = guarded(expected.len(), 99, scratch, |y, scratch| {
        op.run_on::<B>(View::new(g.input, &x)?, ViewMut::new(g.output, y)?, scratch)
    });
    assert_eq!(got, expected);
}

pub(crate) fn float<B: Backend>(case: Case) {
    let case = depthwise(case);
    let mut values = Values::new(case.seed);
    let g = Conv2dGeometry::new(
        window(&case),
        case.input[0],
        case.input[3],
        case.output[3],
        case.groups,
    )
    .unwrap();
    let x = values.floats(g.input.count());
    let w = values.floats(g.window.taps() * case.output[3]);
    let bias = values.floats(case.output[3]);
    let product = |x: f32, w: f32| f64::from(x) * f64::from(w);
    let sums = conv::depthwise(&x, case.input, &w, case.output, case.geometry, product);
    let op = DepthwiseConv2d::<f32>::new(g, &w, Activate { bias: &bias, ..linear() }).unwrap();
    let scratch = <B as Kernels<f32>>::depthwise_conv2d_scratch(&g);
    let got = guarded(sums.len(), 99.0, scratch, |y, scratch| {
        op.run_on::<B>(View::new(g.input, &x)?, ViewMut::new(g.output, y)?, scratch)
    });
    assert_eq!(got, finish_f32(&sums, &bias));
}
