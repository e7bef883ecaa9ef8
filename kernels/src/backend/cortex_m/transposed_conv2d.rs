//! Transposed convolution: each stride phase is a small convolution on the tile; phases
//! share the rows that they read.

use super::CortexM;
use super::epilogue::Finish;
use super::expand::Weights;
use super::linear::{Input, Linear};
use super::plan::{Phase, Plan};
use super::planes::Planes;
use super::window::Layout;
use crate::backend::line::Line;
use crate::ops::{self, TransposedConv2d, TransposedConv2dGeometry};
use crate::view::{View, ViewMut};

/// The phases that have outputs.
fn phases(g: &TransposedConv2dGeometry) -> impl Iterator<Item = Phase> {
    let (rows, columns) = (g.window.rows, g.window.columns);
    let outputs = g.output.c;
    (0..rows.stride).flat_map(move |py| {
        (0..columns.stride).filter_map(move |px| {
            Some(Phase {
                rows: Line::phase(&rows, py)?.reading(),
                columns: Line::phase(&columns, px)?.reading(),
                bias: (py * columns.stride + px) * outputs,
            })
        })
    })
}

fn plan(g: &TransposedConv2dGeometry, phases: &[Phase]) -> Option<Plan> {
    Plan::new(phases, [g.input.c, g.output.c], false)
}

/// Bytes of scratch: that of the largest phase, or of all together.
pub(super) fn scratch(g: &TransposedConv2dGeometry) -> usize {
    let portable = ops::transposed_conv2d::scratch_bytes::<i8>(g);
    let list = Phase::transposed(&g.window, g.output.c);
    let ours = list.and_then(|(list, count)| plan(g, &list[..count]));
    phases(g)
        .filter_map(|phase| Layout::new(&phase.rows, &phase.columns, g.input.c, g.output.c))
        .map(|layout| layout.bytes())
        .fold(portable.max(ours.map_or(0, |plan| plan.bytes(false))), usize::max)
}

/// See [`TransposedConv2d`].
#[inline(never)]
pub(super) fn run(
    op: &TransposedConv2d<'_, i8>,
    x: View<'_, i8>,
    mut y: ViewMut<'_, i8>,
    scratch: &mut [u8],
) {
    let g = &op.geometry;
    let (_, words, _) = bytemuck::pod_align_to_mut::<u8, i32>(scratch);
    let (outputs, taps) = (g.output.c, g.window.taps());
    let weights = |bias| Weights {
        data: op.weights,
        bias,
        outputs,
        inputs: g.input.c,
        kernel: [g.window.rows.kernel, g.window.columns.kernel],
        depthwise: false,
    };
    let finish = Finish::new(&op.epilogue, taps * g.input.c);
    if finish.short
        && let Some((list, count)) = Phase::transposed(&g.window, g.output.c)
        && let Some(plan) = plan(g, &list[..count])
        && words.len() * 4 >= plan.bytes(false)
    {
        let weights = weights(op.epilogue.bias);
        let phases = &list[..count];
        let width = g.output.w;
        let layer = Planes { plan: &plan, phases, weights, finish, width };
        let images = x.data().chunks_exact(g.input.image());
        for (image, out) in images.zip(y.data_mut().chunks_exact_mut(g.output.image())) {
            let input = Input { image, channels: g.input.c, zero_point: op.padding };
            layer.run(&input, out, words);
        }
        return;
    }
    let layout = |phase: &Phase| Layout::new(&phase.rows, &phase.columns, g.input.c, outputs);
    let fits = phases(g)
        .all(|phase| layout(&phase).is_some_and(|layout| words.len() >= layout.bytes() / 4));
    if !fits {
        return ops::transposed_conv2d::run::<i8, CortexM>(op, x, y, scratch);
    }
    let images = x.data().chunks_exact(g.input.image());
    for (image, out) in images.zip(y.data_mut().chunks_exact_mut(g.output.image())) {
        let input = Input { image, channels: g.input.c, zero_point: op.padding };
        for phase in phases(g) {
            let Some(layout) = layout(&phase) else { continue };
            let bias = op.epilogue.bias.get(phase.bias..phase.bias + outputs).unwrap_or(&[]);
            let layer = Linear {
                rows: phase.rows,
                columns: phase.columns,
                weights: weights(bias),
                finish: Finish::new(&op.epilogue, taps * g.input.c),
                width: g.output.w,
            };
            layer.run(&layout, &input, out, words);
        }
    }
}
