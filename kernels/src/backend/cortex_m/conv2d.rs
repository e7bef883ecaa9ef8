//! Convolution.

use super::CortexM;
use super::epilogue::Finish;
use super::expand::Weights;
use super::linear::{Input, Linear};
use super::plan::{Phase, Plan};
use super::planes::Planes;
use super::window::Layout;
use crate::backend::line::Line;
use crate::ops::{self, Conv2d, Conv2dGeometry};
use crate::view::{View, ViewMut};

/// Bytes of one row of a pointwise convolution.
const ROW_BYTES: usize = 4096;

/// Both axes; cells of a pointwise convolution are regrouped to rows that fill tiles.
const fn lines(g: &Conv2dGeometry) -> [Line; 2] {
    let (mut rows, mut columns) = (Line::forward(&g.window.rows), Line::forward(&g.window.columns));
    let dense = rows.taps == 1
        && columns.taps == 1
        && rows.stride == 1
        && columns.stride == 1
        && g.window.is_unpadded();
    if dense {
        let width = row_width(g.input.h * g.input.w, g.input.c);
        (columns.input, columns.outputs) = (width, width);
        (rows.input, rows.outputs) = (g.input.h * g.input.w / width, g.input.h * g.input.w / width);
    }
    [rows, columns]
}

/// The divisor of `cells` that wastes the least of a tile and whose row is not too long.
const fn row_width(cells: usize, channels: usize) -> usize {
    let (mut best, mut width) = (1, 1);
    while width <= cells && width * channels * 2 <= ROW_BYTES {
        // Tiles per cell, compared without a division: t(w) / w <= t(best) / best.
        if cells.is_multiple_of(width) && width.div_ceil(3) * best <= best.div_ceil(3) * width {
            best = width;
        }
        width += 1;
    }
    best
}

fn layout(g: &Conv2dGeometry) -> Option<(Layout, [Line; 2])> {
    if g.groups != 1 {
        return None;
    }
    let lines = lines(g);
    Some((Layout::new(&lines[0], &lines[1], g.input.c, g.output.c)?, lines))
}

/// The one phase of a convolution.
const fn phase(g: &Conv2dGeometry) -> Phase {
    let (rows, columns) = (Line::forward(&g.window.rows), Line::forward(&g.window.columns));
    Phase { rows, columns, bias: 0 }
}

/// The plan on planes; single taps are columns already.
fn plan(g: &Conv2dGeometry, phase: &Phase) -> Option<Plan> {
    if g.groups != 1 || g.window.taps() == 1 {
        return None;
    }
    Plan::new(core::slice::from_ref(phase), [g.input.c, g.output.c], false)
}

/// Bytes of scratch; groups and windows of more than 64 runs take the portable form.
pub(super) fn scratch(g: &Conv2dGeometry) -> usize {
    let ours = layout(g).map_or(0, |(layout, _)| layout.bytes());
    let ours = ours.max(plan(g, &phase(g)).map_or(0, |plan| plan.bytes(false)));
    ours.max(ops::conv2d::scratch_bytes::<i8>(g))
}

/// See [`Conv2d`].
#[inline(never)]
pub(super) fn run(
    op: &Conv2d<'_, i8>,
    x: View<'_, i8>,
    mut y: ViewMut<'_, i8>,
    scratch: &mut [u8],
) {
    let g = &op.geometry;
    let (_, words, _) = bytemuck::pod_align_to_mut::<u8, i32>(scratch);
    let Some((layout, [rows, columns])) =
        layout(g).filter(|(layout, _)| words.len() >= layout.bytes() / 4)
    else {
        return ops::conv2d::run::<i8, CortexM>(op, x, y, scratch);
    };
    let weights = Weights {
        data: op.weights,
        bias: op.epilogue.bias,
        outputs: g.output.c,
        inputs: g.input.c,
        kernel: [g.window.rows.kernel, g.window.columns.kernel],
        depthwise: false,
    };
    let finish = Finish::new(&op.epilogue, g.depth());
    let phase = phase(g);
    let fits = |plan: &Plan| finish.short && words.len() * 4 >= plan.bytes(false);
    if let Some(plan) = plan(g, &phase).filter(fits) {
        let phases = core::slice::from_ref(&phase);
        let width = g.output.w;
        let layer = Planes { plan: &plan, phases, weights, finish, width };
        let images = x.data().chunks_exact(g.input.image());
        for (image, out) in images.zip(y.data_mut().chunks_exact_mut(g.output.image())) {
            let input = Input { image, channels: g.input.c, zero_point: op.padding };
            layer.run(&input, out, words);
        }
        return;
    }
    let layer = Linear { rows, columns, weights, finish, width: columns.outputs };
    let images = x.data().chunks_exact(g.input.image());
    for (image, out) in images.zip(y.data_mut().chunks_exact_mut(g.output.image())) {
        let input = Input { image, channels: g.input.c, zero_point: op.padding };
        layer.run(&layout, &input, out, words);
    }
}
