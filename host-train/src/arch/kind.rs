//! The arguments of each layer type, with Keras' defaults.

use anyhow::Result;

use super::Layer;
use super::arguments::Arguments;
use super::layer::{Border, LayerActivation, LayerKind};
use super::parse::values;
use crate::graph::{Activation, ResizeMode};

const ACTIVATIONS: [(&str, LayerActivation); 10] = {
    use LayerActivation::Elementwise;
    [
        ("linear", Elementwise(Activation::Linear)),
        ("relu", Elementwise(Activation::Relu)),
        ("relu6", Elementwise(Activation::Relu6)),
        ("sigmoid", Elementwise(Activation::Sigmoid)),
        ("tanh", Elementwise(Activation::Tanh)),
        ("leaky_relu", Elementwise(Activation::LeakyRelu { alpha: 0.2 })),
        ("elu", Elementwise(Activation::Elu { alpha: 1.0 })),
        ("hard_swish", Elementwise(Activation::HardSwish)),
        ("hard_silu", Elementwise(Activation::HardSwish)),
        ("softmax", LayerActivation::Softmax),
    ]
};

const BORDERS: [(&str, Border); 2] = [("valid", Border::Valid), ("same", Border::Same)];

/// The layer that the table describes; `pool` is the one that an unpool names.
pub(super) fn kind_of(
    a: &Arguments<'_, '_>,
    input: &[usize],
    pool: Option<&Layer>,
) -> Result<LayerKind> {
    let activation = || -> Result<LayerActivation> {
        Ok(a.choice("activation", &ACTIVATIONS)?.unwrap_or(ACTIVATIONS[0].1))
    };
    let use_bias = || -> Result<bool> { Ok(a.flag("use_bias")?.unwrap_or(true)) };
    let padding =
        || -> Result<Border> { Ok(a.choice("padding", &BORDERS)?.unwrap_or(Border::Valid)) };
    let pair =
        |key, default: usize| -> Result<[usize; 2]> { Ok(a.pair(key)?.unwrap_or([default; 2])) };
    let filters = || a.count("filters")?.ok_or_else(|| a.missing("filters", "16"));
    let kernel_size = || a.pair("kernel_size")?.ok_or_else(|| a.missing("kernel_size", "3"));
    Ok(match a.what {
        "Conv2D" => LayerKind::Conv2d {
            filters: filters()?,
            kernel_size: kernel_size()?,
            strides: pair("strides", 1)?,
            padding: padding()?,
            dilation_rate: pair("dilation_rate", 1)?,
            groups: a.count("groups")?.unwrap_or(1),
            activation: activation()?,
            use_bias: use_bias()?,
        },
        "Conv2DTranspose" => LayerKind::Conv2dTranspose {
            filters: filters()?,
            kernel_size: kernel_size()?,
            strides: pair("strides", 1)?,
            padding: padding()?,
            output_padding: a.pair_or_zero("output_padding")?,
            activation: activation()?,
            use_bias: use_bias()?,
        },
        "DepthwiseConv2D" => LayerKind::DepthwiseConv2d {
            kernel_size: kernel_size()?,
            strides: pair("strides", 1)?,
            padding: padding()?,
            dilation_rate: pair("dilation_rate", 1)?,
            depth_multiplier: a.count("depth_multiplier")?.unwrap_or(1),
            activation: activation()?,
            use_bias: use_bias()?,
        },
        "SeparableConv2D" => LayerKind::SeparableConv2d {
            filters: filters()?,
            kernel_size: kernel_size()?,
            strides: pair("strides", 1)?,
            padding: padding()?,
            dilation_rate: pair("dilation_rate", 1)?,
            depth_multiplier: a.count("depth_multiplier")?.unwrap_or(1),
            activation: activation()?,
            use_bias: use_bias()?,
        },
        "MaxPooling2D" | "AveragePooling2D" => {
            let pool_size = pair("pool_size", 2)?;
            let strides = a.pair("strides")?.unwrap_or(pool_size);
            let padding = padding()?;
            if a.what == "MaxPooling2D" {
                LayerKind::MaxPooling2d { pool_size, strides, padding }
            } else {
                LayerKind::AveragePooling2d { pool_size, strides, padding }
            }
        }
        "GlobalAveragePooling2D" => {
            LayerKind::GlobalAveragePooling2d { keepdims: a.flag("keepdims")?.unwrap_or(false) }
        }
        "GlobalMaxPooling2D" => {
            LayerKind::GlobalMaxPooling2d { keepdims: a.flag("keepdims")?.unwrap_or(false) }
        }
        "UpSampling2D" => {
            let modes = [("nearest", ResizeMode::Nearest), ("bilinear", ResizeMode::Bilinear)];
            LayerKind::UpSampling2d {
                size: pair("size", 2)?,
                interpolation: a.choice("interpolation", &modes)?.unwrap_or(ResizeMode::Nearest),
            }
        }
        "MaxUnpooling2D" => unpooling(a, pool)?,
        "BedOfNails2D" => LayerKind::BedOfNails2d { size: pair("size", 2)? },
        "Dense" => LayerKind::Dense {
            units: a.count("units")?.ok_or_else(|| a.missing("units", "32"))?,
            activation: activation()?,
            use_bias: use_bias()?,
        },
        "Flatten" => LayerKind::Flatten,
        "Reshape" => reshape(a, input)?,
        "BatchNormalization" => LayerKind::BatchNormalization {
            momentum: a.float("momentum", 0.0..1.0)?.unwrap_or(0.99),
            epsilon: a.float("epsilon", 0.0..1.0)?.unwrap_or(1e-3),
            center: a.flag("center")?.unwrap_or(true),
            scale: a.flag("scale")?.unwrap_or(true),
        },
        "ZeroPadding2D" => {
            LayerKind::ZeroPadding2d { padding: a.margins("padding")?.unwrap_or([[1; 2]; 2]) }
        }
        "Cropping2D" => {
            LayerKind::Cropping2d { cropping: a.margins("cropping")?.unwrap_or([[0; 2]; 2]) }
        }
        "Dropout" => LayerKind::Dropout {
            rate: a.float("rate", 0.0..1.0)?.ok_or_else(|| a.missing("rate", "0.5"))?,
        },
        _ => LayerKind::Activation(stand_alone_activation(a)?),
    })
}

fn unpooling(a: &Arguments<'_, '_>, pool: Option<&Layer>) -> Result<LayerKind> {
    let pool = pool.ok_or_else(|| a.missing("pool", "\"max_pooling2d\""))?;
    let LayerKind::MaxPooling2d { pool_size, strides, padding } = pool.kind else {
        return Err(a.missing("pool", "\"max_pooling2d\""));
    };
    Ok(LayerKind::MaxUnpooling2d {
        pool: pool.name.clone(),
        pool_size,
        strides,
        padding,
        output_size: [pool.input_shape[0], pool.input_shape[1]],
    })
}

fn reshape(a: &Arguments<'_, '_>, input: &[usize]) -> Result<LayerKind> {
    let target =
        a.extents("target_shape")?.ok_or_else(|| a.missing("target_shape", "[28, 28, 1]"))?;
    let total: usize = input.iter().product();
    let known = values(&target.iter().copied().flatten().collect::<Vec<_>>()).unwrap_or(usize::MAX);
    let free = target.iter().filter(|extent| extent.is_none()).count();
    if free > 1 || (free == 1 && !total.is_multiple_of(known)) {
        let message = format!("`target_shape` leaves open what to make of {total} values");
        return Err(a.source.error(a.line, message));
    }
    let target_shape = target.into_iter().map(|extent| extent.unwrap_or(total / known)).collect();
    Ok(LayerKind::Reshape { target_shape })
}

fn stand_alone_activation(a: &Arguments<'_, '_>) -> Result<LayerActivation> {
    use LayerActivation::Elementwise;
    let slope =
        |default| -> Result<f32> { Ok(a.float("negative_slope", 0.0..1e6)?.unwrap_or(default)) };
    Ok(match a.what {
        "Softmax" => LayerActivation::Softmax,
        "LeakyReLU" => Elementwise(Activation::LeakyRelu { alpha: slope(0.3)? }),
        "ReLU" => match (a.float("max_value", 6.0..6.000_001)?, slope(0.0)?) {
            (None, 0.0) => Elementwise(Activation::Relu),
            (Some(_), 0.0) => Elementwise(Activation::Relu6),
            (None, alpha) => Elementwise(Activation::LeakyRelu { alpha }),
            (Some(_), _) => {
                let message = "ReLU takes `max_value` or `negative_slope`, not both";
                return Err(a.source.error(a.line, message));
            }
        },
        _ => a
            .choice("activation", &ACTIVATIONS)?
            .ok_or_else(|| a.missing("activation", "\"relu\""))?,
    })
}
