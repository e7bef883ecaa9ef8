//! A convolution of one channel and its 2 × 2 pool.

use super::*;
use crate::backend::cortex_m::owns_conv_pool2d;
use crate::epilogue::Ending;
use crate::ops::fused::{ConvPool2d, ConvPool2dGeometry};

#[test]
fn pooled_convolutions() {
    let mut ours = 0;
    for seed in 0..CASES / 3 {
        let mut random = Random::new(seed);
        let mut side = || [random.range(0, 2), random.range(0, 2)];
        let padding = Padding::Explicit([side(), side()]);
        let window = Window2d::new(3, 3).padding(padding);
        let Ok(window) = window.over(random.range(2, 9), random.range(2, 13)) else { continue };
        let outputs = 4 * random.range(1, 4);
        let g = Conv2dGeometry::new(window, random.range(1, 2), 1, outputs, 1).unwrap();
        let pool = Window2d::new(2, 2).stride(2, 2).over(g.output.h, g.output.w);
        let Ok(pool) = pool.map(|pool| Pool2dGeometry::new(pool, g.output.n, outputs).unwrap())
        else {
            continue;
        };
        let weights = random.weights(g.weights());
        let (x, end) = (random.codes(g.input.count()), random.end(outputs, outputs));
        let zero = random.next() as i8;
        let convolution = Conv2d::<i8>::new(g, &weights, zero, end.requantize()).unwrap();
        let pool = MaxPool2d::new(pool, i8::MIN, i8::MAX).unwrap();
        let op = ConvPool2d::new(convolution, pool).unwrap();
        fn run<B: Backend>(op: &ConvPool2d<'_, i8>, g: &ConvPool2dGeometry, x: &[i8]) -> Vec<i8> {
            let bytes = <B as Kernels<i8>>::conv_pool2d_scratch(g);
            guarded(g.output().count(), bytes, |y, scratch| {
                let x = View::new(g.input(), x).unwrap();
                op.run_on::<B>(x, ViewMut::new(g.output(), y).unwrap(), scratch).unwrap();
            })
        }
        let fused = op.geometry;
        let scratch = <CortexM as Kernels<i8>>::conv_pool2d_scratch(&fused);
        ours += u64::from(owns_conv_pool2d(&fused, &Ending::of(&end.requantize()), scratch));
        both(&format!("{seed} {g:?}"), |ours| {
            if ours { run::<CortexM>(&op, &fused, &x) } else { run::<Scalar>(&op, &fused, &x) }
        });
    }
    assert!(ours > CASES / 12, "{ours} layers ran on patches");
}
