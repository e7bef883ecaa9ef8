//! The operators that each layer stands for, with their weights.

use super::layer::{Border, Init, LayerActivation, LayerKind, Stage, WeightSpec};
use crate::graph::{Activation, Op, PadMode, Padding, ResizeMode};

impl LayerKind {
    /// Activation at the end of the layer.
    pub fn activation(&self) -> Option<LayerActivation> {
        match self {
            Self::Conv2d { activation, .. }
            | Self::Conv2dTranspose { activation, .. }
            | Self::DepthwiseConv2d { activation, .. }
            | Self::SeparableConv2d { activation, .. }
            | Self::Dense { activation, .. }
            | Self::Activation(activation) => Some(*activation),
            _ => None,
        }
    }

    /// The operators that the layer stands for, over an input of extents
    /// `input` (without the batch).
    pub(super) fn stages(&self, input: &[usize], indices: bool) -> Result<Vec<Stage>, String> {
        let mut stages = match self {
            Self::Conv2d { .. }
            | Self::Conv2dTranspose { .. }
            | Self::DepthwiseConv2d { .. }
            | Self::SeparableConv2d { .. } => self.convolution(map(input)?)?,
            Self::Dense { units, activation, use_bias } => {
                let depth = *input.last().ok_or("the input has no axis")?;
                let init = Init::GlorotUniform { fan_in: depth, fan_out: *units };
                let kernel = WeightSpec::new("kernel", vec![*units, depth], init);
                let op = Op::Dense { keep_dims: input.len() > 1, activation: activation.fused() };
                vec![Stage::new(
                    "",
                    op,
                    [kernel].into_iter().chain(WeightSpec::bias(*use_bias, *units)),
                )]
            }
            Self::BatchNormalization { center, scale, .. } => {
                let channels = *input.last().ok_or("the input has no axis")?;
                vec![batch_normalization(channels, *center, *scale)]
            }
            Self::Dropout { .. } => vec![],
            _ => vec![Stage::new("", self.weightless(input, indices)?, [])],
        };
        // A layer that is nothing but an activation has its stage already.
        if let (Some(activation), false) = (self.activation(), matches!(self, Self::Activation(_)))
            && activation != LayerActivation::Elementwise(activation.fused())
        {
            stages.push(Stage::new(activation.suffix(), activation.op(), []));
        }
        Ok(stages)
    }

    fn convolution(&self, input: [usize; 3]) -> Result<Vec<Stage>, String> {
        let channels = input[2];
        let clamp = self.activation().map_or(Activation::Linear, LayerActivation::fused);
        Ok(match *self {
            Self::Conv2d {
                filters,
                kernel_size,
                strides,
                padding,
                dilation_rate,
                groups,
                use_bias,
                ..
            } => {
                if !channels.is_multiple_of(groups) || !filters.is_multiple_of(groups) {
                    return Err(format!(
                        "groups = {groups} must divide its {channels} input channels and its {filters} filters"
                    ));
                }
                let op = Op::Conv2d {
                    strides,
                    dilation: dilation_rate,
                    padding: padding.into(),
                    groups,
                    activation: clamp,
                };
                let kernel = kernel("kernel", filters, kernel_size, channels / groups);
                vec![Stage::new(
                    "",
                    op,
                    [kernel].into_iter().chain(WeightSpec::bias(use_bias, filters)),
                )]
            }
            Self::Conv2dTranspose {
                filters,
                kernel_size,
                strides,
                padding,
                output_padding,
                use_bias,
                ..
            } => {
                let size = |axis: usize| {
                    transposed_extent(
                        input[axis],
                        kernel_size[axis],
                        strides[axis],
                        padding,
                        output_padding.map(|p| p[axis]),
                    )
                };
                let op = Op::TransposedConv2d {
                    strides,
                    padding: padding.into(),
                    output_size: [size(0)?, size(1)?],
                    activation: clamp,
                };
                let kernel = kernel("kernel", filters, kernel_size, channels);
                vec![Stage::new(
                    "",
                    op,
                    [kernel].into_iter().chain(WeightSpec::bias(use_bias, filters)),
                )]
            }
            Self::DepthwiseConv2d {
                kernel_size,
                strides,
                padding,
                dilation_rate,
                depth_multiplier,
                use_bias,
                ..
            } => {
                let op = Op::DepthwiseConv2d {
                    strides,
                    dilation: dilation_rate,
                    padding: padding.into(),
                    multiplier: depth_multiplier,
                    activation: clamp,
                };
                let kernel = depthwise_kernel("kernel", kernel_size, channels, depth_multiplier);
                let bias = WeightSpec::bias(use_bias, channels * depth_multiplier);
                vec![Stage::new("", op, [kernel].into_iter().chain(bias))]
            }
            Self::SeparableConv2d {
                filters,
                kernel_size,
                strides,
                padding,
                dilation_rate,
                depth_multiplier,
                use_bias,
                ..
            } => {
                let depthwise = Op::DepthwiseConv2d {
                    strides,
                    dilation: dilation_rate,
                    padding: padding.into(),
                    multiplier: depth_multiplier,
                    activation: Activation::Linear,
                };
                let pointwise = Op::Conv2d {
                    strides: [1, 1],
                    dilation: [1, 1],
                    padding: Padding::Valid,
                    groups: 1,
                    activation: clamp,
                };
                let first =
                    depthwise_kernel("depthwise_kernel", kernel_size, channels, depth_multiplier);
                let second =
                    kernel("pointwise_kernel", filters, [1, 1], channels * depth_multiplier);
                vec![
                    Stage::new("depthwise", depthwise, [first]),
                    Stage::new(
                        "",
                        pointwise,
                        [second].into_iter().chain(WeightSpec::bias(use_bias, filters)),
                    ),
                ]
            }
            _ => return Err("is no convolution".into()),
        })
    }

    fn weightless(&self, input: &[usize], indices: bool) -> Result<Op, String> {
        let clamp = Activation::Linear;
        Ok(match *self {
            Self::MaxPooling2d { pool_size: window, strides, padding } if indices => {
                Op::MaxPool2dWithIndices { window, strides, padding: padding.into() }
            }
            Self::MaxPooling2d { pool_size: window, strides, padding } => {
                Op::MaxPool2d { window, strides, padding: padding.into(), activation: clamp }
            }
            Self::AveragePooling2d { pool_size: window, strides, padding } => {
                Op::AveragePool2d { window, strides, padding: padding.into(), activation: clamp }
            }
            Self::GlobalAveragePooling2d { keepdims } => {
                map(input)?;
                Op::Mean { axes: vec![1, 2], keep_dims: keepdims }
            }
            Self::GlobalMaxPooling2d { keepdims } => {
                map(input)?;
                Op::ReduceMax { axes: vec![1, 2], keep_dims: keepdims }
            }
            Self::UpSampling2d { size: [sh, sw], interpolation } => {
                let [h, w, _] = map(input)?;
                let bilinear = interpolation == ResizeMode::Bilinear;
                Op::Resize2d {
                    size: [h * sh, w * sw],
                    mode: interpolation,
                    align_corners: false,
                    half_pixel_centers: bilinear,
                }
            }
            Self::MaxUnpooling2d { pool_size: window, strides, padding, output_size, .. } => {
                Op::MaxUnpool2d { window, strides, padding: padding.into(), output_size }
            }
            Self::BedOfNails2d { size } => Op::BedOfNails2d { strides: size },
            Self::Flatten => Op::Reshape { shape: vec![1, input.iter().product()] },
            Self::Reshape { ref target_shape } => {
                Op::Reshape { shape: [1].iter().chain(target_shape).copied().collect() }
            }
            Self::Activation(activation) => activation.op(),
            Self::ZeroPadding2d { padding: [[top, bottom], [left, right]] } => {
                map(input)?;
                Op::Pad {
                    before: vec![0, top, left, 0],
                    after: vec![0, bottom, right, 0],
                    mode: PadMode::Constant(0.0),
                }
            }
            Self::Cropping2d { cropping: [[top, bottom], [left, right]] } => {
                let [h, w, c] = map(input)?;
                let rest = |extent: usize, crop: usize| {
                    extent
                        .checked_sub(crop)
                        .filter(|&rest| rest > 0)
                        .ok_or_else(|| format!("cropping {crop} cells leaves nothing of {extent}"))
                };
                Op::Slice {
                    begin: vec![0, top, left, 0],
                    size: vec![1, rest(h, top + bottom)?, rest(w, left + right)?, c],
                    strides: vec![1; 4],
                }
            }
            _ => return Err("has weights".into()),
        })
    }
}

fn map(input: &[usize]) -> Result<[usize; 3], String> {
    input.try_into().map_err(|_| {
        format!(
            "takes a map [height, width, channels], its input is {input:?}; put a Reshape before it"
        )
    })
}

/// Output extent of Keras' Conv2DTranspose along one axis.
fn transposed_extent(
    input: usize,
    kernel: usize,
    stride: usize,
    padding: Border,
    output_padding: Option<usize>,
) -> Result<usize, String> {
    let Some(extra) = output_padding else {
        return Ok(match padding {
            Border::Same => input * stride,
            Border::Valid => input * stride + kernel.saturating_sub(stride),
        });
    };
    if extra >= stride {
        return Err(format!("output_padding {extra} must be less than the stride {stride}"));
    }
    let border = if padding == Border::Same { kernel / 2 } else { 0 };
    ((input - 1) * stride + kernel + extra)
        .checked_sub(2 * border)
        .filter(|&extent| extent > 0)
        .ok_or_else(|| format!("a kernel of {kernel} leaves no output"))
}

fn kernel(name: &'static str, out: usize, [kh, kw]: [usize; 2], input: usize) -> WeightSpec {
    let init = Init::GlorotUniform { fan_in: kh * kw * input, fan_out: kh * kw * out };
    WeightSpec::new(name, vec![out, kh, kw, input], init)
}

fn depthwise_kernel(
    name: &'static str,
    [kh, kw]: [usize; 2],
    input: usize,
    multiplier: usize,
) -> WeightSpec {
    let init = Init::GlorotUniform { fan_in: kh * kw * input, fan_out: kh * kw * multiplier };
    WeightSpec::new(name, vec![1, kh, kw, input * multiplier], init)
}

fn batch_normalization(channels: usize, center: bool, scale: bool) -> Stage {
    let weight = |name, init| WeightSpec::new(name, vec![channels], init);
    let still = |name, init| WeightSpec { trainable: false, ..weight(name, init) };
    let weights = [
        scale.then(|| weight("gamma", Init::Ones)),
        center.then(|| weight("beta", Init::Zeros)),
        Some(still("moving_mean", Init::Zeros)),
        Some(still("moving_variance", Init::Ones)),
    ];
    Stage::new("", Op::Mul { activation: Activation::Linear }, weights.into_iter().flatten())
}
