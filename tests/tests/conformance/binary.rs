//! Two operands with broadcasting, and batch norm as the pair that it becomes.

use conformance::generate::{Tensor, Values};
use conformance::oracle::elementwise::{Operation, broadcast};
use conformance::oracle::quant::Clamp;
use host_train::graph::{Activation, Op};
use microconv::backend::Backend;

use crate::network::{NONE, Network};

/// Shapes of two operands that broadcast to `output`; the first is whole when `first_whole`.
fn operands(output: &[usize], values: &mut Values, first_whole: bool) -> [Vec<usize>; 2] {
    let (mut a, mut b) = (output.to_vec(), output.to_vec());
    if values.once_in(4) {
        return [a, b];
    }
    for axis in 0..output.len() {
        match values.below(4) {
            0 if !first_whole => a[axis] = 1,
            0 | 1 => b[axis] = 1,
            _ => {}
        }
    }
    // Leading axes of one may be left out.
    for shape in [&mut a, &mut b] {
        while shape.len() > 1 && shape[0] == 1 && shape != output && values.once_in(2) {
            shape.remove(0);
        }
    }
    if first_whole {
        a = output.to_vec();
    } else if a.len() < output.len() && b.len() < output.len() {
        b = output.to_vec();
    }
    if !first_whole && values.once_in(8) { [b, a] } else { [a, b] }
}

/// NumPy's rule for the output of two operands.
fn joined([a, b]: &[Vec<usize>; 2]) -> Vec<usize> {
    let rank = a.len().max(b.len());
    let extent = |s: &[usize], i: usize| (i + s.len()).checked_sub(rank).map_or(1, |axis| s[axis]);
    (0..rank).map(|i| extent(a, i).max(extent(b, i))).collect()
}

fn op(operation: Operation, values: &mut Values) -> (Op, Clamp) {
    let (activation, clamp) = match values.below(6) {
        0 => (Activation::Relu, Clamp::Relu),
        1 => (Activation::Relu6, Clamp::Relu6),
        2 => (Activation::ReluN1To1, Clamp::ReluN1To1),
        _ => (Activation::Linear, Clamp::Linear),
    };
    match operation {
        Operation::Add => (Op::Add { activation }, clamp),
        Operation::Sub => (Op::Sub { activation }, clamp),
        Operation::Mul => (Op::Mul { activation }, clamp),
        Operation::Prelu => (Op::Prelu, Clamp::Linear),
    }
}

fn int8<B: Backend>(operation: Operation, case: &Tensor) {
    let mut values = Values::new(case.seed);
    let shapes = operands(&case.shape, &mut values, operation == Operation::Prelu);
    let output = joined(&shapes);
    let (op, clamp) = op(operation, &mut values);
    let first = values.affine();
    let of = [first, values.affine_near(first)];
    let to = values.affine_near(first);
    let [a, b] = [0, 1].map(|i| {
        let count: usize = shapes[i].iter().product();
        values.codes(count, of[i].zero as i8)
    });
    let expected = broadcast(&output, (&a, &shapes[0]), (&b, &shapes[1]), |a, b| {
        operation.code([a, b], of, to, clamp)
    });
    let mut network = Network::default();
    let a = network.input(&shapes[0], of[0], &a);
    // A constant takes another way through the executor.
    let b = if values.once_in(2) {
        network.constant(&shapes[1], of[1], &b)
    } else {
        network.input(&shapes[1], of[1], &b)
    };
    let y = network.node::<i8>(op, &[a, b], &output, to);
    assert_eq!(network.run::<B, i8>(y), expected, "{operation:?} {shapes:?} {of:?} {to:?}");
}

fn float<B: Backend>(operation: Operation, case: &Tensor) {
    let mut values = Values::new(case.seed);
    let shapes = operands(&case.shape, &mut values, operation == Operation::Prelu);
    let output = joined(&shapes);
    let (op, clamp) = op(operation, &mut values);
    let [a, b] = [0, 1].map(|i| values.reals(shapes[i].iter().product()));
    let expected =
        broadcast(&output, (&a, &shapes[0]), (&b, &shapes[1]), |a, b| operation.real(a, b, clamp));
    let mut network = Network::default();
    let a = network.input(&shapes[0], NONE, &a);
    let b = network.input(&shapes[1], NONE, &b);
    let y = network.node::<f32>(op, &[a, b], &output, NONE);
    assert_eq!(network.run::<B, f32>(y), expected, "{operation:?} {shapes:?}");
}

/// A module per operation.
macro_rules! operations {
    ($($name:ident => $operation:ident)*) => { $(
        pub(crate) mod $name {
            use super::{Backend, Operation, Tensor};

            pub(crate) fn int8<B: Backend>(case: Tensor) {
                super::int8::<B>(Operation::$operation, &case);
            }

            pub(crate) fn float<B: Backend>(case: Tensor) {
                super::float::<B>(Operation::$operation, &case);
            }
        }
    )* };
}

operations! { add => Add sub => Sub mul => Mul prelu => Prelu }

/// Batch norm that no layer absorbs: a product and a sum with one constant per channel.
pub(crate) mod batch_norm {
    use super::{
        Activation, Backend, Clamp, NONE, Network, Op, Operation, Tensor, Values, broadcast,
    };

    const LINEAR: Clamp = Clamp::Linear;

    pub(crate) fn int8<B: Backend>(case: Tensor) {
        let mut values = Values::new(case.seed);
        let channels = [case.shape[case.shape.len() - 1]];
        let from = values.affine();
        let [factor, product, offset, to] = [0; 4].map(|_| values.affine_near(from));
        let x = values.codes(case.shape.iter().product(), from.zero as i8);
        let gamma = values.codes(channels[0], factor.zero as i8);
        let beta = values.codes(channels[0], offset.zero as i8);
        let scaled = broadcast(&case.shape, (&x, &case.shape), (&gamma, &channels), |a, b| {
            Operation::Mul.code([a, b], [from, factor], product, LINEAR)
        });
        let expected =
            broadcast(&case.shape, (&scaled, &case.shape), (&beta, &channels), |a, b| {
                Operation::Add.code([a, b], [product, offset], to, Clamp::Relu)
            });
        let mut network = Network::default();
        let x = network.input(&case.shape, from, &x);
        let gamma = network.constant(&channels, factor, &gamma);
        let beta = network.constant(&channels, offset, &beta);
        let mul = Op::Mul { activation: Activation::Linear };
        let scaled = network.node::<i8>(mul, &[x, gamma], &case.shape, product);
        let add = Op::Add { activation: Activation::Relu };
        let y = network.node::<i8>(add, &[scaled, beta], &case.shape, to);
        assert_eq!(network.run::<B, i8>(y), expected);
    }

    pub(crate) fn float<B: Backend>(case: Tensor) {
        let mut values = Values::new(case.seed);
        let channels = [case.shape[case.shape.len() - 1]];
        let x = values.reals(case.shape.iter().product());
        let (gamma, beta) = (values.reals(channels[0]), values.reals(channels[0]));
        let scaled = broadcast(&case.shape, (&x, &case.shape), (&gamma, &channels), |a, b| {
            Operation::Mul.real(a, b, LINEAR)
        });
        let expected =
            broadcast(&case.shape, (&scaled, &case.shape), (&beta, &channels), |a, b| {
                Operation::Add.real(a, b, LINEAR)
            });
        let mut network = Network::default();
        let x = network.input(&case.shape, NONE, &x);
        let gamma = network.constant(&channels, NONE, &gamma);
        let beta = network.constant(&channels, NONE, &beta);
        let activation = Activation::Linear;
        let scaled = network.node::<f32>(Op::Mul { activation }, &[x, gamma], &case.shape, NONE);
        let y = network.node::<f32>(Op::Add { activation }, &[scaled, beta], &case.shape, NONE);
        assert_eq!(network.run::<B, f32>(y), expected);
    }
}
