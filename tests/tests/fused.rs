//! Fused operators against the pair of portable operators that they stand for: int8 bit
//! for bit with any multipliers, clamps and tables, floats on values whose sums are exact.

use conformance::generate::{Case, Values, cases, windows};
use conformance::tolerance::FUSED_F32;
use microconv::backend::{Backend, CortexM, Kernels, Scalar, Wide};
use microconv::element::Element;
use microconv::epilogue::{Activate, Activation, Requantize};
use microconv::ops::{
    Conv2d, Conv2dGeometry, ConvPool2d, ConvPool2dGeometry, FusedElement, MaxPool2d, MaxUnpool2d,
    Pool2dGeometry, Resize2dGeometry, ResizeNearest2d, UnpoolConv2d, UnpoolConv2dGeometry,
    UpsampleConv2d, UpsampleConv2dGeometry,
};
use microconv::window::{Axis, Padding, Window, Window2d};
use microconv::{Shape, ShapeError, View, ViewMut};
use proptest::test_runner::{Config, TestRunner};

/// Cases per operator, type and backend.
const CASES: u32 = 3000;
/// What surrounds every buffer that a kernel may write.
const CANARY: usize = 32;

/// Runs `test` on thousands of cases and asserts that most of them were fused.
fn check(dilated: bool, grouped: bool, test: impl Fn(Case) -> bool) {
    let cases = cases(CASES);
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let fused = std::cell::Cell::new(0);
    let result = TestRunner::new(config).run(&windows(dilated, grouped), |case| {
        fused.set(fused.get() + u32::from(test(case)));
        Ok(())
    });
    result.unwrap();
    assert!(fused.get() > cases / 4, "only {} cases were fused", fused.get());
}

fn window(case: &Case) -> Window {
    let g = case.geometry;
    let axis = |i: usize| {
        let (input, output) = (case.input[i + 1], case.output[i + 1]);
        Axis::new(input, output, g.kernel[i], g.stride[i], g.dilation[i], g.pad[i]).unwrap()
    };
    Window { rows: axis(0), columns: axis(1) }
}

/// A type with what a test of it needs.
trait Typed: FusedElement {
    const CANARY: Self;
    /// Parts of an epilogue for `channels` channels.
    type Parts;
    fn values(values: &mut Values, count: usize, zero: i8) -> Vec<Self>;
    fn weights(values: &mut Values, count: usize) -> Vec<Self>;
    fn code(code: i8) -> Self;
    fn parts(values: &mut Values, channels: usize) -> Self::Parts;
    fn convolution<'a>(
        geometry: Conv2dGeometry,
        weights: &'a [Self],
        zero: i8,
        parts: &'a Self::Parts,
    ) -> Conv2d<'a, Self>;
}

struct Parts8 {
    bias: Vec<i32>,
    mantissas: Vec<i32>,
    shifts: Vec<i32>,
    zero_point: i32,
    bounds: (i8, i8),
    table: Option<[i8; 256]>,
}

impl Typed for i8 {
    const CANARY: i8 = 99;
    type Parts = Parts8;
    fn values(values: &mut Values, count: usize, zero: i8) -> Vec<i8> {
        values.codes(count, zero)
    }
    fn weights(values: &mut Values, count: usize) -> Vec<i8> {
        values.weights(count)
    }
    fn code(code: i8) -> i8 {
        code
    }
    fn parts(values: &mut Values, channels: usize) -> Parts8 {
        let codes = values.codes_of(channels, 0);
        let table = (values.below(4) == 0).then(|| {
            let codes = values.codes(256, 0);
            core::array::from_fn(|i| codes[i])
        });
        // As a relu has it, and shifts that differ little: what special kernels are made for.
        if values.below(3) == 0 {
            let n = 2 + values.below(11) as i32;
            return Parts8 {
                bias: (0..channels).map(|_| values.below(20_000) as i32 - 10_000).collect(),
                mantissas: codes.multipliers.iter().map(|m| m.mantissa).collect(),
                shifts: (0..channels).map(|_| -n - values.below(3) as i32).collect(),
                zero_point: if values.below(3) == 0 { codes.output_zero } else { -128 },
                bounds: (-128, 127),
                table,
            };
        }
        Parts8 {
            bias: (0..channels).map(|_| values.below(20_000) as i32 - 10_000).collect(),
            mantissas: codes.multipliers.iter().map(|m| m.mantissa).collect(),
            shifts: codes.multipliers.iter().map(|m| m.shift).collect(),
            zero_point: codes.output_zero,
            bounds: (codes.min, codes.max),
            table,
        }
    }
    fn convolution<'a>(
        geometry: Conv2dGeometry,
        weights: &'a [i8],
        zero: i8,
        parts: &'a Parts8,
    ) -> Conv2d<'a, i8> {
        let epilogue = Requantize {
            bias: &parts.bias,
            mantissas: &parts.mantissas,
            shifts: &parts.shifts,
            zero_point: parts.zero_point,
            min: parts.bounds.0,
            max: parts.bounds.1,
            table: parts.table.as_ref(),
        };
        Conv2d::<i8>::new(geometry, weights, zero, epilogue).unwrap()
    }
}

impl Typed for f32 {
    const CANARY: f32 = 99.0;
    type Parts = (Vec<f32>, Activation);
    fn values(values: &mut Values, count: usize, _: i8) -> Vec<f32> {
        values.floats(count)
    }
    fn weights(values: &mut Values, count: usize) -> Vec<f32> {
        values.floats(count)
    }
    fn code(_: i8) -> f32 {
        0.0
    }
    fn parts(values: &mut Values, channels: usize) -> Self::Parts {
        let activation = [Activation::Linear, Activation::Sigmoid, Activation::LeakyRelu(-0.5)];
        (values.floats(channels), activation[values.below(3) as usize])
    }
    fn convolution<'a>(
        geometry: Conv2dGeometry,
        weights: &'a [f32],
        _: i8,
        (bias, activation): &'a Self::Parts,
    ) -> Conv2d<'a, f32> {
        let epilogue = Activate { bias, min: -3.0, max: 4.0, activation: *activation };
        Conv2d::<f32>::new(geometry, weights, epilogue).unwrap()
    }
}

/// Runs a kernel on buffers between canaries and returns what it wrote.
fn guarded<E: Typed>(
    count: usize,
    scratch: usize,
    run: impl FnOnce(&mut [E], &mut [u8]) -> Result<(), ShapeError>,
) -> Vec<E> {
    let mut out = vec![E::CANARY; count + 2 * CANARY];
    let mut memory = vec![0xA5u8; scratch + 16 + CANARY];
    let skip = memory.as_ptr().align_offset(16);
    run(&mut out[CANARY..CANARY + count], &mut memory[skip..skip + scratch]).unwrap();
    let outside = out[..CANARY].iter().chain(&out[CANARY + count..]);
    assert!(outside.into_iter().all(|&x| x == E::CANARY), "wrote outside the output");
    assert!(memory[skip + scratch..].iter().all(|&x| x == 0xA5), "wrote outside the scratch");
    out[CANARY..CANARY + count].to_vec()
}

/// What the portable convolution computes.
fn convolved<E: Typed>(op: &Conv2d<'_, E>, x: &[E]) -> Vec<E>
where
    Scalar: Kernels<E>,
{
    let g = *op.geometry();
    guarded(g.output.count(), <Scalar as Kernels<E>>::conv2d_scratch(&g), |y, scratch| {
        op.run_on::<Scalar>(View::new(g.input, x)?, ViewMut::new(g.output, y)?, scratch)
    })
}

fn conv_pool<B: Backend + Kernels<E>, E: Typed>(case: Case) -> bool
where
    Scalar: Kernels<E>,
{
    let mut values = Values::new(case.seed);
    let zero = values.zero_point();
    let (mut inputs, mut outputs) = (case.input[3], case.output[3]);
    let mut kernel = [1 + values.below(3) as usize, 1 + values.below(3) as usize];
    let mut gap = [values.below(2) as usize, values.below(2) as usize];
    let (mut window, mut groups) = (window(&case), case.groups);
    if values.below(3) == 0 {
        // The first layers of a small autoencoder.
        (kernel, gap, groups) = ([2, 2], [0, 0], 1);
        (inputs, outputs) = (1, 4 * (1 + values.below(5) as usize));
        let pads = [[1, 1], [values.below(3) as usize, values.below(3) as usize]];
        let padding = [Padding::Same, Padding::Valid, Padding::Explicit(pads)];
        let padding = padding[values.below(3) as usize];
        let Ok(over) = Window2d::new(3, 3).padding(padding).over(case.input[1], case.input[2])
        else {
            return false;
        };
        window = over;
    }
    let g = Conv2dGeometry::new(window, case.input[0], inputs, outputs, groups);
    let g = g.unwrap();
    let padding = if values.below(2) == 0 { Padding::Same } else { Padding::Valid };
    let over = Window2d::new(kernel[0], kernel[1])
        .stride(kernel[0] + gap[0], kernel[1] + gap[1])
        .padding(padding)
        .over(g.output.h, g.output.w);
    let Ok(over) = over else { return false };
    let Ok(pool) = Pool2dGeometry::new(over, case.input[0], outputs) else { return false };
    let Ok(fused) = ConvPool2dGeometry::new(g, pool) else { return false };

    let mut x = E::values(&mut values, g.input.count(), zero);
    if values.below(4) == 0 {
        // A background with a few strokes.
        for (i, x) in x.iter_mut().enumerate() {
            *x = if i % 29 < 26 { E::code(zero) } else { *x };
        }
    }
    let w = E::weights(&mut values, g.weights());
    let parts = E::parts(&mut values, outputs);
    let convolution = E::convolution(g, &w, zero, &parts);
    let bounds =
        if values.below(3) == 0 { (E::code(-20), E::code(90)) } else { (E::LOWEST, highest()) };
    let pool_op = MaxPool2d::new(pool, bounds.0, bounds.1).unwrap();
    let map = convolved(&convolution, &x);
    let expected = guarded(pool.output.count(), 0, |y, _| {
        pool_op.run_on::<Scalar>(View::new(pool.input, &map)?, ViewMut::new(pool.output, y)?)
    });
    let op = ConvPool2d::new(convolution, pool_op).unwrap();
    let scratch = <B as Kernels<E>>::conv_pool2d_scratch(&fused);
    let got = guarded(expected.len(), scratch, |y, scratch| {
        op.run_on::<B>(View::new(g.input, &x)?, ViewMut::new(pool.output, y)?, scratch)
    });
    assert_same(&got, &expected);
    true
}

/// Equal codes; floats but for the roundings of their activation.
fn assert_same<E: Element>(got: &[E], expected: &[E]) {
    if size_of::<E>() == 1 {
        assert_eq!(got, expected);
        return;
    }
    let (got, expected): (&[f32], &[f32]) =
        (bytemuck::cast_slice(got), bytemuck::cast_slice(expected));
    assert_eq!(got.len(), expected.len());
    for (a, b) in got.iter().zip(expected) {
        assert!(a == b || (a - b).abs() <= FUSED_F32 * b.abs(), "{a} is not {b}");
    }
}

/// The greatest value of a type.
fn highest<E: Element>() -> E {
    let largest = bytemuck::bytes_of(&f32::INFINITY);
    if size_of::<E>() == 4 {
        bytemuck::pod_read_unaligned(largest)
    } else {
        bytemuck::pod_read_unaligned(&[127])
    }
}

/// The case as one over a small map whose cells become `factor`.
fn upsampled(case: &Case, values: &mut Values) -> Option<(Shape, [usize; 2], Conv2dGeometry)> {
    let mut factor = [1 + values.below(4) as usize, 1 + values.below(3) as usize];
    let [n, h, w, mut c] = case.input;
    let mut kernel = case.geometry.kernel;
    // The last layers of a small autoencoder.
    let usual = values.below(3) == 0;
    if usual {
        (factor, kernel) = ([2, 2], [3, 3]);
        c = if values.below(2) == 0 { 4 } else { c };
    }
    let small = Shape::new(n, h, w, c).unwrap();
    let g = case.geometry;
    // Mostly what phases serve: stride and dilation 1.
    let plain = usual || values.below(4) != 0;
    let (stride, dilation) = if plain { ([1, 1], [1, 1]) } else { (g.stride, g.dilation) };
    let padding = match values.below(3) {
        0 => Padding::Same,
        1 => Padding::Valid,
        _ => Padding::Explicit([[g.pad[0], 2], [g.pad[1], 1]]),
    };
    let window = Window2d::new(kernel[0], kernel[1])
        .stride(stride[0], stride[1])
        .dilation(dilation[0], dilation[1])
        .padding(padding)
        .over(h * factor[0], w * factor[1])
        .ok()?;
    Some((small, factor, Conv2dGeometry::new(window, n, c, case.output[3], 1).ok()?))
}

fn upsample_conv<B: Backend + Kernels<E>, E: Typed>(case: Case) -> bool
where
    Scalar: Kernels<E>,
{
    let mut values = Values::new(case.seed);
    let zero = values.zero_point();
    let Some((small, factor, g)) = upsampled(&case, &mut values) else { return false };
    let Ok(fused) = UpsampleConv2dGeometry::new(small, factor, g) else { return false };
    let x = E::values(&mut values, small.count(), zero);
    let w = E::weights(&mut values, g.weights());
    let parts = E::parts(&mut values, g.output.c);
    let convolution = E::convolution(g, &w, zero, &parts);
    let resize = Resize2dGeometry::new(small, g.input.h, g.input.w, false, false).unwrap();
    let map = guarded(g.input.count(), 0, |y, _| {
        let nearest = ResizeNearest2d::new(resize);
        nearest.run_on::<Scalar, E>(View::new(small, &x)?, ViewMut::new(g.input, y)?)
    });
    let expected = convolved(&convolution, &map);
    let op = UpsampleConv2d::new(small, factor, convolution).unwrap();
    let scratch = <B as Kernels<E>>::upsample_conv2d_scratch(&fused);
    let got = guarded(expected.len(), scratch, |y, scratch| {
        op.run_on::<B>(View::new(small, &x)?, ViewMut::new(g.output, y)?, scratch)
    });
    assert_same(&got, &expected);
    true
}

fn unpool_conv<B: Backend + Kernels<E>, E: Typed>(case: Case) -> bool
where
    Scalar: Kernels<E>,
{
    let mut values = Values::new(case.seed);
    let zero = values.zero_point();
    let (inputs, outputs) = (case.input[3], case.output[3]);
    let g = Conv2dGeometry::new(window(&case), case.input[0], inputs, outputs, 1).unwrap();
    let kernel = [1 + values.below(3) as usize, 1 + values.below(3) as usize];
    let gap = [values.below(2) as usize, values.below(2) as usize];
    let padding = if values.below(2) == 0 { Padding::Same } else { Padding::Valid };
    let over = Window2d::new(kernel[0], kernel[1])
        .stride(kernel[0] + gap[0], kernel[1] + gap[1])
        .padding(padding)
        .over(g.input.h, g.input.w);
    let Ok(over) = over else { return false };
    let Ok(pool) = Pool2dGeometry::new(over, case.input[0], inputs) else { return false };
    let Ok(fused) = UnpoolConv2dGeometry::new(pool, g) else { return false };
    let x = E::values(&mut values, pool.output.count(), zero);
    // Mostly taps of the window, inside the map or not; sometimes anything.
    let below = if values.below(4) == 0 { 256 } else { over.taps() as u64 };
    let indices: Vec<u8> = (0..x.len()).map(|_| values.below(below) as u8).collect();
    let w = E::weights(&mut values, g.weights());
    let parts = E::parts(&mut values, outputs);
    let convolution = E::convolution(g, &w, zero, &parts);
    let unpool = MaxUnpool2d::new(pool, E::code(zero)).unwrap();
    let map = guarded(g.input.count(), 0, |y, _| {
        let (x, y) = (View::new(pool.output, &x)?, ViewMut::new(g.input, y)?);
        unpool.run_on::<Scalar, u8>(x, &indices, y)
    });
    let expected = convolved(&convolution, &map);
    let op = UnpoolConv2d::new(unpool, convolution).unwrap();
    let scratch = <B as Kernels<E>>::unpool_conv2d_scratch(&fused);
    let got = guarded(expected.len(), scratch, |y, scratch| {
        let (x, y) = (View::new(pool.output, &x)?, ViewMut::new(g.output, y)?);
        op.run_on::<B, u8>(x, &indices, y, scratch)
    });
    assert_same(&got, &expected);
    true
}

/// Puts backends through every test.
macro_rules! fused {
    ($($name:ident => $backend:ty),* $(,)?) => { $(
        mod $name {
            use super::*;

            #[test]
            fn convolution_and_max_pool() {
                check(true, true, conv_pool::<$backend, i8>);
                check(true, true, conv_pool::<$backend, f32>);
            }
            #[test]
            fn nearest_and_convolution() {
                check(true, false, upsample_conv::<$backend, i8>);
                check(true, false, upsample_conv::<$backend, f32>);
            }
            #[test]
            fn max_unpool_and_convolution() {
                check(false, false, unpool_conv::<$backend, i8>);
                check(false, false, unpool_conv::<$backend, f32>);
            }
        }
    )* };
}

fused! { scalar => Scalar, cortex_m => CortexM, wide => Wide }
