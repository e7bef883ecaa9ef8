//! Depthwise 3 × 3 on pairs of rows: rows and weights packed for it.
#![allow(unsafe_code, reason = "inline assembly; each block states why it is sound")]

use core::arch::{asm, naked_asm};

use crate::backend::cortex_m::depthwise_conv2d::pairs::{CHANNELS, TAPS, WORDS};

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
        && cells >= columns
        && plane.len() / 4 >= (fours - 1).saturating_mul(cells).saturating_add(columns);
    if !fits {
        return;
    }
    let [a, b] = steps.map(|step| next(step).wrapping_sub(columns * step));
    let words = [
        columns,
        a,
        b,
        (cells - columns) * 4 * CHANNELS,
        rows[0].as_ptr() as usize,
        rows[1].as_ptr() as usize,
        steps[0],
        steps[1],
        plane.as_mut_ptr() as usize,
        fours,
    ];
    // SAFETY: reads a word every `steps` bytes of both rows, for each four from `next` bytes
    // further on, the last of which ends at `reach`, and writes four words of `plane` per
    // column, fours `cells` cells apart; single loads need no alignment.
    unsafe { pack_fours(words.as_ptr()) }
}

/// r0 r1 rows, r2 r3 bytes between their columns, r4 plane, r5 columns left, r12 fours left; on
/// the stack columns, bytes on to the next four in the rows and in the plane.
///
/// # Safety
/// `words` are those of [`pack_rows`].
#[unsafe(naked)]
unsafe extern "C" fn pack_fours(words: *const usize) {
    naked_asm!(
        cpu!(),
        // Bytes 0 to 3 of each row in `a` and `b`.
        ".macro microconv_cell a, b, at",
        "pkhbt r10, \\a, \\b, lsl #16",
        "pkhtb \\b, \\b, \\a, asr #16",
        "sxtb16 \\a, r10",
        "sxtb16 r10, r10, ror #8",
        "sxtb16 r11, \\b",
        "sxtb16 \\b, \\b, ror #8",
        "str \\a, [r4, #\\at]",
        "str r10, [r4, #\\at + 4]",
        "str r11, [r4, #\\at + 8]",
        "str \\b, [r4, #\\at + 12]",
        ".endm",
        "push {{r4-r11, lr}}",
        "sub sp, sp, #20",
        "mov r12, r0",
        "ldmia r12!, {{r0-r3}}",
        "stmia sp, {{r0-r3}}",
        "mov r5, r0",
        "ldmia r12, {{r0-r4, r12}}",
        "2:",
        "subs r5, r5, #2",
        "blo 4f",
        "3:",
        "ldr r7, [r0, r2]",
        "ldr r6, [r0]",
        "ldr r9, [r1, r3]",
        "ldr r8, [r1]",
        "add r0, r0, r2, lsl #1",
        "add r1, r1, r3, lsl #1",
        "microconv_cell r6, r8, 0",
        "microconv_cell r7, r9, 16",
        "add r4, r4, #32",
        "subs r5, r5, #2",
        "bhs 3b",
        "4:",
        "adds r5, r5, #2",
        "beq 5f",
        "ldr r6, [r0]",
        "ldr r8, [r1]",
        "add r0, r0, r2",
        "add r1, r1, r3",
        "microconv_cell r6, r8, 0",
        "add r4, r4, #16",
        "5:",
        "ldr r6, [sp, #4]",
        "ldr r7, [sp, #8]",
        "ldr r8, [sp, #12]",
        "ldr r5, [sp, #0]",
        "add r0, r0, r6",
        "add r1, r1, r7",
        "add r4, r4, r8",
        "subs r12, r12, #1",
        "bne.w 2b",
        "add sp, sp, #20",
        "pop {{r4-r11, pc}}",
        ".purgem microconv_cell",
    )
}

/// The weights of four channels, taps `step` bytes apart, doubled: of each channel
/// (w0, w1) and (w1, w2) of every column, [`WORDS`] words further on the next channel.
/// Nothing is done where a slice is too short.
#[inline(always)]
pub(in crate::backend::cortex_m) fn pair_weights(weights: &[i8], step: usize, words: &mut [i32]) {
    const { assert!(TAPS == 3 && WORDS == 10 && CHANNELS == 4) };
    let reach = step.saturating_mul(TAPS * TAPS - 1).saturating_add(CHANNELS);
    if weights.len() < reach || words.len() < CHANNELS * WORDS {
        return;
    }
    let words = words.as_mut_ptr();
    for column in 0..TAPS {
        let weights = weights.as_ptr().wrapping_add(column * step);
        // SAFETY: reads a word at each of three rows of taps, the last of which ends inside
        // `reach`, and writes two words of each channel; single loads need no alignment.
        unsafe {
            asm!(
                "ldr {b}, [{w}, {s}]",
                "ldr {c}, [{w}, {s}, lsl #1]",
                "ldr {a}, [{w}]",
                ".macro microconv_channel x, y, z, at",
                "sadd16 \\x, \\x, \\x",
                "sadd16 \\y, \\y, \\y",
                "sadd16 \\z, \\z, \\z",
                "pkhbt {t}, \\x, \\y, lsl #16",
                "pkhtb \\x, \\y, \\x, asr #16",
                "str {t}, [{o}, #\\at]",
                "pkhbt {t}, \\y, \\z, lsl #16",
                "pkhtb \\y, \\z, \\y, asr #16",
                "str {t}, [{o}, #\\at + 4]",
                "str \\x, [{o}, #\\at + 80]",
                "str \\y, [{o}, #\\at + 84]",
                ".endm",
                "sxtb16 {d}, {a}",
                "sxtb16 {e}, {b}",
                "sxtb16 {f}, {c}",
                "microconv_channel {d}, {e}, {f}, 0",
                "sxtb16 {a}, {a}, ror #8",
                "sxtb16 {b}, {b}, ror #8",
                "sxtb16 {c}, {c}, ror #8",
                "microconv_channel {a}, {b}, {c}, 40",
                ".purgem microconv_channel",
                w = in(reg) weights,
                s = in(reg) TAPS * step,
                o = in(reg) words.wrapping_add(2 * column),
                a = out(reg) _,
                b = out(reg) _,
                c = out(reg) _,
                d = out(reg) _,
                e = out(reg) _,
                f = out(reg) _,
                t = out(reg) _,
                options(nostack),
            );
        }
    }
}
