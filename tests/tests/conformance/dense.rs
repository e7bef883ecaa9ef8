//! Dense layers.

use conformance::generate::{Case, Values};
use conformance::oracle::conv;
use microconv::backend::{Backend, Kernels};
use microconv::epilogue::Activate;
use microconv::ops::{Dense, DenseGeometry};

use crate::support::{Parts, biases, finish_f32, fold, guarded, linear};

/// Rows, inputs and units out of a window case.
fn extents(case: &Case) -> [usize; 3] {
    [case.input[0], case.input[1] * case.input[2] * case.input[3], case.output[3]]
}

pub(crate) fn int8<B: Backend>(case: Case) {
    let mut values = Values::new(case.seed);
    let zero = values.zero_point();
    let [batch, inputs, units] = extents(&case);
    let x = values.codes(batch * inputs, zero);
    let w = values.weights(inputs * units);
    let codes = values.codes_of(units, zero);
    let bias = biases(&mut values, units);
    let product = |x: i8, w: i8| f64::from((i32::from(x) - i32::from(zero)) * i32::from(w));
    let sums = conv::dense(&x, &w, inputs, product);
    let expected: Vec<i8> = sums
        .iter()
        .enumerate()
        .map(|(i, sum)| codes.code(*sum as i64 + i64::from(bias[i % units]), i % units))
        .collect();
    let parts = Parts::new(&codes, fold(bias, &w, zero, |i| i / inputs));
    let g = DenseGeometry::new(batch, inputs, units).unwrap();
    let op = Dense::<i8>::new(g, &w, parts.epilogue(&codes)).unwrap();
    let scratch = <B as Kernels<i8>>::dense_scratch(&g);
    let got = guarded(expected.len(), 99, scratch, |y, scratch| op.run_on::<B>(&x, y, scratch));
    assert_eq!(got, expected);
}

pub(crate) fn float<B: Backend>(case: Case) {
    let mut values = Values::new(case.seed);
    let [batch, inputs, units] = extents(&case);
    let x = values.floats(batch * inputs);
    let w = values.floats(inputs * units);
    let bias = values.floats(units);
    let sums = conv::dense(&x, &w, inputs, |x, w| f64::from(x) * f64::from(w));
    let g = DenseGeometry::new(batch, inputs, units).unwrap();
    let op = Dense::<f32>::new(g, &w, Activate { bias: &bias, ..linear() }).unwrap();
    let scratch = <B as Kernels<f32>>::dense_scratch(&g);
    let got = guarded(sums.len(), 99.0, scratch, |y, scratch| op.run_on::<B>(&x, y, scratch));
    assert_eq!(got, finish_f32(&sums, &bias));
}
