//! Loops of the fused layers: a convolution whose outputs are pooled at once, and one
//! over an upsampled map that is never made.
#![allow(unsafe_code, reason = "inline assembly; each block states why it is sound")]

use core::arch::naked_asm;

use crate::backend::cortex_m::fused_conv_pool::{POOL_WORDS, Patches};
use crate::backend::cortex_m::fused_upsample::{End, Lane};

/// Naked functions are assembled without the features of the target.
#[cfg(target_abi = "eabihf")]
macro_rules! allow_floats {
    () => {
        ".fpu fpv4-sp-d16"
    };
}
#[cfg(not(target_abi = "eabihf"))]
macro_rules! allow_floats {
    () => {
        ""
    };
}

/// Reads a parked word: a float register where the ABI has them, else the stack.
#[cfg(target_abi = "eabihf")]
macro_rules! get {
    ($register:literal, $slot:literal) => {
        concat!("vmov ", $register, ", s", $slot)
    };
}
#[cfg(not(target_abi = "eabihf"))]
macro_rules! get {
    ($register:literal, $slot:literal) => {
        concat!("ldr ", $register, ", [sp, #(4 * ", $slot, ")]")
    };
}
/// Parks a word.
#[cfg(target_abi = "eabihf")]
macro_rules! put {
    ($register:literal, $slot:literal) => {
        concat!("vmov s", $slot, ", ", $register)
    };
}
#[cfg(not(target_abi = "eabihf"))]
macro_rules! put {
    ($register:literal, $slot:literal) => {
        concat!("str ", $register, ", [sp, #(4 * ", $slot, ")]")
    };
}

/// Outputs of a row of 2 × 2 pools over a 3 × 3 convolution of one input channel. Shifts of
/// the short form (`patches.shift` 8, 12 or 16), or 0 for the general one.
#[inline(always)]
pub(in crate::backend::cortex_m) fn pool_3x3(patches: &Patches<'_>, out: &mut [i8]) {
    const { assert!(POOL_WORDS == 9) };
    let Patches { rows, pitch, weights, channels, pixels, zero_point, shift } = *patches;
    let fits = pixels != 0
        && channels != 0
        && channels.is_multiple_of(4)
        && rows.len() >= 3 * pitch + 2 * pixels + 2
        && pitch >= 2 * pixels + 2
        && weights.len() >= channels * POOL_WORDS
        && out.len() >= channels * pixels;
    if !fits {
        return;
    }
    let end = weights.as_ptr().wrapping_add(channels * POOL_WORDS);
    let words: [usize; 8] = [
        rows.as_ptr() as usize,
        pitch,
        weights.as_ptr() as usize,
        end as usize,
        pixels,
        out.as_mut_ptr() as usize,
        zero_point as usize,
        channels,
    ];
    let run = match shift {
        8 => pool_patches::<8>,
        12 => pool_patches::<12>,
        16 => pool_patches::<16>,
        _ => pool_patches::<0>,
    };
    // SAFETY: patch `p` reads four bytes from `2 · p` on in each of four rows, which the
    // check of `rows` covers; weights and outputs were checked too.
    unsafe { run(words.as_ptr()) }
}

/// r0–r7 the transformed patch, r8–r12 operands and sums, lr weights. On the stack, in words:
/// four codes, rows, pitch, weights, their end, pixels left, output, zero point, channels,
/// and the four words of the patch before.
///
/// A patch equal to the one before has its outputs copied.
///
/// # Safety
/// `words` are those of [`pool_3x3`].
#[unsafe(naked)]
unsafe extern "C" fn pool_patches<const N: usize>(words: *const usize) {
    naked_asm!(
        cpu!(),
        allow_floats!(),
        "push {{r4-r11, lr}}",
        "sub sp, sp, #52",
        "ldmia r0, {{r1-r8}}",
        "add r9, sp, #4",
        "stmia r9, {{r1-r8}}",
        put!("r4", "4"),
        put!("r6", "6"),
        put!("r7", "7"),
        // No patch is its own complement.
        "ldr r9, [r1]",
        "mvn r9, r9",
        put!("r9", "9"),
        // A patch: words of four rows.
        "2:",
        "ldr r8, [sp, #4]",
        "ldr r9, [sp, #8]",
        "add r10, r8, r9, lsl #1",
        "ldr r3, [r8, r9]",
        "ldr r5, [r10]",
        "ldr r7, [r10, r9]",
        "ldr r1, [r8], #2",
        "str r8, [sp, #4]",
        get!("r9", "9"),
        put!("r1", "9"),
        "cmp r9, r1",
        "bne 3f",
        get!("r9", "10"),
        get!("r10", "11"),
        get!("r11", "12"),
        "cmp r9, r3",
        "itt eq",
        "cmpeq r10, r5",
        "cmpeq r11, r7",
        "beq.w 6f",
        "3:",
        put!("r3", "10"),
        put!("r5", "11"),
        put!("r7", "12"),
        // Columns 0 and 2 in even registers, 1 and 3 in odd ones.
        "sxtb16 r0, r1",
        "sxtb16 r1, r1, ror #8",
        "sxtb16 r2, r3",
        "sxtb16 r3, r3, ror #8",
        "sxtb16 r4, r5",
        "sxtb16 r5, r5, ror #8",
        "sxtb16 r6, r7",
        "sxtb16 r7, r7, ror #8",
        // Rows d0 − d2, d1 + d2, d2 − d1, d3 − d1.
        "ssub16 r0, r0, r4",
        "ssub16 r1, r1, r5",
        "ssub16 r6, r6, r2",
        "ssub16 r7, r7, r3",
        "ssub16 r8, r4, r2",
        "ssub16 r9, r5, r3",
        "sadd16 r2, r2, r4",
        "sadd16 r3, r3, r5",
        "mov r4, r8",
        "mov r5, r9",
        "ldr lr, [sp, #12]",
        // Four channels.
        "4:",
        ".irp i, 0, 1, 2, 3",
        // Rows 2 (r12, r10) and 3 (r8, r11) of the transform, for both columns.
        "ldmia lr!, {{r8, r9, r11}}",
        "smuad r12, r4, r8",
        "smuad r10, r5, r8",
        "smlabb r12, r5, r9, r12",
        "smlatb r10, r4, r9, r10",
        "smuad r8, r6, r11",
        "smuad r11, r7, r11",
        "smlabt r8, r7, r9, r8",
        "smlatt r11, r6, r9, r11",
        // Lower outputs r8, r11 and, with row 0, upper ones r12, r10, without row 1.
        "sub r8, r8, r12",
        "sub r11, r11, r10",
        "ldr r9, [lr], #4",
        "smlad r12, r0, r9, r12",
        "smlad r10, r1, r9, r10",
        "ldr r9, [lr], #4",
        "smlabb r12, r1, r9, r12",
        "smlatb r10, r0, r9, r10",
        "cmp r12, r8",
        "it lt",
        "movlt r12, r8",
        "cmp r10, r11",
        "it lt",
        "movlt r10, r11",
        // Row 1 adds to the larger of each column.
        "ldr r8, [lr], #4",
        "smlad r12, r2, r8, r12",
        "smlad r10, r3, r8, r10",
        "smlabt r12, r3, r9, r12",
        "smlatt r10, r2, r9, r10",
        "ldmia lr!, {{r8, r9, r11}}",
        "cmp r12, r10",
        "it lt",
        "movlt r12, r10",
        ".if {n}",
        "smlal r9, r11, r12, r8",
        "ssat r11, #8, r11, asr #{n}",
        ".else",
        "add r12, r12, r9",
        "smmulr r12, r12, r8",
        get!("r9", "7"),
        "add r12, r12, r12, asr #31",
        "asrs r12, r12, r11",
        "adc r12, r12, r9",
        "ssat r11, #8, r12",
        ".endif",
        "strb r11, [sp, #\\i]",
        ".endr",
        "ldr r9, [sp]",
        get!("r8", "6"),
        get!("r10", "4"),
        "str r9, [r8], #4",
        put!("r8", "6"),
        "cmp lr, r10",
        "bne.w 4b",
        // The next patch.
        "5:",
        "ldr r8, [sp, #20]",
        "subs r8, r8, #1",
        "str r8, [sp, #20]",
        "bne.w 2b",
        "add sp, sp, #52",
        "pop {{r4-r11, pc}}",
        // The outputs of the pixel before.
        "6:",
        get!("r8", "6"),
        "ldr r9, [sp, #32]",
        "sub r10, r8, r9",
        "7:",
        "ldr r11, [r10], #4",
        "subs r9, r9, #4",
        "str r11, [r8], #4",
        "bne 7b",
        put!("r8", "6"),
        "b 5b",
        n = const N,
    )
}

/// Both phases of one row of outputs over an upsampled map of four channels.
#[inline(always)]
pub(in crate::backend::cortex_m) fn upsampled_row(
    cells: &[[u32; 2]],
    lanes: &[Lane; 2],
    weights: [&[i32; 8]; 2],
    end: &End<'_>,
    step: usize,
    out: &mut [i8],
) {
    let fits = |lane: &Lane| {
        lane.outputs != 0
            && cells.len() > lane.outputs
            && lane.left < cells.len() - lane.outputs
            && out.len() > lane.first + (lane.outputs - 1) * step
    };
    if step == 0 || !fits(&lanes[0]) || (lanes[1].outputs != 0 && !fits(&lanes[1])) {
        return;
    }
    let mut words = [0; 14];
    words[..6].copy_from_slice(&[
        end.mantissa as usize,
        end.shift as usize,
        end.zero_point as usize,
        end.table.as_ptr() as usize + 128,
        step,
        end.bias as usize,
    ]);
    for ((words, lane), weights) in words[6..].chunks_exact_mut(4).zip(lanes).zip(weights) {
        let x = cells.as_ptr().wrapping_add(lane.left);
        words.copy_from_slice(&[
            x.wrapping_add(lane.outputs + 1) as usize,
            x as usize,
            out.as_mut_ptr().wrapping_add(lane.first) as usize,
            weights.as_ptr() as usize,
        ]);
    }
    let last = words.as_ptr().wrapping_add(if lanes[1].outputs == 0 { 10 } else { 14 });
    let cells = if step == 2 { upsampled_cells::<2> } else { upsampled_cells::<0> };
    // SAFETY: each lane reads its columns to their end and writes one output for each but the
    // first, which was checked; a saturated code picks one of 256 entries.
    unsafe { cells(words.as_ptr(), last) };
}

/// r0–r7 weights (upper left, lower left, upper right, lower right cell, two words each),
/// r8 columns of cells, r9 output, r10 and r11 operands, r12 and lr sums. Parked: mantissa,
/// right shift, zero point, middle of the table, step, doubled bias, end of the columns,
/// next lane, end of the lanes. `STEP` is the step when it is known, else 0.
///
/// # Safety
/// `words` are those of [`upsampled_row`].
#[unsafe(naked)]
unsafe extern "C" fn upsampled_cells<const STEP: usize>(words: *const usize, last: *const usize) {
    naked_asm!(
        cpu!(),
        allow_floats!(),
        // A column finishes the sum of its left neighbour and begins one of its own.
        ".macro microconv_cells begun, own",
        get!("\\own", "5"),
        "ldr r10, [r8], #4",
        "sxtb16 r11, r10",
        "sxtb16 r10, r10, ror #8",
        "smlad \\own, r11, r0, \\own",
        "smlad \\own, r10, r1, \\own",
        ".ifnc \\begun, none",
        "smlad \\begun, r11, r4, \\begun",
        "smlad \\begun, r10, r5, \\begun",
        ".endif",
        "ldr r10, [r8], #4",
        "sxtb16 r11, r10",
        "sxtb16 r10, r10, ror #8",
        "smlad \\own, r11, r2, \\own",
        "smlad \\own, r10, r3, \\own",
        ".ifnc \\begun, none",
        "smlad \\begun, r11, r6, \\begun",
        "smlad \\begun, r10, r7, \\begun",
        get!("r10", "0"),
        get!("r11", "2"),
        "smmulr \\begun, \\begun, r10",
        get!("r10", "1"),
        "add \\begun, \\begun, \\begun, asr #31",
        "asrs \\begun, \\begun, r10",
        "adc \\begun, \\begun, r11",
        get!("r10", "3"),
        "ssat \\begun, #8, \\begun",
        "ldrb \\begun, [r10, \\begun]",
        ".if {step}",
        "strb \\begun, [r9], #{step}",
        ".else",
        get!("r10", "4"),
        "strb \\begun, [r9]",
        "add r9, r9, r10",
        ".endif",
        ".endif",
        ".endm",
        "push {{r4-r11, lr}}",
        "sub sp, sp, #36",
        "ldmia r0!, {{r2-r7}}",
        put!("r2", "0"),
        put!("r3", "1"),
        put!("r4", "2"),
        put!("r5", "3"),
        put!("r6", "4"),
        put!("r7", "5"),
        put!("r1", "8"),
        // A lane.
        "4:",
        "ldmia r0!, {{r7, r8, r9, lr}}",
        put!("r7", "6"),
        put!("r0", "7"),
        "ldmia lr, {{r0-r7}}",
        "microconv_cells none, r12",
        "2:",
        "microconv_cells r12, lr",
        get!("r10", "6"),
        "cmp r8, r10",
        "beq 3f",
        "microconv_cells lr, r12",
        get!("r10", "6"),
        "cmp r8, r10",
        "bne 2b",
        "3:",
        get!("r0", "7"),
        get!("r10", "8"),
        "cmp r0, r10",
        "bne 4b",
        "add sp, sp, #36",
        "pop {{r4-r11, pc}}",
        ".purgem microconv_cells",
        step = const STEP,
    )
}
