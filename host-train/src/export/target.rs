//! The cores that weights can be packed and scratch planned for.

use std::fmt;
use std::str::FromStr;

use microconv::Model;
use microconv::backend::{Backend, CortexM, Kernels, Scalar};
use microconv::epilogue::Requantize;
use microconv::ops::{
    Conv2dGeometry, ConvPool2dGeometry, DenseGeometry, TransposedConv2dGeometry,
    UnpoolConv2dGeometry, UpsampleConv2dGeometry,
};
use microconv::pack::Geometry;

/// A core.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Target {
    /// Plain weights and the least scratch: runs everywhere.
    #[default]
    Portable,
    /// This machine's backend.
    Native,
    /// Cortex-M4, M7 and M33: room for widened rows, and int8 weights of convolutions packed
    /// as the kernels read them, which takes two to three times their flash, by Winograd 3.6 times.
    CortexM,
    /// The same with plain weights: less flash, more scratch and time.
    CortexMSmall,
}

/// A layer whose kernel may want scratch.
#[derive(Clone, Copy, Debug)]
pub(super) enum Scratch {
    Conv2d(Conv2dGeometry),
    DepthwiseConv2d(Conv2dGeometry),
    TransposedConv2d(TransposedConv2dGeometry),
    Dense(DenseGeometry),
    ConvPool2d(ConvPool2dGeometry),
    UpsampleConv2d(UpsampleConv2dGeometry),
    UnpoolConv2d(UnpoolConv2dGeometry),
}

impl Target {
    /// All targets with their names on the command line and their numbers in the blob.
    const ALL: [(Self, &'static str, u32); 4] = [
        (Self::Portable, "portable", 0),
        (Self::Native, "native", 1),
        (Self::CortexM, "cortex-m4", 2),
        (Self::CortexMSmall, "cortex-m4-small", 3),
    ];

    /// Number in the blob's header.
    pub fn code(self) -> u32 {
        Self::ALL.iter().find(|(target, ..)| *target == self).map_or(0, |(.., code)| *code)
    }

    /// The target of a number in a blob's header.
    pub fn from_code(code: u32) -> Option<Self> {
        Self::ALL.iter().find(|(.., known)| *known == code).map(|(target, ..)| *target)
    }

    /// Bytes of scratch: what the portable kernel needs, or more where the target's kernel wants it.
    pub(super) fn scratch(self, of: Scratch, float: bool) -> usize {
        let portable = scratch::<Scalar>(of, float);
        match self {
            Self::Portable => portable,
            Self::Native => portable.max(scratch::<microconv::Native>(of, float)),
            Self::CortexM | Self::CortexMSmall => portable.max(scratch::<CortexM>(of, float)),
        }
    }

    /// Whether it is a microcontroller, where an arena is dear.
    pub(super) fn is_small(self) -> bool {
        matches!(self, Self::CortexM | Self::CortexMSmall)
    }

    /// Bytes of scratch of a layer of a model, with which its kernel is chosen.
    pub(super) fn scratch_of(self, model: &Model<'_>, layer: usize) -> usize {
        match self {
            Self::Portable => model.scratch_for::<Scalar>(layer),
            Self::Native => model.scratch_for::<microconv::Native>(layer),
            Self::CortexM | Self::CortexMSmall => model.scratch_for::<CortexM>(layer),
        }
    }

    /// The packing of an int8 layer with these weights that ends in `epilogue`; `None` where they
    /// stay plain.
    pub(super) fn packing(
        self,
        of: Scratch,
        weights: &[i8],
        epilogue: &Requantize<'_>,
    ) -> Option<(Geometry, u32)> {
        let geometry = match of {
            Scratch::Conv2d(g) => Geometry::Conv2d(g),
            Scratch::TransposedConv2d(g) => Geometry::TransposedConv2d(g),
            Scratch::Dense(g) => Geometry::Dense(g),
            _ => return None,
        };
        let packing = geometry.choose(weights, epilogue).filter(|_| self == Self::CortexM)?;
        Some((geometry, packing))
    }
}

fn scratch<B: Backend>(of: Scratch, float: bool) -> usize {
    match (of, float) {
        (Scratch::Conv2d(g), false) => <B as Kernels<i8>>::conv2d_scratch(&g),
        (Scratch::Conv2d(g), true) => <B as Kernels<f32>>::conv2d_scratch(&g),
        (Scratch::DepthwiseConv2d(g), false) => <B as Kernels<i8>>::depthwise_conv2d_scratch(&g),
        (Scratch::DepthwiseConv2d(g), true) => <B as Kernels<f32>>::depthwise_conv2d_scratch(&g),
        (Scratch::TransposedConv2d(g), false) => <B as Kernels<i8>>::transposed_conv2d_scratch(&g),
        (Scratch::TransposedConv2d(g), true) => <B as Kernels<f32>>::transposed_conv2d_scratch(&g),
        (Scratch::Dense(g), false) => <B as Kernels<i8>>::dense_scratch(&g),
        (Scratch::Dense(g), true) => <B as Kernels<f32>>::dense_scratch(&g),
        (Scratch::ConvPool2d(g), false) => <B as Kernels<i8>>::conv_pool2d_scratch(&g),
        (Scratch::ConvPool2d(g), true) => <B as Kernels<f32>>::conv_pool2d_scratch(&g),
        (Scratch::UpsampleConv2d(g), false) => <B as Kernels<i8>>::upsample_conv2d_scratch(&g),
        (Scratch::UpsampleConv2d(g), true) => <B as Kernels<f32>>::upsample_conv2d_scratch(&g),
        (Scratch::UnpoolConv2d(g), false) => <B as Kernels<i8>>::unpool_conv2d_scratch(&g),
        (Scratch::UnpoolConv2d(g), true) => <B as Kernels<f32>>::unpool_conv2d_scratch(&g),
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name =
            Self::ALL.iter().find(|(target, ..)| target == self).map_or("", |(_, name, _)| name);
        f.write_str(name)
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let names = || Self::ALL.map(|(_, name, _)| name).join(", ");
        Self::ALL
            .iter()
            .find(|(_, known, _)| *known == name)
            .map(|(target, ..)| *target)
            .ok_or_else(|| format!("unknown target `{name}`, expected one of: {}", names()))
    }
}
