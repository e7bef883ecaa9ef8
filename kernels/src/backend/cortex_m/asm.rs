//! The instructions: every `unsafe` of this backend.
//!
//! Functions check the lengths of their slices once, then run a loop or one
//! instruction; `model.rs` holds the same functions in plain Rust. Nothing is
//! `pure`: the compiler may not move these blocks, so that loads stay in groups.
#![allow(unsafe_code, reason = "inline assembly; each block states why it is sound")]

use core::arch::{asm, naked_asm};

use super::elementwise::AddHalves;
use super::tile::{BLOCK_BYTES, DEPTHWISE_BYTES, DEPTHWISE_UNROLL, Descriptor, UNROLL};
use super::window::FEW_PAIRS;

/// [`super::tile`] of which the caller has checked every range.
#[inline(always)]
pub(super) fn tile(descriptor: &mut Descriptor<'_>) {
    const { assert!(UNROLL == 12 && BLOCK_BYTES == 44) };
    let words: [usize; 14] = [
        0,
        0,
        descriptor.segments.as_ptr_range().end as usize,
        descriptor.x.as_ptr() as usize,
        descriptor.pairs * 8,
        (UNROLL - descriptor.pairs % UNROLL) % UNROLL * BLOCK_BYTES,
        descriptor.acc.as_mut_ptr() as usize,
        descriptor.groups,
        descriptor.segments.as_ptr() as usize,
        descriptor.groups,
        descriptor.tiles,
        descriptor.weights.as_ptr() as usize,
        descriptor.pitch * 3,
        descriptor.pitch,
    ];
    // SAFETY: `Segments::tile` has checked that segments, weights, sums and
    // everything that `segments` and `pitch` reach in `x` lie inside their slices.
    unsafe { tile_3x2(words.as_ptr()) }
}

/// r0–r5 sums, r6–r8 inputs, r9 r10 weights, r11 and r12 inputs and their pitch, lr weights.
/// On the stack, in words: end of segment, next segment, last segment, inputs, bytes
/// of a segment, entry, sums, groups left, first segment, groups, tiles left, weights,
/// bytes between tiles.
///
/// # Safety
/// `words` are those of [`tile`].
#[unsafe(naked)]
unsafe extern "C" fn tile_3x2(words: *const usize) {
    naked_asm!(
        ".macro microconv_pair",
        "ldr.w r7, [r11, r12]",
        "ldr.w r8, [r11, r12, lsl #1]",
        "ldr.w r6, [r11], #4",
        "ldr.w r9, [lr], #4",
        "ldr.w r10, [lr], #4",
        "smlad r1, r7, r9, r1",
        "smlad r4, r7, r10, r4",
        "smlad r2, r8, r9, r2",
        "smlad r5, r8, r10, r5",
        "smlad r0, r6, r9, r0",
        "smlad r3, r6, r10, r3",
        ".endm",
        "push {{r4-r11, lr}}",
        "sub sp, sp, #52",
        "ldmia r0!, {{r1-r9}}",
        "adr r11, 4f",
        "add r6, r6, r11",
        "orr r6, r6, #1",
        "mov r11, sp",
        "stmia r11!, {{r1-r9}}",
        "ldmia r0, {{r1-r4, r12}}",
        "stmia r11, {{r1-r4}}",
        // A tile.
        "5:",
        "ldr lr, [sp, #44]",
        // Two channels: their biases begin the sums of three pixels.
        "2:",
        "ldr r8, [sp, #32]",
        "ldr r0, [lr], #4",
        "ldr r3, [lr], #4",
        "mov r1, r0",
        "mov r2, r0",
        "mov r4, r3",
        "mov r5, r3",
        "3:",
        "ldr r11, [r8], #4",
        "ldr r6, [sp, #12]",
        "ldr r9, [sp, #16]",
        "ldr r10, [sp, #20]",
        "str r8, [sp, #4]",
        "add r11, r11, r6",
        "add r9, r9, lr",
        "str r9, [sp, #0]",
        "bx r10",
        ".p2align 2",
        "4:",
        ".rept 12",
        "microconv_pair",
        ".endr",
        "ldr r6, [sp, #0]",
        "cmp lr, r6",
        "bne.w 4b",
        "ldr r8, [sp, #4]",
        "ldr r6, [sp, #8]",
        "cmp r8, r6",
        "bne.w 3b",
        "ldr r6, [sp, #24]",
        "ldr r7, [sp, #28]",
        "stmia r6!, {{r0-r5}}",
        "str r6, [sp, #24]",
        "subs r7, r7, #1",
        "str r7, [sp, #28]",
        "bne.w 2b",
        "ldr r6, [sp, #36]",
        "ldr r7, [sp, #40]",
        "ldr r8, [sp, #12]",
        "ldr r9, [sp, #48]",
        "str r6, [sp, #28]",
        "add r8, r8, r9",
        "str r8, [sp, #12]",
        "subs r7, r7, #1",
        "str r7, [sp, #40]",
        "bne.w 5b",
        "add sp, sp, #52",
        "pop {{r4-r11, pc}}",
        ".purgem microconv_pair",
    )
}

/// The depthwise tile: groups of two channels over three pixels, a word of two weights
/// per tap; group `g` reads its inputs `4 · g` bytes further on.
#[inline(always)]
pub(super) fn depthwise_tile(descriptor: &mut Descriptor<'_>) {
    const { assert!(DEPTHWISE_UNROLL == 9 && DEPTHWISE_BYTES == 48) };
    let taps = descriptor.segments.len();
    let words: [usize; 11] = [
        descriptor.segments.as_ptr() as usize,
        descriptor.segments.as_ptr_range().end as usize,
        (DEPTHWISE_UNROLL - taps % DEPTHWISE_UNROLL) % DEPTHWISE_UNROLL * DEPTHWISE_BYTES,
        descriptor.acc.as_mut_ptr() as usize,
        descriptor.groups,
        descriptor.x.as_ptr() as usize,
        descriptor.groups,
        descriptor.tiles,
        descriptor.weights.as_ptr() as usize,
        descriptor.pitch * 3,
        descriptor.pitch,
    ];
    // SAFETY: `Segments::depthwise_tile` has checked that segments, weights, sums and
    // everything that the segments reach in `x` lie inside their slices.
    unsafe { depthwise_3x2(words.as_ptr()) }
}

/// r0–r5 sums, r6 r7 r9 inputs, r8 weights, r10 segments, r11 and r12 inputs and their
/// pitch, lr weights. On the stack, in words: first segment, last segment, entry, sums,
/// groups left, inputs, groups, tiles left, weights, bytes between tiles.
///
/// # Safety
/// `words` are those of [`depthwise_tile`].
#[unsafe(naked)]
unsafe extern "C" fn depthwise_3x2(words: *const usize) {
    naked_asm!(
        "push {{r4-r11, lr}}",
        "sub sp, sp, #40",
        "ldmia r0, {{r1-r10, r12}}",
        "adr r11, 4f",
        "add r3, r3, r11",
        "orr r3, r3, #1",
        "mov r11, sp",
        "stmia r11, {{r1-r10}}",
        "5:",
        "ldr lr, [sp, #32]",
        "ldr r11, [sp, #20]",
        "2:",
        "ldr r10, [sp, #0]",
        "ldr r6, [sp, #8]",
        "ldr r0, [lr], #4",
        "ldr r3, [lr], #4",
        "mov r1, r0",
        "mov r2, r0",
        "mov r4, r3",
        "mov r5, r3",
        "bx r6",
        ".p2align 2",
        "4:",
        ".rept 9",
        "ldr.w r9, [r10], #4",
        "ldr.w r8, [lr], #4",
        "add.w r9, r9, r11",
        "ldr.w r6, [r9, r12]",
        "ldr.w r7, [r9, r12, lsl #1]",
        "ldr.w r9, [r9]",
        "smlabb r1, r6, r8, r1",
        "smlatt r4, r6, r8, r4",
        "smlabb r2, r7, r8, r2",
        "smlatt r5, r7, r8, r5",
        "smlabb r0, r9, r8, r0",
        "smlatt r3, r9, r8, r3",
        ".endr",
        "ldr r6, [sp, #4]",
        "cmp r10, r6",
        "bne.w 4b",
        "ldr r6, [sp, #12]",
        "ldr r7, [sp, #16]",
        "add r11, r11, #4",
        "stmia r6!, {{r0-r5}}",
        "str r6, [sp, #12]",
        "subs r7, r7, #1",
        "str r7, [sp, #16]",
        "bne.w 2b",
        "ldr r6, [sp, #24]",
        "ldr r7, [sp, #28]",
        "ldr r8, [sp, #20]",
        "ldr r9, [sp, #36]",
        "str r6, [sp, #16]",
        "add r8, r8, r9",
        "str r8, [sp, #20]",
        "subs r7, r7, #1",
        "str r7, [sp, #28]",
        "bne.w 5b",
        "add sp, sp, #40",
        "pop {{r4-r11, pc}}",
    )
}

/// `requantize` of `tiles` tiles: channel `c` of pixel `p` goes to `out[p · step + c]`, with a
/// multiplier per channel, or one for all. Sums of an odd number of channels are padded to
/// an even one. Nothing is done where a slice is too short.
#[inline(always)]
pub(super) fn requantize_pixels(
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
pub(super) fn requantize_run(
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

/// `ssat8(zero_point + round(acc · mantissa / 2^(31 + n)))` with TFLite's double rounding,
/// for `n` in 1…31 and `|acc| < 2^30`.
#[inline(always)]
pub(super) fn requantize(acc: i32, mantissa: i32, n: i32, zero_point: i32) -> i32 {
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

/// Windows of five pairs, one after the other in `columns`: each stays in registers while
/// `[bias, pairs, mantissa, shift]` of `channels` channels stream past it, everything
/// doubled. Channel `c` of pixel `p` goes to `out[p · step + c]`. Nothing is done where a
/// slice is too short.
#[inline(always)]
pub(super) fn few(
    columns: &[i16],
    weights: &[i32],
    zero_point: i32,
    [channels, pixels, step]: [usize; 3],
    out: &mut [i8],
) {
    const { assert!(FEW_PAIRS == 5) };
    let fits = channels != 0
        && pixels != 0
        && columns.len() >= pixels * 2 * FEW_PAIRS
        && weights.len() >= channels * (FEW_PAIRS + 3)
        && out.len() >= (pixels - 1) * step + channels;
    if !fits {
        return;
    }
    let end = weights.as_ptr().wrapping_add(channels * (FEW_PAIRS + 3));
    let arguments: [usize; 8] = [
        columns.as_ptr() as usize,
        pixels,
        weights.as_ptr() as usize,
        (4 - channels % 4) % 4 * 52,
        step.wrapping_sub(channels),
        out.as_mut_ptr() as usize,
        zero_point as usize,
        end as usize,
    ];
    // SAFETY: the windows, the words of the channels and the outputs were checked to lie
    // in their slices. `columns` and `weights` are parts of an array of words, as `ldm` wants.
    unsafe { few_1x1(arguments.as_ptr()) }
}

/// r0–r4 window, r5 sum, r6–r8 and lr operands, r9 weights, r10 output, r11 zero point,
/// r12 end of the weights. On the stack, in words: windows, pixels left, weights, entry,
/// bytes between pixels.
///
/// # Safety
/// The arguments are those of [`few`].
#[unsafe(naked)]
unsafe extern "C" fn few_1x1(arguments: *const usize) {
    naked_asm!(
        "push {{r4-r11, lr}}",
        "sub sp, sp, #20",
        "ldmia r0, {{r1-r5, r10-r12}}",
        "adr r6, 4f",
        "add r4, r4, r6",
        "orr r4, r4, #1",
        "mov r6, sp",
        "stmia r6, {{r1-r5}}",
        // A pixel.
        "2:",
        "ldr r8, [sp, #0]",
        "ldr r9, [sp, #8]",
        "ldr r7, [sp, #12]",
        "ldmia r8!, {{r0-r4}}",
        "str r8, [sp, #0]",
        "bx r7",
        ".p2align 2",
        "4:",
        ".rept 4",
        "ldmia.w r9!, {{r5-r8}}",
        "smlad r5, r0, r6, r5",
        "smlad r5, r1, r7, r5",
        "smlad r5, r2, r8, r5",
        "ldmia.w r9!, {{r6-r8, lr}}",
        "smlad r5, r3, r6, r5",
        "smlad r5, r4, r7, r5",
        "smmulr r5, r5, r8",
        "add.w r5, r5, r5, asr #31",
        "asrs.w r5, r5, lr",
        "adc.w r5, r5, r11",
        "ssat r5, #8, r5",
        "strb.w r5, [r10], #1",
        ".endr",
        "cmp r9, r12",
        "bne.w 4b",
        "ldr r6, [sp, #4]",
        "ldr r7, [sp, #16]",
        "subs r6, r6, #1",
        "str r6, [sp, #4]",
        "add r10, r10, r7",
        "bne.w 2b",
        "add sp, sp, #20",
        "pop {{r4-r11, pc}}",
    )
}

/// Widens `x` to the first `x.len()` elements of `out`, in order.
#[inline(always)]
pub(super) fn widen(x: &[i8], out: &mut [i16]) {
    let eights = x.len().min(out.len()) / 8;
    let (head, tail) = x.split_at(eights * 8);
    if eights != 0 {
        // SAFETY: reads `eights` times two words of `x` and writes twice as many of `out`,
        // both of which hold as many; loads and stores of one word need no alignment.
        unsafe {
            asm!(
                "2:",
                "ldr {a}, [{x}], #4",
                "ldr {d}, [{x}], #4",
                "sxtb16 {b}, {a}",
                "sxtb16 {a}, {a}, ror #8",
                "pkhbt {c}, {b}, {a}, lsl #16",
                "pkhtb {a}, {a}, {b}, asr #16",
                "str {c}, [{o}], #4",
                "str {a}, [{o}], #4",
                "sxtb16 {b}, {d}",
                "sxtb16 {d}, {d}, ror #8",
                "pkhbt {c}, {b}, {d}, lsl #16",
                "pkhtb {d}, {d}, {b}, asr #16",
                "str {c}, [{o}], #4",
                "str {d}, [{o}], #4",
                "subs {n}, {n}, #1",
                "bne 2b",
                x = inout(reg) head.as_ptr() => _,
                o = inout(reg) out.as_mut_ptr() => _,
                n = inout(reg) eights => _,
                a = out(reg) _,
                b = out(reg) _,
                c = out(reg) _,
                d = out(reg) _,
                options(nostack),
            );
        }
    }
    for (out, &x) in out.iter_mut().skip(eights * 8).zip(tail) {
        *out = i16::from(x);
    }
}

/// `columns` columns of `pitch` elements: column `i` holds, one after the other, the runs of
/// `run` elements that start `starts` (in bytes, at most `last`) from element `i · step` of `x`.
/// An odd run takes one element more, which the next one overwrites. Nothing is done
/// where a slice is too short.
#[inline(always)]
pub(super) fn gather(
    x: &[i16],
    (starts, last): (&[u32], usize),
    [columns, run, step, pitch]: [usize; 4],
    out: &mut [i16],
) {
    let words = run.div_ceil(2);
    let filled = starts.len() * run;
    let fits = columns != 0
        && words != 0
        && !starts.is_empty()
        && filled <= pitch
        && last / 2 + words * 2 + (columns - 1) * step <= x.len()
        && (columns - 1) * pitch + filled - run + words * 2 <= out.len();
    if !fits {
        return;
    }
    let range = starts.as_ptr_range();
    let arguments: [usize; 9] = [
        range.start as usize,
        range.end as usize,
        x.as_ptr() as usize,
        out.as_mut_ptr() as usize,
        words,
        run * 2,
        step * 2,
        columns,
        (pitch - filled) * 2,
    ];
    // SAFETY: no start lies beyond `last`, from where `words` words are inside `x` for
    // every column, and the last run of the last column ends inside `out`.
    unsafe { gather_columns(arguments.as_ptr()) }
}

/// r0 and r1 first and last run, r2 inputs, r3 output, r4 words of a run, r5 its bytes,
/// r6 bytes between columns of inputs, r7 columns left, lr what is left of a column,
/// r8 run, r9 source, r10 destination or second word, r11 words left, r12 word.
///
/// # Safety
/// The arguments are those of [`gather`].
#[unsafe(naked)]
unsafe extern "C" fn gather_columns(arguments: *const usize) {
    naked_asm!(
        "push {{r4-r11, lr}}",
        "ldmia r0, {{r0-r8}}",
        "mov lr, r8",
        // A column.
        "2:",
        "mov r8, r0",
        "cmp r4, #2",
        "beq 5f",
        "3:",
        "ldr r9, [r8], #4",
        "mov r10, r3",
        "mov r11, r4",
        "add r9, r9, r2",
        "4:",
        "ldr r12, [r9], #4",
        "subs r11, r11, #1",
        "str r12, [r10], #4",
        "bne 4b",
        "add r3, r3, r5",
        "cmp r8, r1",
        "bne 3b",
        "b 6f",
        // Runs of two words.
        "5:",
        "ldr r9, [r8], #4",
        "cmp r8, r1",
        "add r9, r9, r2",
        "ldr r12, [r9]",
        "ldr r10, [r9, #4]",
        "str r12, [r3]",
        "str r10, [r3, #4]",
        "add r3, r3, r5",
        "bne 5b",
        "6:",
        "add r3, r3, lr",
        "add r2, r2, r6",
        "subs r7, r7, #1",
        "bne 2b",
        "pop {{r4-r11, pc}}",
    )
}

/// Widens four at a time to `[x0, x2, x1, x3]`; a rest of `x.len() % 4` is left alone.
#[inline(always)]
pub(super) fn widen_split(x: &[i8], out: &mut [i16]) {
    let words = x.len().min(out.len()) / 4;
    if words == 0 {
        return;
    }
    // SAFETY: as in `widen`.
    unsafe {
        asm!(
            "2:",
            "ldr {a}, [{x}], #4",
            "sxtb16 {b}, {a}",
            "sxtb16 {a}, {a}, ror #8",
            "str {b}, [{o}], #4",
            "str {a}, [{o}], #4",
            "subs {n}, {n}, #1",
            "bne 2b",
            x = inout(reg) x.as_ptr() => _,
            o = inout(reg) out.as_mut_ptr() => _,
            n = inout(reg) words => _,
            a = out(reg) _,
            b = out(reg) _,
            options(nostack),
        );
    }
}

/// `out[4·j..] = [a[2j], a[2j + 1], b[2j], b[2j + 1]]` for four elements at a time;
/// a rest of `a.len() % 4` is left alone.
#[inline(always)]
pub(super) fn interleave(a: &[i8], b: &[i8], out: &mut [i16]) {
    let words = (a.len().min(b.len()) / 4).min(out.len() / 8);
    if words == 0 {
        return;
    }
    // SAFETY: reads `words` words of `a` and of `b` and writes four times as many
    // of `out`; all hold as many, and single loads and stores need no alignment.
    unsafe {
        asm!(
            "2:",
            "ldr {a}, [{pa}], #4",
            "ldr {b}, [{pb}], #4",
            "sxtb16 {c}, {a}",
            "sxtb16 {a}, {a}, ror #8",
            "pkhbt {d}, {c}, {a}, lsl #16",
            "pkhtb {a}, {a}, {c}, asr #16",
            "str {d}, [{o}], #4",
            "sxtb16 {c}, {b}",
            "sxtb16 {b}, {b}, ror #8",
            "pkhbt {d}, {c}, {b}, lsl #16",
            "pkhtb {b}, {b}, {c}, asr #16",
            "str {d}, [{o}], #4",
            "str {a}, [{o}], #4",
            "str {b}, [{o}], #4",
            "subs {n}, {n}, #1",
            "bne 2b",
            pa = inout(reg) a.as_ptr() => _,
            pb = inout(reg) b.as_ptr() => _,
            o = inout(reg) out.as_mut_ptr() => _,
            n = inout(reg) words => _,
            a = out(reg) _,
            b = out(reg) _,
            c = out(reg) _,
            d = out(reg) _,
            options(nostack),
        );
    }
}

/// `acc[o] += Σ x · w[o · stride..]` over four rows and the whole words of `x`, which
/// is as [`widen_split`] leaves it; a rest of `x.len() % 4` is left out.
#[inline(always)]
pub(super) fn dot4(acc: &mut [i32; 4], x: &[i16], weights: &[i8], stride: usize) {
    let words = x.len() / 4;
    let reach = stride.saturating_mul(3).saturating_add(words * 4);
    if words == 0 || weights.len() < reach {
        return;
    }
    let entry = (4 - words % 4) % 4 * 88;
    let end = x.as_ptr().wrapping_add(words * 4);
    let mut arguments: [usize; 5] =
        [x.as_ptr() as usize, weights.as_ptr() as usize, stride, end as usize, entry];
    // SAFETY: reads `words · 8` bytes of `x`, and `words · 4` bytes from each of four
    // rows, the last of which ends at `reach`.
    unsafe { dot_1x4(acc, &mut arguments) }
}

/// r0 and r1 rows 0 and 2, r2 stride, r3–r6 sums, r7 inputs, r8 their end, r9–lr operands.
///
/// # Safety
/// The arguments are those of [`dot4`].
#[unsafe(naked)]
unsafe extern "C" fn dot_1x4(acc: *mut [i32; 4], arguments: *mut [usize; 5]) {
    naked_asm!(
        "push {{r0, r4-r11, lr}}",
        "ldmia r0, {{r3-r6}}",
        "ldmia r1, {{r7-r11}}",
        "mov r0, r8",
        "mov r2, r9",
        "mov r8, r10",
        "add r1, r0, r2, lsl #1",
        "adr r9, 2f",
        "add r9, r9, r11",
        "orr r9, r9, #1",
        "bx r9",
        ".p2align 2",
        "2:",
        ".rept 4",
        "ldr.w r9, [r7], #4",
        "ldr.w r10, [r7], #4",
        "ldr.w r12, [r0, r2]",
        "ldr.w r11, [r0], #4",
        "sxtb16 lr, r11",
        "sxtb16 r11, r11, ror #8",
        "smlad r3, lr, r9, r3",
        "smlad r3, r11, r10, r3",
        "sxtb16 lr, r12",
        "sxtb16 r12, r12, ror #8",
        "smlad r4, lr, r9, r4",
        "smlad r4, r12, r10, r4",
        "ldr.w r12, [r1, r2]",
        "ldr.w r11, [r1], #4",
        "sxtb16 lr, r11",
        "sxtb16 r11, r11, ror #8",
        "smlad r5, lr, r9, r5",
        "smlad r5, r11, r10, r5",
        "sxtb16 lr, r12",
        "sxtb16 r12, r12, ror #8",
        "smlad r6, lr, r9, r6",
        "smlad r6, r12, r10, r6",
        ".endr",
        "cmp r7, r8",
        "bne.w 2b",
        "pop {{r0}}",
        "stmia r0, {{r3-r6}}",
        "pop {{r4-r11, pc}}",
    )
}

/// `acc + Σ x[k] · w[k]` over the whole words of both; a rest is left out.
#[inline(always)]
pub(super) fn dot(acc: i32, x: &[i8], weights: &[i8]) -> i32 {
    let words = x.len().min(weights.len()) / 4;
    let mut sum = acc;
    if words != 0 {
        // SAFETY: reads `words` words of both slices, by single loads.
        unsafe {
            asm!(
                "2:",
                "ldr {a}, [{x}], #4",
                "ldr {b}, [{w}], #4",
                "sxtb16 {c}, {a}",
                "sxtb16 {d}, {b}",
                "sxtb16 {a}, {a}, ror #8",
                "sxtb16 {b}, {b}, ror #8",
                "smlad {s}, {c}, {d}, {s}",
                "smlad {s}, {a}, {b}, {s}",
                "subs {n}, {n}, #1",
                "bne 2b",
                x = inout(reg) x.as_ptr() => _,
                w = inout(reg) weights.as_ptr() => _,
                n = inout(reg) words => _,
                s = inout(reg) sum,
                a = out(reg) _,
                b = out(reg) _,
                c = out(reg) _,
                d = out(reg) _,
                options(nostack, readonly),
            );
        }
    }
    sum
}

/// `out[i] = max(out[i], x[i])` over the whole words of both; a rest is left alone.
#[inline(always)]
pub(super) fn max_into(out: &mut [i8], x: &[i8]) {
    let words = out.len().min(x.len()) / 4;
    if words == 0 {
        return;
    }
    // SAFETY: reads `words` words of `x`, reads and writes as many of `out`, by single
    // loads and stores; `sel` follows the flags of `ssub8`.
    unsafe {
        asm!(
            "2:",
            "ldr {a}, [{o}]",
            "ldr {b}, [{x}], #4",
            "ssub8 {c}, {a}, {b}",
            "sel {a}, {a}, {b}",
            "str {a}, [{o}], #4",
            "subs {n}, {n}, #1",
            "bne 2b",
            x = inout(reg) x.as_ptr() => _,
            o = inout(reg) out.as_mut_ptr() => _,
            n = inout(reg) words => _,
            a = out(reg) _,
            b = out(reg) _,
            c = out(reg) _,
            options(nostack),
        );
    }
}

/// One output row of a 2 × 2 max-pool of stride 2 over two rows of `channels`, a multiple of four.
#[inline(always)]
pub(super) fn max_2x2(top: &[i8], bottom: &[i8], channels: usize, out: &mut [i8]) {
    let words = channels / 4;
    let pixels = out.len() / (words * 4).max(1);
    let read = pixels * words * 8;
    if words == 0 || pixels == 0 || top.len() < read || bottom.len() < read {
        return;
    }
    // SAFETY: each of `pixels` turns reads two cells of `words` words from both rows,
    // `read` bytes in all, and writes one cell of `out`; `sel` follows the flags of
    // `ssub8`. The loop is unrolled by a divisor of `words`.
    macro_rules! turns {
        ($unroll:literal) => {
            unsafe {
                asm!(
                    "2:",
                    "mov {n}, {words}",
                    "3:",
                    concat!(".rept ", $unroll),
                    "ldr {a}, [{t}, {pitch}]",
                    "ldr {c}, [{u}, {pitch}]",
                    "ldr {b}, [{t}], #4",
                    "ldr {d}, [{u}], #4",
                    "ssub8 {e}, {a}, {b}",
                    "sel {a}, {a}, {b}",
                    "ssub8 {e}, {c}, {d}",
                    "sel {c}, {c}, {d}",
                    "ssub8 {e}, {a}, {c}",
                    "sel {a}, {a}, {c}",
                    "str {a}, [{o}], #4",
                    ".endr",
                    concat!("subs {n}, {n}, #", $unroll),
                    "bne 3b",
                    "add {t}, {t}, {pitch}",
                    "subs {p}, {p}, #1",
                    "add {u}, {u}, {pitch}",
                    "bne 2b",
                    t = inout(reg) top.as_ptr() => _,
                    u = inout(reg) bottom.as_ptr() => _,
                    o = inout(reg) out.as_mut_ptr() => _,
                    p = inout(reg) pixels => _,
                    pitch = in(reg) words * 4,
                    words = in(reg) words,
                    n = out(reg) _,
                    a = out(reg) _,
                    b = out(reg) _,
                    c = out(reg) _,
                    d = out(reg) _,
                    e = out(reg) _,
                    options(nostack),
                );
            }
        };
    }
    if words.is_multiple_of(4) { turns!(4) } else { turns!(1) }
}

/// Adds four channels of `count` cells that lie `pitch` apart: bytes 0 and 2 to the
/// halves of the first sum, 1 and 3 to those of the second.
#[inline(always)]
pub(super) fn sum_cells(sums: [u32; 2], x: &[i8], pitch: usize, count: usize) -> [u32; 2] {
    let [mut even, mut odd] = sums;
    if count == 0 || x.len() < (count - 1).saturating_mul(pitch).saturating_add(4) {
        return sums;
    }
    // SAFETY: reads a word every `pitch` bytes, the last of which ends inside `x`: in
    // pairs, after the odd one.
    unsafe {
        asm!(
            "lsrs {n}, {n}, #1",
            "bcc 2f",
            "ldr {a}, [{x}]",
            "add {x}, {x}, {pitch}",
            "sxtab16 {e}, {e}, {a}",
            "sxtab16 {o}, {o}, {a}, ror #8",
            "2:",
            "cmp {n}, #0",
            "beq 4f",
            "3:",
            "ldr {a}, [{x}]",
            "ldr {b}, [{x}, {pitch}]",
            "add {x}, {x}, {pitch}, lsl #1",
            "sxtab16 {e}, {e}, {a}",
            "sxtab16 {o}, {o}, {a}, ror #8",
            "sxtab16 {e}, {e}, {b}",
            "sxtab16 {o}, {o}, {b}, ror #8",
            "subs {n}, {n}, #1",
            "bne 3b",
            "4:",
            x = inout(reg) x.as_ptr() => _,
            n = inout(reg) count => _,
            pitch = in(reg) pitch,
            e = inout(reg) even,
            o = inout(reg) odd,
            a = out(reg) _,
            b = out(reg) _,
            options(nostack, readonly),
        );
    }
    [even, odd]
}

/// `y[i] = requantize(b' + (a[i] << 19))` with `b' = offset + round((b[i] << 21) − zero) · …`:
/// the sum of two operands, of which the first has the multiplier one half.
#[inline(always)]
pub(super) fn add_halves(a: &[i8], b: &[i8], how: &AddHalves, y: &mut [i8]) {
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
