//! Mean and maximum over axes; global pools are those over rows and columns.

use conformance::generate::{Tensor, Values};
use conformance::oracle::reduce;
use host_train::graph::Op;
use microconv::backend::Backend;

use crate::network::{NONE, Network};
use crate::support::Value;

/// Some axes, at least one.
fn any_axes(shape: &[usize], values: &mut Values) -> Vec<usize> {
    let mut axes: Vec<usize> = (0..shape.len()).filter(|_| values.once_in(2)).collect();
    if axes.is_empty() {
        axes.push(values.below(shape.len() as u64) as usize);
    }
    axes
}

/// Whether axes stay with extent 1, and the shape of the output.
fn output(shape: &[usize], axes: &[usize], values: &mut Values) -> (bool, Vec<usize>) {
    // A result without axes has none to keep a batch in.
    let keep_dims = values.once_in(2) || axes.len() == shape.len();
    let of = |axis: usize| match axes.contains(&axis) {
        true if keep_dims => Some(1),
        true => None,
        false => Some(shape[axis]),
    };
    (keep_dims, (0..shape.len()).filter_map(of).collect())
}

fn max<B: Backend, E: Value>(case: &Tensor, axes: Vec<usize>, mut values: Values) {
    let (keep_dims, shape) = output(&case.shape, &axes, &mut values);
    let of = values.affine();
    let x = E::values(&mut values, case.shape.iter().product());
    let expected = reduce::max(&x, &case.shape, &axes);
    let mut network = Network::default();
    let input = network.input(&case.shape, of, &x);
    let y = network.node::<E>(Op::ReduceMax { axes, keep_dims }, &[input], &shape, of);
    assert_eq!(network.run::<B, E>(y), expected);
}

fn mean_int8<B: Backend>(case: &Tensor, axes: Vec<usize>, mut values: Values) {
    let (keep_dims, shape) = output(&case.shape, &axes, &mut values);
    let from = values.affine();
    let to = values.affine_near(from);
    let x = values.codes(case.shape.iter().product(), from.zero as i8);
    let expected = reduce::mean_codes(&x, &case.shape, &axes, from, to);
    let mut network = Network::default();
    let input = network.input(&case.shape, from, &x);
    let y = network.node::<i8>(Op::Mean { axes, keep_dims }, &[input], &shape, to);
    assert_eq!(network.run::<B, i8>(y), expected, "{from:?} {to:?}");
}

fn mean_float<B: Backend>(case: &Tensor, axes: Vec<usize>, mut values: Values) {
    let (keep_dims, shape) = output(&case.shape, &axes, &mut values);
    let x = values.floats(case.shape.iter().product());
    let expected: Vec<f32> =
        reduce::mean(&x, &case.shape, &axes).iter().map(|&mean| mean as f32).collect();
    let mut network = Network::default();
    let input = network.input(&case.shape, NONE, &x);
    let y = network.node::<f32>(Op::Mean { axes, keep_dims }, &[input], &shape, NONE);
    assert_eq!(network.run::<B, f32>(y), expected);
}

/// A module per reduction: its axes, and a test for each type.
macro_rules! reductions {
    ($($name:ident: $axes:expr => $int8:ident $(::<$e8:ty>)?, $float:ident $(::<$e32:ty>)?;)*) => { $(
        pub(crate) mod $name {
            use super::{Backend, Tensor, Values};

            pub(crate) fn int8<B: Backend>(case: Tensor) {
                let mut values = Values::new(case.seed);
                let axes = $axes(&case.shape, &mut values);
                super::$int8::<B $(, $e8)?>(&case, axes, values);
            }

            pub(crate) fn float<B: Backend>(case: Tensor) {
                let mut values = Values::new(case.seed);
                let axes = $axes(&case.shape, &mut values);
                super::$float::<B $(, $e32)?>(&case, axes, values);
            }
        }
    )* };
}

fn map_axes(_: &[usize], _: &mut Values) -> Vec<usize> {
    vec![1, 2]
}

reductions! {
    mean: super::any_axes => mean_int8, mean_float;
    reduce_max: super::any_axes => max::<i8>, max::<f32>;
    global_average_pool: super::map_axes => mean_int8, mean_float;
    global_max_pool: super::map_axes => max::<i8>, max::<f32>;
}
