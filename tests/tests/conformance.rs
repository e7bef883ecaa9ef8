//! Every backend against the oracle: int8 bit for bit, floats exact on values
//! whose sums are exact. One line at the end puts a backend through everything.

use conformance::generate::{Case, Values, windows};
use conformance::oracle::quant::Codes;
use conformance::oracle::{Nhwc, conv, pool};
use microconv::backend::{Backend, CortexM, Kernels, Scalar, Wide};
use microconv::element::Element;
use microconv::epilogue::{Activate, Activation, Requantize};
use microconv::ops::{
    AveragePool2d, BedOfNails2d, Conv2d, Conv2dGeometry, Dense, DenseGeometry, DepthwiseConv2d,
    MaxPool2d, MaxPool2dWithIndices, MaxUnpool2d, Pool2dGeometry, Resize2dGeometry,
    ResizeNearest2d, TransposedConv2d, TransposedConv2dGeometry,
};
use microconv::window::{Axis, Window};
use microconv::{Shape, ShapeError, View, ViewMut};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// Cases per operator and type.
const CASES: u32 = 2000;
/// What surrounds every buffer that a kernel may write.
const CANARY: usize = 32;

fn check(strategy: impl Strategy<Value = Case>, test: impl Fn(Case)) {
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let result = TestRunner::new(config).run(&strategy, |case| {
        test(case);
        Ok(())
    });
    result.unwrap();
}

fn shape([n, h, w, c]: Nhwc) -> Shape {
    Shape::new(n, h, w, c).unwrap()
}

fn window(case: &Case) -> Window {
    let g = case.geometry;
    let axis = |i: usize| {
        Axis::new(
            case.input[i + 1],
            case.output[i + 1],
            g.kernel[i],
            g.stride[i],
            g.dilation[i],
            g.pad[i],
        )
        .unwrap()
    };
    Window { rows: axis(0), columns: axis(1) }
}

/// Runs a kernel on buffers between canaries and returns what it wrote.
fn guarded<E: Element>(
    count: usize,
    canary: E,
    scratch: usize,
    run: impl FnOnce(&mut [E], &mut [u8]) -> Result<(), ShapeError>,
) -> Vec<E> {
    let mut out = vec![canary; count + 2 * CANARY];
    // Scratch at a multiple of 16, with canaries after it.
    let mut memory = vec![0xA5u8; scratch + 16 + CANARY];
    let skip = memory.as_ptr().align_offset(16);
    run(&mut out[CANARY..CANARY + count], &mut memory[skip..skip + scratch]).unwrap();
    assert!(
        out[..CANARY].iter().chain(&out[CANARY + count..]).all(|&x| x == canary),
        "wrote outside the output"
    );
    assert!(memory[skip + scratch..].iter().all(|&x| x == 0xA5), "wrote outside the scratch");
    out[CANARY..CANARY + count].to_vec()
}

/// Multipliers and shifts as the kernels take them.
struct Parts {
    mantissas: Vec<i32>,
    shifts: Vec<i32>,
    bias: Vec<i32>,
}

impl Parts {
    fn new(codes: &Codes, bias: Vec<i32>) -> Self {
        Self {
            mantissas: codes.multipliers.iter().map(|m| m.mantissa).collect(),
            shifts: codes.multipliers.iter().map(|m| m.shift).collect(),
            bias,
        }
    }

    fn epilogue(&self, codes: &Codes) -> Requantize<'_> {
        Requantize {
            bias: &self.bias,
            mantissas: &self.mantissas,
            shifts: &self.shifts,
            zero_point: codes.output_zero,
            min: codes.min,
            max: codes.max,
            table: None,
        }
    }
}

fn biases(values: &mut Values, channels: usize) -> Vec<i32> {
    (0..channels).map(|_| values.below(20_000) as i32 - 10_000).collect()
}

/// `bias[index(i)] − zero · Σ w`: the folding of the exporter, from its definition.
fn fold(bias: Vec<i32>, weights: &[i8], zero: i8, index: impl Fn(usize) -> usize) -> Vec<i32> {
    let mut folded = bias;
    for (i, &w) in weights.iter().enumerate() {
        folded[index(i)] -= i32::from(zero) * i32::from(w);
    }
    folded
}

fn linear() -> Activate<'static> {
    Activate { bias: &[], min: -3.0, max: 40.0, activation: Activation::Linear }
}

fn finish_f32(sums: &[f64], bias: &[f32]) -> Vec<f32> {
    let channels = bias.len();
    sums.iter()
        .enumerate()
        .map(|(i, sum)| ((*sum + f64::from(bias[i % channels])) as f32).clamp(-3.0, 40.0))
        .collect()
}

fn conv2d_i8<B: Backend>(case: Case) {
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
    let scratch = <B as Kernels<i8>>::conv2d_scratch(&g);
    let got = guarded(expected.len(), 99, scratch, |y, scratch| {
        op.run_on::<B>(View::new(g.input, &x)?, ViewMut::new(g.output, y)?, scratch)
    });
    assert_eq!(got, expected);
}

fn conv2d_f32<B: Backend>(case: Case) {
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
    let op = Conv2d::<f32>::new(g, &w, Activate { bias: &bias, ..linear() }).unwrap();
    let scratch = <B as Kernels<f32>>::conv2d_scratch(&g);
    let got = guarded(sums.len(), 99.0, scratch, |y, scratch| {
        op.run_on::<B>(View::new(g.input, &x)?, ViewMut::new(g.output, y)?, scratch)
    });
    assert_eq!(got, finish_f32(&sums, &bias));
}

/// The window case as a depthwise one: the output channels become a multiplier.
fn depthwise(mut case: Case) -> Case {
    case.output[3] = case.input[3] * (1 + case.output[3] % 3);
    case.groups = case.input[3];
    case
}

fn depthwise_i8<B: Backend>(case: Case) {
    let case = depthwise(case);
    let mut values = Values::new(case.seed);
    let zero = values.zero_point();
    let channels = case.output[3];
    let g = Conv2dGeometry::new(window(&case), case.input[0], case.input[3], channels, case.groups)
        .unwrap();
    let x = values.codes(g.input.count(), zero);
    let w = values.weights(g.window.taps() * channels);
    let codes = values.codes_of(channels, zero);
    let bias = biases(&mut values, channels);
    let product = |x: i8, w: i8| f64::from((i32::from(x) - i32::from(zero)) * i32::from(w));
    let sums = conv::depthwise(&x, case.input, &w, case.output, case.geometry, product);
    let expected: Vec<i8> = sums
        .iter()
        .enumerate()
        .map(|(i, sum)| codes.code(*sum as i64 + i64::from(bias[i % channels]), i % channels))
        .collect();
    let parts = Parts::new(&codes, fold(bias, &w, zero, |i| i % channels));
    let op = DepthwiseConv2d::<i8>::new(g, &w, zero, parts.epilogue(&codes)).unwrap();
    let scratch = <B as Kernels<i8>>::depthwise_conv2d_scratch(&g);
    let got = guarded(expected.len(), 99, scratch, |y, scratch| {
        op.run_on::<B>(View::new(g.input, &x)?, ViewMut::new(g.output, y)?, scratch)
    });
    assert_eq!(got, expected);
}

fn depthwise_f32<B: Backend>(case: Case) {
    let case = depthwise(case);
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
    let w = values.floats(g.window.taps() * case.output[3]);
    let bias = values.floats(case.output[3]);
    let product = |x: f32, w: f32| f64::from(x) * f64::from(w);
    let sums = conv::depthwise(&x, case.input, &w, case.output, case.geometry, product);
    let op = DepthwiseConv2d::<f32>::new(g, &w, Activate { bias: &bias, ..linear() }).unwrap();
    let scratch = <B as Kernels<f32>>::depthwise_conv2d_scratch(&g);
    let got = guarded(sums.len(), 99.0, scratch, |y, scratch| {
        op.run_on::<B>(View::new(g.input, &x)?, ViewMut::new(g.output, y)?, scratch)
    });
    assert_eq!(got, finish_f32(&sums, &bias));
}

fn transposed_i8<B: Backend>(case: Case) {
    let mut values = Values::new(case.seed);
    let zero = values.zero_point();
    // The forward output is this operator's input.
    let (input, output) = (case.output, case.input);
    let channels = output[3];
    let g = TransposedConv2dGeometry::new(window(&case), input[0], input[3], channels).unwrap();
    let x = values.codes(g.input.count(), zero);
    let w = values.weights(g.weights());
    let codes = values.codes_of(channels, zero);
    let bias = biases(&mut values, channels);
    let product = |x: i8, w: i8| f64::from((i32::from(x) - i32::from(zero)) * i32::from(w));
    let sums = conv::transposed(&x, input, &w, output, case.geometry, product);
    let expected: Vec<i8> = sums
        .iter()
        .enumerate()
        .map(|(i, sum)| codes.code(*sum as i64 + i64::from(bias[i % channels]), i % channels))
        .collect();
    let [kh, kw] = case.geometry.kernel;
    let [sh, sw] = case.geometry.stride;
    let folded = fold(bias.repeat(sh * sw), &w, zero, |i| {
        let (o, ky, kx) = (i / input[3] / kw / kh, i / input[3] / kw % kh, i / input[3] % kw);
        (ky % sh * sw + kx % sw) * channels + o
    });
    let parts = Parts::new(&codes, folded);
    let op = TransposedConv2d::<i8>::new(g, &w, zero, parts.epilogue(&codes)).unwrap();
    let scratch = <B as Kernels<i8>>::transposed_conv2d_scratch(&g);
    let got = guarded(expected.len(), 99, scratch, |y, scratch| {
        op.run_on::<B>(View::new(g.input, &x)?, ViewMut::new(g.output, y)?, scratch)
    });
    assert_eq!(got, expected);
}

fn transposed_f32<B: Backend>(case: Case) {
    let mut values = Values::new(case.seed);
    let (input, output) = (case.output, case.input);
    let g = TransposedConv2dGeometry::new(window(&case), input[0], input[3], output[3]).unwrap();
    let x = values.floats(g.input.count());
    let w = values.floats(g.weights());
    let bias = values.floats(output[3]);
    let product = |x: f32, w: f32| f64::from(x) * f64::from(w);
    let sums = conv::transposed(&x, input, &w, output, case.geometry, product);
    let phases = bias.repeat(g.phases());
    let op = TransposedConv2d::<f32>::new(g, &w, Activate { bias: &phases, ..linear() }).unwrap();
    let scratch = <B as Kernels<f32>>::transposed_conv2d_scratch(&g);
    let got = guarded(sums.len(), 99.0, scratch, |y, scratch| {
        op.run_on::<B>(View::new(g.input, &x)?, ViewMut::new(g.output, y)?, scratch)
    });
    assert_eq!(got, finish_f32(&sums, &bias));
}

/// Rows, inputs and units out of a window case.
fn extents(case: &Case) -> [usize; 3] {
    [case.input[0], case.input[1] * case.input[2] * case.input[3], case.output[3]]
}

fn dense_i8<B: Backend>(case: Case) {
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

fn dense_f32<B: Backend>(case: Case) {
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

/// The window case as a pool: channels stay, every window touches the map.
fn pooled(mut case: Case) -> Option<(Case, Pool2dGeometry)> {
    case.output[3] = case.input[3];
    let g = Pool2dGeometry::new(window(&case), case.input[0], case.input[3]).ok()?;
    Some((case, g))
}

/// What a type brings to the pool tests.
trait PoolElement: Element + Into<f64> {
    const CANARY: Self;
    fn values(values: &mut Values, count: usize) -> Vec<Self>;
    fn bounds() -> (Self, Self);
    fn average(sum: f64, count: usize) -> Self;
}

impl PoolElement for i8 {
    const CANARY: i8 = 99;
    fn values(values: &mut Values, count: usize) -> Vec<i8> {
        let zero = values.zero_point();
        values.codes(count, zero)
    }
    fn bounds() -> (i8, i8) {
        (-100, 120)
    }
    fn average(sum: f64, count: usize) -> i8 {
        // `round` takes ties away from zero, and no quotient of these sizes rounds to a tie.
        (sum / count as f64).round().clamp(-100.0, 120.0) as i8
    }
}

impl PoolElement for f32 {
    const CANARY: f32 = 99.0;
    fn values(values: &mut Values, count: usize) -> Vec<f32> {
        values.floats(count)
    }
    fn bounds() -> (f32, f32) {
        (-0.75, 0.9)
    }
    fn average(sum: f64, count: usize) -> f32 {
        (sum as f32 / count as f32).clamp(-0.75, 0.9)
    }
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

/// Puts backends through every test.
macro_rules! conformance {
    ($($name:ident => $backend:ty),* $(,)?) => { $(
        mod $name {
            use super::*;

            #[test]
            fn conv2d() {
                check(windows(true, true), conv2d_i8::<$backend>);
                check(windows(true, true), conv2d_f32::<$backend>);
            }
            #[test]
            fn depthwise_conv2d() {
                check(windows(true, false), depthwise_i8::<$backend>);
                check(windows(true, false), depthwise_f32::<$backend>);
            }
            #[test]
            fn transposed_conv2d() {
                check(windows(false, false), transposed_i8::<$backend>);
                check(windows(false, false), transposed_f32::<$backend>);
            }
            #[test]
            fn dense() {
                check(windows(false, false), dense_i8::<$backend>);
                check(windows(false, false), dense_f32::<$backend>);
            }
            #[test]
            fn pooling_and_unpooling() {
                check(windows(false, false), pools::<$backend, i8>);
                check(windows(false, false), pools::<$backend, f32>);
            }
            #[test]
            fn nails_and_nearest() {
                check(windows(false, false), upsampling::<$backend, i8>);
                check(windows(false, false), upsampling::<$backend, f32>);
            }
        }
    )* };
}

conformance! { scalar => Scalar, cortex_m => CortexM, wide => Wide }
