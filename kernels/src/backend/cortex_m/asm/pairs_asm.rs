//! Depthwise 3 × 3 on pairs of rows.
#![allow(unsafe_code, reason = "inline assembly; each block states why it is sound")]

use core::arch::{asm, naked_asm};

use crate::backend::cortex_m::depthwise_conv2d::pairs::{CHANNELS, TAPS, WORDS};

/// Packs four channels of `columns` cells of two rows, `steps` bytes apart in each, to
/// words of (upper row, lower row), channel by channel. Nothing is done where a slice is
/// too short.
#[inline(always)]
pub(in crate::backend::cortex_m) fn pack_rows(
    rows: [&[i8]; 2],
    steps: [usize; 2],
    columns: usize,
    plane: &mut [i32],
) {
    const { assert!(CHANNELS == 4) };
    let reach = |step: usize| columns.saturating_sub(1).saturating_mul(step).saturating_add(4);
    let fits = columns != 0
        && rows[0].len() >= reach(steps[0])
        && rows[1].len() >= reach(steps[1])
        && plane.len() >= columns.saturating_mul(4);
    if !fits {
        return;
    }
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
            pa = inout(reg) rows[0].as_ptr() => _,
            pb = inout(reg) rows[1].as_ptr() => _,
            sa = in(reg) steps[0],
            sb = in(reg) steps[1],
            o = inout(reg) plane.as_mut_ptr() => _,
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

/// Two output rows, `row` bytes apart, of four channels: `columns` outputs, at least two,
/// `step` bytes apart. `planes` hold the upper and the lower two input rows as
/// [`pack_rows`] leaves them, `weights` [`WORDS`] words per channel. With `row` zero the
/// upper row remains. Nothing is done where a slice is too short.
#[inline(always)]
pub(in crate::backend::cortex_m) fn two_rows(
    planes: [&[i32]; 2],
    weights: &[i32],
    zero_point: i32,
    [columns, step, row]: [usize; 3],
    out: &mut [i8],
) {
    const { assert!(TAPS == 3 && WORDS == 9 && CHANNELS == 4) };
    let cells = columns.saturating_add(TAPS - 1).saturating_mul(CHANNELS);
    let reach = columns.saturating_sub(1).saturating_mul(step).saturating_add(row);
    let fits = columns >= 2
        && planes.iter().all(|plane| plane.len() >= cells)
        && weights.len() >= CHANNELS * WORDS
        && out.len() >= reach.saturating_add(CHANNELS);
    if !fits {
        return;
    }
    let pairs = columns / 2;
    let words: [usize; 12] = [
        planes[0].as_ptr().wrapping_add(pairs * 2 * CHANNELS) as usize,
        weights.as_ptr().wrapping_add(CHANNELS * WORDS) as usize,
        columns * 16 - 4,
        (columns * step).wrapping_sub(1),
        zero_point as usize,
        row,
        step,
        columns % 2,
        planes[0].as_ptr() as usize,
        planes[1].as_ptr() as usize,
        weights.as_ptr() as usize,
        out.as_mut_ptr() as usize,
    ];
    // SAFETY: planes, weights and outputs of all columns were checked to lie in their slices.
    unsafe { two_rows_of_four(words.as_ptr()) }
}

/// r0–r3 sums of two columns, each upper and lower row, r4–r7 inputs of two columns, r8 r9
/// weights, r10 r11 planes, r12 weights of the channel, lr output. On the stack, in words:
/// end of the upper plane, end of the weights, bytes back to the next channel in the planes
/// and in the output, zero point, bytes between rows and between columns of the output,
/// whether a single column follows the pairs.
///
/// # Safety
/// `words` are those of [`two_rows`].
#[unsafe(naked)]
unsafe extern "C" fn two_rows_of_four(words: *const usize) {
    naked_asm!(
        cpu!(),
        // With (w0, w1) and (w1, w2) of a column of weights in r8 and r9: the upper output
        // is r0·w0 + r1·w1 + r2·w2, the lower one r1·w0 + r2·w1 + r3·w2.
        ".macro microconv_column up, low, upper, lower",
        "smlad \\up, \\upper, r8, \\up",
        "smlatb \\low, \\upper, r8, \\low",
        "smlabt \\up, \\lower, r9, \\up",
        "smlad \\low, \\lower, r9, \\low",
        ".endm",
        ".macro microconv_round x",
        "smmulr \\x, \\x, r4",
        "add \\x, \\x, \\x, asr #31",
        "asrs \\x, \\x, r5",
        "adc \\x, \\x, r6",
        "ssat \\x, #8, \\x",
        ".endm",
        "push {{r4-r11, lr}}",
        "sub sp, sp, #32",
        "ldmia r0!, {{r1-r8}}",
        "mov r9, sp",
        "stmia r9, {{r1-r8}}",
        "ldmia r0, {{r10, r11, r12, lr}}",
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
        "ldr r5, [r12, #32]",
        "ldr r6, [sp, #16]",
        "ldr r7, [sp, #20]",
        "ldr r8, [sp, #24]",
        "ldr r9, [sp, #0]",
        "microconv_round r3",
        "microconv_round r2",
        "microconv_round r1",
        "microconv_round r0",
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
        "ldr r5, [r12, #32]",
        "ldr r6, [sp, #16]",
        "ldr r7, [sp, #20]",
        "ldr r8, [sp, #24]",
        "ldr r9, [sp, #0]",
        "microconv_round r1",
        "microconv_round r0",
        "strb r1, [lr, r7]",
        "strb r0, [lr]",
        "add lr, lr, r8",
        // The next channel.
        "3:",
        "ldr r0, [sp, #8]",
        "ldr r1, [sp, #12]",
        "ldr r2, [sp, #4]",
        "add r12, r12, #36",
        "add r9, r9, #4",
        "str r9, [sp, #0]",
        "sub r10, r10, r0",
        "sub r11, r11, r0",
        "sub lr, lr, r1",
        "cmp r12, r2",
        "bne.w 2b",
        "add sp, sp, #32",
        "pop {{r4-r11, pc}}",
        ".purgem microconv_column",
        ".purgem microconv_round",
    )
}
