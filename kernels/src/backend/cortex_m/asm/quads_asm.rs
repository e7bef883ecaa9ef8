//! Tiles of two pixels and four channels.
#![allow(unsafe_code, reason = "inline assembly; each block states why it is sound")]

use core::arch::naked_asm;

use crate::backend::cortex_m::quads::{CELLS, CHANNELS, HEAD, PIXELS, Quads, SLOTS, UNROLL};

/// Bytes of code of a pass, with one tap across and with two.
const PASS: [usize; 2] = [56, 108];
/// Bytes of code before what follows a run, for runs of several turns.
const TURNS: usize = 28;

/// All tiles and groups; nothing where [`Quads::fits`] says no.
#[inline(always)]
pub(in crate::backend::cortex_m) fn quads(quads: &mut Quads<'_>) {
    const { assert!(UNROLL == 8 && CELLS == 3 && CHANNELS == 4 && HEAD == 16 && PIXELS == 2) };
    if !quads.fits() {
        return;
    }
    let skipped = (UNROLL - quads.pairs % UNROLL) % UNROLL;
    let turns = quads.pairs.div_ceil(UNROLL);
    let tiles = quads.count.div_ceil(PIXELS);
    // The second pixel of a tile that has only one is written first, in the same place.
    let last = if quads.count.is_multiple_of(PIXELS) { quads.step } else { 0 };
    let out = quads.out.as_mut_ptr() as usize;
    let second = quads.second.is_some();
    let words: [usize; 20] = [
        quads.x.as_ptr() as usize,
        quads.weights.as_ptr() as usize,
        out,
        out.wrapping_add(quads.second.unwrap_or(0)),
        quads.groups,
        tiles,
        if tiles == 1 { last } else { quads.step },
        quads.starts[0] * 4,
        quads.starts[1] * 4,
        quads.groups,
        quads.weights.as_ptr() as usize,
        quads.group() * 4,
        quads.tile() * 4,
        (PIXELS * quads.step).wrapping_sub(CHANNELS * quads.groups),
        last,
        turns,
        turns,
        // Bit 0 says Thumb.
        skipped * PASS[usize::from(quads.across)] + 1,
        usize::from(quads.across)
            + 2 * usize::from(quads.down)
            + 4 * usize::from(second)
            + 8 * usize::from(quads.relu),
        if turns == 1 { 0 } else { TURNS },
    ];
    // SAFETY: `fits` has checked that tiles, weights and outputs lie in their slices, and that
    // there is one of each. They are words, as `ldm` wants.
    unsafe { quads_2x4(words.as_ptr()) }
}

/// r0–r3 sums of the first pixel, r4–r7 of the second, r8 and r9 inputs, r10 and r11 weights,
/// r12 inputs, lr weights. On the stack, in bytes, as in `words`: 0 tile, 4 group, 8 and 12 outputs
/// of either row, 16 groups left, 20 tiles left, 24 bytes between pixels, 28 and 32 first and
/// second run in a tile, 36 groups, 40 weights, 44 bytes of a group, 48 of a tile, 52 of outputs
/// between tiles, 56 between pixels of the last tile, 60 turns of a run, 64 those left; then
/// 68 what follows this run, 72 the entry of a run, 76 its loop, what follows 80 the first run,
/// 84 the second, 88 the first row, 92 the last run, 96 inputs and 100 weights put aside,
/// 104 sums put aside.
///
/// # Safety
/// `words` are those of [`quads`].
#[unsafe(naked)]
unsafe extern "C" fn quads_2x4(words: *const usize) {
    naked_asm!(
        cpu!(),
        // Before what follows a run: the next turn of it.
        ".macro microconv_turns",
        "ldr.w r8, [sp, #64]",
        "ldr.w r9, [sp, #76]",
        "subs.w r8, r8, #1",
        "str.w r8, [sp, #64]",
        "it ne",
        "bxne r9",
        "ldr.w r8, [sp, #60]",
        "str.w r8, [sp, #64]",
        ".endm",
        // The next run.
        ".macro microconv_run then",
        "ldr r9, [sp, #\\then]",
        "ldr r10, [sp, #72]",
        "str r9, [sp, #68]",
        ".endm",
        ".macro microconv_code x",
        "smmulr \\x, \\x, r8",
        "add \\x, \\x, \\x, asr #31",
        "asrs \\x, \\x, r10",
        "adc \\x, \\x, r9",
        "ssat \\x, #8, \\x",
        ".endm",
        ".macro microconv_relu x",
        "smmlar \\x, \\x, r8, r9",
        "asr \\x, \\x, r10",
        "ssat \\x, #8, \\x",
        ".endm",
        ".macro microconv_both what, a, b",
        "ldmia lr!, {{r8, r9, r10}}",
        "\\what \\b",
        "\\what \\a",
        "strb \\b, [r12], #1",
        "strb \\a, [r11], #1",
        ".endm",
        // The codes of a row.
        ".macro microconv_codes what, row",
        "str.w r12, [sp, #96]",
        "str.w lr, [sp, #100]",
        "ldr.w r11, [sp, #\\row]",
        "ldr.w r12, [sp, #24]",
        "ldr.w lr, [sp, #4]",
        "add r12, r12, r11",
        "microconv_both \\what, r0, r4",
        "microconv_both \\what, r1, r5",
        "microconv_both \\what, r2, r6",
        "microconv_both \\what, r3, r7",
        "str.w r11, [sp, #\\row]",
        ".endm",
        ".macro microconv_first what",
        "microconv_codes \\what, 8",
        "ldr r9, [sp, #88]",
        "bx r9",
        ".endm",
        ".macro microconv_second what",
        "microconv_codes \\what, 12",
        "b.w 20b",
        ".endm",
        // Four products of each pixel.
        ".macro microconv_eight a, b",
        "smlad r0, \\a, r10, r0",
        "smlad r4, \\b, r10, r4",
        "smlad r1, \\a, r11, r1",
        "smlad r5, \\b, r11, r5",
        "ldr.w r10, [lr], #4",
        "ldr.w r11, [lr], #4",
        "smlad r2, \\a, r10, r2",
        "smlad r6, \\b, r10, r6",
        "smlad r3, \\a, r11, r3",
        "smlad r7, \\b, r11, r7",
        ".endm",
        "push {{r4-r11, lr}}",
        "sub sp, sp, #140",
        "mov r12, sp",
        "ldmia r0!, {{r1-r8}}",
        "stmia r12!, {{r1-r8}}",
        "ldmia r0!, {{r1-r9}}",
        "stmia r12!, {{r1-r9}}",
        "ldmia r0, {{r1-r3}}",
        "adr.w r4, 31f",
        "adr.w r5, 32f",
        "tst r2, #1",
        "it ne",
        "movne r4, r5",
        "add r5, r4, #1",
        "add r4, r4, r1",
        "str r5, [sp, #76]",
        "str r4, [sp, #72]",
        "adr.w r4, 25f",
        "adr.w r5, 26f",
        "adr.w r6, 27f",
        "adr.w r7, 28f",
        "tst r2, #8",
        "itt ne",
        "movne r4, r5",
        "movne r6, r7",
        // Bit 0 says Thumb.
        "rsb r3, r3, #1",
        "add r4, r4, r3",
        "add r6, r6, r3",
        "adr.w r5, 23f",
        "adr.w r7, 24f",
        "adr.w r8, 20f",
        "adr.w r9, 22f",
        "add r9, r9, r3",
        "tst r2, #2",
        "ite eq",
        "moveq r9, r4",
        "movne r5, r7",
        "tst r2, #4",
        "it eq",
        "moveq r5, r8",
        "add r5, r5, #1",
        "str r9, [sp, #80]",
        "str r4, [sp, #84]",
        "str r5, [sp, #88]",
        "str r6, [sp, #92]",
        "b 21f",
        // A group has ended.
        ".p2align 2",
        "20:",
        "ldr r8, [sp, #4]",
        "ldr r9, [sp, #44]",
        "ldr r10, [sp, #16]",
        "add r8, r8, r9",
        "subs r10, r10, #1",
        "str r8, [sp, #4]",
        "str r10, [sp, #16]",
        "bne 21f",
        // A tile has ended.
        "ldr r0, [sp, #40]",
        "ldr r1, [sp, #36]",
        "ldr r2, [sp, #0]",
        "ldr r3, [sp, #48]",
        "ldr r4, [sp, #8]",
        "ldr r5, [sp, #12]",
        "ldr r6, [sp, #52]",
        "ldr r7, [sp, #20]",
        "add r2, r2, r3",
        "add r4, r4, r6",
        "add r5, r5, r6",
        "subs r7, r7, #1",
        "beq 29f",
        "str r0, [sp, #4]",
        "str r1, [sp, #16]",
        "str r2, [sp, #0]",
        "str r4, [sp, #8]",
        "str r5, [sp, #12]",
        "str r7, [sp, #20]",
        "cmp r7, #1",
        "bne 21f",
        "ldr r0, [sp, #56]",
        "str r0, [sp, #24]",
        // A group.
        "21:",
        "ldr.w lr, [sp, #4]",
        "ldr.w r12, [sp, #0]",
        "ldr r8, [sp, #28]",
        "microconv_run 80",
        "add lr, lr, #48",
        "add r12, r12, r8",
        "ldmia lr!, {{r0-r3}}",
        "mov r4, r0",
        "mov r5, r1",
        "mov r6, r2",
        "mov r7, r3",
        "bx r10",
        "29:",
        "add sp, sp, #140",
        "pop {{r4-r11, pc}}",
        // The other row begins anew.
        ".p2align 2",
        "23:",
        "ldr.w lr, [sp, #4]",
        "ldr.w r12, [sp, #0]",
        "ldr r8, [sp, #32]",
        "microconv_run 92",
        "add lr, lr, #48",
        "add r12, r12, r8",
        "ldmia lr!, {{r0-r3}}",
        "mov r4, r0",
        "mov r5, r1",
        "mov r6, r2",
        "mov r7, r3",
        "bx r10",
        // What both rows have in common is there.
        ".p2align 2",
        "microconv_turns",
        ".p2align 2",
        "22:",
        "add r8, sp, #104",
        "stmia r8, {{r0-r7}}",
        "microconv_run 84",
        "bx r10",
        // The other row goes on from there.
        ".p2align 2",
        "24:",
        "ldr.w r12, [sp, #96]",
        "ldr.w lr, [sp, #100]",
        "add r8, sp, #104",
        "microconv_run 92",
        "ldmia r8, {{r0-r7}}",
        "bx r10",
        ".p2align 2",
        "microconv_turns",
        ".p2align 2",
        "25:",
        "microconv_first microconv_code",
        ".p2align 2",
        "microconv_turns",
        ".p2align 2",
        "26:",
        "microconv_first microconv_relu",
        ".p2align 2",
        "microconv_turns",
        ".p2align 2",
        "27:",
        "microconv_second microconv_code",
        ".p2align 2",
        "microconv_turns",
        ".p2align 2",
        "28:",
        "microconv_second microconv_relu",
        ".p2align 2",
        "31:",
        ".rept 8",
        "ldr.w r8, [r12], #4",
        "ldr.w r9, [r12], #8",
        "ldr.w r10, [lr], #4",
        "ldr.w r11, [lr], #4",
        "microconv_eight r8, r9",
        ".endr",
        "ldr r9, [sp, #68]",
        "bx r9",
        ".p2align 2",
        "32:",
        ".rept 8",
        "ldr.w r8, [r12], #4",
        "ldr.w r9, [r12], #4",
        "ldr.w r10, [lr], #4",
        "ldr.w r11, [lr], #4",
        "microconv_eight r8, r9",
        "ldr.w r8, [r12], #4",
        "ldr.w r10, [lr], #4",
        "ldr.w r11, [lr], #4",
        "microconv_eight r9, r8",
        ".endr",
        "ldr r9, [sp, #68]",
        "bx r9",
        ".purgem microconv_turns",
        ".purgem microconv_run",
        ".purgem microconv_code",
        ".purgem microconv_relu",
        ".purgem microconv_both",
        ".purgem microconv_codes",
        ".purgem microconv_first",
        ".purgem microconv_second",
        ".purgem microconv_eight",
    )
}

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
