//! Depthwise 3 × 3 on pairs of rows.
#![allow(unsafe_code, reason = "inline assembly; each block states why it is sound")]

use core::arch::{asm, naked_asm};

use crate::backend::cortex_m::depthwise_conv2d::pairs::{CHANNELS, Rows, TAPS, WORDS};

/// Packs `fours` fours of channels of `columns` cells of two rows, `steps` bytes apart in each
/// (of a step of zero one cell and four are all), to words of (upper row, lower row), channel by
/// channel; fours are `cells` cells apart. Nothing is done where a slice is too short.
#[inline(always)]
pub(in crate::backend::cortex_m) fn pack_rows(
    rows: [&[i8]; 2],
    steps: [usize; 2],
    [columns, cells, fours]: [usize; 3],
    plane: &mut [i32],
) {
    const { assert!(CHANNELS == 4) };
    let next = |step: usize| if step == 0 { 0 } else { CHANNELS };
    let reach = |step: usize| {
        let columns = columns.saturating_sub(1).saturating_mul(step);
        columns.saturating_add((fours - 1).saturating_mul(next(step))).saturating_add(4)
    };
    let fits = columns != 0
        && fours != 0
        && rows[0].len() >= reach(steps[0])
        && rows[1].len() >= reach(steps[1])
        && plane.len() / 4 >= (fours - 1).saturating_mul(cells).saturating_add(columns);
    if !fits {
        return;
    }
    for four in 0..fours {
        let [a, b] = [0, 1].map(|k| rows[k].as_ptr().wrapping_add(four * next(steps[k])));
        pack_four([a, b], steps, columns, plane.as_mut_ptr().wrapping_add(four * cells * 4));
    }
}

/// A four of [`pack_rows`], which has checked that all of it lies in the slices.
#[inline(always)]
fn pack_four(rows: [*const i8; 2], steps: [usize; 2], columns: usize, plane: *mut i32) {
    // SAFETY: reads a word every `steps` bytes of both rows, the last of which ends inside,
    // and writes four words of `plane` per column; single loads need no alignment.
    unsafe {
        asm!(
            "2:",
            "ldr {a}, [{pa}]",
            "ldr {b}, [{pb}]",
            "add {pa}, {pa}, {sa}",
            "add {pb}, {pb}, {sb}",
            "sxtb16 {c}, {a}",
            "sxtb16 {d}, {b}",
            "sxtb16 {a}, {a}, ror #8",
            "sxtb16 {b}, {b}, ror #8",
            "pkhbt {e}, {c}, {d}, lsl #16",
            "pkhtb {d}, {d}, {c}, asr #16",
            "pkhbt {c}, {a}, {b}, lsl #16",
            "pkhtb {b}, {b}, {a}, asr #16",
            "str {c}, [{o}, #4]",
            "str {d}, [{o}, #8]",
            "str {b}, [{o}, #12]",
            "str {e}, [{o}], #16",
            "subs {n}, {n}, #1",
            "bne 2b",
            pa = inout(reg) rows[0] => _,
            pb = inout(reg) rows[1] => _,
            sa = in(reg) steps[0],
            sb = in(reg) steps[1],
            o = inout(reg) plane => _,
            n = inout(reg) columns => _,
            a = out(reg) _,
            b = out(reg) _,
            c = out(reg) _,
            d = out(reg) _,
            e = out(reg) _,
            options(nostack),
        );
    }
}

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
    let (pairs, columns) = (rows.columns / 2 * 2 * rows.stride, rows.columns * rows.stride);
    [
        rows.planes[0].as_ptr().wrapping_add(pairs * CHANNELS) as usize,
        rows.weights.as_ptr().wrapping_add(CHANNELS * WORDS) as usize,
        columns * cell - 4,
        (rows.columns * rows.step).wrapping_sub(1),
        (rows.cells() - 1) * cell,
        rows.row,
        rows.step,
        rows.columns % 2,
        rows.fours,
        usize::from(rows.relu),
        rows.planes[0].as_ptr() as usize,
        rows.planes[1].as_ptr() as usize,
        rows.weights.as_ptr() as usize,
        out.as_mut_ptr() as usize,
    ]
}

/// Two ways from a doubled sum to a code, with mantissa, right shift and offset in r4, r5 and r6; the
/// columns of weights; the parameters of a channel and what follows a column.
macro_rules! macros {
    () => {
        ".macro microconv_code x
        smmulr \\x, \\x, r4
        add \\x, \\x, \\x, asr #31
        asrs \\x, \\x, r5
        adc \\x, \\x, r6
        ssat \\x, #8, \\x
        .endm
        .macro microconv_relu x
        smmlar \\x, \\x, r4, r6
        asr \\x, \\x, r5
        ssat \\x, #8, \\x
        .endm
        .macro microconv_column up, low, upper, lower
        smlad \\up, \\upper, r8, \\up
        smlatb \\low, \\upper, r8, \\low
        smlabt \\up, \\lower, r9, \\up
        smlad \\low, \\lower, r9, \\low
        .endm
        .macro microconv_upper up, upper, lower
        smlad \\up, \\upper, r8, \\up
        smlabt \\up, \\lower, r9, \\up
        .endm
        .macro microconv_next
        ldr r0, [sp, #8]
        ldr r1, [sp, #12]
        ldr r2, [sp, #4]
        add r12, r12, #40
        add r9, r9, #4
        str r9, [sp, #0]
        sub r10, r10, r0
        sub r11, r11, r0
        sub lr, lr, r1
        cmp r12, r2
        bne.w 2b
        ldr r0, [sp, #32]
        ldr r1, [sp, #16]
        subs r0, r0, #1
        beq 4f
        add r2, r2, #160
        add r9, r9, r1
        add r10, r10, r1
        add r11, r11, r1
        str r0, [sp, #32]
        str r2, [sp, #4]
        str r9, [sp, #0]
        b.w 2b
        4:
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
        .purgem microconv_column
        .purgem microconv_upper
        .purgem microconv_next"
    };
}

/// The frame of [`frame`], and a jump to label 5 where the lowest code is the zero point.
macro_rules! begin {
    () => {
        "push {{r4-r11, lr}}
        sub sp, sp, #40
        mov r11, sp
        ldmia r0!, {{r1-r10}}
        stmia r11, {{r1-r10}}
        cmp r10, #0
        ldmia r0, {{r10, r11, r12, lr}}
        bne.w 5f"
    };
}

/// r0–r3 sums of two columns, each upper and lower row, r4–r7 inputs of two columns, r8 r9
/// weights, r10 r11 planes, r12 weights of the channel, lr output. On the stack, in words:
/// end of the upper plane, end of the weights, bytes back to the next channel in the planes
/// and in the output, bytes on to the next four in the planes, bytes between rows and between
/// columns of the output, whether a single column follows the pairs, fours left.
///
/// # Safety
/// `words` are those of [`frame`].
#[unsafe(naked)]
unsafe extern "C" fn two_rows_of_four(words: *const usize) {
    naked_asm!(
        cpu!(),
        macros!(),
        // With (w0, w1) and (w1, w2) of a column of weights in r8 and r9: the upper output
        // is r0·w0 + r1·w1 + r2·w2, the lower one r1·w0 + r2·w1 + r3·w2.
        ".macro microconv_rows what",
        "2:",
        // Two columns, sums doubled.
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
        "microconv_column r0, r1, r6, r7",
        "microconv_column r2, r3, r4, r5",
        "ldr r8, [r12, #16]",
        "ldr r9, [r12, #20]",
        "ldr r6, [r10, #16]",
        "ldr r7, [r11, #16]",
        "microconv_column r0, r1, r4, r5",
        "microconv_column r2, r3, r6, r7",
        "ldr r4, [r12, #28]",
        "ldr r6, [r12, #32]",
        "ldr r5, [r12, #36]",
        "ldr r7, [sp, #20]",
        "ldr r8, [sp, #24]",
        "ldr r9, [sp, #0]",
        "\\what r3",
        "\\what r2",
        "\\what r1",
        "\\what r0",
        // The lower row first: where there is none, the upper one overwrites it.
        "add r4, lr, r8",
        "strb r3, [r4, r7]",
        "strb r2, [r4]",
        "strb r1, [lr, r7]",
        "strb r0, [lr]",
        "cmp r10, r9",
        "add lr, r4, r8",
        "bne.w 2b",
        "ldr r0, [sp, #28]",
        "cmp r0, #0",
        "beq 3f",
        // The last column.
        "ldr r8, [r12, #0]",
        "ldr r9, [r12, #4]",
        "ldr r1, [r12, #24]",
        "ldr r4, [r10, #0]",
        "ldr r5, [r11, #0]",
        "ldr r6, [r10, #16]!",
        "ldr r7, [r11, #16]!",
        "smlad r0, r4, r8, r1",
        "smlatb r1, r4, r8, r1",
        "smlabt r0, r5, r9, r0",
        "smlad r1, r5, r9, r1",
        "ldr r8, [r12, #8]",
        "ldr r9, [r12, #12]",
        "ldr r4, [r10, #16]",
        "ldr r5, [r11, #16]",
        "microconv_column r0, r1, r6, r7",
        "ldr r8, [r12, #16]",
        "ldr r9, [r12, #20]",
        "microconv_column r0, r1, r4, r5",
        "ldr r4, [r12, #28]",
        "ldr r6, [r12, #32]",
        "ldr r5, [r12, #36]",
        "ldr r7, [sp, #20]",
        "ldr r8, [sp, #24]",
        "ldr r9, [sp, #0]",
        "\\what r1",
        "\\what r0",
        "strb r1, [lr, r7]",
        "strb r0, [lr]",
        "add lr, lr, r8",
        "3:",
        "microconv_next",
        ".endm",
        begin!(),
        "microconv_rows microconv_code",
        "5:",
        "microconv_rows microconv_relu",
        ".purgem microconv_rows",
        purge!(),
    )
}

/// r0 and r1 sums of two columns, r2–r7 inputs, the others as in [`two_rows_of_four`].
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
        "ldr r8, [r12, #0]",
        "ldr r9, [r12, #4]",
        "ldr r1, [r12, #24]",
        "ldr r4, [r10, #0]",
        "ldr r5, [r11, #0]",
        "ldr r6, [r10, #32]",
        "ldr r7, [r11, #32]",
        "smlad r0, r4, r8, r1",
        "smlad r1, r6, r8, r1",
        "smlabt r0, r5, r9, r0",
        "smlabt r1, r7, r9, r1",
        "ldr r8, [r12, #8]",
        "ldr r9, [r12, #12]",
        "ldr r4, [r10, #16]",
        "ldr r5, [r11, #16]",
        "ldr r2, [r10, #48]",
        "ldr r3, [r11, #48]",
        "microconv_upper r0, r4, r5",
        "microconv_upper r1, r2, r3",
        "ldr r8, [r12, #16]",
        "ldr r9, [r12, #20]",
        "ldr r4, [r10, #64]!",
        "ldr r5, [r11, #64]!",
        "microconv_upper r0, r6, r7",
        "microconv_upper r1, r4, r5",
        "ldr r4, [r12, #28]",
        "ldr r6, [r12, #32]",
        "ldr r5, [r12, #36]",
        "ldr r8, [sp, #24]",
        "ldr r9, [sp, #0]",
        "\\what r0",
        "\\what r1",
        "strb r0, [lr]",
        "strb r1, [lr, r8]",
        "cmp r10, r9",
        "add lr, lr, r8, lsl #1",
        "bne.w 2b",
        "ldr r0, [sp, #28]",
        "cmp r0, #0",
        "beq 3f",
        // The last column.
        "ldr r8, [r12, #0]",
        "ldr r9, [r12, #4]",
        "ldr r1, [r12, #24]",
        "ldr r4, [r10, #0]",
        "ldr r5, [r11, #0]",
        "ldr r6, [r10, #16]",
        "ldr r7, [r11, #16]",
        "smlad r0, r4, r8, r1",
        "smlabt r0, r5, r9, r0",
        "ldr r8, [r12, #8]",
        "ldr r9, [r12, #12]",
        "ldr r2, [r10, #32]!",
        "ldr r3, [r11, #32]!",
        "microconv_upper r0, r6, r7",
        "ldr r8, [r12, #16]",
        "ldr r9, [r12, #20]",
        "microconv_upper r0, r2, r3",
        "ldr r4, [r12, #28]",
        "ldr r6, [r12, #32]",
        "ldr r5, [r12, #36]",
        "ldr r8, [sp, #24]",
        "ldr r9, [sp, #0]",
        "\\what r0",
        "strb r0, [lr]",
        "add lr, lr, r8",
        "3:",
        "microconv_next",
        ".endm",
        begin!(),
        "microconv_rows microconv_code",
        "5:",
        "microconv_rows microconv_relu",
        ".purgem microconv_rows",
        purge!(),
    )
}
