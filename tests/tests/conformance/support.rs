//! What every test of an operator needs.

use std::fmt::Debug;

use conformance::generate::{self, Case, Tensor, Values};
use conformance::oracle::quant::{Codes, Multiplier};
use conformance::oracle::{Nhwc, pool};
use host_train::graph::{DType, Data};
use microconv::element::Element;
use microconv::epilogue::{Activate, Activation, Requantize};
use microconv::window::{Axis, Window};
use microconv::{Shape, ShapeError};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// Cases per operator and type.
const CASES: u32 = 2000;
/// What surrounds every buffer that a kernel may write.
pub(crate) const CANARY: usize = 32;

/// Cases as values: those that always run, and where more come from.
pub(crate) type Cases<C> = (Vec<C>, BoxedStrategy<C>);

pub(crate) fn check<C: Debug + 'static>((odd, more): Cases<C>, test: impl Fn(C)) {
    for case in odd {
        let shown = format!("{case:?}");
        let run = std::panic::AssertUnwindSafe(|| test(case));
        if let Err(panic) = std::panic::catch_unwind(run) {
            eprintln!("the case was {shown}");
            std::panic::resume_unwind(panic);
        }
    }
    let config =
        Config { cases: generate::cases(CASES), failure_persistence: None, ..Config::default() };
    let result = TestRunner::new(config).run(&more, |case| {
        test(case);
        Ok(())
    });
    result.unwrap();
}

/// Windows, the odd ones first.
pub(crate) fn windows(dilated: bool, grouped: bool) -> Cases<Case> {
    (generate::odd_windows(dilated, grouped), generate::windows(dilated, grouped).boxed())
}

/// Tensors of these ranks.
pub(crate) fn tensors(least: usize, most: usize) -> Cases<Tensor> {
    let ones = (least..=most).map(|rank| vec![1; rank]);
    let odd = ones.flat_map(|shape| (0..20).map(move |seed| Tensor { shape: shape.clone(), seed }));
    (odd.collect(), generate::tensors(least, most).boxed())
}

pub(crate) fn shape([n, h, w, c]: Nhwc) -> Shape {
    Shape::new(n, h, w, c).unwrap()
}

pub(crate) fn window(case: &Case) -> Window {
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
pub(crate) fn guarded<E: Element>(
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
pub(crate) struct Parts {
    mantissas: Vec<i32>,
    shifts: Vec<i32>,
    bias: Vec<i32>,
}

impl Parts {
    pub(crate) fn new(codes: &Codes, bias: Vec<i32>) -> Self {
        let all = &codes.multipliers;
        let alike = |m: &Multiplier| (m.mantissa, m.shift) == (all[0].mantissa, all[0].shift);
        // One multiplier serves all channels.
        let count = if all.iter().all(alike) { 1 } else { all.len() };
        Self {
            mantissas: all[..count].iter().map(|m| m.mantissa).collect(),
            shifts: all[..count].iter().map(|m| m.shift).collect(),
            bias,
        }
    }

    pub(crate) fn epilogue<'a>(&'a self, codes: &'a Codes) -> Requantize<'a> {
        Requantize {
            bias: &self.bias,
            mantissas: &self.mantissas,
            shifts: &self.shifts,
            zero_point: codes.output_zero,
            min: codes.min,
            max: codes.max,
            table: codes.table.as_ref(),
        }
    }
}

pub(crate) fn biases(values: &mut Values, channels: usize) -> Vec<i32> {
    (0..channels).map(|_| values.below(20_000) as i32 - 10_000).collect()
}

/// `bias[index(i)] − zero · Σ w`: the folding of the exporter, from its definition.
pub(crate) fn fold(
    bias: Vec<i32>,
    weights: &[i8],
    zero: i8,
    index: impl Fn(usize) -> usize,
) -> Vec<i32> {
    let mut folded = bias;
    for (i, &w) in weights.iter().enumerate() {
        folded[index(i)] -= i32::from(zero) * i32::from(w);
    }
    folded
}

pub(crate) fn linear() -> Activate<'static> {
    Activate { bias: &[], min: -3.0, max: 40.0, activation: Activation::Linear }
}

pub(crate) fn finish_f32(sums: &[f64], bias: &[f32]) -> Vec<f32> {
    let channels = bias.len();
    sums.iter()
        .enumerate()
        .map(|(i, sum)| ((*sum + f64::from(bias[i % channels])) as f32).clamp(-3.0, 40.0))
        .collect()
}

/// What a type brings to the tests that are the same for both.
pub(crate) trait Value: Element + Into<f64> {
    const CANARY: Self;
    const DTYPE: DType;
    fn values(values: &mut Values, count: usize) -> Vec<Self>;
    fn bounds() -> (Self, Self);
    fn average(sum: f64, count: usize) -> Self;
    fn data(values: Vec<Self>) -> Data;
}

impl Value for i8 {
    const CANARY: i8 = 99;
    const DTYPE: DType = DType::I8;
    fn values(values: &mut Values, count: usize) -> Vec<i8> {
        let zero = values.zero_point();
        values.codes(count, zero)
    }
    fn bounds() -> (i8, i8) {
        (-100, 120)
    }
    fn average(sum: f64, count: usize) -> i8 {
        pool::average_code(sum as i64, count as i64).clamp(-100, 120) as i8
    }
    fn data(values: Vec<i8>) -> Data {
        Data::I8(values)
    }
}

impl Value for f32 {
    const CANARY: f32 = 99.0;
    const DTYPE: DType = DType::F32;
    fn values(values: &mut Values, count: usize) -> Vec<f32> {
        values.floats(count)
    }
    fn bounds() -> (f32, f32) {
        (-0.75, 0.9)
    }
    fn average(sum: f64, count: usize) -> f32 {
        (sum as f32 / count as f32).clamp(-0.75, 0.9)
    }
    fn data(values: Vec<f32>) -> Data {
        Data::F32(values)
    }
}
