//! The tiles: products of windows and weights.
#![allow(unsafe_code, reason = "inline assembly; each block states why it is sound")]

use core::arch::naked_asm;

use crate::backend::cortex_m::tile::{
    BLOCK_BYTES, DEPTHWISE_BYTES, DEPTHWISE_UNROLL, Descriptor, UNROLL,
};
use crate::backend::cortex_m::window::FEW_PAIRS;

/// [`tile`] of which the caller has checked every range.
#[inline(always)]
pub(in crate::backend::cortex_m) fn tile(descriptor: &mut Descriptor<'_>) {
    const { assert!(UNROLL == 24 && BLOCK_BYTES == 44) };
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
        cpu!(),
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
        ".rept 24",
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
pub(in crate::backend::cortex_m) fn depthwise_tile(descriptor: &mut Descriptor<'_>) {
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
        cpu!(),
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

/// Windows of five pairs, one after the other in `columns`: each stays in registers while
/// `[bias, pairs, mantissa, shift]` of `channels` channels stream past it, everything
/// doubled. Channel `c` of pixel `p` goes to `out[p · step + c]`. Nothing is done where a
/// slice is too short.
#[inline(always)]
pub(in crate::backend::cortex_m) fn few(
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
        cpu!(),
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
