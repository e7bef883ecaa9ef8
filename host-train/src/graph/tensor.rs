//! Tensors: shape, type, quantisation and, for constants, values.

use microconv::quant::Multiplier;

/// Element type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DType {
    /// 32-bit float.
    F32,
    /// 8-bit integer, quantised when [`Tensor::quantization`] is set.
    I8,
    /// 32-bit integer: biases of quantised layers.
    I32,
    /// Indices that a max-pool remembers; the exporter picks the width.
    U32,
}

/// Values of a constant, row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// Floats.
    F32(Vec<f32>),
    /// Quantised values.
    I8(Vec<i8>),
    /// Biases.
    I32(Vec<i32>),
}

impl Data {
    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(v) => v.len(),
            Self::I8(v) => v.len(),
            Self::I32(v) => v.len(),
        }
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// `real = scale · (q − zero_point)`, for the tensor or for each slice along `axis`.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantization {
    /// One scale, or one per index along `axis`.
    pub scales: Vec<f32>,
    /// As many zero points as scales.
    pub zero_points: Vec<i32>,
    /// The axis that several scales belong to.
    pub axis: usize,
    /// Of int8 weights: the factors from sums to output codes, one or one per channel, where
    /// they are known better than the scales say; else empty.
    pub multipliers: Vec<Multiplier>,
}

impl Quantization {
    /// One scale for the whole tensor.
    pub fn per_tensor(scale: f32, zero_point: i32) -> Self {
        Self {
            scales: vec![scale],
            zero_points: vec![zero_point],
            axis: 0,
            multipliers: Vec::new(),
        }
    }

    /// Symmetric scales along `axis` (zero point 0), as weights have.
    pub fn per_channel(scales: Vec<f32>, axis: usize) -> Self {
        Self { zero_points: vec![0; scales.len()], scales, axis, multipliers: Vec::new() }
    }

    /// The first scale: the only one of an activation.
    pub fn scale(&self) -> f32 {
        self.scales.first().copied().unwrap_or(1.0)
    }

    /// The first zero point: the only one of an activation.
    pub fn zero_point(&self) -> i32 {
        self.zero_points.first().copied().unwrap_or(0)
    }
}

/// A value in the graph.
#[derive(Clone, Debug)]
pub struct Tensor {
    /// Name, for messages.
    pub name: String,
    /// Extents, batch first.
    pub shape: Vec<usize>,
    /// Element type.
    pub dtype: DType,
    /// How integers stand for reals; `None` for floats, biases and indices.
    pub quantization: Option<Quantization>,
    /// Values, when constant.
    pub data: Option<Data>,
}

impl Tensor {
    /// A tensor that some node or the caller writes.
    pub fn activation(name: impl Into<String>, shape: Vec<usize>, dtype: DType) -> Self {
        Self { name: name.into(), shape, dtype, quantization: None, data: None }
    }

    /// A float constant.
    pub fn constant_f32(name: impl Into<String>, shape: Vec<usize>, values: Vec<f32>) -> Self {
        Self {
            name: name.into(),
            shape,
            dtype: DType::F32,
            quantization: None,
            data: Some(Data::F32(values)),
        }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether some extent is zero.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Values of a float constant.
    pub fn f32_data(&self) -> Option<&[f32]> {
        match &self.data {
            Some(Data::F32(values)) => Some(values),
            _ => None,
        }
    }
}
