//! Nearest upsampling and a convolution to few channels, by phases: each is a convolution
//! of the small map whose weights are sums.

use super::few::Plan;
use super::layer::Layer;
use crate::backend::Wide;
use crate::backend::line::Line;
use crate::ops::fused::upsample_conv2d as portable;
use crate::ops::{FusedElement, UpsampleConv2d, UpsampleConv2dGeometry};
use crate::view::{View, ViewMut};

/// The phases that have outputs: `[row phase, column phase]` and their axes.
fn phases(g: &UpsampleConv2dGeometry) -> impl Iterator<Item = ([usize; 2], [Line; 2])> {
    let (window, [fy, fx]) = (g.convolution.window, g.factor);
    (0..fy).flat_map(move |py| {
        (0..fx).filter_map(move |px| {
            let rows = Line::upsampled(&window.rows, fy, py)?;
            Some(([py, px], [rows, Line::upsampled(&window.columns, fx, px)?]))
        })
    })
}

/// Words of scratch of the largest phase; `None` where bands of rows are better.
fn words(g: &UpsampleConv2dGeometry) -> Option<usize> {
    let window = &g.convolution.window;
    let summed = g.factor[0].min(window.rows.kernel) * g.factor[1].min(window.columns.kernel);
    if !g.has_phases() || g.convolution.groups != 1 || summed > <i8 as FusedElement>::WIDE_TAPS {
        return None;
    }
    phases(g).try_fold(0, |most: usize, (_, [rows, columns])| {
        let plan = Plan::new(&rows, &columns, g.small.c, g.output().c)?;
        Some(most.max(plan.words(&rows, &columns, g.small.c)))
    })
}

/// Bytes of scratch.
pub(super) fn scratch(g: &UpsampleConv2dGeometry) -> usize {
    match words(g) {
        Some(words) => 4 * words,
        None => portable::band_scratch_bytes::<i8, Wide>(g),
    }
}

/// See [`UpsampleConv2d`].
pub(super) fn run(
    op: &UpsampleConv2d<'_, i8>,
    x: View<'_, i8>,
    mut y: ViewMut<'_, i8>,
    scratch: &mut [u8],
) {
    let (g, convolution) = (&op.geometry, &op.convolution);
    if words(g).is_none() {
        return portable::run_bands::<i8, Wide>(op, x, y, scratch);
    }
    let (_, aligned, _) = bytemuck::pod_align_to_mut::<u8, u32>(scratch);
    let output = g.output();
    for (phase, [rows, columns]) in phases(g) {
        let layer = Layer {
            rows,
            columns,
            inputs: g.small.c,
            outputs: output.c,
            kernel: [g.convolution.window.rows.kernel, g.convolution.window.columns.kernel],
            weights: convolution.weights,
            bias: convolution.epilogue.bias,
            epilogue: &convolution.epilogue,
            zero_point: convolution.padding,
            width: output.w,
        };
        let Some(plan) = Plan::new(&rows, &columns, g.small.c, output.c) else { return };
        let needed = plan.words(&rows, &columns, g.small.c);
        let Some(aligned) = aligned.get_mut(..needed) else { return };
        let factors = |o, cy, cx, out: &mut [i16]| {
            sum(&layer, g.factor, phase, [o, cy, cx], out);
        };
        let images = x.data().chunks_exact(g.small.image());
        plan.run(&layer, factors, images, y.data_mut().chunks_exact_mut(output.image()), aligned);
    }
}

/// `out` = the summed weights of output `o` in the cells of a phase from (`cy`, `cx`) on.
fn sum(
    layer: &Layer<'_>,
    [fy, fx]: [usize; 2],
    [py, px]: [usize; 2],
    [o, cy, cx]: [usize; 3],
    out: &mut [i16],
) {
    let ([height, width], inputs) = (layer.kernel, layer.inputs);
    // The taps `t` with ⌊(phase + t) / factor⌋ = cell.
    let taps = |cell: usize, factor: usize, phase: usize, kernel: usize| {
        (cell * factor).saturating_sub(phase)..((cell + 1) * factor - phase).min(kernel)
    };
    out.fill(0);
    for (cell, out) in (cx..).zip(out.chunks_exact_mut(inputs)) {
        for ky in taps(cy, fy, py, height) {
            for kx in taps(cell, fx, px, width) {
                let at = ((o * height + ky) * width + kx) * inputs;
                for (sum, &weight) in out.iter_mut().zip(&layer.weights[at..at + inputs]) {
                    *sum = <i8 as FusedElement>::add_weight(*sum, weight);
                }
            }
        }
    }
}
