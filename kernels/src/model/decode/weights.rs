//! Layers with weights: convolutions, dense, and what ends their sums.

use super::{Context, ordered, small, window};
use crate::epilogue::Activation;
use crate::error::{FormatError, ShapeError, tri};
use crate::model::format::{ActivateRecord, LinearRecord, RequantizeRecord, opcode};
use crate::model::layer::{Epilogue, Linear, Op};
use crate::ops::{Conv2dGeometry, DenseGeometry, TransposedConv2dGeometry};
use crate::pack;

const fn activation(code: u32, alpha: f32) -> Option<Activation> {
    match code {
        0 => Some(Activation::Linear),
        1 => Some(Activation::Sigmoid),
        2 => Some(Activation::Tanh),
        3 => Some(Activation::LeakyRelu(alpha)),
        4 => Some(Activation::Elu(alpha)),
        5 => Some(Activation::HardSwish),
        _ => None,
    }
}

impl Context<'_, '_> {
    /// The record of a layer with weights, and what it names in the blob.
    pub(super) const fn weights(&self) -> Result<(LinearRecord, Linear), FormatError> {
        let at = tri!(self.params(0, LinearRecord::SIZE));
        let record = LinearRecord::read(self.model.bytes, at);
        let weights =
            tri!(self.model.span(record.weights_at, record.weights_bytes as usize, 1, 16));
        let Some(zero_point) = small(record.zero_point) else {
            return self.fail(ShapeError::Range);
        };
        let epilogue = tri!(self.epilogue(LinearRecord::SIZE));
        let packing = self.record.packing;
        let packs = matches!(
            self.record.opcode,
            opcode::CONV_2D | opcode::TRANSPOSED_CONV_2D | opcode::DENSE
        );
        if packing != pack::PLAIN && (self.float() || !packs || !pack::is_supported()) {
            return Err(FormatError::Packing(self.index));
        }
        Ok((record, Linear { weights, packing, zero_point, epilogue }))
    }

    pub(super) const fn linear(&self) -> Result<Op, FormatError> {
        let (record, linear) = tri!(self.weights());
        if self.record.opcode == opcode::DENSE {
            return self.dense(linear);
        }
        let (x, y) = tri!(self.maps());
        if x.n != y.n {
            return self.fail(ShapeError::Mismatch);
        }
        if self.record.opcode == opcode::TRANSPOSED_CONV_2D {
            let window = fit!(self, window(&record.window, &y, &x));
            let geometry = fit!(self, TransposedConv2dGeometry::new(window, x.n, x.c, y.c));
            return Ok(Op::TransposedConv2d(geometry, linear));
        }
        let window = fit!(self, window(&record.window, &x, &y));
        let groups = record.groups as usize;
        let geometry = fit!(self, Conv2dGeometry::new(window, x.n, x.c, y.c, groups));
        if self.record.opcode == opcode::CONV_2D {
            return Ok(Op::Conv2d(geometry, linear));
        }
        if groups != x.c {
            return self.fail(ShapeError::Channels);
        }
        Ok(Op::DepthwiseConv2d(geometry, linear))
    }

    const fn dense(&self, linear: Linear) -> Result<Op, FormatError> {
        let x = tri!(self.input(0, self.element));
        let y = tri!(self.output(0, self.element));
        let units = y.dims[y.rank - 1];
        let batch = y.count() / units;
        let inputs = x.count() / batch;
        if inputs * batch != x.count() {
            return self.fail(ShapeError::Mismatch);
        }
        Ok(Op::Dense(fit!(self, DenseGeometry::new(batch, inputs, units)), linear))
    }

    /// The epilogue record `skip` bytes into the parameters.
    pub(super) const fn epilogue(&self, skip: usize) -> Result<Epilogue, FormatError> {
        if self.float() {
            let at = tri!(self.params(skip, ActivateRecord::SIZE));
            let record = ActivateRecord::read(self.model.bytes, at);
            let Some(activation) = activation(record.activation, record.alpha) else {
                return self.fail(ShapeError::Range);
            };
            if !ordered(record.min, record.max) {
                return self.fail(ShapeError::Range);
            }
            return Ok(Epilogue::F32 {
                bias: tri!(self.model.span(record.bias_at, record.biases as usize, 4, 16)),
                min: record.min,
                max: record.max,
                activation,
            });
        }
        let at = tri!(self.params(skip, RequantizeRecord::SIZE));
        let record = RequantizeRecord::read(self.model.bytes, at);
        let count = record.multipliers as usize;
        let (Some(_), Some(min), Some(max)) =
            (small(record.zero_point), small(record.min), small(record.max))
        else {
            return self.fail(ShapeError::Range);
        };
        if min > max {
            return self.fail(ShapeError::Range);
        }
        let table = match record.table_at {
            0 => None,
            at => Some(tri!(self.model.span(at, 256, 1, 1))),
        };
        Ok(Epilogue::I8 {
            bias: tri!(self.model.span(record.bias_at, record.biases as usize, 4, 16)),
            mantissas: tri!(self.model.span(record.mantissas_at, count, 4, 16)),
            shifts: tri!(self.model.span(record.shifts_at, count, 4, 16)),
            zero_point: record.zero_point,
            min,
            max,
            table,
        })
    }
}
