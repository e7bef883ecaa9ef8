//! Operators that move elements: every copy against the index arithmetic of its definition.

use conformance::generate::{Tensor, Values};
use conformance::oracle::arrange::{self, Border};
use host_train::graph::{Op, PadMode};
use microconv::backend::Backend;

use crate::network::Network;
use crate::support::Value;

/// One operator over one tensor.
fn single<B: Backend, E: Value>(
    case: &Tensor,
    shape: &[usize],
    op: Op,
    values: &mut Values,
    expected: impl FnOnce(&[E]) -> Vec<E>,
) {
    let of = values.affine();
    let x = E::values(values, case.shape.iter().product());
    let mut network = Network::default();
    let input = network.input(&case.shape, of, &x);
    let message = format!("{op:?}");
    let y = network.node::<E>(op, &[input], shape, of);
    assert_eq!(network.run::<B, E>(y), expected(&x), "{message}");
}

fn transpose_any<B: Backend, E: Value>(case: Tensor) {
    let mut values = Values::new(case.seed);
    let mut perm: Vec<usize> = (0..case.shape.len()).collect();
    for i in (1..perm.len()).rev() {
        perm.swap(i, values.below(i as u64 + 1) as usize);
    }
    let shape: Vec<usize> = perm.iter().map(|&axis| case.shape[axis]).collect();
    let op = Op::Transpose { perm: perm.clone() };
    single::<B, E>(&case, &shape, op, &mut values, |x| arrange::transpose(x, &case.shape, &perm));
}

fn slice_any<B: Backend, E: Value>(case: Tensor) {
    let mut values = Values::new(case.seed);
    let (mut begin, mut size, mut strides) = (Vec::new(), Vec::new(), Vec::new());
    for &extent in &case.shape {
        let first = values.below(extent as u64) as usize;
        let step = 1 + values.below(3) as usize;
        let back = values.once_in(4);
        let room = if back { first } else { extent - 1 - first };
        begin.push(first);
        size.push(1 + values.below((room / step) as u64 + 1) as usize);
        strides.push(if back { -(step as isize) } else { step as isize });
    }
    let op = Op::Slice { begin: begin.clone(), size: size.clone(), strides: strides.clone() };
    single::<B, E>(&case, &size, op, &mut values, |x| {
        arrange::slice(x, &case.shape, &begin, &size, &strides)
    });
}

fn tile_any<B: Backend, E: Value>(case: Tensor) {
    let mut values = Values::new(case.seed);
    let multiples: Vec<usize> = case.shape.iter().map(|_| 1 + values.below(3) as usize).collect();
    let shape: Vec<usize> = case.shape.iter().zip(&multiples).map(|(s, m)| s * m).collect();
    let op = Op::Tile { multiples: multiples.clone() };
    single::<B, E>(&case, &shape, op, &mut values, |x| arrange::tile(x, &case.shape, &multiples));
}

/// A view: the same elements in the same order, whatever axes they are given.
fn reshape_any<B: Backend, E: Value>(case: Tensor) {
    let mut values = Values::new(case.seed);
    let count: usize = case.shape.iter().product();
    let mut shape = case.shape.clone();
    match values.below(4) {
        0 => shape = vec![count],
        1 => shape.retain(|&extent| extent != 1),
        2 => shape.insert(values.below(shape.len() as u64 + 1) as usize, 1),
        _ => shape.reverse(),
    }
    if shape.is_empty() {
        shape.push(1);
    }
    let op = Op::Reshape { shape: shape.clone() };
    single::<B, E>(&case, &shape, op, &mut values, <[E]>::to_vec);
}

/// What the type adds to padding: a value of the border, in reals and as an element.
trait Bordered: Value {
    fn border(real: f32, of: conformance::oracle::quant::Affine) -> Self;
}

impl Bordered for i8 {
    fn border(real: f32, of: conformance::oracle::quant::Affine) -> i8 {
        of.quantize(real)
    }
}

impl Bordered for f32 {
    fn border(real: f32, _: conformance::oracle::quant::Affine) -> f32 {
        real
    }
}

fn pad_any<B: Backend, E: Bordered>(case: Tensor) {
    let mut values = Values::new(case.seed);
    let of = values.affine();
    let kind = values.below(4);
    let mut some = |extent: usize| {
        let most = match kind {
            2 => extent - 1,
            3 => extent,
            _ => 3,
        };
        values.below(most.min(3) as u64 + 1) as usize
    };
    let before: Vec<usize> = case.shape.iter().map(|&extent| some(extent)).collect();
    let after: Vec<usize> = case.shape.iter().map(|&extent| some(extent)).collect();
    let shape: Vec<usize> =
        (0..before.len()).map(|axis| before[axis] + case.shape[axis] + after[axis]).collect();
    let value = if kind == 1 { of.scale * 5.0 } else { 0.0 };
    let (mode, border) = match kind {
        2 => (PadMode::Reflect, Border::Reflect),
        3 => (PadMode::Symmetric, Border::Symmetric),
        _ => (PadMode::Constant(value), Border::Constant(E::border(value, of))),
    };
    let x = E::values(&mut values, case.shape.iter().product());
    let expected = arrange::pad(&x, &case.shape, &before, &after, border);
    let op = Op::Pad { before, after, mode };
    let message = format!("{op:?} {of:?}");
    let mut network = Network::default();
    let input = network.input(&case.shape, of, &x);
    let y = network.node::<E>(op, &[input], &shape, of);
    assert_eq!(network.run::<B, E>(y), expected, "{message}");
}

fn concat_any<B: Backend, E: Value>(case: Tensor) {
    let mut values = Values::new(case.seed);
    let of = values.affine();
    let axis = values.below(case.shape.len() as u64) as usize;
    // As many operands as a layer of the blob reads.
    let count = 1 + values.below(3) as usize;
    let mut network = Network::default();
    let (mut parts, mut inputs, mut shape) = (Vec::new(), Vec::new(), case.shape.clone());
    shape[axis] = 0;
    for _ in 0..count {
        let mut own = case.shape.clone();
        own[axis] = 1 + values.below(5) as usize;
        shape[axis] += own[axis];
        let x = E::values(&mut values, own.iter().product());
        inputs.push(network.input(&own, of, &x));
        parts.push((own, x));
    }
    let y = network.node::<E>(Op::Concat { axis }, &inputs, &shape, of);
    assert_eq!(network.run::<B, E>(y), arrange::concat(&parts, axis), "axis {axis}");
}

/// A module per operator.
macro_rules! moves {
    ($($name:ident => $test:ident;)*) => { $(
        pub(crate) mod $name {
            use super::{Backend, Tensor};

            pub(crate) fn int8<B: Backend>(case: Tensor) {
                super::$test::<B, i8>(case);
            }

            pub(crate) fn float<B: Backend>(case: Tensor) {
                super::$test::<B, f32>(case);
            }
        }
    )* };
}

moves! {
    transpose => transpose_any;
    slice => slice_any;
    tile => tile_any;
    reshape => reshape_any;
    pad => pad_any;
    concat => concat_any;
}
