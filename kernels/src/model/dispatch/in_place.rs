//! Operators whose output may take the place of an input.

use super::memory::{Carved, array, elements, elements_mut, read, table};
use crate::backend::{Backend, Kernels};
use crate::model::layer::{Layer, Op, Places, Span};
use crate::model::parse::Model;
use crate::ops::elementwise::{FloatUnary, Own};
use crate::ops::{Binary, Softmax};

/// Functions of one tensor run in place, after a copy where the places differ.
#[inline(always)]
pub(super) fn unary<B: Backend>(
    model: &Model<'_>,
    layer: &Layer,
    places: &Places,
    arena: &mut [u8],
) {
    let (input, output) = (places.inputs[0], places.outputs[0]);
    if input.constant || !input.span.is(&output) {
        let spans = [output, Span::EMPTY, Span::EMPTY];
        let Carved { gaps, writes: [y, ..] } = Carved::new(arena, spans);
        let x = read(&gaps, model.bytes(), input);
        if x.len() == y.len() {
            y.copy_from_slice(x);
        }
    }
    let Some(y) = arena.get_mut(output.at..output.at + output.len) else { return };
    match layer.op {
        Op::UnaryI8(span) => {
            if let Some(table) = table(model.bytes(), span) {
                <B as Kernels<i8>>::unary(&table, elements_mut(y));
            }
        }
        Op::UnaryF32 { min, max, activation } => {
            let how = FloatUnary { min, max, activation };
            <B as Kernels<f32>>::unary(&how, elements_mut(y));
        }
        Op::SoftmaxI8 { classes, table } => {
            if let Ok(table) = <&[f32; 256]>::try_from(array::<f32>(model.bytes(), table)) {
                <B as Kernels<i8>>::softmax(&Softmax { classes, table }, elements_mut(y));
            }
        }
        Op::SoftmaxF32 { classes, beta } => {
            <B as Kernels<f32>>::softmax(&Softmax { classes, table: beta }, elements_mut(y));
        }
        _ => {}
    }
}

/// The operand in whose place the output is.
#[inline(always)]
pub(super) fn own(places: &Places) -> Option<Own> {
    let here =
        |i: usize| !places.inputs[i].constant && places.inputs[i].span.is(&places.outputs[0]);
    if here(0) {
        Some(Own::A)
    } else if here(1) {
        Some(Own::B)
    } else {
        None
    }
}

/// Two operands, of which the output takes the place of one.
#[inline(always)]
pub(super) fn binary<B: Backend>(
    model: &Model<'_>,
    layer: &Layer,
    places: &Places,
    own: Own,
    arena: &mut [u8],
) {
    let spans = [places.outputs[0], Span::EMPTY, Span::EMPTY];
    let Carved { gaps, writes: [y, ..] } = Carved::new(arena, spans);
    let other = if own == Own::A { places.inputs[1] } else { places.inputs[0] };
    let other = read(&gaps, model.bytes(), other);
    // Lengths agree in a checked layer.
    let _ = match layer.op {
        Op::BinaryI8(broadcast, how) => {
            let op = Binary::<i8> { broadcast, how };
            op.run_in_place_on::<B>(own, elements(other), elements_mut(y))
        }
        Op::BinaryF32(broadcast, how) => {
            let op = Binary::<f32> { broadcast, how };
            op.run_in_place_on::<B>(own, elements(other), elements_mut(y))
        }
        _ => Ok(()),
    };
}
