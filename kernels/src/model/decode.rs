//! From the record of a layer to a typed layer: shapes, types and geometry.

use crate::error::{FormatError, ShapeError, tri};
use crate::model::bands::Bands;
use crate::model::format::{
    AffineRecord, ArrangeRecord, BinaryRecord, CopyRecord, LayerRecord, NONE, PoolRecord,
    ReduceRecord, TableRecord, UpsampleRecord, WindowRecord, opcode,
};
use crate::model::layer::{Bounds, DType, Epilogue, Layer, Op, Slot, Span, TensorInfo};
use crate::model::parse::Model;
use crate::model::route::Route;
use crate::ops::elementwise::{Broadcast, Combine8, CombineF32, Kind8};
use crate::ops::{BedOfNails2d, Pool2dGeometry, ReduceGeometry, Resize2dGeometry, WindowIndex};
use crate::quant::Multiplier;
use crate::shape::Shape;
use crate::window::{Axis, Window};

/// A layer while it is decoded: its record, its operands and where its parameters lie.
struct Context<'m, 'a> {
    model: &'m Model<'a>,
    index: u16,
    record: LayerRecord,
    element: DType,
    inputs: [Option<TensorInfo>; 3],
    outputs: [Option<TensorInfo>; 2],
}

/// `?` for a [`ShapeError`], which becomes [`FormatError::Layer`].
macro_rules! fit {
    ($context:expr, $result:expr) => {
        match $result {
            Ok(value) => value,
            Err(error) => return Err(FormatError::Layer($context.index, error)),
        }
    };
}

mod fused;
mod weights;

const fn small(code: i32) -> Option<i8> {
    if code >= -128 && code <= 127 { Some(code as i8) } else { None }
}

/// Whether two bounds are in order; NaN is not.
const fn ordered(min: f32, max: f32) -> bool {
    min <= max
}

const fn pair(values: [u32; 2]) -> [usize; 2] {
    [values[0] as usize, values[1] as usize]
}

const fn extents<const N: usize>(values: &[u32; N]) -> [usize; N] {
    let mut result = [0; N];
    let mut i = 0;
    while i < N {
        result[i] = values[i] as usize;
        i += 1;
    }
    result
}

const fn window(
    record: &WindowRecord,
    input: &Shape,
    output: &Shape,
) -> Result<Window, ShapeError> {
    let (kernel, stride) = (pair(record.kernel), pair(record.stride));
    let (dilation, pad) = (pair(record.dilation), pair(record.pad));
    Ok(Window {
        rows: tri!(Axis::new(input.h, output.h, kernel[0], stride[0], dilation[0], pad[0])),
        columns: tri!(Axis::new(input.w, output.w, kernel[1], stride[1], dilation[1], pad[1])),
    })
}

impl<'a> Model<'a> {
    /// Layer `index`, its shapes and types checked.
    pub(crate) const fn decode(&self, index: usize) -> Result<Layer, FormatError> {
        let record = self.layer_record(index);
        let index = index as u16;
        let element = match DType::decode(record.element) {
            Some(DType::I8) => DType::I8,
            Some(DType::F32) => DType::F32,
            _ => return Err(FormatError::Operand(index)),
        };
        let mut context =
            Context { model: self, index, record, element, inputs: [None; 3], outputs: [None; 2] };
        let mut i = 0;
        while i < 3 {
            context.inputs[i] = tri!(context.tensor(record.inputs[i]));
            i += 1;
        }
        let mut i = 0;
        while i < 2 {
            context.outputs[i] = tri!(context.tensor(record.outputs[i]));
            if let Some(output) = &context.outputs[i]
                && output.constant
            {
                return Err(FormatError::Operand(index));
            }
            i += 1;
        }
        let scratch = Span { at: record.scratch_at as usize, len: record.scratch_bytes as usize };
        let arena = self.arena_bytes();
        if scratch.at > arena || scratch.len > arena - scratch.at || !scratch.at.is_multiple_of(16)
        {
            return Err(FormatError::Bounds);
        }
        Ok(Layer {
            op: tri!(context.op()),
            element,
            inputs: [slot(&context.inputs[0]), slot(&context.inputs[1]), slot(&context.inputs[2])],
            outputs: [slot(&context.outputs[0]).span, slot(&context.outputs[1]).span],
            scratch,
            route: Route::Ask,
            bands: Bands {
                head: record.band_head as usize,
                rows: record.band_rows as usize,
                reverse: record.band_reverse == 1,
            },
        })
    }
}

const fn slot(tensor: &Option<TensorInfo>) -> Slot {
    match tensor {
        Some(tensor) => tensor.slot(),
        None => Slot::NONE,
    }
}

impl Context<'_, '_> {
    const fn operand<T>(&self) -> Result<T, FormatError>
    where
        T: Copy,
    {
        Err(FormatError::Operand(self.index))
    }

    const fn fail<T>(&self, why: ShapeError) -> Result<T, FormatError>
    where
        T: Copy,
    {
        Err(FormatError::Layer(self.index, why))
    }

    const fn tensor(&self, id: u32) -> Result<Option<TensorInfo>, FormatError> {
        if id == NONE {
            Ok(None)
        } else if id < self.model.header.tensors {
            Ok(Some(self.model.tensor(id as usize)))
        } else {
            Err(FormatError::Operand(self.index))
        }
    }

    /// Input `i`, of type `dtype`.
    const fn input(&self, i: usize, dtype: DType) -> Result<TensorInfo, FormatError> {
        match self.inputs[i] {
            Some(tensor) if tensor.dtype.is(dtype) => Ok(tensor),
            _ => self.operand(),
        }
    }

    /// Output `i`, of type `dtype`.
    const fn output(&self, i: usize, dtype: DType) -> Result<TensorInfo, FormatError> {
        match self.outputs[i] {
            Some(tensor) if tensor.dtype.is(dtype) => Ok(tensor),
            _ => self.operand(),
        }
    }

    /// A tensor as a map; ranks below four have leading axes of 1.
    const fn map(&self, tensor: &TensorInfo) -> Result<Shape, FormatError> {
        let d = &tensor.dims;
        let shape = match tensor.rank {
            1 => Shape::new(1, 1, 1, d[0]),
            2 => Shape::new(1, 1, d[0], d[1]),
            3 => Shape::new(1, d[0], d[1], d[2]),
            4 => Shape::new(d[0], d[1], d[2], d[3]),
            _ => return self.operand(),
        };
        Ok(fit!(self, shape))
    }

    /// First input and output as maps of the layer's type.
    const fn maps(&self) -> Result<(Shape, Shape), FormatError> {
        let x = tri!(self.map(&tri!(self.input(0, self.element))));
        let y = tri!(self.map(&tri!(self.output(0, self.element))));
        Ok((x, y))
    }

    /// Where the parameters lie, after a check that `size` bytes are there.
    const fn params(&self, skip: usize, size: usize) -> Result<usize, FormatError> {
        let span = tri!(self.model.span(self.record.params_at, skip + size, 1, 4));
        Ok(span.at + skip)
    }

    const fn float(&self) -> bool {
        self.element.is(DType::F32)
    }

    const fn op(&self) -> Result<Op, FormatError> {
        match self.record.opcode {
            opcode::CONV_2D
            | opcode::DEPTHWISE_CONV_2D
            | opcode::TRANSPOSED_CONV_2D
            | opcode::DENSE => self.linear(),
            opcode::CONV_POOL_2D => self.conv_pool(),
            opcode::UPSAMPLE_CONV_2D => self.upsample_conv(),
            opcode::UNPOOL_CONV_2D => self.unpool_conv(),
            opcode::MAX_POOL_2D
            | opcode::AVERAGE_POOL_2D
            | opcode::MAX_POOL_2D_WITH_INDICES
            | opcode::MAX_UNPOOL_2D => self.pool(),
            opcode::BED_OF_NAILS_2D | opcode::RESIZE_NEAREST_2D | opcode::RESIZE_BILINEAR_2D => {
                self.upsample()
            }
            opcode::UNARY => self.unary(),
            opcode::BINARY => self.binary(),
            opcode::SOFTMAX => self.softmax(),
            opcode::MEAN | opcode::REDUCE_MAX => self.reduce(),
            opcode::ARRANGE => self.arrange(),
            opcode::QUANTIZE | opcode::DEQUANTIZE => self.affine(),
            _ => Err(FormatError::Operator(self.index)),
        }
    }

    const fn pool(&self) -> Result<Op, FormatError> {
        let at = tri!(self.params(0, PoolRecord::SIZE));
        let record = PoolRecord::read(self.model.bytes, at);
        let (x, y) = tri!(self.maps());
        let (Some(min), Some(max), Some(zero)) =
            (small(record.min), small(record.max), small(record.zero_point))
        else {
            return self.fail(ShapeError::Range);
        };
        if min > max || !ordered(record.min_f32, record.max_f32) {
            return self.fail(ShapeError::Range);
        }
        let unpool = self.record.opcode == opcode::MAX_UNPOOL_2D;
        let (map, pooled) = if unpool { (y, x) } else { (x, y) };
        let window = fit!(self, window(&record.window, &map, &pooled));
        let geometry = fit!(self, Pool2dGeometry::new(window, map.n, map.c));
        if !geometry.output.equals(&pooled) {
            return self.fail(ShapeError::Mismatch);
        }
        let bounds = Bounds { i8: (min, max), f32: (record.min_f32, record.max_f32) };
        match self.record.opcode {
            opcode::MAX_POOL_2D => Ok(Op::MaxPool2d(geometry, bounds)),
            opcode::AVERAGE_POOL_2D => Ok(Op::AveragePool2d(geometry, bounds)),
            _ => {
                let indices = if unpool { self.inputs[1] } else { self.outputs[1] };
                let dtype = tri!(self.indices(indices, &geometry));
                Ok(if unpool {
                    Op::MaxUnpool2d(geometry, dtype, zero)
                } else {
                    Op::MaxPool2dWithIndices(geometry, dtype)
                })
            }
        }
    }

    /// The type of the indices of `pool`, one for each of its outputs.
    const fn indices(
        &self,
        indices: Option<TensorInfo>,
        pool: &Pool2dGeometry,
    ) -> Result<DType, FormatError> {
        let Some(indices) = indices else { return self.operand() };
        let taps = match indices.dtype {
            DType::U8 => <u8 as WindowIndex>::TAPS,
            DType::U16 => <u16 as WindowIndex>::TAPS,
            _ => return self.operand(),
        };
        if indices.count() != pool.output.count() || pool.window.taps() > taps {
            return self.fail(ShapeError::Length);
        }
        Ok(indices.dtype)
    }

    const fn upsample(&self) -> Result<Op, FormatError> {
        let at = tri!(self.params(0, UpsampleRecord::SIZE));
        let record = UpsampleRecord::read(self.model.bytes, at);
        let (x, y) = tri!(self.maps());
        if self.record.opcode == opcode::BED_OF_NAILS_2D {
            let stride = pair(record.stride);
            let Some(zero) = small(record.zero_point) else {
                return self.fail(ShapeError::Range);
            };
            let op = fit!(self, BedOfNails2d::<i8>::new(x, stride[0], stride[1], zero));
            if !op.output().equals(&y) {
                return self.fail(ShapeError::Mismatch);
            }
            return Ok(Op::BedOfNails2d { input: x, output: y, stride, zero });
        }
        let (align, half) = (record.align_corners == 1, record.half_pixel_centers == 1);
        let geometry = fit!(self, Resize2dGeometry::new(x, y.h, y.w, align, half));
        if !geometry.output.equals(&y) {
            return self.fail(ShapeError::Mismatch);
        }
        Ok(match self.record.opcode {
            opcode::RESIZE_NEAREST_2D => Op::ResizeNearest2d(geometry),
            _ => Op::ResizeBilinear2d(geometry),
        })
    }

    /// First input and output, of the same length and of the layer's type.
    const fn alike(&self) -> Result<(TensorInfo, TensorInfo), FormatError> {
        let x = tri!(self.input(0, self.element));
        let y = tri!(self.output(0, self.element));
        if x.count() == y.count() { Ok((x, y)) } else { self.fail(ShapeError::Mismatch) }
    }

    const fn unary(&self) -> Result<Op, FormatError> {
        tri!(self.alike());
        if self.float() {
            return match tri!(self.epilogue(0)) {
                Epilogue::F32 { min, max, activation, .. } => {
                    Ok(Op::UnaryF32 { min, max, activation })
                }
                Epilogue::I8 { .. } => self.operand(),
            };
        }
        let at = tri!(self.params(0, TableRecord::SIZE));
        let record = TableRecord::read(self.model.bytes, at);
        Ok(Op::UnaryI8(tri!(self.model.span(record.table_at, 256, 1, 1))))
    }

    const fn softmax(&self) -> Result<Op, FormatError> {
        let (x, _) = tri!(self.alike());
        let at = tri!(self.params(0, TableRecord::SIZE));
        let record = TableRecord::read(self.model.bytes, at);
        let classes = x.dims[x.rank - 1];
        if self.float() {
            return Ok(Op::SoftmaxF32 { classes, beta: record.beta });
        }
        let table = tri!(self.model.span(record.table_at, 256, 4, 16));
        Ok(Op::SoftmaxI8 { classes, table })
    }

    const fn binary(&self) -> Result<Op, FormatError> {
        let at = tri!(self.params(0, BinaryRecord::SIZE));
        let record = BinaryRecord::read(self.model.bytes, at);
        let a = tri!(self.input(0, self.element));
        let b = tri!(self.input(1, self.element));
        let y = tri!(self.output(0, self.element));
        let broadcast =
            Broadcast { dims: extents(&record.dims), a: extents(&record.a), b: extents(&record.b) };
        let [count, in_a, in_b] = fit!(self, broadcast.lengths());
        if count != y.count() || in_a > a.count() || in_b > b.count() {
            return self.fail(ShapeError::Length);
        }
        let kind = match record.kind {
            0 => Kind8::Add,
            1 => Kind8::Sub,
            2 => Kind8::Mul,
            3 => Kind8::Prelu,
            _ => return self.fail(ShapeError::Range),
        };
        if self.float() {
            if !ordered(record.min_f32, record.max_f32) {
                return self.fail(ShapeError::Range);
            }
            let how = CombineF32 { kind, min: record.min_f32, max: record.max_f32 };
            return Ok(Op::BinaryF32(broadcast, how));
        }
        let (Some(min), Some(max)) = (small(record.min), small(record.max)) else {
            return self.fail(ShapeError::Range);
        };
        let how = Combine8 {
            kind,
            zero_points: record.zero_points,
            multipliers: [
                Multiplier { mantissa: record.mantissas[0], shift: record.shifts[0] },
                Multiplier { mantissa: record.mantissas[1], shift: record.shifts[1] },
            ],
            output: Multiplier { mantissa: record.output_mantissa, shift: record.output_shift },
            zero_point: record.zero_point,
            min,
            max,
        };
        fit!(self, how.check());
        Ok(Op::BinaryI8(broadcast, how))
    }

    const fn reduce(&self) -> Result<Op, FormatError> {
        let at = tri!(self.params(0, ReduceRecord::SIZE));
        let record = ReduceRecord::read(self.model.bytes, at);
        let x = tri!(self.input(0, self.element));
        let y = tri!(self.output(0, self.element));
        let geometry = ReduceGeometry {
            kept: extents(&record.kept),
            kept_strides: extents(&record.kept_strides),
            reduced: extents(&record.reduced),
            reduced_strides: extents(&record.reduced_strides),
        };
        fit!(self, geometry.check(x.count(), y.count()));
        if self.record.opcode == opcode::REDUCE_MAX {
            return Ok(Op::ReduceMax(geometry));
        }
        if self.float() {
            return Ok(Op::MeanF32(geometry));
        }
        let epilogue = tri!(self.epilogue(ReduceRecord::SIZE));
        Ok(Op::MeanI8 { geometry, initial: record.initial, epilogue })
    }

    const fn arrange(&self) -> Result<Op, FormatError> {
        let at = tri!(self.params(0, ArrangeRecord::SIZE));
        let record = ArrangeRecord::read(self.model.bytes, at);
        tri!(self.output(0, self.element));
        let copies = record.copies as usize;
        let Some(bytes) = copies.checked_mul(CopyRecord::SIZE) else {
            return Err(FormatError::Bounds);
        };
        if copies > crate::model::format::MAX_COUNT as usize {
            return Err(FormatError::Count);
        }
        let copies_at = tri!(self.params(ArrangeRecord::SIZE, bytes));
        let Some(code) = small(record.code) else { return self.fail(ShapeError::Range) };
        Ok(Op::Arrange { copies, copies_at, fill: record.fill == 1, code, value: record.value })
    }

    const fn affine(&self) -> Result<Op, FormatError> {
        let at = tri!(self.params(0, AffineRecord::SIZE));
        let record = AffineRecord::read(self.model.bytes, at);
        let quantize = self.record.opcode == opcode::QUANTIZE;
        let (from, to) = if quantize { (DType::F32, DType::I8) } else { (DType::I8, DType::F32) };
        let (x, y) = (tri!(self.input(0, from)), tri!(self.output(0, to)));
        if x.count() != y.count() {
            return self.fail(ShapeError::Mismatch);
        }
        let valid = record.scale > 0.0 && record.scale < f32::INFINITY;
        if !valid || small(record.zero_point).is_none() {
            return self.fail(ShapeError::Range);
        }
        let AffineRecord { scale, zero_point } = record;
        Ok(if quantize {
            Op::Quantize { scale, zero_point }
        } else {
            Op::Dequantize { scale, zero_point }
        })
    }
}
