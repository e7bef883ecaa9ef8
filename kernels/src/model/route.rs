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
    /// The backend's own kernel serves.
    Own,
}

/// The route of a checked layer on a backend of `owner`.
pub(crate) const fn route(owner: Owner, model: &Model<'_>, layer: &Layer) -> Route {
    let own = matches!(owner, Owner::CortexM) && layer.element.is(DType::I8) && {
        let scratch = layer.scratch.len;
        match &layer.op {
            Op::ConvPool2d(g, linear, _) => {
                cortex_m::owns_conv_pool2d(g, &ending(model, linear), scratch)
            }
            Op::UpsampleConv2d(g, linear) => {
                cortex_m::owns_upsample_conv2d(g, &ending(model, linear), scratch)
            }
            _ => false,
        }
    };
    if own { Route::Own } else { Route::Ask }
}

const fn ending(model: &Model<'_>, linear: &Linear) -> Ending {
    let mut ending = Ending::NOTHING;
    if let Epilogue::I8 { bias, shifts, min, max, table, .. } = &linear.epilogue {
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
        ending.table = table.is_some();
    }
    ending
}
