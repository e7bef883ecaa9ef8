//! Pools and unpools.

use conformance::generate::{Case, Values};
use conformance::oracle::pool;
use microconv::backend::{Backend, Kernels};
use microconv::ops::{
    AveragePool2d, MaxPool2d, MaxPool2dWithIndices, MaxUnpool2d, Pool2dGeometry, WindowIndex,
};
use microconv::{View, ViewMut};

use crate::support::{Value, guarded, window};

/// The window case as a pool: channels stay, every window touches the map.
fn pooled(mut case: Case) -> Option<(Case, Pool2dGeometry)> {
    case.output[3] = case.input[3];
    let g = Pool2dGeometry::new(window(&case), case.input[0], case.input[3]).ok()?;
    Some((case, g))
}

fn clamp<E: Value>(v: E) -> E {
    let (min, max) = E::bounds();
    if v < min {
        min
    } else if v > max {
        max
    } else {
        v
    }
}

fn max_any<B: Backend + Kernels<E>, E: Value>(case: Case) {
    let Some((case, g)) = pooled(case) else { return };
    let x = E::values(&mut Values::new(case.seed), g.input.count());
    let (min, max) = E::bounds();
    let (maxima, _) = pool::max(&x, case.input, case.output, case.geometry);
    let expected: Vec<E> = maxima.iter().map(|&v| clamp(v)).collect();
    let op = MaxPool2d::new(g, min, max).unwrap();
    let got = guarded(expected.len(), E::CANARY, 0, |y, _| {
        op.run_on::<B>(View::new(g.input, &x)?, ViewMut::new(g.output, y)?)
    });
    assert_eq!(got, expected);
}

fn average_any<B: Backend + Kernels<E>, E: Value>(case: Case) {
    let Some((case, g)) = pooled(case) else { return };
    let x = E::values(&mut Values::new(case.seed), g.input.count());
    let (min, max) = E::bounds();
    let sums = pool::sums(&x, case.input, case.output, case.geometry);
    let expected: Vec<E> = sums.iter().map(|&(sum, count)| E::average(sum, count)).collect();
    let op = AveragePool2d::new(g, min, max).unwrap();
    let got = guarded(expected.len(), E::CANARY, 0, |y, _| {
        op.run_on::<B>(View::new(g.input, &x)?, ViewMut::new(g.output, y)?)
    });
    assert_eq!(got, expected);
}

fn unpool_any<B: Backend + Kernels<E>, E: Value>(case: Case) {
    let Some((case, g)) = pooled(case) else { return };
    let mut values = Values::new(case.seed);
    let x = E::values(&mut values, g.input.count());
    let (maxima, offsets) = pool::max(&x, case.input, case.output, case.geometry);
    let mut indices = vec![0u8; maxima.len()];
    let op = MaxPool2dWithIndices::new(g).unwrap();
    let got = guarded(maxima.len(), E::CANARY, 0, |y, _| {
        op.run_on::<B, E, u8>(View::new(g.input, &x)?, ViewMut::new(g.output, y)?, &mut indices)
    });
    assert_eq!(got, maxima);
    assert_eq!(indices.iter().map(|&i| usize::from(i)).collect::<Vec<_>>(), offsets);

    // Indices are data: whatever they hold, those that no tap inside the map has are passed over.
    let wild: Vec<u8> = indices.iter().map(|&i| i ^ values.wild()).collect();
    let wide: Vec<u16> =
        wild.iter().map(|&i| u16::from(i) | u16::from(values.wild()) << 7).collect();
    unpooled::<B, E, u8>(&case, g, &maxima, &indices, usize::from);
    unpooled::<B, E, u8>(&case, g, &maxima, &wild, usize::from);
    unpooled::<B, E, u16>(&case, g, &maxima, &wide, usize::from);
}

fn unpooled<B: Backend + Kernels<E>, E: Value, I: WindowIndex>(
    case: &Case,
    g: Pool2dGeometry,
    x: &[E],
    indices: &[I],
    offset: impl Fn(I) -> usize,
) {
    let zero = E::bounds().0;
    let offsets: Vec<usize> = indices.iter().map(|&i| offset(i)).collect();
    let expected = pool::unpool(x, &offsets, case.output, case.input, case.geometry, zero);
    let op = MaxUnpool2d::new(g, zero).unwrap();
    let got = guarded(expected.len(), E::CANARY, 0, |y, _| {
        op.run_on::<B, I>(View::new(g.output, x)?, indices, ViewMut::new(g.input, y)?)
    });
    assert_eq!(got, expected);
}

/// A module per pool.
macro_rules! pools {
    ($($name:ident => $test:ident;)*) => { $(
        pub(crate) mod $name {
            use super::{Backend, Case};

            pub(crate) fn int8<B: Backend>(case: Case) {
                super::$test::<B, i8>(case);
            }

            pub(crate) fn float<B: Backend>(case: Case) {
                super::$test::<B, f32>(case);
            }
        }
    )* };
}

pools! {
    max => max_any;
    average => average_any;
    unpool => unpool_any;
}
