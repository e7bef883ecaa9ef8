//! Activations that stand alone, and softmax.

use conformance::generate::{Tensor, Values};
use conformance::oracle::activation::{Function, softmax, softmax_codes};
use conformance::oracle::quant::{Affine, Clamp};
use conformance::tolerance::tolerance;
use host_train::graph::{Activation, Op};
use microconv::backend::Backend;

use crate::network::{NONE, Network};

/// The function as the graph and as the oracle name it, with the row of its tolerance.
fn of(name: &str, values: &mut Values) -> (Activation, Function, &'static str) {
    let slopes = [0.0, 0.01, 0.1, 0.25, 0.3, 1.0, 1.5, -0.5];
    let alpha = slopes[values.below(slopes.len() as u64) as usize];
    match name {
        "relu" => (Activation::Relu, Function::Clamp(Clamp::Relu), "clamp"),
        "relu6" => (Activation::Relu6, Function::Clamp(Clamp::Relu6), "clamp"),
        "relu_n1_to_1" => (Activation::ReluN1To1, Function::Clamp(Clamp::ReluN1To1), "clamp"),
        "leaky_relu" => (Activation::LeakyRelu { alpha }, Function::LeakyRelu(alpha), "clamp"),
        "elu" => (Activation::Elu { alpha: 1.0 }, Function::Elu(1.0), "elu"),
        "sigmoid" => (Activation::Sigmoid, Function::Sigmoid, "sigmoid"),
        "tanh" => (Activation::Tanh, Function::Tanh, "tanh"),
        _ => (Activation::HardSwish, Function::HardSwish, "hard-swish"),
    }
}

/// Quantisation of the output: LOGISTIC and TANH have one of their own, HARD_SWISH a
/// scale of at least 1/128 of its input's.
fn output(function: Function, from: Affine, values: &mut Values) -> Affine {
    let any = values.affine_near(from);
    match function {
        Function::Sigmoid => Affine { scale: 1.0 / 256.0, zero: -128 },
        Function::Tanh => Affine { scale: 1.0 / 128.0, zero: 0 },
        Function::HardSwish => Affine { scale: any.scale.max(from.scale / 64.0), ..any },
        _ => any,
    }
}

/// Every code, and then some.
fn int8<B: Backend>(name: &str, case: &Tensor) {
    let mut values = Values::new(case.seed);
    let (activation, function, _) = of(name, &mut values);
    let from = values.affine();
    let to = output(function, from, &mut values);
    let more = values.codes(case.shape.iter().product(), from.zero as i8);
    let x: Vec<i8> = (-128..=127).chain(more).collect();
    let expected: Vec<i8> = x.iter().map(|&code| function.code(code, from, to)).collect();
    let mut network = Network::default();
    let input = network.input(&[x.len()], from, &x);
    let y = network.node::<i8>(Op::Activation(activation), &[input], &[x.len()], to);
    assert_eq!(network.run::<B, i8>(y), expected, "{function:?} from {from:?} to {to:?}");
}

fn float<B: Backend>(name: &str, case: &Tensor) {
    let mut values = Values::new(case.seed);
    let (activation, function, row) = of(name, &mut values);
    let mut x = values.reals(case.shape.iter().product());
    if values.once_in(4) {
        x.fill_with(|| values.below(3) as f32 * 3.0 - 3.0);
    }
    let expected: Vec<f64> = x.iter().map(|&x| function.real(f64::from(x))).collect();
    let mut network = Network::default();
    let input = network.input(&case.shape, NONE, &x);
    let y = network.node::<f32>(Op::Activation(activation), &[input], &case.shape, NONE);
    tolerance(row).check(&network.run::<B, f32>(y), &expected, &x);
}

/// A module per activation.
macro_rules! activations {
    ($($name:ident)*) => { $(
        pub(crate) mod $name {
            use super::{Backend, Tensor};

            pub(crate) fn int8<B: Backend>(case: Tensor) {
                super::int8::<B>(stringify!($name), &case);
            }

            pub(crate) fn float<B: Backend>(case: Tensor) {
                super::float::<B>(stringify!($name), &case);
            }
        }
    )* };
}

activations! { relu relu6 relu_n1_to_1 leaky_relu elu sigmoid tanh hard_swish }

/// Softmax over the last axis.
pub(crate) mod over_last_axis {
    use super::{
        Affine, Backend, NONE, Network, Op, Tensor, Values, softmax, softmax_codes, tolerance,
    };

    fn beta(values: &mut Values) -> f32 {
        [1.0, 1.0, 0.5, 2.0][values.below(4) as usize]
    }

    pub(crate) fn int8<B: Backend>(case: Tensor) {
        let mut values = Values::new(case.seed);
        let (beta, from) = (beta(&mut values), values.affine());
        let to = Affine { scale: 1.0 / 256.0, zero: -128 };
        let classes = case.shape[case.shape.len() - 1];
        let x = values.codes(case.shape.iter().product(), from.zero as i8);
        let expected: Vec<i8> =
            x.chunks(classes).flat_map(|row| softmax_codes(row, from.scale, beta)).collect();
        let mut network = Network::default();
        let input = network.input(&case.shape, from, &x);
        let y = network.node::<i8>(Op::Softmax { beta }, &[input], &case.shape, to);
        assert_eq!(network.run::<B, i8>(y), expected, "{from:?} beta {beta}");
    }

    pub(crate) fn float<B: Backend>(case: Tensor) {
        let mut values = Values::new(case.seed);
        let beta = beta(&mut values);
        let classes = case.shape[case.shape.len() - 1];
        let x = values.reals(case.shape.iter().product());
        let expected: Vec<f64> = x.chunks(classes).flat_map(|row| softmax(row, beta)).collect();
        let mut network = Network::default();
        let input = network.input(&case.shape, NONE, &x);
        let y = network.node::<f32>(Op::Softmax { beta }, &[input], &case.shape, NONE);
        tolerance("softmax").check(&network.run::<B, f32>(y), &expected, &x);
    }
}
