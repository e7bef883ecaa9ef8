//! From sums to codes.
#![allow(unsafe_code, reason = "inline assembly; each block states why it is sound")]

use core::arch::{asm, naked_asm};

use crate::backend::cortex_m::elementwise::AddHalves;

/// `ssat8(zero_point + round(acc · mantissa / 2^(31 + n)))` with TFLite's double rounding,
/// for `n` in 1…31 and `|acc| < 2^30`.
#[inline(always)]
pub(in crate::backend::cortex_m) fn requantize(
    acc: i32,
    mantissa: i32,
    n: i32,
    zero_point: i32,
) -> i32 {
    let code;
    // SAFETY: registers and flags only. `asrs` leaves the last bit that it shifts
    // out in the carry, which `adc` adds: rounding to nearest, ties upwards; the
    // subtraction of one from negative values before it makes that "away from zero".
    unsafe {
        asm!(
            "lsl {x}, {x}, #1",
            "smmulr {x}, {x}, {m}",
            "add {x}, {x}, {x}, asr #31",
            "asrs {x}, {x}, {n}",
            "adc {x}, {x}, {z}",
            "ssat {x}, #8, {x}",
            x = inlateout(reg) acc => code,
            m = in(reg) mantissa,
            n = in(reg) n,
            z = in(reg) zero_point,
            options(nomem, nostack),
        );
    }
    code
}

/// `requantize` of `tiles` tiles: channel `c` of pixel `p` goes to `out[p · step + c]`, with a
/// multiplier per channel, or one for all. Sums of an odd number of channels are padded to
/// an even one. Nothing is done where a slice is too short.
#[inline(always)]
pub(in crate::backend::cortex_m) fn requantize_pixels(
    acc: &[i32],
    [mantissas, shifts]: [&[i32]; 2],
    zero_point: i32,
    [channels, tiles, step]: [usize; 3],
    out: &mut [i8],
) {
    let single = mantissas.len() == 1;
    let multipliers = if single { 1 } else { channels };
    let padding = channels % 2 * 12;
    let fits = channels != 0
        && tiles != 0
        && acc.len() >= tiles * channels.next_multiple_of(2) * 3
        && mantissas.len() >= multipliers
        && shifts.len() >= multipliers
        && out.len() >= (3 * tiles - 1) * step + channels;
    if !fits {
        return;
    }
    let words: [usize; 12] = [
        channels,
        tiles,
        mantissas.as_ptr() as usize,
        shifts.as_ptr() as usize,
        (3 * step).wrapping_sub(channels),
        padding,
        usize::from(single),
        acc.as_ptr() as usize,
        out.as_mut_ptr() as usize,
        out.as_mut_ptr().wrapping_add(step) as usize,
        out.as_mut_ptr().wrapping_add(2 * step) as usize,
        zero_point as usize,
    ];
    // SAFETY: everything that the tiles read and write was checked to lie in its slice.
    unsafe { requantize_3(words.as_ptr()) }
}

/// r0 sums, r1 mantissas, r2 shifts, r3–r5 outputs, r6 zero point, r7 channels left,
/// r8–r10 sums, r11 mantissa, r12 shift. On the stack, in words: channels, tiles left,
/// mantissas, shifts, bytes between tiles, bytes of padding sums, whether single.
///
/// # Safety
/// `words` are those of [`requantize_pixels`].
#[unsafe(naked)]
unsafe extern "C" fn requantize_3(words: *const usize) {
    naked_asm!(
        cpu!(),
        ".macro microconv_round x",
        "lsl \\x, \\x, #1",
        "smmulr \\x, \\x, r11",
        "add \\x, \\x, \\x, asr #31",
        "asrs \\x, \\x, r12",
        "adc \\x, \\x, r6",
        "ssat \\x, #8, \\x",
        ".endm",
        ".macro microconv_round_three",
        "microconv_round r8",
        "microconv_round r9",
        "microconv_round r10",
        "strb r8, [r3], #1",
        "strb r9, [r4], #1",
        "strb r10, [r5], #1",
        ".endm",
        "push {{r4-r11, lr}}",
        "sub sp, sp, #28",
        "ldmia r0!, {{r1-r7}}",
        "mov r8, sp",
        "stmia r8, {{r1-r7}}",
        "ldmia r0, {{r0, r3-r6}}",
        // A tile.
        "5:",
        "ldr r7, [sp, #0]",
        "ldr r1, [sp, #8]",
        "ldr r2, [sp, #12]",
        "ldr r8, [sp, #24]",
        "cmp r8, #0",
        "bne 3f",
        "2:",
        "ldr r11, [r1], #4",
        "ldr r12, [r2], #4",
        "ldmia r0!, {{r8-r10}}",
        "rsb r12, r12, #0",
        "microconv_round_three",
        "subs r7, r7, #1",
        "bne 2b",
        "6:",
        "ldr r8, [sp, #4]",
        "ldr r9, [sp, #16]",
        "ldr r10, [sp, #20]",
        "add r3, r3, r9",
        "add r4, r4, r9",
        "add r5, r5, r9",
        "add r0, r0, r10",
        "subs r8, r8, #1",
        "str r8, [sp, #4]",
        "bne 5b",
        "add sp, sp, #28",
        "pop {{r4-r11, pc}}",
        "3:",
        "ldr r11, [r1]",
        "ldr r12, [r2]",
        "rsb r12, r12, #0",
        "4:",
        "ldmia r0!, {{r8-r10}}",
        "microconv_round_three",
        "subs r7, r7, #1",
        "bne 4b",
        "b 6b",
        ".purgem microconv_round_three",
        ".purgem microconv_round",
    )
}

/// `requantize` of one sum per channel, each with its multiplier; cut to the shortest slice.
#[inline(always)]
pub(in crate::backend::cortex_m) fn requantize_run(
    acc: &[i32],
    [mantissas, shifts]: [&[i32]; 2],
    zero_point: i32,
    out: &mut [i8],
) {
    let count = acc.len().min(out.len()).min(mantissas.len()).min(shifts.len());
    if count == 0 {
        return;
    }
    // SAFETY: reads `count` elements of the inputs and writes as many of `out`;
    // the arithmetic is that of `requantize`.
    unsafe {
        asm!(
            "2:",
            "ldr {x}, [{p}], #4",
            "ldr {m}, [{pm}], #4",
            "ldr {n}, [{pn}], #4",
            "lsl {x}, {x}, #1",
            "rsb {n}, {n}, #0",
            "smmulr {x}, {x}, {m}",
            "add {x}, {x}, {x}, asr #31",
            "asrs {x}, {x}, {n}",
            "adc {x}, {x}, {z}",
            "ssat {x}, #8, {x}",
            "strb {x}, [{o}], #1",
            "subs {c}, {c}, #1",
            "bne 2b",
            p = inout(reg) acc.as_ptr() => _,
            pm = inout(reg) mantissas.as_ptr() => _,
            pn = inout(reg) shifts.as_ptr() => _,
            o = inout(reg) out.as_mut_ptr() => _,
            c = inout(reg) count => _,
            z = in(reg) zero_point,
            x = out(reg) _,
            m = out(reg) _,
            n = out(reg) _,
            options(nostack),
        );
    }
}

/// `y[i] = requantize(b' + (a[i] << 19))` with `b' = offset + round((b[i] << 21) − zero) · …`:
/// the sum of two operands, of which the first has the multiplier one half.
#[inline(always)]
pub(in crate::backend::cortex_m) fn add_halves(a: &[i8], b: &[i8], how: &AddHalves, y: &mut [i8]) {
    let count = a.len().min(b.len()).min(y.len());
    if count == 0 {
        return;
    }
    let words: [usize; 11] = [
        a.as_ptr() as usize,
        b.as_ptr() as usize,
        y.as_mut_ptr() as usize,
        count,
        how.mantissa as usize,
        how.shift as usize,
        how.offset as usize,
        how.zero as usize,
        how.out_mantissa as usize,
        how.out_shift as usize,
        how.out_zero as usize,
    ];
    // SAFETY: `count` elements of the three slices.
    unsafe { add_loop(words.as_ptr()) }
}

/// r0 and r1 operands, r2 output, r3 count, r4–r10 the parameters in order, r11 r12 values.
///
/// # Safety
/// `words` are those of [`add_halves`].
#[unsafe(naked)]
unsafe extern "C" fn add_loop(words: *const usize) {
    naked_asm!(
        cpu!(),
        "push {{r4-r11, lr}}",
        "ldmia r0, {{r0-r10}}",
        "2:",
        "ldrsb r11, [r1], #1",
        "ldrsb r12, [r0], #1",
        "rsb r11, r7, r11, lsl #21",
        "smmulr r11, r11, r4",
        "add r11, r11, r11, asr #31",
        "asrs r11, r11, r5",
        "adc r11, r11, r6",
        "add r11, r11, r12, lsl #19",
        "lsl r11, r11, #1",
        "smmulr r11, r11, r8",
        "add r11, r11, r11, asr #31",
        "asrs r11, r11, r9",
        "adc r11, r11, r10",
        "ssat r11, #8, r11",
        "subs r3, r3, #1",
        "strb r11, [r2], #1",
        "bne 2b",
        "pop {{r4-r11, pc}}",
    )
}
