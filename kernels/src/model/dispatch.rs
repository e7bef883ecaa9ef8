//! One layer: operands found, operator built from checked parts, kernel called.

mod fused;
mod in_place;
mod memory;
mod typed;

use memory::{Carved, array, elements, elements_mut, read};
use typed::Typed;

use crate::backend::{Backend, Kernels};
use crate::epilogue::Activate;
use crate::model::layer::{Bounds, DType, Layer, Linear, Op, Places, Slot, Span};
use crate::model::parse::Model;
use crate::model::route::Route;
use crate::ops::{
    self, AveragePool2d, BedOfNails2d, Binary, Conv2d, Dense, DepthwiseConv2d, MaxPool2d,
    MaxPool2dWithIndices, MaxUnpool2d, Mean, Pool2dGeometry, ReduceMax, ResizeBilinear2d,
    ResizeNearest2d, TransposedConv2d, WindowIndex,
};
use crate::pack::{self, Geometry};
use crate::quant::Affine;
use crate::shape::Shape;
use crate::view::{View, ViewMut};

/// Runs a checked layer of `model` in `arena`, which has at least the model's bytes;
/// what it has beyond them serves as scratch when that is more than was planned.
#[inline(always)]
pub(crate) fn dispatch<B: Backend>(model: &Model<'_>, layer: &Layer, arena: &mut [u8]) {
    dispatch_at::<B>(model, layer, &layer.places(), arena);
}

/// [`dispatch`] at other places than the layer's own, as long as those.
#[inline(always)]
pub(crate) fn dispatch_at<B: Backend>(
    model: &Model<'_>,
    layer: &Layer,
    places: &Places,
    arena: &mut [u8],
) {
    let planned = model.arena_bytes();
    let tail = Span { at: planned, len: arena.len().saturating_sub(planned) };
    let scratch = if tail.len > places.scratch.len { tail } else { places.scratch };
    match layer.op {
        Op::UnaryI8(_) | Op::UnaryF32 { .. } | Op::SoftmaxI8 { .. } | Op::SoftmaxF32 { .. } => {
            return in_place::unary::<B>(model, layer, places, arena);
        }
        Op::BinaryI8(..) | Op::BinaryF32(..) => {
            if let Some(own) = in_place::own(places) {
                return in_place::binary::<B>(model, layer, places, own, arena);
            }
        }
        _ => {}
    }
    let carved = Carved::new(arena, [places.outputs[0], places.outputs[1], scratch]);
    match layer.element {
        DType::F32 => typed::<B, f32>(model, layer, places, carved),
        _ => typed::<B, i8>(model, layer, places, carved),
    }
}

/// Where a typed layer reads and writes.
struct Io<'a, E> {
    blob: &'a [u8],
    gaps: [(usize, &'a [u8]); 4],
    inputs: [Slot; 3],
    x: &'a [E],
    y: &'a mut [E],
    second: &'a mut [u8],
    scratch: &'a mut [u8],
}

impl<'a, E: Typed> Io<'a, E> {
    fn input<T: bytemuck::Pod>(&self, i: usize) -> &'a [T] {
        elements(read(&self.gaps, self.blob, self.inputs[i]))
    }

    /// First input and output with their shapes; `None` never happens to a checked layer.
    fn views(
        self,
        input: Shape,
        output: Shape,
    ) -> Option<(View<'a, E>, ViewMut<'a, E>, &'a mut [u8])> {
        match (View::new(input, self.x), ViewMut::new(output, self.y)) {
            (Ok(x), Ok(y)) => Some((x, y, self.scratch)),
            _ => None,
        }
    }
}

#[inline(always)]
fn typed<B: Backend + Kernels<E>, E: Typed>(
    model: &Model<'_>,
    layer: &Layer,
    places: &Places,
    carved: Carved<'_>,
) {
    let blob = model.bytes();
    let Carved { gaps, writes: [first, second, scratch] } = carved;
    match layer.op {
        Op::Quantize { scale, zero_point } => {
            let x = elements(read(&gaps, blob, places.inputs[0]));
            // Lengths agree in a checked layer.
            let _ = ops::quantize::quantize(Affine { scale, zero_point }, x, elements_mut(first));
            return;
        }
        Op::Dequantize { scale, zero_point } => {
            let x = elements(read(&gaps, blob, places.inputs[0]));
            let _ = ops::quantize::dequantize(Affine { scale, zero_point }, x, elements_mut(first));
            return;
        }
        _ => {}
    }
    let x = elements(read(&gaps, blob, places.inputs[0]));
    let y = elements_mut(first);
    let io = Io { blob, gaps, inputs: places.inputs, x, y, second, scratch };
    match &layer.op {
        Op::Conv2d(..) | Op::DepthwiseConv2d(..) | Op::TransposedConv2d(..) | Op::Dense(..) => {
            linear::<B, E>(layer, io);
        }
        Op::ConvPool2d(..) | Op::UpsampleConv2d(..) | Op::UnpoolConv2d(..) => {
            fused::run::<B, E>(layer, io);
        }
        Op::MaxPool2d(g, bounds) => pool::<B, E>(g, bounds, io, true),
        Op::AveragePool2d(g, bounds) => pool::<B, E>(g, bounds, io, false),
        Op::MaxPool2dWithIndices(g, DType::U8) => pool_with_indices::<B, E, u8>(g, io),
        Op::MaxPool2dWithIndices(g, _) => pool_with_indices::<B, E, u16>(g, io),
        Op::MaxUnpool2d(g, DType::U8, zero) => unpool::<B, E, u8>(g, *zero, io),
        Op::MaxUnpool2d(g, _, zero) => unpool::<B, E, u16>(g, *zero, io),
        &Op::BedOfNails2d { input, output, stride, zero } => {
            let op = BedOfNails2d { input, output, stride, zero: E::code(zero) };
            if let Some((x, y, _)) = io.views(input, output) {
                B::bed_of_nails2d(&op, x, y);
            }
        }
        Op::ResizeNearest2d(g) => {
            if let Some((x, y, _)) = io.views(g.input, g.output) {
                B::resize_nearest2d(&ResizeNearest2d { geometry: *g }, x, y);
            }
        }
        Op::ResizeBilinear2d(g) => {
            if let Some((x, y, _)) = io.views(g.input, g.output) {
                let _ = ResizeBilinear2d { geometry: *g }.run(x, y);
            }
        }
        Op::ReduceMax(geometry) => {
            let _ = ReduceMax { geometry: *geometry }.run_on::<B, E>(io.x, io.y);
        }
        &Op::Arrange { copies, copies_at, fill, code, value } => {
            let filler = if layer.element.is(DType::F32) {
                elements(bytemuck::bytes_of(&value))
            } else {
                elements(bytemuck::bytes_of(&code))
            };
            arrange::<E>(model, layer, [copies, copies_at], fill.then_some(filler), io);
        }
        _ => {
            let y = bytemuck::cast_slice_mut(io.y);
            by_type::<B>(layer, Untyped { blob, gaps: io.gaps, inputs: io.inputs, y });
        }
    }
}

/// What is left of the operands once the element type is known again.
struct Untyped<'a> {
    blob: &'a [u8],
    gaps: [(usize, &'a [u8]); 4],
    inputs: [Slot; 3],
    y: &'a mut [u8],
}

/// Operators whose parameters have a type of their own in i8 and f32.
#[inline(always)]
fn by_type<B: Backend>(layer: &Layer, io: Untyped<'_>) {
    let Untyped { blob, gaps, inputs, y } = io;
    let bytes = |i: usize| read(&gaps, blob, inputs[i]);
    // Lengths agree in a checked layer, so no `run` below fails.
    match layer.op {
        Op::BinaryI8(broadcast, how) => {
            let op = Binary::<i8> { broadcast, how };
            let _ = op.run_on::<B>(elements(bytes(0)), elements(bytes(1)), elements_mut(y));
        }
        Op::BinaryF32(broadcast, how) => {
            let op = Binary::<f32> { broadcast, how };
            let _ = op.run_on::<B>(elements(bytes(0)), elements(bytes(1)), elements_mut(y));
        }
        Op::MeanI8 { geometry, initial, ref epilogue } => {
            let op = Mean::<i8> { geometry, initial, epilogue: i8::epilogue(blob, epilogue) };
            let _ = op.run_on::<B>(elements(bytes(0)), elements_mut(y));
        }
        Op::MeanF32(geometry) => {
            let epilogue = Activate {
                bias: &[],
                min: f32::NEG_INFINITY,
                max: f32::INFINITY,
                activation: crate::epilogue::Activation::Linear,
            };
            let op = Mean::<f32> { geometry, initial: 0.0, epilogue };
            let _ = op.run_on::<B>(elements(bytes(0)), elements_mut(y));
        }
        _ => {}
    }
}

#[inline(always)]
fn linear<B: Backend + Kernels<E>, E: Typed>(layer: &Layer, io: Io<'_, E>) {
    let blob = io.blob;
    let parts = |linear: &Linear| {
        let epilogue = E::epilogue(blob, &linear.epilogue);
        (array::<E>(blob, linear.weights), E::code(linear.zero_point), epilogue)
    };
    match &layer.op {
        Op::Conv2d(g, data) if data.packing != pack::PLAIN => {
            E::packed(Geometry::Conv2d(*g), data, io);
        }
        Op::TransposedConv2d(g, data) if data.packing != pack::PLAIN => {
            E::packed(Geometry::TransposedConv2d(*g), data, io);
        }
        Op::Dense(g, data) if data.packing != pack::PLAIN => {
            E::packed(Geometry::Dense(*g), data, io);
        }
        Op::Conv2d(g, data) => {
            let (weights, padding, epilogue) = parts(data);
            let op = Conv2d { geometry: *g, weights, padding, epilogue };
            let Some((x, y, scratch)) = io.views(g.input, g.output) else { return };
            // A backend that wants more scratch than was planned runs its portable form.
            if scratch.len() >= <B as Kernels<E>>::conv2d_scratch(g) {
                B::conv2d(&op, x, y, scratch);
            } else {
                ops::conv2d::run::<E, B>(&op, x, y, scratch);
            }
        }
        Op::DepthwiseConv2d(g, data) => {
            let (weights, padding, epilogue) = parts(data);
            let op = DepthwiseConv2d { geometry: *g, weights, padding, epilogue };
            let Some((x, y, scratch)) = io.views(g.input, g.output) else { return };
            if let Route::Own(_) = layer.route {
                B::own_depthwise_conv2d(&op, x, y, scratch);
            } else if scratch.len() >= <B as Kernels<E>>::depthwise_conv2d_least(g) {
                B::depthwise_conv2d(&op, x, y, scratch);
            } else {
                ops::depthwise_conv2d::run::<E, B>(&op, x, y, scratch);
            }
        }
        Op::TransposedConv2d(g, data) => {
            let (weights, padding, epilogue) = parts(data);
            let op = TransposedConv2d { geometry: *g, weights, padding, epilogue };
            let Some((x, y, scratch)) = io.views(g.input, g.output) else { return };
            if scratch.len() >= <B as Kernels<E>>::transposed_conv2d_scratch(g) {
                B::transposed_conv2d(&op, x, y, scratch);
            } else {
                ops::transposed_conv2d::run::<E, B>(&op, x, y, scratch);
            }
        }
        Op::Dense(g, data) => {
            let (weights, _, epilogue) = parts(data);
            let op = Dense { geometry: *g, weights, epilogue };
            if io.scratch.len() >= <B as Kernels<E>>::dense_scratch(g) {
                B::dense(&op, io.x, io.y, io.scratch);
            } else {
                ops::dense::run::<E, B>(&op, io.x, io.y);
            }
        }
        _ => {}
    }
}

#[inline(always)]
fn pool<B: Kernels<E>, E: Typed>(g: &Pool2dGeometry, bounds: &Bounds, io: Io<'_, E>, max: bool) {
    let (geometry, bounds) = (*g, E::bounds(bounds));
    let Some((x, y, _)) = io.views(g.input, g.output) else { return };
    if max {
        B::max_pool2d(&MaxPool2d { geometry, bounds }, x, y);
    } else {
        B::average_pool2d(&AveragePool2d { geometry, bounds }, x, y);
    }
}

#[inline(always)]
fn pool_with_indices<B: Kernels<E>, E: Typed, I: WindowIndex>(
    geometry: &Pool2dGeometry,
    mut io: Io<'_, E>,
) {
    let indices = elements_mut::<I>(core::mem::take(&mut io.second));
    let op = MaxPool2dWithIndices { geometry: *geometry };
    if let Some((x, y, _)) = io.views(geometry.input, geometry.output) {
        B::max_pool2d_with_indices(&op, x, y, indices);
    }
}

#[inline(always)]
fn unpool<B: Kernels<E>, E: Typed, I: WindowIndex>(pool: &Pool2dGeometry, zero: i8, io: Io<'_, E>) {
    let indices = io.input::<I>(1);
    let op = MaxUnpool2d { pool: *pool, zero: E::code(zero) };
    if let Some((x, y, _)) = io.views(pool.output, pool.input) {
        B::max_unpool2d(&op, x, indices, y);
    }
}

fn arrange<E: Typed>(
    model: &Model<'_>,
    layer: &Layer,
    [copies, copies_at]: [usize; 2],
    filler: Option<&[E]>,
    io: Io<'_, E>,
) {
    if let Some(&[filler]) = filler {
        io.y.fill(filler);
    }
    for i in 0..copies {
        let (source, copy) = model.copy(copies_at, i);
        if let Some(slot) = model.source(source, layer.element) {
            let x: &[E] = elements(read(&io.gaps, io.blob, slot));
            // Checked with the model; checked again, since it costs little beside the copy.
            let _ = copy.run(x, io.y);
        }
    }
}
