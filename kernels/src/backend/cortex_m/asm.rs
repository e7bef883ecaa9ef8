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

/// Two ways from a doubled sum to a code, with mantissa, offset and right shift in three registers,
/// r8, r9 and r10 unless named: `microconv_code`, and `microconv_relu` where the lowest code is
/// the zero point.
macro_rules! requantize_macros {
    () => {
        requantize_macros!("r8", "r9", "r10")
    };
    ($mantissa:literal, $offset:literal, $shift:literal) => {
        concat!(
            ".macro microconv_code x\n",
            "smmulr \\x, \\x, ",
            $mantissa,
            "\nadd \\x, \\x, \\x, asr #31\nasrs \\x, \\x, ",
            $shift,
            "\nadc \\x, \\x, ",
            $offset,
            "\nssat \\x, #8, \\x\n.endm\n.macro microconv_relu x\nsmmlar \\x, \\x, ",
            $mantissa,
            ", ",
            $offset,
            "\nasr \\x, \\x, ",
            $shift,
            "\nssat \\x, #8, \\x\n.endm"
        )
    };
}

/// The end of [`requantize_macros`].
macro_rules! purge_requantize_macros {
    () => {
        ".purgem microconv_code
        .purgem microconv_relu"
    };
}

mod arrange_asm;
mod cells_asm;
mod fused_asm;
mod lanes_asm;
mod pairs_asm;
mod pairs_pack_asm;
mod patch_asm;
mod planes_asm;
mod quads_asm;
mod reduce_asm;
mod requantize_asm;
mod sevens_asm;
mod slide_asm;
mod tables_asm;
mod tile_asm;
mod twos_asm;
mod weave_asm;
mod winograd_asm;

pub(super) use arrange_asm::{copy, gather, interleave, widen, widen_split};
pub(super) use cells_asm::{max_cells, mean_cells, sum_cells};
pub(super) use fused_asm::{pool_3x3, upsampled_row};
pub(super) use lanes_asm::{lanes, pair_cells, pair_up};
pub(super) use pairs_asm::{one_row, two_rows};
pub(super) use pairs_pack_asm::{pack_rows, pair_weights};
pub(super) use patch_asm::patch;
pub(super) use planes_asm::{spread, twice};
pub(super) use quads_asm::quads;
pub(super) use reduce_asm::{
    add_into, dot, dot4, max_2x2, max_index_2x2, max_index_into, max_into,
};
pub(super) use requantize_asm::{add_halves, requantize, requantize_pixels, requantize_run};
pub(super) use sevens_asm::{lay, sevens};
pub(super) use slide_asm::slide;
pub(super) use tables_asm::{add_tables, add_tables_in_place};
pub(super) use tile_asm::{depthwise_tile, few, tile};
pub(super) use twos_asm::twos;
pub(super) use weave_asm::weave;
pub(super) use winograd_asm::{products, two_tiles};
