//! The instructions: every `unsafe` of this backend.
//!
//! Functions check the lengths of their slices once, then run a loop or one
//! instruction; `model.rs` holds the same functions in plain Rust. Nothing is
//! `pure`: the compiler may not move these blocks, so that loads stay in groups.
//! Loops that need more registers than inline assembly may name are naked functions.

/// The first line of every naked function. rustc parses those a second time, for the symbols
/// of the bitcode that link-time optimisation reads, and then knows the target but not
/// `-C target-cpu`: on Armv8-M, where the extension is optional, they have to name a core.
#[cfg(arm_v8m)]
macro_rules! cpu {
    () => {
        ".cpu cortex-m33"
    };
}
#[cfg(not(arm_v8m))]
macro_rules! cpu {
    () => {
        ""
    };
}

mod arrange_asm;
mod fused_asm;
mod lanes_asm;
mod pairs_asm;
mod patch_asm;
mod planes_asm;
mod quads_asm;
mod reduce_asm;
mod requantize_asm;
mod slide_asm;
mod tables_asm;
mod tile_asm;

pub(super) use arrange_asm::{gather, interleave, widen, widen_split};
pub(super) use fused_asm::{pool_3x3, upsampled_row};
pub(super) use lanes_asm::{lanes, pair_up};
pub(super) use pairs_asm::{pack_rows, two_rows};
pub(super) use patch_asm::patch;
pub(super) use planes_asm::{spread, twice};
pub(super) use quads_asm::{quads, weave};
pub(super) use reduce_asm::{
    add_into, dot, dot4, max_2x2, max_index_2x2, max_index_into, max_into, sum_cells,
};
pub(super) use requantize_asm::{add_halves, requantize, requantize_pixels, requantize_run};
pub(super) use slide_asm::slide;
pub(super) use tables_asm::add_tables;
pub(super) use tile_asm::{depthwise_tile, few, tile};
