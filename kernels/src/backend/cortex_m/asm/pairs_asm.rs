//! Depthwise 3 × 3 on pairs of rows: the outputs.
#![allow(unsafe_code, reason = "inline assembly; each block states why it is sound")]

use core::arch::naked_asm;

use crate::backend::cortex_m::depthwise_conv2d::pairs::{CHANNELS, Rows, TAPS, WORDS};

/// Two output rows of stride 1, [`Rows::row`] apart: with that zero the upper row remains.
/// Nothing is done where [`Rows::fits`] says no.
#[inline(always)]
pub(in crate::backend::cortex_m) fn two_rows(rows: &Rows<'_>, out: &mut [i8]) {
    if !rows.fits(out) || rows.stride != 1 {
        return;
    }
    let words = frame(rows, out);
    // SAFETY: `fits` has checked that planes, weights and outputs of all columns lie in their slices.
    unsafe { two_rows_of_four(words.as_ptr()) }
}

/// One output row of stride 2. Nothing is done where [`Rows::fits`] says no.
#[inline(always)]
pub(in crate::backend::cortex_m) fn one_row(rows: &Rows<'_>, out: &mut [i8]) {
    if !rows.fits(out) || rows.stride != 2 {
        return;
    }
    let words = frame(rows, out);
    // SAFETY: as in `two_rows`.
    unsafe { one_row_of_four(words.as_ptr()) }
}

/// Ten words for the stack, then upper plane, lower plane, weights, output.
#[inline(always)]
fn frame(rows: &Rows<'_>, out: &mut [i8]) -> [usize; 14] {
    const { assert!(TAPS == 3 && WORDS == 10 && CHANNELS == 4) };
    let cell = 4 * CHANNELS;
    let upper = rows.planes[0].as_ptr();
    // Threes of columns, then none, four or two more: there are two at least.
    let threes = rows.columns - 4 * rows.columns % 6;
    let end = |columns: usize| upper.wrapping_add(columns * rows.stride * CHANNELS) as usize;
    [
        end(threes),
        end(rows.columns),
        rows.weights.as_ptr().wrapping_add(CHANNELS * WORDS) as usize,
        rows.columns * rows.stride * cell - 4,
        (rows.columns * rows.step).wrapping_sub(1),
        (rows.cells() - 1) * cell,
        rows.row,
        rows.step,
        rows.fours,
        usize::from(rows.relu),
        upper as usize,
        rows.planes[1].as_ptr() as usize,
        rows.weights.as_ptr() as usize,
        out.as_mut_ptr() as usize,
    ]
}

/// Two ways from a doubled sum to a code, with mantissa, offset and right shift in r6, r7 and
/// r8, and r9 free; what follows a channel.
macro_rules! macros {
    () => {
        ".macro microconv_code x
        add r9, r7, \\x, asr #31
        smmlar \\x, \\x, r6, r9
        asr \\x, \\x, r8
        ssat \\x, #8, \\x
        .endm
        .macro microconv_relu x
        smmlar \\x, \\x, r6, r7
        asr \\x, \\x, r8
        ssat \\x, #8, \\x
        .endm
        .macro microconv_parameters
        ldr r6, [r12, #28]
        ldr r7, [r12, #32]
        ldr r8, [r12, #36]
        .endm
        .macro microconv_next
        ldr r8, [sp, #0]
        ldr r9, [sp, #4]
        ldr r0, [sp, #12]
        ldr r1, [sp, #16]
        ldr r2, [sp, #8]
        add r12, r12, #40
        add r8, r8, #4
        add r9, r9, #4
        str r8, [sp, #0]
        str r9, [sp, #4]
        sub r10, r10, r0
        sub r11, r11, r0
        sub lr, lr, r1
        cmp r12, r2
        bne.w 2b
        ldr r0, [sp, #32]
        ldr r1, [sp, #20]
        subs r0, r0, #1
        beq 6f
        add r2, r2, #160
        add r8, r8, r1
        add r9, r9, r1
        add r10, r10, r1
        add r11, r11, r1
        str r0, [sp, #32]
        str r2, [sp, #8]
        str r8, [sp, #0]
        str r9, [sp, #4]
        b.w 2b
        6:
        add sp, sp, #40
        pop {{r4-r11, pc}}
        .endm"
    };
}

/// The end of [`macros`].
macro_rules! purge {
    () => {
        ".purgem microconv_code
        .purgem microconv_relu
        .purgem microconv_parameters
        .purgem microconv_next"
    };
}

/// The frame of [`frame`], and a jump to label 7 where the lowest code is the zero point.
macro_rules! begin {
    () => {
        "push {{r4-r11, lr}}
        sub sp, sp, #40
        mov r11, sp
        ldmia r0!, {{r1-r10}}
        stmia r11, {{r1-r10}}
        mov r8, r1
        cmp r10, #0
        ldmia r0, {{r10, r11, r12, lr}}
        bne.w 7f"
    };
}

/// r0–r5 sums of three columns, each upper and lower row, r6–r8 inputs, r9 weights, r10 r11
/// planes, r12 weights of the channel, lr output. On the stack, in words: where the threes of
/// columns and where all of them end in the upper plane, end of the weights, bytes back to the
/// next channel in the planes and in the output, bytes on to the next four in the planes,
/// bytes between rows and between columns of the output, fours left.
///
/// # Safety
/// `words` are those of [`frame`].
#[unsafe(naked)]
unsafe extern "C" fn two_rows_of_four(words: *const usize) {
    naked_asm!(
        cpu!(),
        macros!(),
        // With (w0, w1) and (w1, w2) of a column of weights in r9: the upper output
        // is r0·w0 + r1·w1 + r2·w2, the lower one r1·w0 + r2·w1 + r3·w2.
        ".macro microconv_above x0, x1, x2",
        "smlad r0, \\x0, r9, r0",
        "smlatb r1, \\x0, r9, r1",
        "smlad r2, \\x1, r9, r2",
        "smlatb r3, \\x1, r9, r3",
        "smlad r4, \\x2, r9, r4",
        "smlatb r5, \\x2, r9, r5",
        ".endm",
        ".macro microconv_below x0, x1, x2",
        "smlabt r0, \\x0, r9, r0",
        "smlad r1, \\x0, r9, r1",
        "smlabt r2, \\x1, r9, r2",
        "smlad r3, \\x1, r9, r3",
        "smlabt r4, \\x2, r9, r4",
        "smlad r5, \\x2, r9, r5",
        ".endm",
        ".macro microconv_both up, low, upper, lower",
        "smlad \\up, \\upper, r8, \\up",
        "smlatb \\low, \\upper, r8, \\low",
        "smlabt \\up, \\lower, r9, \\up",
        "smlad \\low, \\lower, r9, \\low",
        ".endm",
        ".macro microconv_rows what",
        // A channel: r8 is where its threes end.
        "2:",
        "cmp r10, r8",
        "beq.w 4f",
        "3:",
        "ldr r9, [r12, #0]",
        "ldr r5, [r12, #24]",
        "ldr r6, [r10, #0]",
        "ldr r7, [r10, #16]",
        "ldr r8, [r10, #32]",
        "smlad r0, r6, r9, r5",
        "smlatb r1, r6, r9, r5",
        "smlad r2, r7, r9, r5",
        "smlatb r3, r7, r9, r5",
        "smlad r4, r8, r9, r5",
        "smlatb r5, r8, r9, r5",
        "ldr r9, [r12, #8]",
        "ldr r6, [r10, #48]!",
        "microconv_above r7, r8, r6",
        "ldr r9, [r12, #16]",
        "ldr r7, [r10, #16]",
        "microconv_above r8, r6, r7",
        "ldr r9, [r12, #4]",
        "ldr r6, [r11, #0]",
        "ldr r7, [r11, #16]",
        "ldr r8, [r11, #32]",
        "microconv_below r6, r7, r8",
        "ldr r9, [r12, #12]",
        "ldr r6, [r11, #48]!",
        "microconv_below r7, r8, r6",
        "ldr r9, [r12, #20]",
        "ldr r7, [r11, #16]",
        "microconv_below r8, r6, r7",
        "microconv_parameters",
        "\\what r0",
        "\\what r1",
        "\\what r2",
        "\\what r3",
        "\\what r4",
        "\\what r5",
        "ldr r6, [sp, #24]",
        "ldr r7, [sp, #28]",
        "ldr r8, [sp, #0]",
        // The lower row first: where there is none, the upper one overwrites it.
        "strb r1, [lr, r6]",
        "add r9, lr, r7",
        "strb r0, [lr]",
        "strb r3, [r9, r6]",
        "add lr, r9, r7",
        "strb r2, [r9]",
        "strb r5, [lr, r6]",
        "strb r4, [lr]",
        "cmp r10, r8",
        "add lr, lr, r7",
        "bne.w 3b",
        "4:",
        "ldr r9, [sp, #4]",
        "cmp r10, r9",
        "beq 5f",
        "8:",
        // Two columns.
        "ldr r8, [r12, #0]",
        "ldr r9, [r12, #4]",
        "ldr r3, [r12, #24]",
        "ldr r4, [r10, #0]",
        "ldr r5, [r11, #0]",
        "ldr r6, [r10, #16]",
        "ldr r7, [r11, #16]",
        "smlad r0, r4, r8, r3",
        "smlatb r1, r4, r8, r3",
        "smlad r2, r6, r8, r3",
        "smlatb r3, r6, r8, r3",
        "smlabt r0, r5, r9, r0",
        "smlad r1, r5, r9, r1",
        "smlabt r2, r7, r9, r2",
        "smlad r3, r7, r9, r3",
        "ldr r8, [r12, #8]",
        "ldr r9, [r12, #12]",
        "ldr r4, [r10, #32]!",
        "ldr r5, [r11, #32]!",
        "microconv_both r0, r1, r6, r7",
        "microconv_both r2, r3, r4, r5",
        "ldr r8, [r12, #16]",
        "ldr r9, [r12, #20]",
        "ldr r6, [r10, #16]",
        "ldr r7, [r11, #16]",
        "microconv_both r0, r1, r4, r5",
        "microconv_both r2, r3, r6, r7",
        "microconv_parameters",
        "ldr r4, [sp, #24]",
        "ldr r5, [sp, #28]",
        "\\what r0",
        "\\what r1",
        "\\what r2",
        "\\what r3",
        "ldr r9, [sp, #4]",
        "strb r1, [lr, r4]",
        "add r6, lr, r5",
        "strb r0, [lr]",
        "strb r3, [r6, r4]",
        "strb r2, [r6]",
        "cmp r10, r9",
        "add lr, r6, r5",
        "bne.w 8b",
        "5:",
        "microconv_next",
        ".endm",
        begin!(),
        "microconv_rows microconv_code",
        "7:",
        "microconv_rows microconv_relu",
        ".purgem microconv_rows",
        ".purgem microconv_above",
        ".purgem microconv_below",
        ".purgem microconv_both",
        purge!(),
    )
}

/// r0–r2 sums of three columns, r3–r9 inputs and weights, the others and the stack as in
/// [`two_rows_of_four`].
///
/// # Safety
/// `words` are those of [`frame`].
#[unsafe(naked)]
unsafe extern "C" fn one_row_of_four(words: *const usize) {
    naked_asm!(
        cpu!(),
        macros!(),
        ".macro microconv_rows what",
        "2:",
        "cmp r10, r8",
        "beq.w 4f",
        "3:",
        // Columns 0 and 2 of the weights, which share inputs, then column 1; the next plane.
        "ldr r8, [r12, #0]",
        "ldr r9, [r12, #16]",
        "ldr r2, [r12, #24]",
        "ldr r3, [r10, #0]",
        "ldr r4, [r10, #32]",
        "ldr r5, [r10, #64]",
        "ldr r6, [r10, #96]",
        "smlad r0, r3, r8, r2",
        "smlad r1, r4, r8, r2",
        "smlad r2, r5, r8, r2",
        "smlad r0, r4, r9, r0",
        "smlad r1, r5, r9, r1",
        "smlad r2, r6, r9, r2",
        "ldr r8, [r12, #8]",
        "ldr r3, [r10, #16]",
        "ldr r4, [r10, #48]",
        "ldr r5, [r10, #80]",
        "ldr r9, [r12, #4]",
        "ldr r6, [r11, #0]",
        "ldr r7, [r11, #32]",
        "smlad r0, r3, r8, r0",
        "smlad r1, r4, r8, r1",
        "smlad r2, r5, r8, r2",
        "ldr r8, [r12, #20]",
        "ldr r3, [r11, #64]",
        "ldr r4, [r11, #96]",
        "smlabt r0, r6, r9, r0",
        "smlabt r1, r7, r9, r1",
        "smlabt r2, r3, r9, r2",
        "smlabt r0, r7, r8, r0",
        "smlabt r1, r3, r8, r1",
        "smlabt r2, r4, r8, r2",
        "ldr r9, [r12, #12]",
        "ldr r3, [r11, #16]",
        "ldr r4, [r11, #48]",
        "ldr r5, [r11, #80]",
        "microconv_parameters",
        "smlabt r0, r3, r9, r0",
        "smlabt r1, r4, r9, r1",
        "smlabt r2, r5, r9, r2",
        "ldr r4, [sp, #28]",
        "ldr r5, [sp, #0]",
        "add r10, r10, #96",
        "add r11, r11, #96",
        "\\what r0",
        "\\what r1",
        "\\what r2",
        "strb r0, [lr]",
        "strb r1, [lr, r4]",
        "add lr, lr, r4, lsl #1",
        "strb r2, [lr]",
        "cmp r10, r5",
        "add lr, lr, r4",
        "bne.w 3b",
        "4:",
        "ldr r9, [sp, #4]",
        "cmp r10, r9",
        "beq 5f",
        "8:",
        // Two columns.
        "ldr r8, [r12, #0]",
        "ldr r9, [r12, #16]",
        "ldr r1, [r12, #24]",
        "ldr r3, [r10, #0]",
        "ldr r4, [r10, #32]",
        "ldr r5, [r10, #64]",
        "smlad r0, r3, r8, r1",
        "smlad r1, r4, r8, r1",
        "smlad r0, r4, r9, r0",
        "smlad r1, r5, r9, r1",
        "ldr r8, [r12, #8]",
        "ldr r9, [r12, #4]",
        "ldr r3, [r10, #16]",
        "ldr r4, [r10, #48]",
        "ldr r5, [r11, #0]",
        "ldr r6, [r11, #32]",
        "ldr r7, [r11, #64]",
        "smlad r0, r3, r8, r0",
        "smlad r1, r4, r8, r1",
        "smlabt r0, r5, r9, r0",
        "smlabt r1, r6, r9, r1",
        "ldr r8, [r12, #20]",
        "ldr r9, [r12, #12]",
        "ldr r3, [r11, #16]",
        "ldr r4, [r11, #48]",
        "smlabt r0, r6, r8, r0",
        "smlabt r1, r7, r8, r1",
        "smlabt r0, r3, r9, r0",
        "smlabt r1, r4, r9, r1",
        "microconv_parameters",
        "ldr r4, [sp, #28]",
        "ldr r5, [sp, #4]",
        "add r10, r10, #64",
        "add r11, r11, #64",
        "\\what r0",
        "\\what r1",
        "strb r0, [lr]",
        "strb r1, [lr, r4]",
        "cmp r10, r5",
        "add lr, lr, r4, lsl #1",
        "bne.w 8b",
        "5:",
        "microconv_next",
        ".endm",
        begin!(),
        "microconv_rows microconv_code",
        "7:",
        "microconv_rows microconv_relu",
        ".purgem microconv_rows",
        purge!(),
    )
}
