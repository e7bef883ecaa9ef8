//! The operators that a graph may hold.

/// How the border of a map is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// Output extent `ceil(in / stride)`; the total is halved, the odd cell goes to the end (TensorFlow).
    Same,
    /// Only windows that lie inside.
    Valid,
    /// Cells added on each side.
    Explicit {
        /// Rows above.
        top: usize,
        /// Rows below.
        bottom: usize,
        /// Columns before.
        left: usize,
        /// Columns after.
        right: usize,
    },
}

/// Element-wise non-linearities. Layers fuse the clamps only
/// ([`Activation::is_clamp`]); the others stand as [`Op::Activation`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// Identity.
    Linear,
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, 0), 6)`.
    Relu6,
    /// `min(max(x, −1), 1)`.
    ReluN1To1,
    /// `x` or `alpha · x` below zero.
    LeakyRelu {
        /// Slope below zero.
        alpha: f32,
    },
    /// `x` or `alpha · (exp(x) − 1)` below zero.
    Elu {
        /// Limit at −∞, negated.
        alpha: f32,
    },
    /// `1 / (1 + exp(−x))`.
    Sigmoid,
    /// Hyperbolic tangent.
    Tanh,
    /// `x · relu6(x + 3) / 6`.
    HardSwish,
}

impl Activation {
    /// Whether it is a clamp, which ends an accumulation exactly.
    pub fn is_clamp(self) -> bool {
        matches!(self, Self::Linear | Self::Relu | Self::Relu6 | Self::ReluN1To1)
    }

    /// Bounds in reals of a clamp.
    pub fn bounds(self) -> (f32, f32) {
        match self {
            Self::Relu => (0.0, f32::INFINITY),
            Self::Relu6 => (0.0, 6.0),
            Self::ReluN1To1 => (-1.0, 1.0),
            _ => (f32::NEG_INFINITY, f32::INFINITY),
        }
    }
}

/// What padding cells hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PadMode {
    /// A real value (TFLite's PAD uses zero, i.e. the zero point).
    Constant(f32),
    /// Mirror without repeating the edge.
    Reflect,
    /// Mirror with the edge repeated.
    Symmetric,
}

/// How a resize reads its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResizeMode {
    /// Nearest cell.
    Nearest,
    /// Bilinear interpolation.
    Bilinear,
}

/// An operator. Fused activations are clamps only.
///
/// Weight layouts are TFLite's: convolution and transposed convolution OHWI
/// `[out, kh, kw, in / groups]`, depthwise `[1, kh, kw, in · multiplier]`,
/// dense `[units, in]`. A bias is a vector and may be absent.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// Inputs: data, weights, optional bias.
    Conv2d {
        /// Rows, columns.
        strides: [usize; 2],
        /// Rows, columns.
        dilation: [usize; 2],
        /// Border.
        padding: Padding,
        /// Channel groups; 1 for an ordinary convolution.
        groups: usize,
        /// Fused clamp.
        activation: Activation,
    },
    /// Inputs: data, weights, optional bias. Output channel `c · multiplier + m` reads channel `c`.
    DepthwiseConv2d {
        /// Rows, columns.
        strides: [usize; 2],
        /// Rows, columns.
        dilation: [usize; 2],
        /// Border.
        padding: Padding,
        /// Outputs per input channel.
        multiplier: usize,
        /// Fused clamp.
        activation: Activation,
    },
    /// Inputs: data, weights (OHWI), optional bias. `padding` is that of the
    /// forward convolution from the output to the input.
    TransposedConv2d {
        /// Rows, columns.
        strides: [usize; 2],
        /// Border of the forward convolution.
        padding: Padding,
        /// Height and width of the output.
        output_size: [usize; 2],
        /// Fused clamp.
        activation: Activation,
    },
    /// Inputs: data, weights, optional bias. Acts on the last axis if
    /// `keep_dims`, else on all but the first axis flattened.
    Dense {
        /// Keep the leading axes (Keras on rank 3) instead of flattening.
        keep_dims: bool,
        /// Fused clamp.
        activation: Activation,
    },
    /// Input: data. Padding never wins.
    MaxPool2d {
        /// Rows, columns.
        window: [usize; 2],
        /// Rows, columns.
        strides: [usize; 2],
        /// Border.
        padding: Padding,
        /// Fused clamp.
        activation: Activation,
    },
    /// Input: data. Outputs: maxima, indices (for [`Op::MaxUnpool2d`]); the first maximum wins.
    MaxPool2dWithIndices {
        /// Rows, columns.
        window: [usize; 2],
        /// Rows, columns.
        strides: [usize; 2],
        /// Border.
        padding: Padding,
    },
    /// Input: data. Mean over the cells inside the map.
    AveragePool2d {
        /// Rows, columns.
        window: [usize; 2],
        /// Rows, columns.
        strides: [usize; 2],
        /// Border.
        padding: Padding,
        /// Fused clamp.
        activation: Activation,
    },
    /// Inputs: data, indices of a pool with these parameters. Output: zeros
    /// with each value at the place its pool remembered (a later window wins).
    MaxUnpool2d {
        /// Of the pool.
        window: [usize; 2],
        /// Of the pool.
        strides: [usize; 2],
        /// Of the pool.
        padding: Padding,
        /// Height and width of the output: the pool's input.
        output_size: [usize; 2],
    },
    /// Input: data. Each value at the top left of a `strides` cell of zeros.
    BedOfNails2d {
        /// Rows, columns of a cell.
        strides: [usize; 2],
    },
    /// Input: data. Rows and columns resized to `size`.
    Resize2d {
        /// Height and width of the output.
        size: [usize; 2],
        /// Nearest or bilinear.
        mode: ResizeMode,
        /// Corners of input and output coincide.
        align_corners: bool,
        /// Sample at pixel centres.
        half_pixel_centers: bool,
    },
    /// Input: data.
    Activation(Activation),
    /// Inputs: data, slopes (broadcast over the leading axes).
    Prelu,
    /// Input: data; over the last axis.
    Softmax {
        /// Factor on the logits.
        beta: f32,
    },
    /// Inputs: two operands, broadcast.
    Add {
        /// Fused clamp.
        activation: Activation,
    },
    /// Inputs: minuend, subtrahend, broadcast.
    Sub {
        /// Fused clamp.
        activation: Activation,
    },
    /// Inputs: two factors, broadcast.
    Mul {
        /// Fused clamp.
        activation: Activation,
    },
    /// Inputs: one or more, equal but for `axis`.
    Concat {
        /// Axis, counted with the batch.
        axis: usize,
    },
    /// Input: data.
    Pad {
        /// Cells before, per axis.
        before: Vec<usize>,
        /// Cells after, per axis.
        after: Vec<usize>,
        /// What they hold.
        mode: PadMode,
    },
    /// Input: data. `out[i] = in[begin + i · stride]` per axis, `size` elements; strides may be negative.
    Slice {
        /// First index per axis.
        begin: Vec<usize>,
        /// Elements per axis.
        size: Vec<usize>,
        /// Step per axis.
        strides: Vec<isize>,
    },
    /// Input: data; also flatten, squeeze and expand-dims.
    Reshape {
        /// Shape of the output.
        shape: Vec<usize>,
    },
    /// Input: data. Output axis `i` is input axis `perm[i]`.
    Transpose {
        /// Order of axes.
        perm: Vec<usize>,
    },
    /// Input: data, repeated `multiples[axis]` times along each axis.
    Tile {
        /// Repetitions per axis.
        multiples: Vec<usize>,
    },
    /// Input: data. Mean over `axes`.
    Mean {
        /// Axes, counted with the batch.
        axes: Vec<usize>,
        /// Keep them with extent 1.
        keep_dims: bool,
    },
    /// Input: data. Maximum over `axes`.
    ReduceMax {
        /// Axes, counted with the batch.
        axes: Vec<usize>,
        /// Keep them with extent 1.
        keep_dims: bool,
    },
    /// Input: floats, or int8 of another scale.
    Quantize,
    /// Input: int8.
    Dequantize,
    /// Input: int8. Each code replaced by entry `code + 128`.
    Table(Box<[i8; 256]>),
}

impl Op {
    /// Name shown to the user.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Conv2d { .. } => "Conv2D",
            Self::DepthwiseConv2d { .. } => "DepthwiseConv2D",
            Self::TransposedConv2d { .. } => "Conv2DTranspose",
            Self::Dense { .. } => "Dense",
            Self::MaxPool2d { .. } => "MaxPooling2D",
            Self::MaxPool2dWithIndices { .. } => "MaxPooling2D+indices",
            Self::AveragePool2d { .. } => "AveragePooling2D",
            Self::MaxUnpool2d { .. } => "MaxUnpooling2D",
            Self::BedOfNails2d { .. } => "BedOfNails2D",
            Self::Resize2d { mode: ResizeMode::Nearest, .. } => "ResizeNearest",
            Self::Resize2d { mode: ResizeMode::Bilinear, .. } => "ResizeBilinear",
            Self::Activation(activation) => match activation {
                Activation::Linear => "Linear",
                Activation::Relu => "ReLU",
                Activation::Relu6 => "ReLU6",
                Activation::ReluN1To1 => "ReLU-1..1",
                Activation::LeakyRelu { .. } => "LeakyReLU",
                Activation::Elu { .. } => "ELU",
                Activation::Sigmoid => "Sigmoid",
                Activation::Tanh => "Tanh",
                Activation::HardSwish => "HardSwish",
            },
            Self::Prelu => "PReLU",
            Self::Softmax { .. } => "Softmax",
            Self::Add { .. } => "Add",
            Self::Sub { .. } => "Subtract",
            Self::Mul { .. } => "Multiply",
            Self::Concat { .. } => "Concatenate",
            Self::Pad { .. } => "Pad",
            Self::Slice { .. } => "Slice",
            Self::Reshape { .. } => "Reshape",
            Self::Transpose { .. } => "Permute",
            Self::Tile { .. } => "Tile",
            Self::Mean { .. } => "Mean",
            Self::ReduceMax { .. } => "ReduceMax",
            Self::Quantize => "Quantize",
            Self::Dequantize => "Dequantize",
            Self::Table(_) => "Table",
        }
    }
}
