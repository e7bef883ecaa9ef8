//! Which pairs of a fused layer run faster one after the other.
//!
//! Beside the kernels of its own for some shapes, a Cortex-M4 runs a fused layer band by band:
//! the convolution on plain weights, then the same pool, or the same upsampling before it. A
//! layer of its own multiplies as often, or less often by Winograd, on packed weights, and
//! pool or upsampling take as long as inside: it is faster wherever its weights can be packed.
//! Measured on mps2-an386, fused → apart, thousands of estimated cycles:
//!
//! | layer | fused | apart |
//! |---|---:|---:|
//! | conv 3x3 14x14x16→8, pool 2x2 | 259 | 220 |
//! | conv 3x3 16x16x8→16, pool 2x2 | 386 | 340 |
//! | conv 1x1 14x14x16→4, pool 2x2 | 54 | 35 |
//! | upsampling x2, conv 3x3 16x16x16→16 | 633 | 484 |
//! | conv 3x3 28x28x1→16, pool 2x2, kernel of its own | 176 | 263 |
//! | upsampling x2, conv 3x3 28x28x4→16, kernel of its own | 572 | 657 |
//! | upsampling x2, conv 3x3 28x28x4→1, kernel of its own | 42 | 121 |

use microconv::Model;
use microconv::backend::CortexM;
use microconv::model::format::opcode;
use microconv::pack::PLAIN;

use super::program::Program;
use super::{Options, Target, lower, writer};
use crate::graph::{Graph, GraphError};

/// Percent of the arena of the fused layers that the plan may take with pairs apart.
const ARENA: usize = 115;

/// Lowers a graph, each pair in one layer or in two as the target runs it faster, unless the
/// map between them makes the arena of the whole plan much larger.
pub(super) fn lower(graph: &Graph, options: Options) -> Result<Program, GraphError> {
    let fused = lower::lower(graph, options, &[])?;
    if options.target != Target::CortexM {
        return Ok(fused);
    }
    // Decided on whole layers, so that bands always save memory beside the same layers whole.
    let whole = Options { passes: options.passes.with_bands(false), ..options };
    let arena = |program: &Program, options| writer::write(program, options, &[]).plan.bytes;
    let candidates = without_kernel(&fused, whole);
    if candidates.is_empty() {
        return Ok(fused);
    }
    let limit = arena(&fused, whole) * ARENA / 100;
    let (mut best, mut apart) = (None, Vec::new());
    for node in candidates {
        apart.push(node);
        let split = lower::lower(graph, options, &apart)?;
        let before = best.as_ref().unwrap_or(&fused);
        if packed(&split) > packed(before) && arena(&split, whole) <= limit {
            best = Some(split);
        } else {
            apart.pop();
        }
    }
    // In bands the fused layers may be much smaller.
    let small = |split: &Program| arena(split, options) * 100 <= arena(&fused, options) * ARENA;
    Ok(best.filter(small).unwrap_or(fused))
}

/// Nodes of the fused layers for which the target has no kernel of its own; `whole` has no
/// bands, whose scratch would say nothing about the layer.
fn without_kernel(program: &Program, whole: Options) -> Vec<usize> {
    let fused = [opcode::CONV_POOL_2D, opcode::UPSAMPLE_CONV_2D];
    if !program.layers.iter().any(|layer| fused.contains(&layer.opcode)) {
        return Vec::new();
    }
    let exported = writer::write(program, whole, &[]);
    let Ok(model) = Model::parse(&exported.blob) else { return Vec::new() };
    let layers = program.layers.iter().enumerate();
    layers
        .filter(|(index, layer)| {
            fused.contains(&layer.opcode) && !model.has_fused_kernel::<CortexM>(*index)
        })
        .map(|(_, layer)| layer.node)
        .collect()
}

fn packed(program: &Program) -> usize {
    program.layers.iter().filter(|layer| layer.packing != PLAIN).count()
}
