//! Checks of a decoded layer that cost a pass over its data: lengths and ranges of
//! weights, biases and multipliers, scratch sizes, sources of copies.

use crate::error::{FormatError, ShapeError};
use crate::model::format::{CopyRecord, word};
use crate::model::layer::{DType, Epilogue, Layer, Linear, Op, Slot};
use crate::model::parse::Model;
use crate::ops::elementwise::Own;
use crate::ops::fused::{conv_pool2d, unpool_conv2d, upsample_conv2d};
use crate::ops::{
    AXES, ConvPool2dGeometry, StridedCopy, UnpoolConv2dGeometry, UpsampleConv2dGeometry, conv2d,
    depthwise_conv2d, transposed_conv2d,
};
use crate::pack;
use crate::quant::Multiplier;

impl Op {
    /// Whether the first output may be in the place of this input: each element is read for
    /// the last time before anything is written there.
    pub(crate) const fn in_place(&self, input: usize) -> bool {
        match self {
            Self::UnaryI8(_)
            | Self::UnaryF32 { .. }
            | Self::SoftmaxI8 { .. }
            | Self::SoftmaxF32 { .. } => input == 0,
            Self::BinaryI8(broadcast, _) | Self::BinaryF32(broadcast, _) => match input {
                0 => broadcast.in_place(Own::A),
                1 => broadcast.in_place(Own::B),
                _ => false,
            },
            _ => false,
        }
    }
}

/// Geometry and weights of a packed layer.
pub(crate) const fn packed(op: &Op) -> Option<(pack::Geometry, &Linear)> {
    match op {
        Op::Conv2d(g, linear) if linear.packing != pack::PLAIN => {
            Some((pack::Geometry::Conv2d(*g), linear))
        }
        Op::TransposedConv2d(g, linear) if linear.packing != pack::PLAIN => {
            Some((pack::Geometry::TransposedConv2d(*g), linear))
        }
        Op::Dense(g, linear) if linear.packing != pack::PLAIN => {
            Some((pack::Geometry::Dense(*g), linear))
        }
        _ => None,
    }
}

/// Bytes of scratch of the portable kernel of a layer, or of its packing, whose words must
/// be as many as the layer has.
pub(crate) const fn scratch_needed(layer: &Layer) -> Result<usize, ShapeError> {
    if let Some((geometry, linear)) = packed(&layer.op) {
        let (words, scratch) = (geometry.words(linear.packing), geometry.scratch(linear.packing));
        let (Some(words), Some(scratch)) = (words, scratch) else {
            return Err(ShapeError::Window);
        };
        return match words.checked_mul(4) {
            Some(bytes) if bytes == linear.weights.len => Ok(scratch),
            _ => Err(ShapeError::Length),
        };
    }
    let float = layer.element.is(DType::F32);
    Ok(match &layer.op {
        Op::Conv2d(g, _) if float => conv2d::scratch_bytes::<f32>(g),
        Op::Conv2d(g, _) => conv2d::scratch_bytes::<i8>(g),
        Op::DepthwiseConv2d(g, _) if float => depthwise_conv2d::scratch_bytes::<f32>(g),
        Op::DepthwiseConv2d(g, _) => depthwise_conv2d::scratch_bytes::<i8>(g),
        Op::TransposedConv2d(g, _) if float => transposed_conv2d::scratch_bytes::<f32>(g),
        Op::TransposedConv2d(g, _) => transposed_conv2d::scratch_bytes::<i8>(g),
        Op::ConvPool2d(g, ..) if float => conv_pool2d::scratch_bytes::<f32>(g),
        Op::ConvPool2d(g, ..) => conv_pool2d::scratch_bytes::<i8>(g),
        Op::UpsampleConv2d(g, ..) if float => upsample_conv2d::scratch_bytes::<f32>(g),
        Op::UpsampleConv2d(g, ..) => upsample_conv2d::scratch_bytes::<i8>(g),
        Op::UnpoolConv2d(g, ..) if float => unpool_conv2d::scratch_bytes::<f32>(g),
        Op::UnpoolConv2d(g, ..) => unpool_conv2d::scratch_bytes::<i8>(g),
        _ => 0,
    })
}

impl Model<'_> {
    /// Weights, biases and multipliers have the lengths and ranges that the kernels expect.
    pub(crate) const fn check_data(&self, index: usize, layer: &Layer) -> Result<(), FormatError> {
        let result = match &layer.op {
            Op::Conv2d(g, linear) if linear.packing != pack::PLAIN => {
                self.check_epilogue(&linear.epilogue, g.output.c, g.output.c)
            }
            Op::TransposedConv2d(g, linear) if linear.packing != pack::PLAIN => {
                self.check_epilogue(&linear.epilogue, g.biases(), g.output.c)
            }
            Op::Dense(g, linear) if linear.packing != pack::PLAIN => {
                self.check_epilogue(&linear.epilogue, g.units, g.units)
            }
            Op::Conv2d(g, linear) => {
                self.check_linear(layer, linear, g.weights(), g.output.c, g.output.c)
            }
            Op::ConvPool2d(ConvPool2dGeometry { convolution: g, .. }, linear, _)
            | Op::UpsampleConv2d(UpsampleConv2dGeometry { convolution: g, .. }, linear)
            | Op::UnpoolConv2d(UnpoolConv2dGeometry { convolution: g, .. }, linear, _) => {
                self.check_linear(layer, linear, g.weights(), g.output.c, g.output.c)
            }
            Op::DepthwiseConv2d(g, linear) => {
                let weights = g.window.taps() * g.output.c;
                self.check_linear(layer, linear, weights, g.output.c, g.output.c)
            }
            Op::TransposedConv2d(g, linear) => {
                self.check_linear(layer, linear, g.weights(), g.biases(), g.output.c)
            }
            Op::Dense(g, linear) => {
                self.check_linear(layer, linear, g.inputs * g.units, g.units, g.units)
            }
            Op::MeanI8 { epilogue, .. } => self.check_epilogue(epilogue, 0, 1),
            _ => Ok(()),
        };
        match result {
            Ok(()) => Ok(()),
            Err(why) => Err(FormatError::Layer(index as u16, why)),
        }
    }

    const fn check_linear(
        &self,
        layer: &Layer,
        linear: &Linear,
        weights: usize,
        biases: usize,
        channels: usize,
    ) -> Result<(), ShapeError> {
        let expected = match weights.checked_mul(layer.element.bytes()) {
            Some(bytes) => bytes,
            None => return Err(ShapeError::Overflow),
        };
        if linear.weights.len != expected {
            return Err(ShapeError::Length);
        }
        self.check_epilogue(&linear.epilogue, biases, channels)
    }

    const fn check_epilogue(
        &self,
        epilogue: &Epilogue,
        biases: usize,
        channels: usize,
    ) -> Result<(), ShapeError> {
        let (bias, multipliers) = match epilogue {
            Epilogue::F32 { bias, .. } => (bias, None),
            Epilogue::I8 { bias, mantissas, shifts, .. } => (bias, Some((mantissas, shifts))),
        };
        if bias.len != 4 * biases {
            return Err(ShapeError::Length);
        }
        let Some((mantissas, shifts)) = multipliers else { return Ok(()) };
        if mantissas.len != 4 * channels && mantissas.len != 4 {
            return Err(ShapeError::Length);
        }
        let mut i = 0;
        while i < mantissas.len {
            let mantissa = word(self.bytes, mantissas.at + i) as i32;
            let shift = word(self.bytes, shifts.at + i) as i32;
            if !(Multiplier { mantissa, shift }).is_valid() {
                return Err(ShapeError::Multiplier);
            }
            i += 4;
        }
        Ok(())
    }

    /// The scratch that the kernels cannot do without is there; of packed layers, the words too.
    pub(crate) const fn check_scratch(
        &self,
        index: usize,
        layer: &Layer,
    ) -> Result<(), FormatError> {
        let index = index as u16;
        match scratch_needed(layer) {
            Ok(needed) if layer.scratch.len >= needed => Ok(()),
            Ok(_) => Err(FormatError::Scratch(index)),
            Err(why) => Err(FormatError::Layer(index, why)),
        }
    }

    /// Copy `i` of an [`Op::Arrange`]: its source and its layout.
    pub(crate) const fn copy(&self, copies_at: usize, i: usize) -> (u32, StridedCopy) {
        let record = CopyRecord::read(self.bytes, copies_at + i * CopyRecord::SIZE);
        let mut copy = StridedCopy {
            dims: [1; AXES],
            input_offset: record.input_offset as usize,
            input_strides: [0; AXES],
            output_offset: record.output_offset as usize,
            output_strides: [0; AXES],
        };
        let mut axis = 0;
        while axis < AXES {
            copy.dims[axis] = record.dims[axis] as usize;
            copy.input_strides[axis] = record.input_strides[axis] as isize;
            copy.output_strides[axis] = record.output_strides[axis] as usize;
            axis += 1;
        }
        (record.source, copy)
    }

    /// The tensor that a copy reads, when it exists.
    pub(crate) const fn source(&self, id: u32, element: DType) -> Option<Slot> {
        if id >= self.header.tensors {
            return None;
        }
        let tensor = self.tensor(id as usize);
        let whole = tensor.kept == 0;
        if whole && tensor.dtype.is(element) { Some(tensor.slot()) } else { None }
    }

    /// Every copy of an [`Op::Arrange`] reads an existing tensor that the layer does not
    /// write, and stays within it and the output.
    pub(crate) const fn check_sources(
        &self,
        index: usize,
        layer: &Layer,
    ) -> Result<(), FormatError> {
        let Op::Arrange { copies, copies_at, .. } = layer.op else { return Ok(()) };
        let output = layer.outputs[0];
        let size = layer.element.bytes();
        let mut i = 0;
        while i < copies {
            let (id, copy) = self.copy(copies_at, i);
            let Some(source) = self.source(id, layer.element) else {
                return Err(FormatError::Operand(index as u16));
            };
            if !source.constant && output.overlaps(&source.span) {
                return Err(FormatError::Overlap(index as u16));
            }
            let result = copy.check(source.span.len / size, output.len / size);
            if let Err(why) = result {
                return Err(FormatError::Layer(index as u16, why));
            }
            i += 1;
        }
        Ok(())
    }
}
