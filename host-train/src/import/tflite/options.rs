//! Options of the operators, named as in the schema, for people.

use super::schema::{Operator, Type};
use crate::import::ImportError;

/// How an option is stored and shown.
#[derive(Clone, Copy)]
enum Kind {
    Padding,
    Activation,
    Mode,
    Int,
    Float,
    Flag,
    Ints,
    Type,
}
use Kind::{Activation, Flag, Float, Int, Ints, Mode, Padding};

/// An option: name, field number, kind.
type Named = (&'static str, usize, Kind);

const POOL: &[Named] = &[
    ("padding", 0, Padding),
    ("stride_w", 1, Int),
    ("stride_h", 2, Int),
    ("filter_width", 3, Int),
    ("filter_height", 4, Int),
    ("activation", 5, Activation),
];
const CONV_2D: &[Named] = &[
    ("padding", 0, Padding),
    ("stride_w", 1, Int),
    ("stride_h", 2, Int),
    ("activation", 3, Activation),
    ("dilation_w", 4, Int),
    ("dilation_h", 5, Int),
];
const DEPTHWISE_CONV_2D: &[Named] = &[
    ("padding", 0, Padding),
    ("stride_w", 1, Int),
    ("stride_h", 2, Int),
    ("depth_multiplier", 3, Int),
    ("activation", 4, Activation),
    ("dilation_w", 5, Int),
    ("dilation_h", 6, Int),
];
const TRANSPOSE_CONV: &[Named] = &[
    ("padding", 0, Padding),
    ("stride_w", 1, Int),
    ("stride_h", 2, Int),
    ("activation", 3, Activation),
];
const FULLY_CONNECTED: &[Named] =
    &[("activation", 0, Activation), ("weights_format", 1, Mode), ("keep_num_dims", 2, Flag)];
const STRIDED_SLICE: &[Named] = &[
    ("begin_mask", 0, Int),
    ("end_mask", 1, Int),
    ("ellipsis_mask", 2, Int),
    ("new_axis_mask", 3, Int),
    ("shrink_axis_mask", 4, Int),
    ("offset", 5, Flag),
];
const CAST: &[Named] = &[("in_data_type", 0, Kind::Type), ("out_data_type", 1, Kind::Type)];

fn known(code: i32) -> &'static [Named] {
    match code {
        0 | 18 | 41 | 42 => &[("activation", 0, Activation)],
        1 | 12 | 17 => POOL,
        2 => &[("axis", 0, Int), ("activation", 1, Activation)],
        3 => CONV_2D,
        4 => DEPTHWISE_CONV_2D,
        5 | 26 => &[("block_size", 0, Int)],
        9 => FULLY_CONNECTED,
        22 => &[("new_shape", 0, Ints)],
        23 => &[("align_corners", 2, Flag), ("half_pixel_centers", 3, Flag)],
        25 => &[("beta", 0, Float)],
        36 => &[("axis", 0, Int), ("batch_dims", 1, Int)],
        40 | 74 | 81 | 82 | 89 | 91 => &[("keep_dims", 0, Flag)],
        43 => &[("squeeze_dims", 0, Ints)],
        45 => STRIDED_SLICE,
        49 => &[("num_splits", 0, Int)],
        53 => CAST,
        67 => TRANSPOSE_CONV,
        77 => &[("out_type", 0, Kind::Type)],
        83 => &[("values_count", 0, Int), ("axis", 1, Int)],
        88 => &[("num", 0, Int), ("axis", 1, Int)],
        97 => &[("align_corners", 0, Flag), ("half_pixel_centers", 1, Flag)],
        98 => &[("alpha", 0, Float)],
        100 => &[("mode", 0, Mode)],
        _ => &[],
    }
}

fn name_of(names: &[&str], code: i8) -> String {
    let name = usize::try_from(code).ok().and_then(|code| names.get(code));
    name.map_or_else(|| code.to_string(), |name| (*name).to_string())
}

/// The options of an operator, name and value. Those with their default value
/// are left out, but for padding and strides.
pub(super) fn of(operator: &Operator<'_>) -> Result<Vec<(&'static str, String)>, ImportError> {
    let mut shown = Vec::new();
    for &(name, field, kind) in known(operator.code) {
        let value = match kind {
            Padding => Some(name_of(&["SAME", "VALID"], operator.option(field, 0)?)),
            Activation => {
                let names = ["NONE", "RELU", "RELU_N1_TO_1", "RELU6", "TANH", "SIGN_BIT"];
                let code = operator.option(field, 0)?;
                (code != 0).then(|| name_of(&names, code))
            }
            Mode => {
                let code = operator.option::<i8>(field, 0)?;
                (code != 0).then(|| code.to_string())
            }
            Int => {
                let usual = default(name);
                let value = operator.option(field, usual.unwrap_or(0))?;
                (usual != Some(value)).then(|| value.to_string())
            }
            Float => Some(operator.option::<f32>(field, default_real(name))?.to_string()),
            Flag => operator.option(field, false)?.then(|| "true".to_string()),
            Ints => {
                let values = operator.option_vector(field)?;
                (!values.is_empty()).then(|| format!("{values:?}"))
            }
            Kind::Type => Some(Type::of(operator.option(field, 0)?).name().to_string()),
        };
        shown.extend(value.map(|value| (name, value)));
    }
    Ok(shown)
}

/// The value that an integer option has in most models, and that says nothing.
fn default(name: &str) -> Option<i32> {
    match name {
        "dilation_w" | "dilation_h" => Some(1),
        "begin_mask" | "end_mask" | "ellipsis_mask" | "new_axis_mask" | "shrink_axis_mask"
        | "batch_dims" => Some(0),
        _ => None,
    }
}

fn default_real(name: &str) -> f32 {
    if name == "beta" { 1.0 } else { 0.0 }
}
