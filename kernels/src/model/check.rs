//! Checks of a decoded layer that cost a pass over its data: lengths and ranges of
//! weights, biases and multipliers, scratch sizes, sources of copies.

use crate::error::{FormatError, ShapeError};
use crate::model::format::{CopyRecord, word};
use crate::model::layer::{DType, Epilogue, Layer, Linear, Op, Slot, Span};
use crate::model::parse::Model;
use crate::ops::fused::{conv_pool2d, unpool_conv2d, upsample_conv2d};
use crate::ops::{
    AXES, ConvPool2dGeometry, StridedCopy, UnpoolConv2dGeometry, UpsampleConv2dGeometry, conv2d,
    depthwise_conv2d, transposed_conv2d,
};
use crate::pack;
use crate::quant::Multiplier;

impl Op {
    /// Whether input and output may be the same memory.
    pub(crate) const fn in_place(&self) -> bool {
        matches!(self, Self::UnaryI8(_) | Self::UnaryF32 { .. })
    }
}

impl Model<'_> {
    /// Weights, biases and multipliers have the lengths and ranges that the kernels expect.
    pub(crate) const fn check_data(&self, index: usize, layer: &Layer) -> Result<(), FormatError> {
        let result = match &layer.op {
            Op::Conv2d(g, linear) if linear.packing != pack::PLAIN => {
                let geometry = pack::Geometry::Conv2d(*g);
                self.check_packed(layer, linear, &geometry, g.output.c, g.output.c)
            }
            Op::TransposedConv2d(g, linear) if linear.packing != pack::PLAIN => {
                let geometry = pack::Geometry::TransposedConv2d(*g);
                self.check_packed(layer, linear, &geometry, g.biases(), g.output.c)
            }
            Op::Dense(g, linear) if linear.packing != pack::PLAIN => {
                let geometry = pack::Geometry::Dense(*g);
                self.check_packed(layer, linear, &geometry, g.units, g.units)
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

    /// The words and the scratch of a packed layer are there.
    const fn check_packed(
        &self,
        layer: &Layer,
        linear: &Linear,
        geometry: &pack::Geometry,
        biases: usize,
        channels: usize,
    ) -> Result<(), ShapeError> {
        let (Some(words), Some(scratch)) =
            (geometry.words(linear.packing), geometry.scratch(linear.packing))
        else {
            return Err(ShapeError::Window);
        };
        match words.checked_mul(4) {
            Some(bytes) if bytes == linear.weights.len && layer.scratch.len >= scratch => {}
            _ => return Err(ShapeError::Length),
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

    /// The scratch that the portable kernels need is there.
    pub(crate) const fn check_scratch(
        &self,
        index: usize,
        layer: &Layer,
    ) -> Result<(), FormatError> {
        let float = layer.element.is(DType::F32);
        let needed = match &layer.op {
            Op::Conv2d(g, _) if float => conv2d::scratch_bytes::<f32>(g),
            Op::Conv2d(g, _) => conv2d::scratch_bytes::<i8>(g),
            Op::DepthwiseConv2d(g, _) if float => depthwise_conv2d::scratch_bytes::<f32>(g),
            Op::DepthwiseConv2d(g, _) => depthwise_conv2d::scratch_bytes::<i8>(g),
            Op::TransposedConv2d(g, _) if float => transposed_conv2d::scratch_bytes::<f32>(g),
            Op::TransposedConv2d(g, _) => transposed_conv2d::scratch_bytes::<i8>(g),
            Op::ConvPool2d(g, ..) if float => conv_pool2d::scratch_bytes::<f32>(g),
            Op::ConvPool2d(g, ..) => conv_pool2d::scratch_bytes::<i8>(g),
            Op::UpsampleConv2d(g, _) if float => upsample_conv2d::scratch_bytes::<f32>(g),
            Op::UpsampleConv2d(g, _) => upsample_conv2d::scratch_bytes::<i8>(g),
            Op::UnpoolConv2d(g, ..) if float => unpool_conv2d::scratch_bytes::<f32>(g),
            Op::UnpoolConv2d(g, ..) => unpool_conv2d::scratch_bytes::<i8>(g),
            _ => 0,
        };
        if layer.scratch.len < needed { Err(FormatError::Scratch(index as u16)) } else { Ok(()) }
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
        if tensor.dtype.is(element) { Some(tensor.slot()) } else { None }
    }

    /// Every copy of an [`Op::Arrange`] reads an existing tensor that the layer does not
    /// write, and stays within it and the output.
    pub(crate) const fn check_sources(
        &self,
        index: usize,
        layer: &Layer,
        writes: &[Span; 3],
    ) -> Result<(), FormatError> {
        let Op::Arrange { copies, copies_at, .. } = layer.op else { return Ok(()) };
        let size = layer.element.bytes();
        let mut i = 0;
        while i < copies {
            let (id, copy) = self.copy(copies_at, i);
            let Some(source) = self.source(id, layer.element) else {
                return Err(FormatError::Operand(index as u16));
            };
            if !source.constant && writes[0].overlaps(&source.span) {
                return Err(FormatError::Overlap(index as u16));
            }
            let result = copy.check(source.span.len / size, layer.outputs[0].len / size);
            if let Err(why) = result {
                return Err(FormatError::Layer(index as u16, why));
            }
            i += 1;
        }
        Ok(())
    }
}
