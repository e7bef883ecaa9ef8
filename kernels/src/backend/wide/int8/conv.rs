//! Convolution and transposed convolution.

use super::channels;
use super::few::Plan;
use super::layer::Layer;
use crate::backend::Wide;
use crate::backend::line::Line;
use crate::ops::{self, Conv2d, Conv2dGeometry, TransposedConv2d, TransposedConv2dGeometry};
use crate::view::{View, ViewMut};

/// Cells of a row to which a pointwise convolution is regrouped.
const ROW: usize = 120;

/// Both axes; cells of a pointwise convolution are regrouped to rows that fill tiles.
const fn lines(g: &Conv2dGeometry) -> [Line; 2] {
    let (mut rows, mut columns) = (Line::forward(&g.window.rows), Line::forward(&g.window.columns));
    let pointwise = rows.taps == 1
        && columns.taps == 1
        && rows.stride == 1
        && columns.stride == 1
        && g.window.is_unpadded();
    if pointwise {
        let cells = g.input.h * g.input.w;
        let mut width = if cells < ROW { cells } else { ROW };
        while !cells.is_multiple_of(width) {
            width -= 1;
        }
        if width > columns.outputs {
            (columns.input, columns.outputs) = (width, width);
            (rows.input, rows.outputs) = (cells / width, cells / width);
        }
    }
    [rows, columns]
}

/// Words of scratch of a convolution or a phase.
fn words(rows: &Line, columns: &Line, inputs: usize, outputs: usize) -> usize {
    match Plan::new(rows, columns, inputs, outputs) {
        Some(plan) => plan.words(rows, columns, inputs),
        None => channels::scratch_words(rows, columns, inputs, outputs),
    }
}

/// Runs a convolution or a phase with its words of scratch.
fn run(
    layer: &Layer<'_>,
    images: core::slice::ChunksExact<'_, i8>,
    y: core::slice::ChunksExactMut<'_, i8>,
    scratch: &mut [u32],
) {
    match Plan::new(&layer.rows, &layer.columns, layer.inputs, layer.outputs) {
        Some(plan) => {
            let factors = |o, ky, kx, out: &mut [i16]| layer.factors(o, ky, kx, out);
            plan.run(layer, factors, images, y, scratch);
        }
        None => channels::run(layer, images, y, scratch),
    }
}

/// Bytes of scratch of a convolution.
pub(super) fn scratch(g: &Conv2dGeometry) -> usize {
    let portable = ops::conv2d::scratch_bytes::<i8>(g);
    if g.groups != 1 {
        return portable;
    }
    let [rows, columns] = lines(g);
    (4 * words(&rows, &columns, g.input.c, g.output.c)).max(portable)
}

/// See [`Conv2d`].
pub(super) fn conv2d(
    op: &Conv2d<'_, i8>,
    x: View<'_, i8>,
    mut y: ViewMut<'_, i8>,
    scratch: &mut [u8],
) {
    let g = &op.geometry;
    let [rows, columns] = lines(g);
    let needed = words(&rows, &columns, g.input.c, g.output.c);
    let (_, aligned, _) = bytemuck::pod_align_to_mut::<u8, u32>(scratch);
    if g.groups != 1 || aligned.len() < needed {
        return ops::conv2d::run::<i8, Wide>(op, x, y, scratch);
    }
    let layer = Layer {
        width: columns.outputs,
        rows,
        columns,
        inputs: g.input.c,
        outputs: g.output.c,
        kernel: [g.window.rows.kernel, g.window.columns.kernel],
        weights: op.weights,
        bias: op.epilogue.bias,
        epilogue: &op.epilogue,
        zero_point: op.padding,
    };
    let images = x.data().chunks_exact(g.input.image());
    let out = y.data_mut().chunks_exact_mut(g.output.image());
    run(&layer, images, out, &mut aligned[..needed]);
}

/// The phases that have outputs: `[row phase, column phase]` and their axes.
fn phases(g: &TransposedConv2dGeometry) -> impl Iterator<Item = ([usize; 2], [Line; 2])> {
    let (rows, columns) = (g.window.rows, g.window.columns);
    (0..rows.stride).flat_map(move |py| {
        (0..columns.stride).filter_map(move |px| {
            Some((
                [py, px],
                [Line::phase(&rows, py)?.reading(), Line::phase(&columns, px)?.reading()],
            ))
        })
    })
}

/// Bytes of scratch of a transposed convolution: that of the largest phase.
pub(super) fn transposed_scratch(g: &TransposedConv2dGeometry) -> usize {
    phases(g)
        .map(|(_, [rows, columns])| 4 * words(&rows, &columns, g.input.c, g.output.c))
        .fold(ops::transposed_conv2d::scratch_bytes::<i8>(g), usize::max)
}

/// See [`TransposedConv2d`].
pub(super) fn transposed_conv2d(
    op: &TransposedConv2d<'_, i8>,
    x: View<'_, i8>,
    mut y: ViewMut<'_, i8>,
    scratch: &mut [u8],
) {
    let g = &op.geometry;
    let (_, aligned, _) = bytemuck::pod_align_to_mut::<u8, u32>(scratch);
    if aligned.len() < transposed_scratch(g) / 4 {
        return ops::transposed_conv2d::run::<i8, Wide>(op, x, y, scratch);
    }
    let outputs = g.output.c;
    for ([py, px], [rows, columns]) in phases(g) {
        let first = (py * g.window.columns.stride + px) * outputs;
        let needed = words(&rows, &columns, g.input.c, outputs);
        let layer = Layer {
            rows,
            columns,
            inputs: g.input.c,
            outputs,
            kernel: [g.window.rows.kernel, g.window.columns.kernel],
            weights: op.weights,
            bias: op.epilogue.bias.get(first..first + outputs).unwrap_or(&[]),
            epilogue: &op.epilogue,
            zero_point: op.padding,
            width: g.output.w,
        };
        let images = x.data().chunks_exact(g.input.image());
        let out = y.data_mut().chunks_exact_mut(g.output.image());
        run(&layer, images, out, &mut aligned[..needed]);
    }
}
