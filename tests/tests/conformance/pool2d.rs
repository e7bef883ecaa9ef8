//! Pools and unpools.

use conformance::generate::{Case, Values};
use conformance::oracle::pool;
use microconv::backend::{Backend, Kernels};
use microconv::ops::{AveragePool2d, MaxPool2d, MaxPool2dWithIndices, MaxUnpool2d, Pool2dGeometry};
use microconv::{View, ViewMut};

use crate::support::{PoolElement, guarded, window};

pub(crate) fn int8<B: Backend>(case: Case) {
    pools::<B, i8>(case);
}

pub(crate) fn float<B: Backend>(case: Case) {
    pools::<B, f32>(case);
}

/// The window case as a pool: channels stay, every window touches the map.
fn pooled(mut case: Case) -> Option<(Case, Pool2dGeometry)> {
    case.output[3] = case.input[3];
    let g = Pool2dGeometry::new(window(&case), case.input[0], case.input[3]).ok()?;
    Some((case, g))
}

fn pools<B: Backend + Kernels<E>, E: PoolElement>(case: Case) {
    let Some((case, g)) = pooled(case) else { return };
    let mut values = Values::new(case.seed);
    let x = E::values(&mut values, g.input.count());
    let (min, max) = E::bounds();
    let clamp = |v: E| {
        if v < min {
            min
        } else if v > max {
            max
        } else {
            v
        }
    };
    let (maxima, offsets) = pool::max(&x, case.input, case.output, case.geometry);
    let expected: Vec<E> = maxima.iter().map(|&v| clamp(v)).collect();
    let op = MaxPool2d::new(g, min, max).unwrap();
    let got = guarded(expected.len(), E::CANARY, 0, |y, _| {
        op.run_on::<B>(View::new(g.input, &x)?, ViewMut::new(g.output, y)?)
    });
    assert_eq!(got, expected);

    let sums = pool::sums(&x, case.input, case.output, case.geometry);
    let expected: Vec<E> = sums.iter().map(|&(sum, count)| E::average(sum, count)).collect();
    let op = AveragePool2d::new(g, min, max).unwrap();
    let got = guarded(expected.len(), E::CANARY, 0, |y, _| {
        op.run_on::<B>(View::new(g.input, &x)?, ViewMut::new(g.output, y)?)
    });
    assert_eq!(got, expected);

    let mut indices = vec![0u8; maxima.len()];
    let op = MaxPool2dWithIndices::new(g).unwrap();
    let got = guarded(maxima.len(), E::CANARY, 0, |y, _| {
        op.run_on::<B, E, u8>(View::new(g.input, &x)?, ViewMut::new(g.output, y)?, &mut indices)
    });
    assert_eq!(got, maxima);
    assert_eq!(indices.iter().map(|&i| usize::from(i)).collect::<Vec<_>>(), offsets);

    let expected = pool::unpool(&maxima, &offsets, case.output, case.input, case.geometry, min);
    let op = MaxUnpool2d::new(g, min).unwrap();
    let got = guarded(expected.len(), E::CANARY, 0, |y, _| {
        op.run_on::<B, u8>(View::new(g.output, &maxima)?, &indices, ViewMut::new(g.input, y)?)
    });
    assert_eq!(got, expected);
    // Indices are data: whatever they hold, nothing is written outside.
    let wild: Vec<u8> = (0..indices.len()).map(|_| values.below(256) as u8).collect();
    guarded(expected.len(), E::CANARY, 0, |y, _| {
        op.run_on::<B, u8>(View::new(g.output, &maxima)?, &wild, ViewMut::new(g.input, y)?)
    });
}
