//! What cannot be run is refused when it is built, with an error that says which and why.

use microconv::ShapeError::{
    self, Channels, Length, Mismatch, Multiplier as BadMultiplier, Overflow, Range, Window, Zero,
};
use microconv::backend::Scalar;
use microconv::epilogue::{Activate, Activation, Requantize};
use microconv::ops::elementwise::{Combine8, Kind8};
use microconv::ops::{
    AXES, AveragePool2d, BedOfNails2d, Binary, Broadcast, Conv2d, Conv2dGeometry, Dense,
    DenseGeometry, DepthwiseConv2d, MaxPool2d, MaxPool2dWithIndices, MaxUnpool2d, Method,
    Pool2dGeometry, ReduceGeometry, Resize2dGeometry, Softmax, StridedCopy, TransposedConv2d,
    TransposedConv2dGeometry, quantize,
};
use microconv::quant::{Affine, Multiplier};
use microconv::window::{Padding, Window2d};
use microconv::{Shape, View, ViewMut};

const HUGE: usize = 1 << 20;

fn refused<T>(result: Result<T, ShapeError>, why: ShapeError) {
    assert_eq!(result.err(), Some(why));
}

fn window(kernel: usize) -> microconv::window::Window {
    Window2d::new(kernel, kernel).over(8, 8).unwrap()
}

fn requantize<'a>(bias: &'a [i32], mantissas: &'a [i32], shifts: &'a [i32]) -> Requantize<'a> {
    Requantize { bias, mantissas, shifts, zero_point: 0, min: -128, max: 127, table: None }
}

fn activate(bias: &[f32]) -> Activate<'_> {
    Activate { bias, min: -1.0, max: 1.0, activation: Activation::Linear }
}

#[test]
fn shapes_and_views() {
    refused(Shape::new(1, 0, 2, 3), Zero);
    refused(Shape::new(HUGE, HUGE, 1, 1), Overflow);
    refused(Shape::new(usize::MAX, 2, 1, 1), Overflow);
    let shape = Shape::new(1, 2, 2, 3).unwrap();
    refused(View::new(shape, &[0i8; 11]), Length);
    refused(ViewMut::new(shape, &mut [0f32; 13]), Length);
}

#[test]
fn windows() {
    refused(Window2d::new(0, 3).over(8, 8), Zero);
    refused(Window2d::new(3, 3).stride(1, 0).over(8, 8), Zero);
    refused(Window2d::new(3, 3).dilation(0, 1).over(8, 8), Zero);
    refused(Window2d::new(3, 3).over(0, 8), Zero);
    refused(Window2d::new(9, 3).over(8, 8), Window);
    refused(Window2d::new(3, 3).dilation(4, 1).over(8, 8), Window);
    refused(Window2d::new(3, usize::MAX).over(8, 8), Overflow);
    refused(Window2d::new(3, 3).dilation(usize::MAX, 1).over(8, 8), Overflow);
    let wide = Padding::Explicit([[usize::MAX, 0], [0, 0]]);
    refused(Window2d::new(3, 3).padding(wide).over(8, 8), Overflow);
}

#[test]
fn convolutions() {
    refused(Conv2dGeometry::new(window(3), 1, 4, 4, 0), Zero);
    refused(Conv2dGeometry::new(window(3), 1, 4, 6, 4), Channels);
    refused(Conv2dGeometry::new(window(3), 1, 6, 4, 4), Channels);
    refused(Conv2dGeometry::new(window(3), 0, 4, 4, 1), Zero);
    refused(Conv2dGeometry::new(window(3), 1, HUGE, HUGE, 1), Overflow);
    let g = Conv2dGeometry::new(window(3), 1, 2, 2, 1).unwrap();
    let (weights, one) = ([0i8; 36], [1 << 30]);
    let build = |weights, epilogue| Conv2d::<i8>::new(g, weights, 0, epilogue);
    let right = requantize(&[0; 2], &one, &[0]);
    refused(build(&weights[..35], right), Length);
    refused(build(&weights, requantize(&[0; 3], &one, &[0])), Length);
    refused(build(&weights, requantize(&[0; 2], &[1; 3], &[0; 3])), Length);
    refused(build(&weights, requantize(&[0; 2], &[1; 2], &[0; 1])), Length);
    refused(build(&weights, requantize(&[0; 2], &[-1], &[0])), BadMultiplier);
    refused(build(&weights, requantize(&[0; 2], &one, &[31])), BadMultiplier);
    refused(build(&weights, requantize(&[0; 2], &one, &[-32])), BadMultiplier);
    refused(build(&weights, Requantize { min: 1, max: 0, ..right }), Range);
    refused(build(&weights, Requantize { zero_point: 128, ..right }), Range);
    let floats = [0f32; 36];
    let build = |weights, epilogue| Conv2d::<f32>::new(g, weights, epilogue);
    refused(build(&floats[..35], activate(&[0.0; 2])), Length);
    refused(build(&floats, activate(&[0.0; 1])), Length);
    refused(build(&floats, Activate { min: 2.0, ..activate(&[0.0; 2]) }), Range);
    refused(build(&floats, Activate { max: f32::NAN, ..activate(&[0.0; 2]) }), Range);

    let op = build(&floats, activate(&[0.0; 2])).unwrap();
    let (x, mut y) = ([0f32; 128], [0f32; 72]);
    let turned = Shape::new(1, 4, 16, 2).unwrap();
    let run = |shape, y: &mut [f32], scratch: &mut [u8]| {
        op.run_on::<Scalar>(View::new(shape, &x)?, ViewMut::new(g.output, y)?, scratch)
    };
    refused(run(turned, &mut y, &mut []), Mismatch);
    let columns = op.run_as::<Scalar>(
        Method::Im2col,
        View::new(g.input, &x).unwrap(),
        ViewMut::new(g.output, &mut y).unwrap(),
        &mut [],
    );
    refused(columns, Length);
    let grouped = Conv2dGeometry::new(window(3), 1, 2, 2, 2).unwrap();
    let op = Conv2d::<f32>::new(grouped, &floats[..18], activate(&[0.0; 2])).unwrap();
    let direct = op.run_as::<Scalar>(
        Method::Direct,
        View::new(g.input, &x).unwrap(),
        ViewMut::new(g.output, &mut y).unwrap(),
        &mut [0; 1024],
    );
    refused(direct, Channels);
}

#[test]
fn depthwise_transposed_and_dense() {
    let g = Conv2dGeometry::new(window(3), 1, 4, 4, 1).unwrap();
    refused(DepthwiseConv2d::<f32>::new(g, &[0.0; 36], activate(&[0.0; 4])), Channels);
    let g = Conv2dGeometry::new(window(3), 1, 4, 4, 4).unwrap();
    refused(DepthwiseConv2d::<f32>::new(g, &[0.0; 35], activate(&[0.0; 4])), Length);

    let dilated = Window2d::new(2, 2).dilation(2, 1).over(8, 8).unwrap();
    refused(TransposedConv2dGeometry::new(dilated, 1, 2, 2), Window);
    refused(TransposedConv2dGeometry::new(window(3), 1, HUGE, HUGE), Overflow);
    let strided = Window2d::new(3, 3).stride(2, 2).over(7, 7).unwrap();
    let g = TransposedConv2dGeometry::new(strided, 1, 2, 2).unwrap();
    let weights = [0i8; 36];
    // One bias vector per stride phase.
    let short = requantize(&[0; 2], &[1 << 30], &[0]);
    refused(TransposedConv2d::<i8>::new(g, &weights, 0, short), Length);
    let right = requantize(&[0; 8], &[1 << 30], &[0]);
    refused(TransposedConv2d::<i8>::new(g, &weights[1..], 0, right), Length);

    refused(DenseGeometry::new(1, 0, 4), Zero);
    refused(DenseGeometry::new(1, HUGE, HUGE), Overflow);
    let g = DenseGeometry::new(2, 3, 4).unwrap();
    refused(Dense::<f32>::new(g, &[0.0; 11], activate(&[0.0; 4])), Length);
    refused(Dense::<f32>::new(g, &[0.0; 12], activate(&[0.0; 3])), Length);
    let weights = [0.0; 12];
    let op = Dense::<f32>::new(g, &weights, activate(&[0.0; 4])).unwrap();
    refused(op.run_on::<Scalar>(&[0.0; 5], &mut [0.0; 8], &mut []), Length);
    refused(op.run_on::<Scalar>(&[0.0; 6], &mut [0.0; 9], &mut []), Length);
}

#[test]
fn pools_and_unpools() {
    let dilated = Window2d::new(2, 2).dilation(2, 1).over(8, 8).unwrap();
    refused(Pool2dGeometry::new(dilated, 1, 1), Window);
    let outside = Padding::Explicit([[3, 0], [0, 0]]);
    let outside = Window2d::new(3, 3).padding(outside).over(8, 8).unwrap();
    refused(Pool2dGeometry::new(outside, 1, 1), Window);
    refused(Pool2dGeometry::new(window(3), HUGE, HUGE), Overflow);
    let g = Pool2dGeometry::new(window(3), 1, 1).unwrap();
    refused(MaxPool2d::new(g, 1i8, 0), Range);
    refused(AveragePool2d::new(g, 0.0, f32::NAN), Range);
    let map = Shape::new(1, 8, 8, 1).unwrap();
    let op = MaxPool2d::new(g, -128i8, 127).unwrap();
    let mut same = [0; 64];
    let wrong = op
        .run_on::<Scalar>(View::new(map, &[0; 64]).unwrap(), ViewMut::new(map, &mut same).unwrap());
    refused(wrong, Mismatch);

    let many = Window2d::new(17, 16).over(17, 16).unwrap();
    let g = Pool2dGeometry::new(many, 1, 1).unwrap();
    let op = MaxPool2dWithIndices::new(g).unwrap();
    let run = |indices: &mut [u8]| {
        let (x, mut y) = ([0i8; 272], [0]);
        op.run_on::<Scalar, i8, u8>(
            View::new(g.input, &x)?,
            ViewMut::new(g.output, &mut y)?,
            indices,
        )
    };
    refused(run(&mut [0]), Window);
    refused(run(&mut [0; 2]), Length);
    let most = Window2d::new(257, 256).over(257, 256).unwrap();
    let g = Pool2dGeometry::new(most, 1, 1).unwrap();
    refused(MaxPool2dWithIndices::new(g), Window);
    refused(MaxUnpool2d::new(g, 0i8), Window);
}

#[test]
fn upsampling() {
    let map = Shape::new(1, 4, 4, 1).unwrap();
    refused(BedOfNails2d::new(map, 0, 2, 0i8), Zero);
    refused(BedOfNails2d::new(map, HUGE, HUGE, 0i8), Overflow);
    refused(Resize2dGeometry::new(map, 8, 8, true, true), Range);
    refused(Resize2dGeometry::new(map, 0, 8, false, false), Zero);
    refused(Resize2dGeometry::new(map, HUGE + 1, 8, false, false), Overflow);
    refused(Resize2dGeometry::new(map, HUGE, HUGE, false, false), Overflow);
}

#[test]
fn element_wise() {
    let ones = [1; AXES];
    let strides = [0; AXES];
    let broadcast = Broadcast { dims: ones, a: strides, b: strides };
    let mut dims = ones;
    dims[5] = 0;
    refused(Broadcast { dims, ..broadcast }.lengths(), Zero);
    dims[4..].fill(HUGE);
    refused(Broadcast { dims, ..broadcast }.lengths(), Overflow);
    dims[4..].fill(2);
    let far = Broadcast { dims, a: [HUGE.saturating_mul(HUGE); AXES], ..broadcast };
    refused(far.lengths(), Overflow);

    let one = Multiplier { mantissa: 1 << 30, shift: 1 };
    let how = Combine8 {
        kind: Kind8::Add,
        zero_points: [0; 2],
        multipliers: [one; 2],
        output: one,
        zero_point: 0,
        min: -128,
        max: 127,
    };
    let bad = Multiplier { mantissa: -1, shift: 0 };
    refused(Combine8 { multipliers: [one, bad], ..how }.check(), BadMultiplier);
    refused(Combine8 { output: Multiplier { shift: 31, ..one }, ..how }.check(), BadMultiplier);
    refused(Combine8 { zero_points: [0, -129], ..how }.check(), Range);
    refused(Combine8 { min: 3, max: 2, ..how }.check(), Range);
    let op = Binary::<i8>::new(broadcast, how).unwrap();
    refused(op.run_on::<Scalar>(&[], &[0], &mut [0]), Length);
    refused(op.run_on::<Scalar>(&[0], &[0], &mut [0; 2]), Length);

    refused(Softmax::<f32>::new(0, 1.0), Zero);
    let op = Softmax::<f32>::new(3, 1.0).unwrap();
    refused(op.run(&[0.0; 4], &mut [0.0; 4]), Length);
    refused(op.run(&[0.0; 6], &mut [0.0; 3]), Length);

    refused(Affine::new(0.0, 0), Range);
    refused(Affine::new(f32::INFINITY, 0), Range);
    refused(Affine::new(1.0, 128), Range);
    let of = Affine::new(1.0, 0).unwrap();
    refused(quantize::quantize(of, &[0.0; 2], &mut [0; 1]), Length);
    refused(quantize::dequantize(of, &[0; 1], &mut [0.0; 2]), Length);
}

#[test]
fn reductions_and_copies() {
    let g = ReduceGeometry::global(1, 4, 3);
    refused(g.check(11, 3), Length);
    refused(g.check(12, 4), Length);
    refused(ReduceGeometry { kept: [1, 0, 3], ..g }.check(12, 3), Zero);
    refused(ReduceGeometry { reduced: [HUGE, HUGE, 1], ..g }.check(12, 3), Overflow);

    let copy = StridedCopy {
        dims: [1, 1, 1, 1, 1, 4],
        input_offset: 0,
        input_strides: [0, 0, 0, 0, 0, 1],
        output_offset: 0,
        output_strides: [0, 0, 0, 0, 0, 1],
    };
    assert_eq!(copy.check(4, 4), Ok(()));
    refused(copy.check(3, 4), Length);
    refused(copy.check(4, 3), Length);
    refused(StridedCopy { input_offset: 1, ..copy }.check(4, 4), Length);
    refused(StridedCopy { input_strides: [-1; AXES], ..copy }.check(4, 4), Length);
    refused(StridedCopy { output_offset: usize::MAX, ..copy }.check(4, 4), Length);
    refused(StridedCopy { dims: [1, 1, 0, 1, 1, 4], ..copy }.check(4, 4), Zero);
    refused(StridedCopy { input_strides: [isize::MAX; AXES], ..copy }.check(4, 4), Overflow);
    refused(
        StridedCopy { output_strides: [HUGE.saturating_mul(HUGE); AXES], ..copy }.check(4, 4),
        Overflow,
    );
}

#[test]
fn every_error_says_something_of_its_own() {
    let all = [
        Zero,
        Overflow,
        Mismatch,
        Channels,
        Window,
        Length,
        BadMultiplier,
        Range,
        ShapeError::Axis,
    ];
    let mut texts: Vec<String> = all.iter().map(ToString::to_string).collect();
    texts.sort();
    texts.dedup();
    assert_eq!(texts.len(), all.len());
    assert!(texts.iter().all(|text| text.len() > 10));
}
