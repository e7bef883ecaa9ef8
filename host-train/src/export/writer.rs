//! Lays a program out: tables, notes, checksum.

use microconv::model::format::{
    ALIGNMENT, CRC, Header, LayerRecord, MAGIC, NONE, TensorRecord, VERSION,
};

use super::notes::Notes;
use super::program::{Program, Storage};
use super::{Exported, Options};
use crate::optimize::PassReport;
use crate::plan::{Buffer, Plan, plan};

pub(super) fn write(mut program: Program, options: Options, passes: &[PassReport]) -> Exported {
    let notes = if options.strip {
        Vec::new()
    } else {
        // A struct of strings and numbers always serialises.
        serde_json::to_vec(&Notes::of(&program, passes)).unwrap_or_default()
    };
    let layout = Layout::of(&program);
    let tensors: Vec<TensorRecord> =
        (0..program.tensors.len()).map(|i| tensor_record(&program, &layout, i)).collect();
    let layers: Vec<LayerRecord> =
        (0..program.layers.len()).map(|i| layer_record(&program, &layout, i)).collect();
    let words = |ids: &[usize]| ids.iter().map(|&id| id as u32).collect::<Vec<_>>();
    let (inputs, outputs) = (words(&program.inputs), words(&program.outputs));
    let data = &mut program.data;
    let header = Header {
        magic: MAGIC,
        version: VERSION,
        bytes: 0,
        arena: layout.plan.bytes as u32,
        tensors: tensors.len() as u32,
        tensors_at: data.record(bytemuck::cast_slice(&tensors)),
        layers: layers.len() as u32,
        layers_at: data.record(bytemuck::cast_slice(&layers)),
        inputs: inputs.len() as u32,
        inputs_at: data.record(bytemuck::cast_slice(&inputs)),
        outputs: outputs.len() as u32,
        outputs_at: data.record(bytemuck::cast_slice(&outputs)),
        notes_at: data.record(&notes),
        notes_bytes: notes.len() as u32,
        target: options.target.code(),
        reserved: 0,
    };
    let mut blob = std::mem::take(&mut data.bytes);
    blob.resize((blob.len() + 4).next_multiple_of(ALIGNMENT), 0);
    let header = Header { bytes: blob.len() as u32, ..header };
    blob[..Header::SIZE].copy_from_slice(bytemuck::bytes_of(&header));
    let end = blob.len() - 4;
    let checksum = CRC.checksum(&blob[..end]);
    blob[end..].copy_from_slice(&checksum.to_le_bytes());
    let macs = program.layers.iter().map(|layer| layer.macs).sum();
    let requantisations = program.layers.iter().map(|layer| layer.requantisations).sum();
    Exported { blob, plan: layout.plan, macs, requantisations, notes: notes.len() }
}

/// Offsets of the buffers of tensors, and of the scratch of layers.
struct Layout {
    plan: Plan,
    /// Place of each arena buffer in the plan.
    buffers: Vec<usize>,
    /// Place of each layer's scratch in the plan.
    scratch: Vec<Option<usize>>,
}

impl Layout {
    /// Step 0 is the caller filling the inputs, step `i + 1` is layer `i`, the
    /// last one the caller reading the outputs.
    fn of(program: &Program) -> Self {
        let count =
            program.tensors.iter().filter_map(|t| arena(t.storage)).max().map_or(0, |b| b + 1);
        let mut lives: Vec<Option<Buffer>> = vec![None; count];
        let mut touch = |tensor: usize, step: usize| {
            let tensor = &program.tensors[tensor];
            let Some(buffer) = arena(tensor.storage) else { return };
            let fresh = Buffer { name: tensor.name.clone(), bytes: 0, first: step, last: step };
            let life = lives[buffer].get_or_insert(fresh);
            life.bytes = life.bytes.max(tensor.bytes());
            (life.first, life.last) = (life.first.min(step), life.last.max(step));
        };
        program.inputs.iter().for_each(|&id| touch(id, 0));
        for (index, layer) in program.layers.iter().enumerate() {
            layer.inputs.iter().chain(&layer.outputs).for_each(|&id| touch(id, index + 1));
        }
        let end = program.layers.len() + 1;
        program.outputs.iter().for_each(|&id| touch(id, end));
        let merged = merge_in_place(program, &mut lives);
        let mut all = Vec::new();
        let mut places = vec![0; count];
        for (buffer, life) in lives.into_iter().enumerate() {
            if let Some(life) = life {
                places[buffer] = all.len();
                all.push(life);
            }
        }
        let buffers = (0..count).map(|buffer| places[merged[buffer]]).collect();
        let scratch = program.layers.iter().enumerate().map(|(index, layer)| {
            (layer.scratch > 0).then(|| {
                all.push(Buffer {
                    name: format!("scratch of {}", layer.name),
                    bytes: layer.scratch,
                    first: index + 1,
                    last: index + 1,
                });
                all.len() - 1
            })
        });
        let scratch = scratch.collect();
        Self { plan: plan(all), buffers, scratch }
    }

    fn tensor(&self, storage: Storage) -> usize {
        match storage {
            Storage::Arena(buffer) => self.plan.offsets[self.buffers[buffer]],
            Storage::Constant(at) => at as usize,
        }
    }
}

fn arena(storage: Storage) -> Option<usize> {
    match storage {
        Storage::Arena(buffer) => Some(buffer),
        Storage::Constant(_) => None,
    }
}

/// A layer that may work in place does so when its input is not needed afterwards.
/// Returns the buffer that each buffer became.
fn merge_in_place(program: &Program, lives: &mut [Option<Buffer>]) -> Vec<usize> {
    let mut merged: Vec<usize> = (0..lives.len()).collect();
    for (index, layer) in program.layers.iter().enumerate().filter(|(_, layer)| layer.in_place) {
        let storage = |id: usize| arena(program.tensors[id].storage).map(|b| merged[b]);
        let (Some(from), Some(to)) = (storage(layer.inputs[0]), storage(layer.outputs[0])) else {
            continue;
        };
        let (Some(a), Some(b)) = (lives[from].clone(), lives[to].clone()) else { continue };
        if from == to || a.last != index + 1 || b.first != index + 1 || a.bytes != b.bytes {
            continue;
        }
        lives[from] = Some(Buffer { name: b.name, last: b.last, ..a });
        lives[to] = None;
        merged.iter_mut().filter(|buffer| **buffer == to).for_each(|buffer| *buffer = from);
    }
    merged
}

fn tensor_record(program: &Program, layout: &Layout, index: usize) -> TensorRecord {
    let tensor = &program.tensors[index];
    let mut record = TensorRecord {
        place: u32::from(arena(tensor.storage).is_none()),
        at: layout.tensor(tensor.storage) as u32,
        dtype: tensor.dtype.code(),
        rank: tensor.shape.len() as u32,
        dims: [1; 6],
        scale: tensor.scale,
        zero_point: tensor.zero_point,
    };
    for (slot, &extent) in record.dims.iter_mut().zip(&tensor.shape) {
        *slot = extent as u32;
    }
    record
}

fn layer_record(program: &Program, layout: &Layout, index: usize) -> LayerRecord {
    let layer = &program.layers[index];
    let mut record = LayerRecord {
        opcode: layer.opcode,
        element: layer.element.code(),
        inputs: [NONE; 3],
        outputs: [NONE; 2],
        scratch_at: layout.scratch[index].map_or(0, |place| layout.plan.offsets[place] as u32),
        scratch_bytes: layer.scratch as u32,
        params_at: layer.params_at,
        packing: layer.packing,
    };
    for (slot, &id) in record.inputs.iter_mut().zip(&layer.inputs) {
        *slot = id as u32;
    }
    for (slot, &id) in record.outputs.iter_mut().zip(&layer.outputs) {
        *slot = id as u32;
    }
    record
}
