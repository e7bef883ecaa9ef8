//! Depthwise convolutions beside the portable backend.

use std::format;
use std::vec::Vec;

use super::{CASES, CortexM, End, Random, both, guarded};
use crate::backend::{Backend, Kernels, Scalar};
use crate::ops::{Conv2dGeometry, DepthwiseConv2d};
use crate::view::{View, ViewMut};
use crate::window::{Padding, Window, Window2d};

/// Over random weights and codes, on both; ours with as much scratch as it wants, and with less,
/// as layers in bands have.
fn compare(random: &mut Random, window: Window, [inputs, outputs]: [usize; 2], end: &End) {
    fn run<B: Backend>(op: &DepthwiseConv2d<'_, i8>, x: &[i8]) -> Vec<i8> {
        let g = *op.geometry();
        let bytes = <B as Kernels<i8>>::depthwise_conv2d_scratch(&g);
        guarded(g.output.count(), bytes, |y, scratch| {
            let (x, y) = (View::new(g.input, x).unwrap(), ViewMut::new(g.output, y).unwrap());
            op.run_on::<B>(x, y, scratch).unwrap();
        })
    }
    let g = Conv2dGeometry::new(window, random.range(1, 2), inputs, outputs, inputs).unwrap();
    let weights = random.codes(g.window.taps() * outputs);
    let x = random.codes(g.input.count());
    let zero = random.next() as i8;
    let op = DepthwiseConv2d::<i8>::new(g, &weights, zero, end.requantize()).unwrap();
    let what = format!("{g:?} {:?}", end.shifts);
    both(&what, |ours| if ours { run::<CortexM>(&op, &x) } else { run::<Scalar>(&op, &x) });
    let most = <CortexM as Kernels<i8>>::depthwise_conv2d_scratch(&g);
    let least = <CortexM as Kernels<i8>>::depthwise_conv2d_least(&g);
    let bytes = random.range(least, most);
    both(&what, |ours| match ours {
        true => guarded(g.output.count(), bytes, |y, scratch| {
            let (x, y) = (View::new(g.input, &x).unwrap(), ViewMut::new(g.output, y).unwrap());
            CortexM::depthwise_conv2d(&op, x, y, scratch);
        }),
        false => run::<Scalar>(&op, &x),
    });
}

#[test]
fn depthwise_convolutions() {
    for seed in 0..CASES {
        let mut random = Random::new(seed);
        let Some(window) = random.window(true) else { continue };
        let inputs = random.channels();
        let outputs = inputs * [1, 1, 2, 3][random.range(0, 3)];
        let end = random.end(outputs, outputs);
        compare(&mut random, window, [inputs, outputs], &end);
    }
}

/// Windows that run on pairs of rows, with multipliers of every right shift: those on both
/// sides of the room for the zero point, and biases that reach the codes through them.
#[test]
fn depthwise_on_pairs_of_rows() {
    for seed in 0..CASES / 4 {
        let mut random = Random::new(seed + 11);
        let stride = random.range(1, 2);
        let padding = if random.range(0, 1) == 0 { Padding::Same } else { Padding::Valid };
        let window = Window2d::new(3, 3).stride(stride, stride).padding(padding);
        let window = window.over(random.range(3, 12), random.range(3, 29)).unwrap();
        let channels = random.range(4, 21);
        let mut end = random.end(channels, channels);
        let most = random.range(1, 31);
        for shift in &mut end.shifts {
            *shift = -(random.range(1, most) as i32);
        }
        let high = 29usize.saturating_sub(random.range(0, 13));
        for bias in &mut end.bias {
            *bias = (random.next() as i32) >> (32 - high);
        }
        if random.range(0, 2) == 0 {
            end.zero_point = end.min;
        }
        compare(&mut random, window, [channels; 2], &end);
    }
}
