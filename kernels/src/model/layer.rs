//! Layers as the executor sees them: decoded, typed, with places instead of indices.

use crate::epilogue::Activation;
use crate::model::bands::Bands;
use crate::model::route::Route;
use crate::ops::elementwise::{Broadcast, Combine8, CombineF32};
use crate::ops::{
    Conv2dGeometry, ConvPool2dGeometry, DenseGeometry, Pool2dGeometry, ReduceGeometry,
    Resize2dGeometry, TransposedConv2dGeometry, UnpoolConv2dGeometry, UpsampleConv2dGeometry,
};
use crate::shape::Shape;

/// Element type of a tensor in a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DType {
    /// Quantised codes.
    I8,
    /// Floats.
    F32,
    /// Pool indices of windows up to 256 taps.
    U8,
    /// Pool indices of larger windows.
    U16,
}

impl DType {
    pub(crate) const fn decode(code: u32) -> Option<Self> {
        match code {
            1 => Some(Self::I8),
            2 => Some(Self::F32),
            3 => Some(Self::U8),
            4 => Some(Self::U16),
            _ => None,
        }
    }

    /// The number that stands for it in a record.
    pub const fn code(self) -> u32 {
        match self {
            Self::I8 => 1,
            Self::F32 => 2,
            Self::U8 => 3,
            Self::U16 => 4,
        }
    }

    /// Bytes of an element.
    pub const fn bytes(self) -> usize {
        match self {
            Self::I8 | Self::U8 => 1,
            Self::U16 => 2,
            Self::F32 => 4,
        }
    }

    pub(crate) const fn is(self, other: Self) -> bool {
        self.code() == other.code()
    }
}

/// What a blob says of a tensor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TensorInfo {
    /// Element type.
    pub dtype: DType,
    /// Whether it is a constant of the blob.
    pub constant: bool,
    /// Offset of its first byte in the arena or, if constant, in the blob.
    pub at: usize,
    /// Number of axes.
    pub rank: usize,
    /// Extents; 1 beyond the rank.
    pub dims: [usize; 6],
    /// Real step of a code; 0 when not quantised.
    pub scale: f32,
    /// Code of zero.
    pub zero_point: i32,
    /// Rows (extents of axis 1) that are in memory at a time, between a layer and the next of
    /// its chain; 0 for all.
    pub kept: usize,
}

impl TensorInfo {
    /// Extents, batch first.
    pub fn shape(&self) -> &[usize] {
        self.dims.get(..self.rank).unwrap_or(&[])
    }

    /// Number of elements.
    pub const fn count(&self) -> usize {
        let d = &self.dims;
        d[0] * d[1] * d[2] * d[3] * d[4] * d[5]
    }

    /// Number of bytes.
    pub const fn bytes(&self) -> usize {
        self.count() * self.dtype.bytes()
    }

    /// Number of bytes that it takes in memory.
    pub const fn stored(&self) -> usize {
        if self.kept == 0 { self.bytes() } else { self.bytes() / self.dims[1] * self.kept }
    }

    pub(crate) const fn slot(&self) -> Slot {
        Slot { constant: self.constant, span: Span { at: self.at, len: self.bytes() } }
    }
}

/// Bytes in the blob or in the arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) at: usize,
    pub(crate) len: usize,
}

impl Span {
    pub(crate) const EMPTY: Self = Self { at: 0, len: 0 };

    pub(crate) const fn overlaps(&self, other: &Self) -> bool {
        self.len != 0
            && other.len != 0
            && self.at < other.at + other.len
            && other.at < self.at + self.len
    }

    pub(crate) const fn is(&self, other: &Self) -> bool {
        self.at == other.at && self.len == other.len
    }
}

/// Where an operand lies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    pub(crate) constant: bool,
    pub(crate) span: Span,
}

impl Slot {
    pub(crate) const NONE: Self = Self { constant: true, span: Span::EMPTY };
}

/// The end of an accumulation, as places in the blob.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Epilogue {
    I8 {
        bias: Span,
        mantissas: Span,
        shifts: Span,
        zero_point: i32,
        min: i8,
        max: i8,
        table: Option<Span>,
    },
    F32 {
        bias: Span,
        min: f32,
        max: f32,
        activation: Activation,
    },
}

/// Weights and what follows the sum.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Linear {
    pub(crate) weights: Span,
    /// Plain, or a packing of [`crate::pack`]: convolutions in i8 only.
    pub(crate) packing: u32,
    pub(crate) zero_point: i8,
    pub(crate) epilogue: Epilogue,
}

/// Bounds of a pool, for both types.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) i8: (i8, i8),
    pub(crate) f32: (f32, f32),
}

/// An operator with its parameters.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Op {
    Conv2d(Conv2dGeometry, Linear),
    DepthwiseConv2d(Conv2dGeometry, Linear),
    TransposedConv2d(TransposedConv2dGeometry, Linear),
    Dense(DenseGeometry, Linear),
    ConvPool2d(ConvPool2dGeometry, Linear, Bounds),
    UpsampleConv2d(UpsampleConv2dGeometry, Linear),
    UnpoolConv2d(UnpoolConv2dGeometry, Linear, DType),
    MaxPool2d(Pool2dGeometry, Bounds),
    AveragePool2d(Pool2dGeometry, Bounds),
    MaxPool2dWithIndices(Pool2dGeometry, DType),
    MaxUnpool2d(Pool2dGeometry, DType, i8),
    BedOfNails2d { input: Shape, output: Shape, stride: [usize; 2], zero: i8 },
    ResizeNearest2d(Resize2dGeometry),
    ResizeBilinear2d(Resize2dGeometry),
    UnaryI8(Span),
    UnaryF32 { min: f32, max: f32, activation: Activation },
    BinaryI8(Broadcast, Combine8),
    BinaryF32(Broadcast, CombineF32),
    SoftmaxI8 { classes: usize, table: Span },
    SoftmaxF32 { classes: usize, beta: f32 },
    MeanI8 { geometry: ReduceGeometry, initial: i32, epilogue: Epilogue },
    MeanF32(ReduceGeometry),
    ReduceMax(ReduceGeometry),
    Arrange { copies: usize, copies_at: usize, fill: bool, code: i8, value: f32 },
    Quantize { scale: f32, zero_point: i32 },
    Dequantize { scale: f32, zero_point: i32 },
}

/// A layer: what to compute, of which type, from where to where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layer {
    pub(crate) op: Op,
    pub(crate) element: DType,
    pub(crate) inputs: [Slot; 3],
    pub(crate) outputs: [Span; 2],
    pub(crate) scratch: Span,
    /// [`Route::Ask`] until a backend is known.
    pub(crate) route: Route,
    pub(crate) bands: Bands,
}

/// Where a layer reads and writes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Places {
    pub(crate) inputs: [Slot; 3],
    pub(crate) outputs: [Span; 2],
    pub(crate) scratch: Span,
}

impl Layer {
    /// Its own places.
    pub(crate) const fn places(&self) -> Places {
        Places { inputs: self.inputs, outputs: self.outputs, scratch: self.scratch }
    }

    /// A layer that reads and writes nothing.
    pub(crate) const NOTHING: Self = Self {
        op: Op::Arrange { copies: 0, copies_at: 0, fill: false, code: 0, value: 0.0 },
        element: DType::I8,
        inputs: [Slot::NONE; 3],
        outputs: [Span::EMPTY; 2],
        scratch: Span::EMPTY,
        route: Route::Ask,
        bands: Bands::WHOLE,
    };
}
