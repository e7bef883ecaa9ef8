//! Nearest upsampling and a convolution in one.

use super::*;
use crate::ops::{UpsampleConv2d, UpsampleConv2dGeometry};

/// Few channels on tiles, with and without the last pixels of the tile before, any border and
/// ending; other shapes beside them.
#[test]
fn few_channels() {
    let mut on_tiles = 0;
    for seed in 0..CASES / 3 {
        let mut random = Random::new(seed + 31);
        let small = Shape::new(random.range(1, 2), random.range(1, 4), random.range(6, 16), 1);
        let small = Shape { c: random.range(1, 9), ..small.unwrap() };
        let mut side = || [random.range(0, 2), random.range(0, 2)];
        let padding = Padding::Explicit([side(), side()]);
        let window = Window2d::new(3, 3).padding(padding).over(2 * small.h, 2 * small.w);
        let Ok(window) = window else { continue };
        let outputs = random.range(1, 4);
        let g = Conv2dGeometry::new(window, small.n, small.c, outputs, 1).unwrap();
        let weights = random.codes(g.weights());
        let (x, end) = (random.codes(small.count()), random.end(outputs, outputs));
        let op = Conv2d::<i8>::new(g, &weights, random.next() as i8, end.requantize()).unwrap();
        let Ok(op) = UpsampleConv2d::new(small, [2, 2], op) else { continue };
        let geometry = UpsampleConv2dGeometry::new(small, [2, 2], g).unwrap();
        on_tiles += usize::from(
            outputs < 4 && small.c != 4 && g.output.w.is_multiple_of(2) && g.output.w >= 14,
        );
        fn run<B: Backend>(
            op: &UpsampleConv2d<'_, i8>,
            g: &UpsampleConv2dGeometry,
            x: &[i8],
        ) -> Vec<i8> {
            let output = g.output();
            let bytes = <B as Kernels<i8>>::upsample_conv2d_scratch(g);
            guarded(output.count(), bytes, |y, scratch| {
                let (x, y) = (View::new(g.small, x).unwrap(), ViewMut::new(output, y).unwrap());
                op.run_on::<B>(x, y, scratch).unwrap();
            })
        }
        both(&format!("{seed} {geometry:?}"), |ours| {
            if ours {
                run::<CortexM>(&op, &geometry, &x)
            } else {
                run::<Scalar>(&op, &geometry, &x)
            }
        });
    }
    assert!(on_tiles >= CASES as usize / 30, "{on_tiles} layers were on tiles");
}
