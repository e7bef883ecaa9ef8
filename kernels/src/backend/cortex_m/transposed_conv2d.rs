//! Transposed convolution: each stride phase is a small convolution on the tile.

use super::CortexM;
use super::epilogue::Finish;
use super::expand::Weights;
use super::linear::{Input, Linear};
use super::window::{Layout, Line};
use crate::ops::{self, TransposedConv2d, TransposedConv2dGeometry};
use crate::view::{View, ViewMut};

/// The phases that have outputs: `[row phase, column phase]` and their axes.
fn phases(g: &TransposedConv2dGeometry) -> impl Iterator<Item = ([usize; 2], [Line; 2])> {
    let (rows, columns) = (g.window.rows, g.window.columns);
    (0..rows.stride).flat_map(move |py| {
        (0..columns.stride).filter_map(move |px| {
            Some(([py, px], [Line::phase(&rows, py)?, Line::phase(&columns, px)?]))
        })
    })
}

/// Bytes of scratch: that of the largest phase.
pub(super) fn scratch(g: &TransposedConv2dGeometry) -> usize {
    phases(g)
        .filter_map(|(_, lines)| Layout::new(&lines[0], &lines[1], g.input.c, g.output.c))
        .map(|layout| layout.bytes())
        .fold(ops::transposed_conv2d::scratch_bytes::<i8>(g), usize::max)
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
    let needed = self::scratch(g) / 4;
    let fits = phases(g)
        .all(|(_, [rows, columns])| Layout::new(&rows, &columns, g.input.c, g.output.c).is_some());
    let (_, words, _) = bytemuck::pod_align_to_mut::<u8, i32>(scratch);
    if !fits || words.len() < needed {
        return ops::transposed_conv2d::run::<i8, CortexM>(op, x, y, scratch);
    }
    let (outputs, taps) = (g.output.c, g.window.taps());
    let images = x.data().chunks_exact(g.input.image());
    for (image, out) in images.zip(y.data_mut().chunks_exact_mut(g.output.image())) {
        let input = Input { image, channels: g.input.c, zero_point: op.padding };
        for ([py, px], [rows, columns]) in phases(g) {
            let first = (py * g.window.columns.stride + px) * outputs;
            let layout = Layout::new(&rows, &columns, g.input.c, outputs);
            let Some(layout) = layout else { continue };
            let layer = Linear {
                rows,
                columns,
                weights: Weights {
                    data: op.weights,
                    bias: op.epilogue.bias.get(first..first + outputs).unwrap_or(&[]),
                    outputs,
                    inputs: g.input.c,
                    kernel: [g.window.rows.kernel, g.window.columns.kernel],
                    depthwise: false,
                },
                finish: Finish::new(&op.epilogue, taps * g.input.c),
                width: g.output.w,
            };
            layer.run(&layout, &input, out, words);
        }
    }
}
