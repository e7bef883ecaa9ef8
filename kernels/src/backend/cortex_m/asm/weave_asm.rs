//! Rows of codes to the slots of the tiles of two pixels.
#![allow(unsafe_code, reason = "inline assembly; each block states why it is sound")]

use core::arch::naked_asm;

use crate::backend::cortex_m::quads::{CELLS, PIXELS, SLOTS};

/// Of four rows of codes, `[r, r0, r1, r2]`, the slots of `tiles` tiles: `r`, `r1`, `r0 − r1`
/// and `r2 − r1`, each `2 · fours` pairs of [`CELLS`] cells; a cell has `fours` words of codes.
/// Nothing is done where a slice is too short.
#[inline(always)]
pub(in crate::backend::cortex_m) fn weave(
    rows: [&[i32]; 4],
    fours: usize,
    tiles: usize,
    out: &mut [i32],
) {
    let fits = rows.iter().all(|row| row.len() >= (PIXELS * tiles + 1) * fours);
    if fours == 0 || tiles == 0 || !fits || out.len() < tiles * SLOTS * CELLS * 2 * fours {
        return;
    }
    let slot = CELLS * 2 * fours * 4;
    let [r, r0, r1, r2] = rows.map(|row| row.as_ptr() as usize);
    let out = out.as_mut_ptr() as usize;
    let words: [usize; 12] = [
        r,
        r0,
        r1,
        r2,
        out,
        out.wrapping_add(slot),
        out.wrapping_add(2 * slot),
        out.wrapping_add(3 * slot),
        fours,
        tiles,
        fours * 4,
        3 * slot,
    ];
    // SAFETY: reads a word in each of `2 · tiles + 1` cells of four rows, the last of which ends
    // inside, and writes a word to all cells of all pairs of `tiles` tiles, which lie inside `out`.
    unsafe { weave_rows(words.as_ptr()) }
}

/// r0–r3 rows, r4–r7 slots, r8 and r11 codes, r9 and r10 those of `r1`, r12 bytes of a cell,
/// lr fours left. On the stack, in words: fours, tiles left, bytes of a cell, bytes of three slots.
///
/// # Safety
/// `words` are those of [`weave`].
#[unsafe(naked)]
unsafe extern "C" fn weave_rows(words: *const usize) {
    naked_asm!(
        cpu!(),
        ".macro microconv_minus slot, at",
        "sxtb16 r11, r8",
        "sxtb16 r8, r8, ror #8",
        "ssub16 r11, r11, r10",
        "ssub16 r8, r8, r9",
        "str r11, [\\slot, #\\at]",
        "str r8, [\\slot, #\\at + 12]",
        ".endm",
        // A cell of two pairs, the first of them `at` bytes into its slot.
        ".macro microconv_cell at, a, b, c, d",
        "ldr.w r8, [\\a]",
        "ldr.w r9, [\\c]",
        "sxtb16 r11, r8",
        "sxtb16 r8, r8, ror #8",
        "sxtb16 r10, r9",
        "sxtb16 r9, r9, ror #8",
        "str r11, [r4, #\\at]",
        "str r8, [r4, #\\at + 12]",
        "ldr.w r8, [\\b]",
        "str r10, [r5, #\\at]",
        "str r9, [r5, #\\at + 12]",
        "microconv_minus r6, \\at",
        "ldr.w r8, [\\d]",
        "microconv_minus r7, \\at",
        ".endm",
        "push {{r4-r11, lr}}",
        "sub sp, sp, #20",
        "mov r12, r0",
        "ldmia r12!, {{r0-r7}}",
        "ldmia r12, {{r8-r11}}",
        "stmia sp, {{r8-r11}}",
        "mov r12, r10",
        // A tile.
        "2:",
        "ldr.w lr, [sp, #0]",
        // Four channels.
        "3:",
        "microconv_cell 0, r0, r1, r2, r3",
        "microconv_cell 4, \"r0, r12\", \"r1, r12\", \"r2, r12\", \"r3, r12\"",
        "microconv_cell 8, \"r0, r12, lsl #1\", \"r1, r12, lsl #1\", \"r2, r12, lsl #1\", \"r3, r12, lsl #1\"",
        "adds r0, r0, #4",
        "adds r1, r1, #4",
        "adds r2, r2, #4",
        "adds r3, r3, #4",
        "adds r4, r4, #24",
        "adds r5, r5, #24",
        "adds r6, r6, #24",
        "adds r7, r7, #24",
        "subs lr, lr, #1",
        "bne 3b",
        "ldr r8, [sp, #4]",
        "ldr r9, [sp, #12]",
        "add r0, r0, r12",
        "add r1, r1, r12",
        "add r2, r2, r12",
        "add r3, r3, r12",
        "add r4, r4, r9",
        "add r5, r5, r9",
        "add r6, r6, r9",
        "add r7, r7, r9",
        "subs r8, r8, #1",
        "str r8, [sp, #4]",
        "bne 2b",
        "add sp, sp, #20",
        "pop {{r4-r11, pc}}",
        ".purgem microconv_minus",
        ".purgem microconv_cell",
    )
}
