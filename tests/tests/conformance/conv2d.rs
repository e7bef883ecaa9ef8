//! Convolution.

use conformance::generate::{Case, Values};
use conformance::oracle::conv;
use microconv::backend::{Backend, Kernels};
use microconv::epilogue::Activate;
use microconv::ops::conv2d::scratch_bytes_for;
use microconv::ops::{Conv2d, Conv2dGeometry, Method};
use microconv::{View, ViewMut};

use crate::support::{Parts, biases, finish_f32, fold, guarded, linear, window};

pub(crate) fn int8<B: Backend>(case: Case) {
    let mut values = Values::new(case.seed);
    let zero = values.zero_point();
    let g = Conv2dGeometry::new(
        window(&case),
        case.input[0],
        case.input[3],
        case.output[3],
        case.groups,
    )
    .unwrap();
    let x = values.codes(g.input.count(), zero);
    let w = values.weights(g.weights());
    let codes = values.codes_of(case.output[3], zero);
    let bias = biases(&mut values, case.output[3]);
    let product = |x: i8, w: i8| f64::from((i32::from(x) - i32::from(zero)) * i32::from(w));
    let sums = conv::conv2d(&x, case.input, &w, case.output, case.groups, case.geometry, product);
    let channels = case.output[3];
    let expected: Vec<i8> = sums
        .iter()
        .enumerate()
        .map(|(i, sum)| codes.code(*sum as i64 + i64::from(bias[i % channels]), i % channels))
        .collect();
    let depth = g.depth();
    let parts = Parts::new(&codes, fold(bias, &w, zero, |i| i / depth));
    let op = Conv2d::<i8>::new(g, &w, zero, parts.epilogue(&codes)).unwrap();
    for method in [Method::Direct, Method::Im2col] {
        if method == Method::Direct && case.groups != 1 {
            continue;
        }
        let scratch = scratch_bytes_for::<i8>(&g, method);
        let got = guarded(expected.len(), 99, scratch, |y, scratch| {
            op.run_as::<B>(method, View::new(g.input, &x)?, ViewMut::new(g.output, y)?, scratch)
        });
        assert_eq!(got, expected, "{method:?}");
    }
    let scratch = <B as Kernels<i8>>::conv2d_scratch(&g);
    let got = guarded(expected.len(), 99, scratch, |y, scratch| {
        op.run_on::<B>(View::new(g.input, &x)?, ViewMut::new(g.output, y)?, scratch)
    });
    assert_eq!(got, expected);
}

pub(crate) fn float<B: Backend>(case: Case) {
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
    let w = values.floats(g.weights());
    let bias = values.floats(case.output[3]);
    let product = |x: f32, w: f32| f64::from(x) * f64::from(w);
    let sums = conv::conv2d(&x, case.input, &w, case.output, case.groups, case.geometry, product);
    let expected = finish_f32(&sums, &bias);
    let op = Conv2d::<f32>::new(g, &w, Activate { bias: &bias, ..linear() }).unwrap();
    for method in [Method::Direct, Method::Im2col] {
        if method == Method::Direct && case.groups != 1 {
            continue;
        }
        let scratch = scratch_bytes_for::<f32>(&g, method);
        let got = guarded(expected.len(), 99.0, scratch, |y, scratch| {
            op.run_as::<B>(method, View::new(g.input, &x)?, ViewMut::new(g.output, y)?, scratch)
        });
        assert_eq!(got, expected, "{method:?}");
    }
    let scratch = <B as Kernels<f32>>::conv2d_scratch(&g);
    let got = guarded(expected.len(), 99.0, scratch, |y, scratch| {
        op.run_on::<B>(View::new(g.input, &x)?, ViewMut::new(g.output, y)?, scratch)
    });
    assert_eq!(got, expected);
}
