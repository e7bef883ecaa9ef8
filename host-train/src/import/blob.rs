//! Blobs back into the graph: what `microconv optimize` works on.
//!
//! Fused layers become the operators that they were made of. A blob keeps the factors
//! from sums to codes and not the scales of weights, so the factors go along with the
//! weights ([`Quantization::multipliers`]); a table after a layer is an [`Op::Table`].
//! Tensors that share a place in the arena without a layer between are reshapes.

mod arrange;
mod epilogue;
mod linear;
mod simple;

use bytemuck::AnyBitPattern;
use microconv::Model;
use microconv::model::format::{LayerRecord, NONE, opcode};
use microconv::model::{DType as BlobType, TensorInfo};

use crate::export::{LayerNote, Notes};
use crate::graph::{
    DType, Data, Graph, GraphError, Node, Op, Quantization, Tensor, TensorId, infer_shapes,
};

/// The graph of a blob, every operator on its own, with the same int8 arithmetic.
///
/// # Errors
/// [`GraphError`] names the layer that cannot be read back and says why.
pub fn read(model: &Model<'_>) -> Result<Graph, GraphError> {
    let notes = Notes::read(model);
    let mut reader =
        Reader { model, graph: Graph::new(&notes.name), notes, memory: Vec::new(), layer: 0 };
    for index in 0..model.inputs() {
        let id = reader.write(model.input_id(index));
        reader.graph.inputs.push(id);
    }
    for index in 0..model.layers() {
        reader.layer = index;
        let name = reader.note().name;
        reader.layer().map_err(|why| GraphError::new(&name, why))?;
    }
    for index in 0..model.outputs() {
        let id = reader.read(model.output_id(index)).map_err(|why| GraphError::new("", why))?;
        reader.graph.outputs.push(id);
    }
    reader.graph.validate()?;
    Ok(reader.graph)
}

/// A tensor of the blob that holds its value.
struct Live {
    blob: usize,
    info: TensorInfo,
    id: TensorId,
}

/// The state of reading.
struct Reader<'m, 'a> {
    model: &'m Model<'a>,
    notes: Notes,
    graph: Graph,
    memory: Vec<Live>,
    /// The layer that is read.
    layer: usize,
}

impl Reader<'_, '_> {
    /// What the blob notes of the layer; a name of its own where there is nothing.
    fn note(&self) -> LayerNote {
        let note = self.notes.layers.get(self.layer).cloned().unwrap_or_default();
        let name = if note.name.is_empty() { format!("layer {}", self.layer) } else { note.name };
        LayerNote { name, ..note }
    }

    fn layer(&mut self) -> Result<(), String> {
        let record = self.model.layer_record(self.layer);
        match record.opcode {
            opcode::CONV_2D
            | opcode::DEPTHWISE_CONV_2D
            | opcode::TRANSPOSED_CONV_2D
            | opcode::DENSE
            | opcode::CONV_POOL_2D
            | opcode::UPSAMPLE_CONV_2D
            | opcode::UNPOOL_CONV_2D => self.linear(&record),
            opcode::ARRANGE => self.arrange(&record),
            _ => self.simple(&record),
        }
    }

    /// The record `skip` bytes into the parameters of the layer.
    fn params<T: AnyBitPattern>(&self, record: &LayerRecord, skip: usize) -> Result<T, String> {
        let at = record.params_at as usize + skip;
        let bytes = self.model.bytes().get(at..at + size_of::<T>());
        bytes.map(bytemuck::pod_read_unaligned).ok_or_else(|| "its parameters are cut short".into())
    }

    /// `count` values at `at` of the blob.
    fn array<T: AnyBitPattern + bytemuck::NoUninit>(
        &self,
        at: u32,
        count: usize,
    ) -> Result<Vec<T>, String> {
        let (at, size) = (at as usize, count * size_of::<T>());
        let bytes = self.model.bytes().get(at..at + size).ok_or("an array is cut short")?;
        Ok(bytemuck::pod_collect_to_vec(bytes))
    }

    /// What the blob says of operand `i` that the layer reads.
    fn info(&self, record: &LayerRecord, i: usize) -> Result<TensorInfo, String> {
        match record.inputs[i] {
            NONE => Err(format!("it has no input {i}")),
            id => Ok(self.model.tensor(id as usize)),
        }
    }

    /// What the blob says of the first output.
    fn output(&self, record: &LayerRecord) -> TensorInfo {
        self.model.tensor(record.outputs[0] as usize)
    }

    /// The tensor of the graph that holds tensor `blob`.
    fn read(&mut self, blob: usize) -> Result<TensorId, String> {
        let info = self.model.tensor(blob);
        if info.constant {
            return self.constant(blob);
        }
        if let Some(live) = self.memory.iter().find(|live| live.blob == blob) {
            return Ok(live.id);
        }
        // Written under another name: a reshape, which has no layer.
        let same = |live: &&Live| live.info.at == info.at && live.info.bytes() == info.bytes();
        let Some(live) = self.memory.iter().rev().find(same) else {
            return self.joined(blob, &info);
        };
        let source = live.id;
        let id = self.add(blob);
        let name = self.graph[id].name.clone();
        let op = Op::Reshape { shape: info.shape().to_vec() };
        self.push(name, op, vec![source], vec![id])?;
        self.memory.push(Live { blob, info, id });
        Ok(id)
    }

    /// Tensor `blob`, whose parts layers have written: a concatenation, which has no layer.
    fn joined(&mut self, blob: usize, info: &TensorInfo) -> Result<TensorId, String> {
        let missing = || format!("tensor {blob} is read where no layer has written it as a whole");
        let axis = info.shape().iter().position(|&extent| extent != 1).ok_or_else(missing)?;
        let inner: usize = info.shape()[axis + 1..].iter().product();
        let (mut at, end) = (info.at, info.at + info.bytes());
        let mut inputs = Vec::new();
        while at < end {
            let next = |live: &&Live| live.info.at == at && at + live.info.bytes() <= end;
            let part = self.memory.iter().rev().find(next).ok_or_else(missing)?;
            let (id, count) = (part.id, part.info.count());
            at += part.info.bytes();
            let mut shape = info.shape().to_vec();
            shape[axis] = count / inner;
            if part.info.dtype != info.dtype || count % inner != 0 {
                return Err(missing());
            }
            inputs.push(self.reshaped(id, shape)?);
        }
        let id = self.add(blob);
        let name = self.graph[id].name.clone();
        self.push(name, Op::Concat { axis }, inputs, vec![id])?;
        self.memory.push(Live { blob, info: *info, id });
        Ok(id)
    }

    /// `id` in this shape.
    fn reshaped(&mut self, id: TensorId, shape: Vec<usize>) -> Result<TensorId, String> {
        if self.graph[id].shape == shape {
            return Ok(id);
        }
        let tensor = Tensor { shape: shape.clone(), ..self.graph[id].clone() };
        let name = tensor.name.clone();
        let view = self.graph.add_tensor(tensor);
        self.push(name, Op::Reshape { shape }, vec![id], vec![view])?;
        Ok(view)
    }

    /// A new value of tensor `blob`, which ends all that overlap it.
    fn write(&mut self, blob: usize) -> TensorId {
        let info = self.model.tensor(blob);
        self.overwrite(info.at, info.stored());
        let id = self.add(blob);
        self.memory.push(Live { blob, info, id });
        id
    }

    fn overwrite(&mut self, at: usize, bytes: usize) {
        self.memory
            .retain(|live| live.info.at + live.info.stored() <= at || at + bytes <= live.info.at);
    }

    /// The operands of the layer, read and then written.
    fn operands(&mut self, record: &LayerRecord) -> Result<(Vec<TensorId>, Vec<TensorId>), String> {
        let inputs = present(&record.inputs).map(|id| self.read(id)).collect::<Result<_, _>>()?;
        self.overwrite(record.scratch_at as usize, record.scratch_bytes as usize);
        let outputs = present(&record.outputs).map(|id| self.write(id)).collect();
        Ok((inputs, outputs))
    }

    fn tensor(&self, blob: usize) -> Tensor {
        let info = self.model.tensor(blob);
        let name = self.notes.tensors.get(blob).cloned();
        let name = name.unwrap_or_else(|| format!("tensor {blob}"));
        let dtype = match info.dtype {
            BlobType::I8 => DType::I8,
            BlobType::F32 => DType::F32,
            BlobType::U8 | BlobType::U16 => DType::U32,
        };
        let mut tensor = Tensor::activation(name, info.shape().to_vec(), dtype);
        if dtype == DType::I8 && info.scale > 0.0 {
            tensor.quantization = Some(Quantization::per_tensor(info.scale, info.zero_point));
        }
        tensor
    }

    fn add(&mut self, blob: usize) -> TensorId {
        let tensor = self.tensor(blob);
        self.graph.add_tensor(tensor)
    }

    fn constant(&mut self, blob: usize) -> Result<TensorId, String> {
        let info = self.model.tensor(blob);
        let mut tensor = self.tensor(blob);
        let at = info.at as u32;
        tensor.data = Some(match info.dtype {
            BlobType::I8 => Data::I8(self.array(at, info.count())?),
            BlobType::F32 => Data::F32(self.array(at, info.count())?),
            BlobType::U8 | BlobType::U16 => return Err("a constant of indices".into()),
        });
        Ok(self.graph.add_tensor(tensor))
    }

    /// Adds an operator whose outputs are there, and checks their shapes.
    fn push(
        &mut self,
        name: String,
        op: Op,
        inputs: Vec<TensorId>,
        outputs: Vec<TensorId>,
    ) -> Result<(), String> {
        let shapes = infer_shapes(&op, &self.graph.input_tensors(&inputs))?;
        let written: Vec<_> = outputs.iter().map(|&id| self.graph[id].shape.clone()).collect();
        if shapes != written {
            return Err(format!("it writes {written:?}, its parameters say {shapes:?}"));
        }
        self.graph.nodes.push(Node { name, op, inputs, outputs, folded: Vec::new() });
        Ok(())
    }
}

/// The operands that are there.
fn present(ids: &[u32]) -> impl Iterator<Item = usize> {
    ids.iter().filter(|id| **id != NONE).map(|&id| id as usize)
}
