//! Transposed convolution.

use conformance::generate::{Case, Values};
use conformance::oracle::conv;
use microconv::backend::{Backend, Kernels};
use microconv::epilogue::Activate;
use microconv::ops::{TransposedConv2d, TransposedConv2dGeometry};
use microconv::{View, ViewMut};

use crate::support::{Parts, biases, finish_f32, fold, guarded, linear, window};

pub(crate) fn int8<B: Backend>(case: Case) {
    let mut values = Values::new(case.seed);
    let zero = values.zero_point();
    // The forward output is this operator's input.
    let (input, output) = (case.output, case.input);
    let channels = output[3];
    let g = TransposedConv2dGeometry::new(window(&case), input[0], input[3], channels).unwrap();
    let x = values.codes(g.input.count(), zero);
    let w = values.weights(g.weights());
    let codes = values.codes_of(channels, zero);
    let bias = biases(&mut values, channels);
    let product = |x: i8, w: i8| f64::from((i32::from(x) - i32::from(zero)) * i32::from(w));
    let sums = conv::transposed(&x, input, &w, output, case.geometry, product);
    let expected: Vec<i8> = sums
        .iter()
        .enumerate()
        .map(|(i, sum)| codes.code(*sum as i64 + i64::from(bias[i % channels]), i % channels))
        .collect();
    let [kh, kw] = case.geometry.kernel;
    let [sh, sw] = case.geometry.stride;
    let folded = fold(bias.repeat(sh * sw), &w, zero, |i| {
        let (o, ky, kx) = (i / input[3] / kw / kh, i / input[3] / kw % kh, i / input[3] % kw);
        (ky % sh * sw + kx % sw) * channels + o
    });
    let parts = Parts::new(&codes, folded);
    let op = TransposedConv2d::<i8>::new(g, &w, zero, parts.epilogue(&codes)).unwrap();
    let scratch = <B as Kernels<i8>>::transposed_conv2d_scratch(&g);
    let got = guarded(expected.len(), 99, scratch, |y, scratch| {
        op.run_on::<B>(View::new(g.input, &x)?, ViewMut::new(g.output, y)?, scratch)
    });
    assert_eq!(got, expected);
}

pub(crate) fn float<B: Backend>(case: Case) {
    let mut values = Values::new(case.seed);
    let (input, output) = (case.output, case.input);
    let g = TransposedConv2dGeometry::new(window(&case), input[0], input[3], output[3]).unwrap();
    let x = values.floats(g.input.count());
    let w = values.floats(g.weights());
    let bias = values.floats(output[3]);
    let product = |x: f32, w: f32| f64::from(x) * f64::from(w);
    let sums = conv::transposed(&x, input, &w, output, case.geometry, product);
    let phases = bias.repeat(g.phases());
    let op = TransposedConv2d::<f32>::new(g, &w, Activate { bias: &phases, ..linear() }).unwrap();
    let scratch = <B as Kernels<f32>>::transposed_conv2d_scratch(&g);
    let got = guarded(sums.len(), 99.0, scratch, |y, scratch| {
        op.run_on::<B>(View::new(g.input, &x)?, ViewMut::new(g.output, y)?, scratch)
    });
    assert_eq!(got, finish_f32(&sums, &bias));
}
