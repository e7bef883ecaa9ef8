//! Layers without weights that keep the layout: pools, upsampling, activations, conversions.

use microconv::model::format::{
    ActivateRecord, AffineRecord, PoolRecord, TableRecord, UpsampleRecord, opcode,
};
use microconv::quant::{Affine, lookup};
use microconv::window::Window;

use super::linear::{window, window_record};
use super::lower::Lowering;
use super::program::ProgramLayer;
use super::quantized::{affine, clamp};
use crate::graph::{Activation, DType, Graph, Node, Op, ResizeMode};
use crate::optimize::in_place;

/// Number and parameter of a float activation in a record; clamps are bounds instead.
pub(super) fn activation_code(activation: Activation) -> (u32, f32) {
    match activation {
        Activation::Sigmoid => (1, 0.0),
        Activation::Tanh => (2, 0.0),
        Activation::LeakyRelu { alpha } => (3, alpha),
        Activation::Elu { alpha } => (4, alpha),
        Activation::HardSwish => (5, 0.0),
        Activation::Linear | Activation::Relu | Activation::Relu6 | Activation::ReluN1To1 => {
            (0, 0.0)
        }
    }
}

/// An activation between two quantisations, code by code.
pub(super) fn activation_table(activation: Activation, from: Affine, to: Affine) -> lookup::Table {
    match activation {
        Activation::Linear | Activation::Relu | Activation::Relu6 | Activation::ReluN1To1 => {
            let (min, max) = clamp(activation, to);
            lookup::relu(from, to, min, max)
        }
        Activation::LeakyRelu { alpha } => lookup::leaky_relu(from, to, alpha),
        Activation::Elu { alpha } => lookup::real(from, to, |x| lookup::elu(x, alpha)),
        Activation::Sigmoid => lookup::real(from, to, lookup::sigmoid),
        Activation::Tanh => lookup::real(from, to, lookup::tanh),
        Activation::HardSwish => lookup::hard_swish_fixed(from, to),
    }
}

/// What an operator does to each code, when it is a function of one code and between int8 tensors.
pub(crate) fn code_table(graph: &Graph, node: &Node) -> Option<lookup::Table> {
    let (x, y) = (&graph[*node.inputs.first()?], &graph[*node.outputs.first()?]);
    if x.dtype != DType::I8 || y.dtype != DType::I8 {
        return None;
    }
    match &node.op {
        Op::Table(table) => Some(**table),
        Op::Activation(Activation::Linear) => None,
        Op::Activation(activation) => {
            Some(activation_table(*activation, affine(x).ok()?, affine(y).ok()?))
        }
        Op::Quantize => Some(lookup::requantize(affine(x).ok()?, affine(y).ok()?)),
        _ => None,
    }
}

impl<'g> Lowering<'g> {
    pub(super) fn pool(&mut self, node: &'g Node) -> Result<(), String> {
        let opcode = match node.op {
            Op::MaxPool2d { .. } => opcode::MAX_POOL_2D,
            Op::AveragePool2d { .. } => opcode::AVERAGE_POOL_2D,
            Op::MaxPool2dWithIndices { .. } => opcode::MAX_POOL_2D_WITH_INDICES,
            Op::MaxUnpool2d { .. } => opcode::MAX_UNPOOL_2D,
            _ => return Err("not a pool".into()),
        };
        self.same_scale(node)?;
        let record = self.pool_record(node)?;
        let params = bytemuck::bytes_of(&record);
        self.layer(node, opcode, &node.inputs, &node.outputs, params)?;
        Ok(())
    }

    /// The window of a pool over its map, of an unpooling over the map that it writes.
    pub(super) fn pool_window(&self, node: &Node) -> Result<Window, String> {
        let (kernel, strides, padding) = match node.op {
            Op::MaxPool2d { window, strides, padding, .. }
            | Op::AveragePool2d { window, strides, padding, .. }
            | Op::MaxPool2dWithIndices { window, strides, padding }
            | Op::MaxUnpool2d { window, strides, padding, .. } => (window, strides, padding),
            _ => return Err("not a pool".into()),
        };
        let input = self.input(node, 0)?;
        let size = match node.op {
            Op::MaxUnpool2d { output_size, .. } => output_size,
            _ => [input.shape[1], input.shape[2]],
        };
        window(kernel, strides, [1, 1], padding, size)
    }

    pub(super) fn pool_record(&self, node: &Node) -> Result<PoolRecord, String> {
        let window = window_record(&self.pool_window(node)?);
        let activation = match node.op {
            Op::MaxPool2d { activation, .. } | Op::AveragePool2d { activation, .. } => activation,
            _ => Activation::Linear,
        };
        let input = self.input(node, 0)?;
        let (min_f32, max_f32) = activation.bounds();
        let (min, max, zero_point) = if input.dtype == DType::I8 {
            let quantization = affine(input)?;
            let (min, max) = clamp(activation, quantization);
            (i32::from(min), i32::from(max), quantization.zero_point)
        } else {
            (-128, 127, 0)
        };
        Ok(PoolRecord { window, min, max, min_f32, max_f32, zero_point })
    }

    pub(super) fn upsample(&mut self, node: &'g Node) -> Result<(), String> {
        self.same_scale(node)?;
        let opcode = match node.op {
            Op::BedOfNails2d { .. } => opcode::BED_OF_NAILS_2D,
            Op::Resize2d { mode: ResizeMode::Nearest, .. } => opcode::RESIZE_NEAREST_2D,
            Op::Resize2d { mode: ResizeMode::Bilinear, .. } => opcode::RESIZE_BILINEAR_2D,
            _ => return Err("not an upsampling".into()),
        };
        let record = self.upsample_record(node)?;
        let params = bytemuck::bytes_of(&record);
        self.layer(node, opcode, &node.inputs, &node.outputs, params)?;
        Ok(())
    }

    pub(super) fn upsample_record(&self, node: &Node) -> Result<UpsampleRecord, String> {
        let input = self.input(node, 0)?;
        let zero_point = if input.dtype == DType::I8 { affine(input)?.zero_point } else { 0 };
        let plain =
            UpsampleRecord { stride: [1, 1], zero_point, align_corners: 0, half_pixel_centers: 0 };
        Ok(match node.op {
            Op::BedOfNails2d { strides } => {
                UpsampleRecord { stride: strides.map(|stride| stride as u32), ..plain }
            }
            Op::Resize2d { align_corners, half_pixel_centers, .. } => {
                let align_corners = u32::from(align_corners);
                let half_pixel_centers = u32::from(half_pixel_centers);
                UpsampleRecord { align_corners, half_pixel_centers, ..plain }
            }
            _ => plain,
        })
    }

    pub(super) fn activation(
        &mut self,
        node: &'g Node,
        activation: Activation,
    ) -> Result<(), String> {
        let (x, y) = (self.input(node, 0)?, &self.graph[node.outputs[0]]);
        if x.dtype == DType::I8 {
            let table = activation_table(activation, affine(x)?, affine(y)?);
            return self.table(node, &table);
        }
        let (min, max) = activation.bounds();
        let (activation, alpha) = activation_code(activation);
        let bias_at = self.program.data.array::<f32>(&[]);
        let record = ActivateRecord { bias_at, biases: 0, min, max, activation, alpha };
        let params = bytemuck::bytes_of(&record);
        self.unary(node, opcode::UNARY, params)?;
        Ok(())
    }

    /// A layer whose kernel works in place.
    fn unary(
        &mut self,
        node: &'g Node,
        opcode: u32,
        params: &[u8],
    ) -> Result<&mut ProgramLayer, String> {
        let in_place = self.options.passes.has(&in_place::PASS);
        let layer = self.layer(node, opcode, &node.inputs, &node.outputs, params)?;
        layer.in_place = [in_place, false];
        Ok(layer)
    }

    pub(super) fn table(&mut self, node: &'g Node, table: &lookup::Table) -> Result<(), String> {
        let record = TableRecord { table_at: self.program.data.array(table), beta: 0.0 };
        let params = bytemuck::bytes_of(&record);
        let count = self.graph[node.outputs[0]].len() as u64;
        self.unary(node, opcode::UNARY, params)?.requantisations = count;
        Ok(())
    }

    pub(super) fn softmax(&mut self, node: &'g Node, beta: f32) -> Result<(), String> {
        let (x, y) = (self.input(node, 0)?, &self.graph[node.outputs[0]]);
        let table_at = if x.dtype == DType::I8 {
            let output = affine(y)?;
            if output.scale != 1.0 / 256.0 || output.zero_point != -128 {
                return Err("an int8 softmax writes scale 1/256 and zero point -128".into());
            }
            self.program.data.array(&lookup::softmax_exponentials(affine(x)?.scale, beta))
        } else {
            0
        };
        let params = TableRecord { table_at, beta };
        self.unary(node, opcode::SOFTMAX, bytemuck::bytes_of(&params))?;
        Ok(())
    }

    pub(super) fn convert(&mut self, node: &'g Node) -> Result<(), String> {
        let (x, y) = (self.input(node, 0)?, &self.graph[node.outputs[0]]);
        let (opcode, codes) = match (x.dtype, y.dtype) {
            (DType::I8, DType::I8) => {
                let table = lookup::requantize(affine(x)?, affine(y)?);
                return self.table(node, &table);
            }
            (DType::F32, DType::I8) => (opcode::QUANTIZE, affine(y)?),
            (DType::I8, DType::F32) => (opcode::DEQUANTIZE, affine(x)?),
            (from, to) => return Err(format!("no conversion from {from:?} to {to:?}")),
        };
        let record = AffineRecord { scale: codes.scale, zero_point: codes.zero_point };
        let params = bytemuck::bytes_of(&record);
        self.layer(node, opcode, &node.inputs, &node.outputs, params)?;
        Ok(())
    }
}
