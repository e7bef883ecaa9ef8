//! Lays a program out: tables, notes, checksum.

use microconv::Model;
use microconv::model::format::{
    ALIGNMENT, CRC, Header, LayerRecord, MAGIC, NONE, TensorRecord, VERSION,
};

use super::layout::{Layout, arena};
use super::notes::Notes;
use super::program::Program;
use super::{Cut, Exported, Options};
use crate::optimize::{PassReport, bands};

pub(super) fn write(program: &Program, options: Options, passes: &[PassReport]) -> Exported {
    let program = &with_scratch(program, options);
    let whole = Layout::whole(program);
    let exported = assemble(program, whole, options, passes);
    // Cut with the kernels' own arithmetic, on the layers as a kernel would decode them.
    let cut = match Model::parse(&exported.blob) {
        Ok(model) if options.passes.has(&bands::PASS) => {
            Layout::cut(program, &model, options.target, !options.passes.force_bands())
        }
        _ => None,
    };
    let (small, forced) = (options.target.is_small(), options.passes.force_bands());
    match cut {
        Some(layout)
            if layout.plan.bytes < exported.plan.bytes
                && (forced || small && layout.pays(&exported.plan)) =>
        {
            assemble(program, layout, options, passes)
        }
        _ => exported,
    }
}

/// The program with as much scratch as the target's kernels ask for once they know how sums
/// end: less than for the worst of them.
fn with_scratch(program: &Program, options: Options) -> Program {
    let mut program = program.clone();
    let first = assemble(&program, Layout::whole(&program), options, &[]);
    if let Ok(model) = Model::parse(&first.blob) {
        for (index, layer) in program.layers.iter_mut().enumerate() {
            layer.scratch = options.target.scratch_of(&model, index);
        }
    }
    program
}

/// With given cuts; `None` where layers cannot be cut like that.
pub(super) fn write_cut(program: &Program, options: Options, cuts: &[Cut]) -> Option<Exported> {
    let program = &with_scratch(program, options);
    let whole = assemble(program, Layout::whole(program), options, &[]);
    let model = Model::parse(&whole.blob).ok()?;
    let layout = Layout::given(program, &model, options.target, cuts)?;
    Some(assemble(program, layout, options, &[]))
}

fn assemble(
    program: &Program,
    layout: Layout,
    options: Options,
    passes: &[PassReport],
) -> Exported {
    let notes = if options.strip {
        Vec::new()
    } else {
        // A struct of strings and numbers always serialises.
        serde_json::to_vec(&Notes::of(program, passes)).unwrap_or_default()
    };
    let tensors: Vec<TensorRecord> =
        (0..program.tensors.len()).map(|i| tensor_record(program, &layout, i)).collect();
    let layers: Vec<LayerRecord> =
        (0..program.layers.len()).map(|i| layer_record(program, &layout, i)).collect();
    let words = |ids: &[usize]| ids.iter().map(|&id| id as u32).collect::<Vec<_>>();
    let (inputs, outputs) = (words(&program.inputs), words(&program.outputs));
    let mut data = program.data.clone();
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
    let mut blob = data.bytes;
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
        kept: layout.kept[index] as u32,
    };
    for (slot, &extent) in record.dims.iter_mut().zip(&tensor.shape) {
        *slot = extent as u32;
    }
    record
}

fn layer_record(program: &Program, layout: &Layout, index: usize) -> LayerRecord {
    let layer = &program.layers[index];
    let (scratch, bands) = (layout.scratch(index), layout.bands[index]);
    let mut record = LayerRecord {
        opcode: layer.opcode,
        element: layer.element.code(),
        inputs: [NONE; 3],
        outputs: [NONE; 2],
        scratch_at: scratch.at as u32,
        scratch_bytes: scratch.bytes as u32,
        params_at: layer.params_at,
        packing: layer.packing,
        band_head: bands.head as u32,
        band_rows: bands.rows as u32,
        band_reverse: u32::from(bands.reverse),
    };
    for (slot, &id) in record.inputs.iter_mut().zip(&layer.inputs) {
        *slot = id as u32;
    }
    for (slot, &id) in record.outputs.iter_mut().zip(&layer.outputs) {
        *slot = id as u32;
    }
    record
}
