//! Winograd's transforms and products: two tiles beside four channels.
#![allow(unsafe_code, reason = "inline assembly; each block states why it is sound")]

use core::arch::naked_asm;

use crate::backend::cortex_m::winograd::{CHANNELS, PLACES, Products, TILES, UNROLL};

/// Cells that two tiles read.
const READS: usize = 2 * TILES + 2;

/// The places of two neighbouring tiles: of each of `pairs` pairs, `pitch` words apart, `cells`
/// holds cells of four words; `out` takes for each pair and place a word of either tile. Nothing
/// is done where a slice is too short.
#[inline(always)]
pub(in crate::backend::cortex_m) fn two_tiles(
    cells: &[i32],
    [pitch, pairs]: [usize; 2],
    out: &mut [i32],
) {
    const { assert!(PLACES == 16 && TILES == 2 && READS == 6) };
    let reach = pairs.saturating_sub(1).saturating_mul(pitch).saturating_add(4 * READS);
    if pairs == 0 || cells.len() < reach || out.len() / (PLACES * TILES) < pairs {
        return;
    }
    // SAFETY: the six cells of the last pair end inside `cells`, and `out` has the places of all
    // pairs; both hold words, as `stm` wants.
    unsafe { places_of_two(cells.as_ptr(), pitch * 4, pairs, out.as_mut_ptr()) }
}

/// r0–r3 results, r4–r9 cells, r10 cells of the pair, r11 bytes between pairs, r12 pairs left,
/// lr output.
///
/// # Safety
/// The arguments are those of [`two_tiles`], `pitch` in bytes.
#[unsafe(naked)]
unsafe extern "C" fn places_of_two(cells: *const i32, pitch: usize, pairs: usize, out: *mut i32) {
    naked_asm!(
        cpu!(),
        ".macro microconv_row at",
        "ldr r4, [r10, #\\at]",
        "ldr r5, [r10, #\\at + 16]",
        "ldr r6, [r10, #\\at + 32]",
        "ldr r7, [r10, #\\at + 48]",
        "ldr r8, [r10, #\\at + 64]",
        "ldr r9, [r10, #\\at + 80]",
        "ssub16 r0, r4, r6",
        "ssub16 r1, r6, r8",
        "sadd16 r2, r5, r6",
        "sadd16 r3, r7, r8",
        "stmia lr!, {{r0-r3}}",
        "ssub16 r0, r6, r5",
        "ssub16 r1, r8, r7",
        "ssub16 r2, r7, r5",
        "ssub16 r3, r9, r7",
        "stmia lr!, {{r0-r3}}",
        ".endm",
        "push {{r4-r11, lr}}",
        "mov r10, r0",
        "mov r11, r1",
        "mov r12, r2",
        "mov lr, r3",
        "2:",
        "microconv_row 0",
        "microconv_row 4",
        "microconv_row 8",
        "microconv_row 12",
        "add r10, r10, r11",
        "subs r12, r12, #1",
        "bne.w 2b",
        "pop {{r4-r11, pc}}",
        ".purgem microconv_row",
    )
}

/// Products of two tiles, as codes; nothing where [`Products::fits`] says no.
#[inline(always)]
pub(in crate::backend::cortex_m) fn products(products: &mut Products<'_>) {
    const { assert!(PLACES == 16 && TILES == 2 && CHANNELS == 4 && UNROLL == 8) };
    if !products.fits() {
        return;
    }
    let bytes = products.pairs * PLACES * TILES * 4;
    let inputs = products.inputs.as_ptr() as usize;
    let sums = products.sums.as_mut_ptr() as usize;
    let words: [usize; 10] = [
        inputs,
        inputs + bytes,
        sums,
        sums + PLACES * TILES * CHANNELS * 4,
        products.out.as_mut_ptr() as usize,
        products.groups,
        usize::from(products.relu),
        bytes - 4 * TILES,
        products.step,
        products.row,
    ];
    // SAFETY: `fits` has checked that inputs, weights, sums and outputs of all groups lie in their
    // slices, and that there is one group and one turn of the loop at least. All but the outputs are
    // words, as `ldm` wants.
    unsafe { products_2x4(words.as_ptr(), products.weights.as_ptr()) }
}

/// r0–r7 sums of four channels of the first tile, then of the second, r8 and r9 inputs, r10
/// and r11 weights, r12 inputs, lr weights.
/// On the stack, in bytes: 0 inputs, 4 their end, 8 sums, 12 their end, 16 outputs, 20 groups left,
/// 24 how codes are made, 28 bytes back to the next place of the inputs, 32 outputs between columns,
/// 36 between rows, 40 end of a place, 44 sums of the place.
///
/// # Safety
/// `words` and `weights` are those of [`products`].
#[unsafe(naked)]
unsafe extern "C" fn products_2x4(words: *const usize, weights: *const i32) {
    naked_asm!(
        cpu!(),
        requantize_macros!(),
        // Sums of a column of places: [r0, r1] of the upper and the lower output, in \\upper and \\lower.
        ".macro microconv_column at, upper, lower",
        "ldr r0, [r11, #\\at]",
        "ldr r1, [r11, #\\at + 128]",
        "ldr r2, [r11, #\\at + 256]",
        "ldr r3, [r11, #\\at + 384]",
        "add \\upper, r0, r1",
        "sub \\lower, r1, r2",
        "add \\upper, \\upper, r2",
        "add \\lower, \\lower, r3",
        ".endm",
        // Four outputs of a channel of a tile; r4 and r5 the upper ones, r6 and r7 the lower.
        ".macro microconv_square at, what",
        "microconv_column \\at, r4, r6",
        "microconv_column \\at + 32, r5, r7",
        "add r4, r4, r5",
        "add r6, r6, r7",
        "microconv_column \\at + 64, r0, r1",
        "add r4, r4, r0",
        "sub r5, r5, r0",
        "add r6, r6, r1",
        "sub r7, r7, r1",
        "microconv_column \\at + 96, r0, r1",
        "add r5, r5, r0",
        "add r7, r7, r1",
        "asrs r4, r4, #1",
        "asrs r5, r5, #1",
        "asrs r6, r6, #1",
        "asrs r7, r7, #1",
        "\\what r4",
        "\\what r5",
        "\\what r6",
        "\\what r7",
        "ldr r0, [sp, #32]",
        "ldr r1, [sp, #36]",
        "strb r4, [r12]",
        "strb r5, [r12, r0]",
        "add r2, r12, r1",
        "add r12, r12, r0, lsl #1",
        "strb r6, [r2]",
        "strb r7, [r2, r0]",
        ".endm",
        "push {{r4-r11, lr}}",
        "sub sp, sp, #48",
        "mov lr, r1",
        "ldmia r0!, {{r1-r7}}",
        "adr.w r8, 6f",
        "adr.w r9, 7f",
        "cmp r7, #0",
        "it ne",
        "movne r8, r9",
        "add r7, r8, #1",
        "mov r8, sp",
        "stmia r8!, {{r1-r7}}",
        "ldmia r0, {{r1-r3}}",
        "stmia r8, {{r1-r3}}",
        // A group.
        "2:",
        "ldr r12, [sp, #0]",
        "ldr r8, [sp, #4]",
        "ldr r9, [sp, #8]",
        "str r8, [sp, #40]",
        "str r9, [sp, #44]",
        // A place.
        "3:",
        "ldmia lr!, {{r0-r3}}",
        "mov r4, r0",
        "mov r5, r1",
        "mov r6, r2",
        "mov r7, r3",
        "4:",
        ".rept 8",
        "ldr.w r9, [r12, #4]",
        "ldr.w r8, [r12], #128",
        "ldr.w r10, [lr], #4",
        "ldr.w r11, [lr], #4",
        "smlad r0, r8, r10, r0",
        "smlad r4, r9, r10, r4",
        "smlad r1, r8, r11, r1",
        "smlad r5, r9, r11, r5",
        "ldr.w r10, [lr], #4",
        "ldr.w r11, [lr], #4",
        "smlad r2, r8, r10, r2",
        "smlad r6, r9, r10, r6",
        "smlad r3, r8, r11, r3",
        "smlad r7, r9, r11, r7",
        ".endr",
        "ldr r8, [sp, #40]",
        "cmp r12, r8",
        "bne.w 4b",
        "ldr r9, [sp, #44]",
        "ldr r10, [sp, #12]",
        "ldr r11, [sp, #28]",
        "stmia r9!, {{r0-r7}}",
        "add r8, r8, #8",
        "sub r12, r12, r11",
        "cmp r9, r10",
        "str r8, [sp, #40]",
        "str r9, [sp, #44]",
        "bne.w 3b",
        "ldr r11, [sp, #8]",
        "ldr r12, [sp, #16]",
        "ldr r0, [sp, #24]",
        "bx r0",
        ".p2align 2",
        "6:",
        "ldmia lr!, {{r8, r9, r10}}",
        "microconv_square 0, microconv_code",
        "microconv_square 16, microconv_code",
        "ldr r1, [sp, #8]",
        "sub r12, r12, r0, lsl #2",
        "add r11, r11, #4",
        "add r12, r12, #1",
        "add r1, r1, #16",
        "cmp r11, r1",
        "bne.w 6b",
        "b 8f",
        ".p2align 2",
        "7:",
        "ldmia lr!, {{r8, r9, r10}}",
        "microconv_square 0, microconv_relu",
        "microconv_square 16, microconv_relu",
        "ldr r1, [sp, #8]",
        "sub r12, r12, r0, lsl #2",
        "add r11, r11, #4",
        "add r12, r12, #1",
        "add r1, r1, #16",
        "cmp r11, r1",
        "bne.w 7b",
        "8:",
        "ldr r8, [sp, #20]",
        "str r12, [sp, #16]",
        "subs r8, r8, #1",
        "str r8, [sp, #20]",
        "bne.w 2b",
        "add sp, sp, #48",
        "pop {{r4-r11, pc}}",
        ".purgem microconv_column",
        ".purgem microconv_square",
        purge_requantize_macros!(),
    )
}
