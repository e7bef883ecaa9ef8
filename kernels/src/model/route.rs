//! Which kernel runs a layer, decided before it runs.
//!
//! A backend's operator looks at shapes, multipliers and scratch, and falls back to
//! portable code where its own loop does not serve. That decision is a constant function
//! of the layer, so it is made here: of an embedded model the compiler sees a single
//! kernel per layer, and links nothing of the others.

use crate::backend::{Owner, cortex_m};
use crate::epilogue::Ending;
use crate::model::format::word;
use crate::model::layer::{DType, Epilogue, Layer, Linear, Op};
use crate::model::parse::Model;

/// How a layer finds its kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// The backend's operator looks at the layer when it runs.
    Ask,
    /// The backend's own kernel serves, in this of its variants.
    Own(u32),
}

impl Route {
    pub(crate) const fn is(self, other: Self) -> bool {
        match (self, other) {
            (Self::Ask, Self::Ask) => true,
            (Self::Own(a), Self::Own(b)) => a == b,
            _ => false,
        }
    }
}

/// The route of a checked layer on a backend of `owner`.
pub(crate) const fn route(owner: Owner, model: &Model<'_>, layer: &Layer) -> Route {
    if !matches!(owner, Owner::CortexM) || !layer.element.is(DType::I8) {
        return Route::Ask;
    }
    let scratch = layer.scratch.len;
    match &layer.op {
        Op::ConvPool2d(g, linear, _) => {
            let ending = ending(model, linear);
            if cortex_m::owns_conv_pool2d(g, &ending, scratch) {
                return Route::Own(cortex_m::conv_pool2d_variant(&ending, largest(model, linear)));
            }
        }
        Op::UpsampleConv2d(g, linear) => {
            let ending = ending(model, linear);
            if cortex_m::owns_upsample_conv2d(g, &ending, scratch) {
                return Route::Own(cortex_m::upsample_conv2d_variant(g, &ending));
            }
        }
        _ => {}
    }
    Route::Ask
}

/// Largest magnitude of a weight.
const fn largest(model: &Model<'_>, linear: &Linear) -> u32 {
    let (mut at, mut largest) = (0, 0);
    while at < linear.weights.len {
        let magnitude = (model.bytes[linear.weights.at + at] as i8).unsigned_abs() as u32;
        if magnitude > largest {
            largest = magnitude;
        }
        at += 1;
    }
    largest
}

const fn ending(model: &Model<'_>, linear: &Linear) -> Ending {
    let mut ending = Ending::NOTHING;
    if let Epilogue::I8 { bias, shifts, min, max, table, zero_point, .. } = &linear.epilogue {
        let mut at = 0;
        while at < bias.len {
            ending = ending.bias(word(model.bytes, bias.at + at) as i32);
            at += 4;
        }
        let mut at = 0;
        while at < shifts.len {
            ending = ending.shift(word(model.bytes, shifts.at + at) as i32);
            at += 4;
        }
        ending.narrow = *min != i8::MIN || *max != i8::MAX;
        ending.lowest = *zero_point == i8::MIN as i32 && *min == i8::MIN;
        ending.table = table.is_some();
    }
    ending
}
