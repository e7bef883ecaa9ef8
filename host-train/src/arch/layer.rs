//! Layers as Keras defines them, and the operators that each stands for.

use crate::graph::{Activation, Op, Padding, ResizeMode};

/// Keras' `padding`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Border {
    /// `"same"`.
    Same,
    /// `"valid"`.
    Valid,
}

impl From<Border> for Padding {
    fn from(border: Border) -> Self {
        match border {
            Border::Same => Self::Same,
            Border::Valid => Self::Valid,
        }
    }
}

/// What a layer applies to its result.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LayerActivation {
    /// Element by element.
    Elementwise(Activation),
    /// Over the channels.
    Softmax,
}

impl LayerActivation {
    /// Fused into the layer's operator: the activation itself if it is a clamp.
    pub(super) fn fused(self) -> Activation {
        match self {
            Self::Elementwise(activation) if activation.is_clamp() => activation,
            _ => Activation::Linear,
        }
    }

    /// The operator that applies it on its own.
    pub fn op(self) -> Op {
        match self {
            Self::Elementwise(activation) => Op::Activation(activation),
            Self::Softmax => Op::Softmax { beta: 1.0 },
        }
    }

    pub(super) fn suffix(self) -> &'static str {
        match self {
            Self::Softmax => "softmax",
            Self::Elementwise(activation) => match activation {
                Activation::Sigmoid => "sigmoid",
                Activation::Tanh => "tanh",
                Activation::LeakyRelu { .. } => "leaky_relu",
                Activation::Elu { .. } => "elu",
                Activation::HardSwish => "hard_swish",
                _ => "activation",
            },
        }
    }
}

/// A layer and its arguments, as Keras names them; pairs are rows, columns.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the arguments are Keras', under Keras' names")]
pub enum LayerKind {
    Conv2d {
        filters: usize,
        kernel_size: [usize; 2],
        strides: [usize; 2],
        padding: Border,
        dilation_rate: [usize; 2],
        groups: usize,
        activation: LayerActivation,
        use_bias: bool,
    },
    Conv2dTranspose {
        filters: usize,
        kernel_size: [usize; 2],
        strides: [usize; 2],
        padding: Border,
        output_padding: Option<[usize; 2]>,
        activation: LayerActivation,
        use_bias: bool,
    },
    DepthwiseConv2d {
        kernel_size: [usize; 2],
        strides: [usize; 2],
        padding: Border,
        dilation_rate: [usize; 2],
        depth_multiplier: usize,
        activation: LayerActivation,
        use_bias: bool,
    },
    SeparableConv2d {
        filters: usize,
        kernel_size: [usize; 2],
        strides: [usize; 2],
        padding: Border,
        dilation_rate: [usize; 2],
        depth_multiplier: usize,
        activation: LayerActivation,
        use_bias: bool,
    },
    MaxPooling2d {
        pool_size: [usize; 2],
        strides: [usize; 2],
        padding: Border,
    },
    AveragePooling2d {
        pool_size: [usize; 2],
        strides: [usize; 2],
        padding: Border,
    },
    GlobalAveragePooling2d {
        keepdims: bool,
    },
    GlobalMaxPooling2d {
        keepdims: bool,
    },
    UpSampling2d {
        size: [usize; 2],
        interpolation: ResizeMode,
    },
    /// Not in Keras: puts each value where the pool called `pool` found it.
    MaxUnpooling2d {
        pool: String,
        pool_size: [usize; 2],
        strides: [usize; 2],
        padding: Border,
        output_size: [usize; 2],
    },
    /// Not in Keras: each value at the top left of a cell of zeros.
    BedOfNails2d {
        size: [usize; 2],
    },
    Dense {
        units: usize,
        activation: LayerActivation,
        use_bias: bool,
    },
    Flatten,
    Reshape {
        target_shape: Vec<usize>,
    },
    /// Also the layers ReLU and LeakyReLU.
    Activation(LayerActivation),
    BatchNormalization {
        momentum: f32,
        epsilon: f32,
        center: bool,
        scale: bool,
    },
    /// Rows above and below, columns before and after.
    ZeroPadding2d {
        padding: [[usize; 2]; 2],
    },
    /// Rows above and below, columns before and after.
    Cropping2d {
        cropping: [[usize; 2]; 2],
    },
    Dropout {
        rate: f32,
    },
}

/// How a weight starts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// Uniform in ±√(6 / (fan_in + fan_out)).
    GlorotUniform {
        /// Inputs that reach an output.
        fan_in: usize,
        /// Outputs that an input reaches.
        fan_out: usize,
    },
    /// All zero.
    Zeros,
    /// All one.
    Ones,
}

/// A weight of a layer.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightSpec {
    /// Name within the layer (`kernel`).
    pub name: &'static str,
    /// Extents, in the layout that [`Op`] documents.
    pub shape: Vec<usize>,
    /// How it starts.
    pub init: Init,
    /// Whether the optimiser moves it.
    pub trainable: bool,
}

impl WeightSpec {
    pub(super) fn new(name: &'static str, shape: Vec<usize>, init: Init) -> Self {
        Self { name, shape, init, trainable: true }
    }

    pub(super) fn bias(wanted: bool, length: usize) -> Option<Self> {
        wanted.then(|| Self::new("bias", vec![length], Init::Zeros))
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One operator of a layer, with the weights that follow the data among its inputs.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    /// Appended to the layer's name; empty for the layer's main operator.
    pub suffix: &'static str,
    /// The operator. Batch norm stands as `Mul` and is lowered from its weights.
    pub op: Op,
    /// Inputs 1 and up of the operator.
    pub weights: Vec<WeightSpec>,
}

impl Stage {
    pub(super) fn new(
        suffix: &'static str,
        op: Op,
        weights: impl IntoIterator<Item = WeightSpec>,
    ) -> Self {
        Self { suffix, op, weights: weights.into_iter().collect() }
    }
}
