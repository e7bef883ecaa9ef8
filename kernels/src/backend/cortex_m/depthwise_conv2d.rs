//! Depthwise convolution: 3 × 3 of stride 1 on pairs of rows, others on the tile with
//! one product per tap and channel.

pub(super) mod pairs;

use super::CortexM;
use super::epilogue::{Finish, MOST_ROOMY};
use super::expand::Weights;
use super::images;
use super::linear::{Input, Linear};
use super::window::Layout;
use crate::backend::line::Line;
use crate::epilogue::Ending;
use crate::ops::{self, Conv2dGeometry, DepthwiseConv2d};
use crate::view::{View, ViewMut};

fn layout(g: &Conv2dGeometry) -> Option<(Layout, [Line; 2])> {
    let lines = [Line::forward(&g.window.rows), Line::forward(&g.window.columns)];
    if g.output.c != g.input.c {
        return None;
    }
    Some((Layout::depthwise(&lines[0], &lines[1], g.input.c)?, lines))
}

/// Bytes of scratch; a depth multiplier or more than 64 taps take the portable form.
pub(super) fn scratch(g: &Conv2dGeometry) -> usize {
    let ours = layout(g).map_or(0, |(layout, _)| layout.bytes());
    ours.max(pairs::words(g).map_or(0, |[_, wanted]| 4 * wanted))
        .max(ops::depthwise_conv2d::scratch_bytes::<i8>(g))
}

/// Bytes of scratch of [`on_pairs`], at least and as wanted, where it computes a layer of this
/// shape and ending.
pub(crate) const fn own_scratch(g: &Conv2dGeometry, ending: &Ending) -> Option<[usize; 2]> {
    let (_, most) = ending.right();
    match pairs::words(g) {
        Some([least, wanted]) if ending.is_short(g.window.taps()) && most <= MOST_ROOMY => {
            Some([4 * least, 4 * wanted])
        }
        _ => None,
    }
}

/// For layers that have an [`own_scratch`], the least of which is there.
#[inline(never)]
pub(super) fn on_pairs(
    op: &DepthwiseConv2d<'_, i8>,
    x: View<'_, i8>,
    mut y: ViewMut<'_, i8>,
    scratch: &mut [u8],
) {
    let g = &op.geometry;
    let (_, words, _) = bytemuck::pod_align_to_mut::<u8, i32>(scratch);
    let finish = Finish::new(&op.epilogue, g.window.taps());
    for (image, out) in images(x, &mut y, [g.input, g.output]) {
        pairs::run(op, &finish, image, out, words);
    }
}

/// See [`DepthwiseConv2d`].
#[inline(never)]
pub(super) fn run(
    op: &DepthwiseConv2d<'_, i8>,
    x: View<'_, i8>,
    mut y: ViewMut<'_, i8>,
    scratch: &mut [u8],
) {
    let g = &op.geometry;
    let (_, words, _) = bytemuck::pod_align_to_mut::<u8, i32>(scratch);
    let finish = Finish::new(&op.epilogue, g.window.taps());
    if pairs::words(g).is_some_and(|[least, _]| words.len() >= least)
        && finish.short
        && finish.roomy
    {
        for (image, out) in images(x, &mut y, [g.input, g.output]) {
            pairs::run(op, &finish, image, out, words);
        }
        return;
    }
    let Some((layout, [rows, columns])) =
        layout(g).filter(|(layout, _)| words.len() >= layout.bytes() / 4)
    else {
        return ops::depthwise_conv2d::run::<i8, CortexM>(op, x, y, scratch);
    };
    let layer = Linear {
        rows,
        columns,
        weights: Weights {
            data: op.weights,
            bias: op.epilogue.bias,
            outputs: g.output.c,
            inputs: 1,
            kernel: [g.window.rows.kernel, g.window.columns.kernel],
            depthwise: true,
        },
        finish,
        width: columns.outputs,
    };
    for (image, out) in images(x, &mut y, [g.input, g.output]) {
        let input = Input { image, channels: g.input.c, zero_point: op.padding };
        layer.run(&layout, &input, out, words);
    }
}
