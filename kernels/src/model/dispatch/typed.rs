//! Parameters of a layer in its element type.

use super::Io;
use super::memory::{array, table};
use crate::epilogue::{Activate, Requantize};
use crate::model::layer::{Bounds, Epilogue, Linear};
use crate::ops::FusedElement;
use crate::pack::{Geometry, Packed};

/// What dispatch needs of an element type.
pub(super) trait Typed: FusedElement {
    fn epilogue<'b>(blob: &'b [u8], epilogue: &Epilogue) -> Self::Epilogue<'b>;
    fn code(code: i8) -> Self;
    fn bounds(bounds: &Bounds) -> (Self, Self);
    /// A layer with packed weights.
    fn packed(geometry: Geometry, linear: &Linear, io: Io<'_, Self>);
}

impl Typed for i8 {
    #[inline(always)]
    fn epilogue<'b>(blob: &'b [u8], epilogue: &Epilogue) -> Requantize<'b> {
        match *epilogue {
            Epilogue::I8 { bias, mantissas, shifts, zero_point, min, max, table: lookup } => {
                Requantize {
                    bias: array(blob, bias),
                    mantissas: array(blob, mantissas),
                    shifts: array(blob, shifts),
                    zero_point,
                    min,
                    max,
                    table: lookup.and_then(|span| table(blob, span)),
                }
            }
            // The decoder gives an i8 layer an i8 epilogue.
            Epilogue::F32 { .. } => Requantize {
                bias: &[],
                mantissas: &[],
                shifts: &[],
                zero_point: 0,
                min: 0,
                max: 0,
                table: None,
            },
        }
    }
    fn code(code: i8) -> i8 {
        code
    }
    fn bounds(bounds: &Bounds) -> (i8, i8) {
        bounds.i8
    }
    #[inline(always)]
    fn packed(geometry: Geometry, linear: &Linear, io: Io<'_, i8>) {
        let op = Packed {
            geometry,
            packing: linear.packing,
            words: array(io.blob, linear.weights),
            zero_point: linear.zero_point,
            epilogue: i8::epilogue(io.blob, &linear.epilogue),
        };
        if let Some((x, y, scratch)) = io.views(geometry.input(), geometry.output()) {
            // Shapes and scratch were checked with the model.
            op.run_checked(x, y, scratch);
        }
    }
}

impl Typed for f32 {
    #[inline]
    fn epilogue<'b>(blob: &'b [u8], epilogue: &Epilogue) -> Activate<'b> {
        match *epilogue {
            Epilogue::F32 { bias, min, max, activation } => {
                Activate { bias: array(blob, bias), min, max, activation }
            }
            Epilogue::I8 { .. } => Activate {
                bias: &[],
                min: 0.0,
                max: 0.0,
                activation: crate::epilogue::Activation::Linear,
            },
        }
    }
    fn code(_: i8) -> f32 {
        0.0
    }
    fn bounds(bounds: &Bounds) -> (f32, f32) {
        bounds.f32
    }
    /// The decoder refuses packed floats.
    fn packed(_: Geometry, _: &Linear, _: Io<'_, f32>) {}
}
