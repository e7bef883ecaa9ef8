//! Roughly the cycles of layers on a Cortex-M4, whole and in bands, for the choice of bands.
//!
//! Of packed layers the kernels say what their rows take; each band adds what a kernel does
//! once: a look at all channels, the padding, the plan. Measured on mps2-an386: pointwise and
//! dense layers 2,400 cycles a band, others with packed weights 3,500; depthwise layers 3,000 and
//! 80 a channel for its weights, then for each pass over some of the channels 900, and 250 for
//! each two rows of it.

use microconv::Model;
use microconv::model::Rows;
use microconv::model::format::opcode;
use microconv::pack::PLAIN;

use super::program::{Program, ProgramLayer};
use crate::plan::bands::Unit;

/// The packing of pixels in twos (`docs/model-format.md`).
const LANES: u32 = 7;
/// Passes over the channels of a depthwise layer that has the scratch that it wants, about.
const PASSES: u64 = 3;
/// Channels that a depthwise layer takes together at least.
const CHANNELS: usize = 4;

/// Cycles of layer `index`, a member of `unit`.
pub(super) fn of(program: &Program, model: &Model<'_>, unit: &Unit, index: usize) -> u64 {
    let layer = &program.layers[index];
    let height = model.height(index).unwrap_or(1);
    let list = bands(model, unit, index, height);
    let rows = |rows: &Rows| {
        let packed = model.packed_cycles(index, *rows).map(|cycles| cycles as u64);
        packed.unwrap_or_else(|| plain(layer, rows.count, height))
    };
    let once = match layer.opcode {
        opcode::DEPTHWISE_CONV_2D => return depthwise(program, layer, unit, &list, height),
        _ if layer.packing == LANES => 2400,
        _ if layer.packing != PLAIN => 3500,
        // Weights are brought into order each time.
        _ => 2000 + 20 * layer.parameters as u64,
    };
    list.iter().map(|band| once + rows(band)).sum()
}

/// The bands of a member: those of the last one as they are, of the others as many.
fn bands(model: &Model<'_>, unit: &Unit, index: usize, height: usize) -> Vec<Rows> {
    let last = unit.first + unit.len - 1;
    let of_last = model.height(last).unwrap_or(1);
    let list = (0..unit.bands.count(of_last)).map(|i| unit.bands.at(i, of_last));
    let scaled = |row: usize| row * height / of_last;
    let own = |rows: Rows| match index == last {
        true => rows,
        false => {
            let first = scaled(rows.first);
            Rows { first, count: (scaled(rows.end()) - first).max(1) }
        }
    };
    list.map(own).collect()
}

/// Rows of a layer with plain weights; kernels take them in twos.
fn plain(layer: &ProgramLayer, rows: usize, height: usize) -> u64 {
    let work = layer.macs * 4 / 3 + layer.requantisations * 10;
    let twos = if height == 1 { rows } else { rows.next_multiple_of(2) };
    work * twos as u64 / height as u64
}

fn depthwise(
    program: &Program,
    layer: &ProgramLayer,
    unit: &Unit,
    list: &[Rows],
    height: usize,
) -> u64 {
    let output = &program.tensors[layer.outputs[0]].shape;
    let channels = output.last().copied().unwrap_or(1);
    let passes = unit.needs.map_or(PASSES, |needs| {
        let together = CHANNELS * (unit.scratch / needs.scratch.max(1)).max(1);
        channels.div_ceil(together) as u64
    });
    let band = |rows: &Rows| {
        let twos = rows.count.div_ceil(2) as u64;
        3000 + 80 * channels as u64 + passes * (900 + 250 * twos) + plain(layer, rows.count, height)
    };
    list.iter().map(band).sum()
}
