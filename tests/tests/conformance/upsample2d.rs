//! Bed of nails and nearest upsampling.

use conformance::generate::{Case, Values};
use conformance::oracle::pool;
use microconv::backend::{Backend, Kernels};
use microconv::ops::{BedOfNails2d, Resize2dGeometry, ResizeNearest2d};
use microconv::{View, ViewMut};

use crate::support::{PoolElement, guarded, shape};

pub(crate) fn int8<B: Backend>(case: Case) {
    upsampling::<B, i8>(case);
}

pub(crate) fn float<B: Backend>(case: Case) {
    upsampling::<B, f32>(case);
}

fn upsampling<B: Backend + Kernels<E>, E: PoolElement>(case: Case) {
    let mut values = Values::new(case.seed);
    let input = shape(case.input);
    let [sh, sw] = case.geometry.stride;
    let x = E::values(&mut values, input.count());
    let (zero, _) = E::bounds();
    let op = BedOfNails2d::new(input, sh, sw, zero).unwrap();
    let expected = pool::bed_of_nails(&x, case.input, [sh, sw], zero);
    let got = guarded(expected.len(), E::CANARY, 0, |y, _| {
        op.run_on::<B>(View::new(input, &x)?, ViewMut::new(op.output(), y)?)
    });
    assert_eq!(got, expected);
    let g =
        Resize2dGeometry::new(input, case.input[1] * sh, case.input[2] * sw, false, false).unwrap();
    let expected = pool::nearest(&x, case.input, [sh, sw]);
    let got = guarded(expected.len(), E::CANARY, 0, |y, _| {
        ResizeNearest2d::new(g).run_on::<B, E>(View::new(input, &x)?, ViewMut::new(g.output, y)?)
    });
    assert_eq!(got, expected);
}
