//! Bed of nails, nearest and bilinear resizing.

use conformance::generate::{Case, Tensor, Values};
use conformance::oracle::pool;
use conformance::oracle::quant::Affine;
use conformance::oracle::resize::{self, Sampling};
use conformance::tolerance::tolerance;
use host_train::graph::{Op, ResizeMode};
use microconv::backend::{Backend, Kernels};
use microconv::ops::{BedOfNails2d, Resize2dGeometry, ResizeNearest2d};
use microconv::{View, ViewMut};

use crate::network::{NONE, Network};
use crate::support::{Value, guarded, shape};

fn nails<B: Backend + Kernels<E>, E: Value>(case: Case) {
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
}

/// A tensor of rank 4 resized: whole factors often, else any size; every legal sampling.
fn resized(case: &Tensor, values: &mut Values) -> ([[usize; 4]; 2], Resize2dGeometry, Sampling) {
    let input = <[usize; 4]>::try_from(case.shape.as_slice()).unwrap();
    let whole = values.once_in(2);
    let mut extent = |input: usize| match whole {
        true => input * (1 + values.below(4) as usize),
        false => 1 + values.below(14) as usize,
    };
    let output = [input[0], extent(input[1]), extent(input[2]), input[3]];
    let (align_corners, half_pixel_centers) =
        [(false, false), (true, false), (false, true)][values.below(3) as usize];
    let sampling = Sampling { align_corners, half_pixel_centers };
    let [_, h, w, _] = output;
    let g = Resize2dGeometry::new(shape(input), h, w, align_corners, half_pixel_centers).unwrap();
    ([input, output], g, sampling)
}

fn nearest_any<B: Backend + Kernels<E>, E: Value>(case: Tensor) {
    let mut values = Values::new(case.seed);
    let ([input, output], g, sampling) = resized(&case, &mut values);
    let x = E::values(&mut values, g.input.count());
    let expected = resize::nearest(&x, input, output, sampling);
    let got = guarded(expected.len(), E::CANARY, 0, |y, _| {
        ResizeNearest2d::new(g).run_on::<B, E>(View::new(g.input, &x)?, ViewMut::new(g.output, y)?)
    });
    assert_eq!(got, expected, "{output:?} {sampling:?}");
}

fn blend<B: Backend, E: Value>(
    [input, output]: [[usize; 4]; 2],
    how: Sampling,
    of: Affine,
    x: &[E],
) -> Vec<E> {
    let mut network = Network::default();
    let [_, h, w, _] = output;
    let op = Op::Resize2d {
        size: [h, w],
        mode: ResizeMode::Bilinear,
        align_corners: how.align_corners,
        half_pixel_centers: how.half_pixel_centers,
    };
    let x = network.input(&input, of, x);
    let y = network.node::<E>(op, &[x], &output, of);
    network.run::<B, E>(y)
}

/// Bed of nails.
pub(crate) mod bed_of_nails {
    use super::{Backend, Case};

    pub(crate) fn int8<B: Backend>(case: Case) {
        super::nails::<B, i8>(case);
    }

    pub(crate) fn float<B: Backend>(case: Case) {
        super::nails::<B, f32>(case);
    }
}

/// Nearest resizing.
pub(crate) mod nearest {
    use super::{Backend, Tensor};

    pub(crate) fn int8<B: Backend>(case: Tensor) {
        super::nearest_any::<B, i8>(case);
    }

    pub(crate) fn float<B: Backend>(case: Tensor) {
        super::nearest_any::<B, f32>(case);
    }
}

/// Bilinear resizing.
pub(crate) mod bilinear {
    use super::{Backend, NONE, Tensor, Values, blend, resize, resized, tolerance};

    pub(crate) fn int8<B: Backend>(case: Tensor) {
        let mut values = Values::new(case.seed);
        let ([input, output], _, sampling) = resized(&case, &mut values);
        let of = values.affine();
        let x = values.codes(input.iter().product(), of.zero as i8);
        let expected = resize::bilinear_codes(&x, input, output, sampling);
        let got = blend::<B, i8>([input, output], sampling, of, &x);
        assert_eq!(got, expected, "{output:?} {sampling:?}");
    }

    pub(crate) fn float<B: Backend>(case: Tensor) {
        let mut values = Values::new(case.seed);
        let ([input, output], _, sampling) = resized(&case, &mut values);
        let x = values.reals(input.iter().product());
        let expected = resize::bilinear(&x, input, output, sampling);
        let got = blend::<B, f32>([input, output], sampling, NONE, &x);
        tolerance("bilinear").check(&got, &expected, &x);
    }
}
