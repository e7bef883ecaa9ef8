//! What is in a blob: layers, sizes, receptive fields and the plan of its arena.

use std::collections::HashMap;

use microconv::Model;
use microconv::model::format::{
    ActivateRecord, LayerRecord, LinearRecord, MapRecord, NONE, PoolRecord, RequantizeRecord,
    UpsampleRecord, WindowRecord, opcode,
};
use microconv::model::{DType, TensorInfo};
use serde::Serialize;

use crate::export::Notes;
use crate::optimize::PassReport;

/// A layer as `inspect` shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayerSummary {
    /// Position in the order of execution.
    pub index: usize,
    /// Name in the source model.
    pub name: String,
    /// Operator.
    pub operator: String,
    /// `i8` or `f32`.
    pub element: &'static str,
    /// Shape of the (first) output, batch first.
    pub output: Vec<usize>,
    /// Parameters, equal to Keras' `count_params`.
    pub parameters: usize,
    /// Multiply-accumulates that it computes.
    pub macs: u64,
    /// Values that it brings from one int8 scale to another.
    pub requantisations: u64,
    /// Input cells (rows, columns) that an output depends on; `None` for all of them.
    pub receptive_field: Option<[usize; 2]>,
    /// Bytes of scratch.
    pub scratch: usize,
    /// Output rows that are computed at a time; 0 for all.
    pub band_rows: usize,
    /// Output rows that are kept at a time for the next layer; 0 for all.
    pub kept_rows: usize,
    /// Source layers folded in.
    pub folded: Vec<String>,
    /// Bytes of the map inside a fused layer, which is never stored; 0 for other layers.
    pub unstored: usize,
}

/// A buffer of the arena.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Slot {
    /// What lies there.
    pub name: String,
    /// Offset in the arena.
    pub offset: usize,
    /// Bytes.
    pub bytes: usize,
    /// First step that uses it: 0 fills the inputs, `i + 1` runs layer `i`.
    pub first: usize,
    /// Last step that uses it.
    pub last: usize,
}

/// An input or output.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Port {
    /// Name.
    pub name: String,
    /// Shape, batch first.
    pub shape: Vec<usize>,
    /// `i8` or `f32`.
    pub element: &'static str,
    /// Real step of a code; 0 for floats.
    pub scale: f32,
    /// Code of zero.
    pub zero_point: i32,
}

/// A blob in numbers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Name of the model.
    pub name: String,
    /// Inputs in order.
    pub inputs: Vec<Port>,
    /// Outputs in order.
    pub outputs: Vec<Port>,
    /// Layers in order of execution.
    pub layers: Vec<LayerSummary>,
    /// Parameters of all layers.
    pub parameters: usize,
    /// Multiply-accumulates of all layers.
    pub macs: u64,
    /// Requantisations of all layers.
    pub requantisations: u64,
    /// What the optimiser did when the blob was written.
    pub passes: Vec<PassReport>,
    /// Bytes of the blob.
    pub flash_bytes: usize,
    /// Bytes of it that are notes for people (`--strip` leaves them out).
    pub notes_bytes: usize,
    /// Bytes of arena.
    pub arena_bytes: usize,
    /// Largest sum of bytes in use over the steps: no plan needs fewer.
    pub arena_bound: usize,
    /// What lies in the arena, and when.
    pub plan: Vec<Slot>,
}

fn element(dtype: DType) -> &'static str {
    match dtype {
        DType::I8 => "i8",
        DType::F32 => "f32",
        DType::U8 => "u8",
        DType::U16 => "u16",
    }
}

/// Reads a parameter record of a checked blob.
fn params<T: bytemuck::AnyBitPattern>(model: &Model<'_>, record: &LayerRecord) -> Option<T> {
    let at = record.params_at as usize;
    model.bytes().get(at..at + size_of::<T>()).map(bytemuck::pod_read_unaligned)
}

/// Reads the record of the operator that a convolution is fused with, `skip` bytes into its part.
fn second<T: bytemuck::AnyBitPattern>(
    model: &Model<'_>,
    record: &LayerRecord,
    skip: usize,
) -> Option<T> {
    let end = if record.element == 1 { RequantizeRecord::SIZE } else { ActivateRecord::SIZE };
    let skip = (LinearRecord::SIZE + end + skip) as u32;
    params(model, &LayerRecord { params_at: record.params_at + skip, ..*record })
}

/// How far an output cell of a tensor looks, and how far apart neighbours look, per axis.
#[derive(Clone, Copy, Debug)]
struct Field {
    /// Input cells seen; `None` when all.
    size: Option<[f64; 2]>,
    step: [f64; 2],
}

impl Field {
    const POINT: Self = Self { size: Some([1.0; 2]), step: [1.0; 2] };

    /// Through a window of `taps` (dilation included), neighbours `scale` times as far apart.
    fn window(self, reach: [f64; 2], scale: [f64; 2]) -> Self {
        let size = self.size.map(|size| [0, 1].map(|i| size[i] + (reach[i] - 1.0) * self.step[i]));
        Self { size, step: [0, 1].map(|i| self.step[i] * scale[i]) }
    }
}

/// Through the window of a convolution.
fn convolution(input: Field, w: &WindowRecord) -> Field {
    let reach = [0, 1].map(|i| f64::from((w.kernel[i] - 1) * w.dilation[i] + 1));
    input.window(reach, w.stride.map(f64::from))
}

/// The receptive field of the outputs of a layer from that of its inputs.
fn field(model: &Model<'_>, record: &LayerRecord, input: Field, shapes: [&TensorInfo; 2]) -> Field {
    let reals = |pair: [u32; 2]| pair.map(f64::from);
    let all = Field { size: None, step: [1.0; 2] };
    match record.opcode {
        opcode::CONV_2D | opcode::DEPTHWISE_CONV_2D => {
            let Some(linear) = params::<LinearRecord>(model, record) else { return all };
            convolution(input, &linear.window)
        }
        opcode::CONV_POOL_2D | opcode::UNPOOL_CONV_2D => {
            let linear = params::<LinearRecord>(model, record);
            let pool = second::<PoolRecord>(model, record, MapRecord::SIZE);
            let (Some(linear), Some(pool)) = (linear, pool) else { return all };
            let stride = reals(pool.window.stride);
            if record.opcode == opcode::CONV_POOL_2D {
                return convolution(input, &linear.window)
                    .window(reals(pool.window.kernel), stride);
            }
            convolution(input.window([1.0; 2], stride.map(|stride| 1.0 / stride)), &linear.window)
        }
        opcode::UPSAMPLE_CONV_2D => {
            let linear = params::<LinearRecord>(model, record);
            let up = second::<UpsampleRecord>(model, record, 0);
            let (Some(linear), Some(up)) = (linear, up) else { return all };
            let scale = reals(up.stride).map(|factor| 1.0 / factor);
            convolution(input.window([1.0; 2], scale), &linear.window)
        }
        opcode::TRANSPOSED_CONV_2D => {
            let Some(linear) = params::<LinearRecord>(model, record) else { return all };
            let w = linear.window;
            // An output gathers every stride-th tap.
            let reach = [0, 1].map(|i| f64::from(w.kernel[i].div_ceil(w.stride[i])));
            input.window(reach, reals(w.stride).map(|stride| 1.0 / stride))
        }
        opcode::MAX_POOL_2D | opcode::AVERAGE_POOL_2D | opcode::MAX_POOL_2D_WITH_INDICES => {
            let Some(pool) = params::<PoolRecord>(model, record) else { return all };
            input.window(reals(pool.window.kernel), reals(pool.window.stride))
        }
        opcode::MAX_UNPOOL_2D => {
            let Some(pool) = params::<PoolRecord>(model, record) else { return all };
            input.window([1.0; 2], reals(pool.window.stride).map(|stride| 1.0 / stride))
        }
        opcode::BED_OF_NAILS_2D => {
            let Some(up) = params::<UpsampleRecord>(model, record) else { return all };
            input.window([1.0; 2], reals(up.stride).map(|stride| 1.0 / stride))
        }
        opcode::RESIZE_NEAREST_2D | opcode::RESIZE_BILINEAR_2D => {
            let reach = if record.opcode == opcode::RESIZE_BILINEAR_2D { 2.0 } else { 1.0 };
            let [x, y] = shapes;
            let scale = [1, 2].map(|axis| x.dims[axis] as f64 / y.dims[axis] as f64);
            input.window([reach; 2], scale)
        }
        opcode::UNARY
        | opcode::BINARY
        | opcode::SOFTMAX
        | opcode::QUANTIZE
        | opcode::DEQUANTIZE => input,
        // Copies keep cells apart when they keep the map; else, like dense layers and
        // reductions, they may look anywhere.
        opcode::ARRANGE if shapes[0].rank == 4 && shapes[0].rank == shapes[1].rank => input,
        _ => all,
    }
}

/// Summarises a blob.
pub fn summarize(model: &Model<'_>) -> Summary {
    let notes = Notes::read(model);
    let name = |id: usize| notes.tensors.get(id).cloned().unwrap_or_else(|| format!("tensor {id}"));
    let port = |id: usize| {
        let info = model.tensor(id);
        Port {
            name: name(id),
            shape: info.shape().to_vec(),
            element: element(info.dtype),
            scale: info.scale,
            zero_point: info.zero_point,
        }
    };
    // Fields belong to bytes in the arena, since a reshape is another tensor at the same place.
    let mut fields: HashMap<usize, Field> = HashMap::new();
    let mut layers = Vec::new();
    for index in 0..model.layers() {
        let record = model.layer_record(index);
        let note = notes.layers.get(index).cloned().unwrap_or_default();
        let x = model.tensor(record.inputs[0] as usize);
        let y = model.tensor(record.outputs[0] as usize);
        let mut input = Field { size: Some([0.0; 2]), step: [1.0; 2] };
        for id in record.inputs.into_iter().filter(|&id| id != NONE) {
            let info = model.tensor(id as usize);
            if info.constant {
                continue;
            }
            let other = fields.get(&info.at).copied().unwrap_or(Field::POINT);
            let size = match (input.size, other.size) {
                (Some(a), Some(b)) => Some([a[0].max(b[0]), a[1].max(b[1])]),
                _ => None,
            };
            input = Field { size, step: other.step };
        }
        let output = field(model, &record, input, [&x, &y]);
        fields.insert(y.at, output);
        layers.push(LayerSummary {
            index,
            name: if note.name.is_empty() { format!("layer {index}") } else { note.name },
            operator: if note.kind.is_empty() { operator(record.opcode).into() } else { note.kind },
            element: if record.element == 1 { "i8" } else { "f32" },
            output: y.shape().to_vec(),
            parameters: note.parameters,
            macs: note.macs,
            requantisations: note.requantisations,
            receptive_field: output.size.map(|size| size.map(|cells| cells.ceil() as usize)),
            scratch: record.scratch_bytes as usize,
            band_rows: record.band_rows as usize,
            kept_rows: y.kept,
            folded: note.folded,
            unstored: note.unstored,
        });
    }
    let plan = slots(model, &name);
    Summary {
        name: notes.name.clone(),
        inputs: (0..model.inputs()).map(|i| port(model.input_id(i))).collect(),
        outputs: (0..model.outputs()).map(|i| port(model.output_id(i))).collect(),
        parameters: layers.iter().map(|layer| layer.parameters).sum(),
        macs: layers.iter().map(|layer| layer.macs).sum(),
        requantisations: layers.iter().map(|layer| layer.requantisations).sum(),
        passes: notes.passes.clone(),
        flash_bytes: model.bytes().len(),
        notes_bytes: model.notes().len(),
        arena_bytes: model.arena_bytes(),
        arena_bound: bound(&plan),
        plan,
        layers,
    }
}

/// Largest number of bytes in use in a step; bytes that two buffers share count once.
fn bound(plan: &[Slot]) -> usize {
    let live = |step: usize| {
        let alive = plan.iter().filter(|slot| (slot.first..=slot.last).contains(&step));
        let mut spans: Vec<_> = alive
            .map(|slot| (slot.offset, (slot.offset + slot.bytes).next_multiple_of(16)))
            .collect();
        spans.sort_unstable();
        let (mut bytes, mut end) = (0, 0);
        for (from, to) in spans {
            bytes += to.saturating_sub(from.max(end));
            end = end.max(to);
        }
        bytes
    };
    let steps = plan.iter().map(|slot| slot.last + 1).max().unwrap_or(0);
    (0..steps).map(live).max().unwrap_or(0)
}

/// Buffers of the arena with the steps that use them. Tensors that share a place are one buffer.
fn slots(model: &Model<'_>, name: &dyn Fn(usize) -> String) -> Vec<Slot> {
    let mut slots: Vec<Slot> = Vec::new();
    let mut touch = |id: usize, step: usize, written: bool| {
        let info = model.tensor(id);
        if info.constant {
            return;
        }
        let same = |slot: &&mut Slot| slot.offset == info.at && slot.bytes == info.stored();
        // A write begins a new life, unless the step has read the same place.
        match slots.iter_mut().rev().find(same) {
            Some(slot) if !written || slot.last == step => slot.last = step,
            _ => slots.push(Slot {
                name: name(id),
                offset: info.at,
                bytes: info.stored(),
                first: step,
                last: step,
            }),
        }
    };
    (0..model.inputs()).for_each(|i| touch(model.input_id(i), 0, true));
    for layer in 0..model.layers() {
        let record = model.layer_record(layer);
        let present = |id: &u32| *id != NONE;
        record
            .inputs
            .into_iter()
            .filter(present)
            .for_each(|id| touch(id as usize, layer + 1, false));
        record
            .outputs
            .into_iter()
            .filter(present)
            .for_each(|id| touch(id as usize, layer + 1, true));
    }
    (0..model.outputs()).for_each(|i| touch(model.output_id(i), model.layers() + 1, false));
    for layer in 0..model.layers() {
        let record = model.layer_record(layer);
        if record.scratch_bytes > 0 {
            slots.push(Slot {
                name: format!("scratch of layer {layer}"),
                offset: record.scratch_at as usize,
                bytes: record.scratch_bytes as usize,
                first: layer + 1,
                last: layer + 1,
            });
        }
    }
    slots
}

fn operator(code: u32) -> &'static str {
    match code {
        opcode::CONV_2D => "Conv2D",
        opcode::DEPTHWISE_CONV_2D => "DepthwiseConv2D",
        opcode::TRANSPOSED_CONV_2D => "Conv2DTranspose",
        opcode::DENSE => "Dense",
        opcode::MAX_POOL_2D => "MaxPooling2D",
        opcode::MAX_POOL_2D_WITH_INDICES => "MaxPooling2D+indices",
        opcode::AVERAGE_POOL_2D => "AveragePooling2D",
        opcode::MAX_UNPOOL_2D => "MaxUnpooling2D",
        opcode::BED_OF_NAILS_2D => "BedOfNails2D",
        opcode::RESIZE_NEAREST_2D => "ResizeNearest",
        opcode::RESIZE_BILINEAR_2D => "ResizeBilinear",
        opcode::UNARY => "Activation",
        opcode::BINARY => "Binary",
        opcode::SOFTMAX => "Softmax",
        opcode::MEAN => "Mean",
        opcode::REDUCE_MAX => "ReduceMax",
        opcode::ARRANGE => "Arrange",
        opcode::QUANTIZE => "Quantize",
        opcode::DEQUANTIZE => "Dequantize",
        opcode::CONV_POOL_2D => "Conv2D+MaxPooling2D",
        opcode::UPSAMPLE_CONV_2D => "ResizeNearest+Conv2D",
        opcode::UNPOOL_CONV_2D => "MaxUnpooling2D+Conv2D",
        _ => "?",
    }
}
