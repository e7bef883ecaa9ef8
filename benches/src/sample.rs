//! Seeded values of either element type.

use microconv::backend::{Kernels, Native, Scalar};
use microconv::epilogue::{Activate, Activation, Requantize};
use microconv::ops::elementwise::{Combine8, CombineF32, Kind8};
use microconv::ops::{
    Conv2d, Conv2dGeometry, Dense, DenseGeometry, DepthwiseConv2d, ElementOps, FusedElement,
    TransposedConv2d, TransposedConv2dGeometry,
};
use microconv::quant::Multiplier;
use microconv::{Backend, ShapeError};

/// Zero point of every int8 input.
const INPUT_ZERO: i8 = -7;

/// A reproducible stream of numbers.
struct Stream(u64);

impl Stream {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        (self.0 >> 33) % bound
    }
}

/// What a bench needs of an element type.
pub trait Sample: ElementOps + FusedElement {
    /// In the names of groups.
    const NAME: &'static str;
    /// Biases and multipliers, owned.
    type Parts;
    /// The portable backend.
    type Portable: Backend + Kernels<Self>;
    /// The backend of this build.
    type Native: Backend + Kernels<Self>;

    /// Inputs.
    fn values(seed: u64, count: usize) -> Vec<Self>;
    /// Weights.
    fn weights(seed: u64, count: usize) -> Vec<Self>;
    /// The end of sums of `depth` products: `biases` biases, one multiplier per channel, a relu.
    fn parts(biases: usize, channels: usize, depth: usize) -> Self::Parts;
    /// The same, borrowed.
    fn epilogue(parts: &Self::Parts) -> Self::Epilogue<'_>;
    /// Whether a backend may give `a` where the portable one gives `b`.
    fn agree(a: Self, b: Self) -> bool;
    /// Bounds that clamp nothing.
    fn bounds() -> (Self, Self);
    /// An addition of two operands of different scales.
    fn addition() -> Self::Combine;

    /// A convolution.
    ///
    /// # Errors
    /// Those of its constructor; so below.
    fn conv2d<'a>(
        g: Conv2dGeometry,
        weights: &'a [Self],
        epilogue: Self::Epilogue<'a>,
    ) -> Result<Conv2d<'a, Self>, ShapeError>;
    /// A depthwise convolution.
    ///
    /// # Errors
    /// See [`Sample::conv2d`].
    fn depthwise<'a>(
        g: Conv2dGeometry,
        weights: &'a [Self],
        epilogue: Self::Epilogue<'a>,
    ) -> Result<DepthwiseConv2d<'a, Self>, ShapeError>;
    /// A transposed convolution.
    ///
    /// # Errors
    /// See [`Sample::conv2d`].
    fn transposed<'a>(
        g: TransposedConv2dGeometry,
        weights: &'a [Self],
        epilogue: Self::Epilogue<'a>,
    ) -> Result<TransposedConv2d<'a, Self>, ShapeError>;
    /// A dense layer.
    ///
    /// # Errors
    /// See [`Sample::conv2d`].
    fn dense<'a>(
        g: DenseGeometry,
        weights: &'a [Self],
        epilogue: Self::Epilogue<'a>,
    ) -> Result<Dense<'a, Self>, ShapeError>;
}

/// [`Requantize`], owned.
pub struct Parts8 {
    bias: Vec<i32>,
    mantissas: Vec<i32>,
    shifts: Vec<i32>,
}

impl Sample for i8 {
    const NAME: &'static str = "i8";
    type Parts = Parts8;
    type Portable = Scalar;
    type Native = Native;

    fn values(seed: u64, count: usize) -> Vec<i8> {
        let mut stream = Stream(seed);
        (0..count).map(|_| (stream.below(256) as i32 - 128) as i8).collect()
    }

    fn weights(seed: u64, count: usize) -> Vec<i8> {
        let mut stream = Stream(seed);
        (0..count).map(|_| (stream.below(255) as i32 - 127) as i8).collect()
    }

    fn parts(biases: usize, channels: usize, depth: usize) -> Parts8 {
        let mut stream = Stream(77);
        // Sums of random products spread as the root of their number; codes then fill their range.
        let scale = 60.0 / (5400.0 * (depth as f64).sqrt());
        let by = (0..channels).map(|_| scale * (0.8 + stream.below(400) as f64 / 1000.0));
        let by: Vec<Multiplier> = by.map(Multiplier::from_real).collect();
        Parts8 {
            bias: (0..biases).map(|i| (i % 64) as i32 * 131 - 4000).collect(),
            mantissas: by.iter().map(|by| by.mantissa).collect(),
            shifts: by.iter().map(|by| by.shift).collect(),
        }
    }

    fn epilogue(parts: &Parts8) -> Requantize<'_> {
        Requantize {
            bias: &parts.bias,
            mantissas: &parts.mantissas,
            shifts: &parts.shifts,
            zero_point: -40,
            min: -40,
            max: 127,
            table: None,
        }
    }

    fn agree(a: i8, b: i8) -> bool {
        a == b
    }

    fn bounds() -> (i8, i8) {
        (i8::MIN, i8::MAX)
    }

    fn addition() -> Combine8 {
        Combine8 {
            kind: Kind8::Add,
            zero_points: [3, -5],
            multipliers: [Multiplier::from_real(0.5), Multiplier::from_real(0.31)],
            output: Multiplier::from_real(1.4 / f64::from(1 << 20)),
            zero_point: 2,
            min: i8::MIN,
            max: i8::MAX,
        }
    }

    fn conv2d<'a>(
        g: Conv2dGeometry,
        weights: &'a [i8],
        epilogue: Requantize<'a>,
    ) -> Result<Conv2d<'a, i8>, ShapeError> {
        Conv2d::<i8>::new(g, weights, INPUT_ZERO, epilogue)
    }

    fn depthwise<'a>(
        g: Conv2dGeometry,
        weights: &'a [i8],
        epilogue: Requantize<'a>,
    ) -> Result<DepthwiseConv2d<'a, i8>, ShapeError> {
        DepthwiseConv2d::<i8>::new(g, weights, INPUT_ZERO, epilogue)
    }

    fn transposed<'a>(
        g: TransposedConv2dGeometry,
        weights: &'a [i8],
        epilogue: Requantize<'a>,
    ) -> Result<TransposedConv2d<'a, i8>, ShapeError> {
        TransposedConv2d::<i8>::new(g, weights, INPUT_ZERO, epilogue)
    }

    fn dense<'a>(
        g: DenseGeometry,
        weights: &'a [i8],
        epilogue: Requantize<'a>,
    ) -> Result<Dense<'a, i8>, ShapeError> {
        Dense::<i8>::new(g, weights, epilogue)
    }
}

impl Sample for f32 {
    const NAME: &'static str = "f32";
    type Parts = Vec<f32>;
    type Portable = Scalar;
    type Native = Native;

    fn values(seed: u64, count: usize) -> Vec<f32> {
        let mut stream = Stream(seed);
        (0..count).map(|_| stream.below(2048) as f32 / 1024.0 - 1.0).collect()
    }

    fn weights(seed: u64, count: usize) -> Vec<f32> {
        Self::values(seed, count)
    }

    fn parts(biases: usize, _: usize, _: usize) -> Vec<f32> {
        (0..biases).map(|i| (i % 64) as f32 / 64.0).collect()
    }

    fn epilogue(parts: &Vec<f32>) -> Activate<'_> {
        Activate { bias: parts, min: 0.0, max: f32::INFINITY, activation: Activation::Linear }
    }

    fn agree(a: f32, b: f32) -> bool {
        // Another order of summation, over up to a few thousand products of magnitude one.
        (a - b).abs() <= 1e-3 * (1.0 + b.abs())
    }

    fn bounds() -> (f32, f32) {
        (f32::NEG_INFINITY, f32::INFINITY)
    }

    fn addition() -> CombineF32 {
        CombineF32 { kind: Kind8::Add, min: f32::NEG_INFINITY, max: f32::INFINITY }
    }

    fn conv2d<'a>(
        g: Conv2dGeometry,
        weights: &'a [f32],
        epilogue: Activate<'a>,
    ) -> Result<Conv2d<'a, f32>, ShapeError> {
        Conv2d::<f32>::new(g, weights, epilogue)
    }

    fn depthwise<'a>(
        g: Conv2dGeometry,
        weights: &'a [f32],
        epilogue: Activate<'a>,
    ) -> Result<DepthwiseConv2d<'a, f32>, ShapeError> {
        DepthwiseConv2d::<f32>::new(g, weights, epilogue)
    }

    fn transposed<'a>(
        g: TransposedConv2dGeometry,
        weights: &'a [f32],
        epilogue: Activate<'a>,
    ) -> Result<TransposedConv2d<'a, f32>, ShapeError> {
        TransposedConv2d::<f32>::new(g, weights, epilogue)
    }

    fn dense<'a>(
        g: DenseGeometry,
        weights: &'a [f32],
        epilogue: Activate<'a>,
    ) -> Result<Dense<'a, f32>, ShapeError> {
        Dense::<f32>::new(g, weights, epilogue)
    }
}
