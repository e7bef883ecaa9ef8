//! Windows of one channel that stay in registers.
#![allow(unsafe_code, reason = "inline assembly; each block states why it is sound")]

use core::arch::naked_asm;

use crate::backend::cortex_m::plan::PATCH;

/// Channels per turn of the loop, and bytes of code of one, for either rounding.
const UNROLL: usize = 4;
const CHANNEL: [usize; 2] = [110, 94];

/// Two rows of `pixels` outputs of three by three taps over one channel. Cell `i` of `cells`
/// is `[row 0, row 1]` and `[row 2, row 3]`, `weights` has [`PATCH`] words per channel;
/// channel `c` of pixel `p` goes to `out[p · step + c]` and, of the second row, `second`
/// further on; where `second` is 0 there is no second row. Nothing is done where a slice is
/// too short.
#[inline(always)]
pub(in crate::backend::cortex_m) fn patch(
    cells: &[i32],
    weights: &[i32],
    relu: bool,
    [channels, pixels, step, second]: [usize; 4],
    out: &mut [i8],
) {
    const { assert!(PATCH == 10) };
    let fits = channels != 0
        && pixels != 0
        && cells.len() >= 2 * pixels + 4
        && weights.len() >= channels * PATCH
        && out.len() >= second + (pixels - 1) * step + channels;
    if !fits {
        return;
    }
    let skipped = (UNROLL - channels % UNROLL) % UNROLL;
    let words: [usize; 8] = [
        cells.as_ptr() as usize,
        pixels,
        weights.as_ptr() as usize,
        weights.as_ptr().wrapping_add(channels * PATCH) as usize,
        // Bit 0 says Thumb.
        skipped * CHANNEL[usize::from(relu)] + 1,
        out.as_mut_ptr() as usize,
        step.wrapping_sub(channels),
        out.as_mut_ptr().wrapping_add(second) as usize,
    ];
    let patch = if relu { patch_relu } else { patch_codes };
    // SAFETY: the cells of all windows, the words of all channels and the outputs of both
    // rows were checked to lie in their slices; cells and weights are words, as `ldm` wants.
    unsafe { patch(words.as_ptr()) };
}

/// r0–r5 window, r6 weights, r7 and r8 outputs, r9 and r10 sums, r11 r12 lr operands. On
/// the stack, in words: cells, pixels left, weights, their end, entry, bytes between pixels.
/// `$round` ends the sums with mantissa r11, offset r12 and shift lr.
macro_rules! patch {
    ($name:ident, $($round:literal,)*) => {
        /// # Safety
        /// `words` are those of [`patch`].
        #[unsafe(naked)]
        unsafe extern "C" fn $name(words: *const usize) {
            naked_asm!(
                cpu!(),
                "push {{r4-r11, lr}}",
                "sub sp, sp, #28",
                "ldmia r0, {{r1-r8}}",
                "adr r9, 4f",
                "add r5, r5, r9",
                "mov r9, r6",
                "mov r6, r7",
                "mov r7, r9",
                "mov r9, sp",
                "stmia r9, {{r1-r6}}",
                // A pixel.
                "2:",
                "ldr r9, [sp, #0]",
                "ldr r10, [sp, #16]",
                "ldr r6, [sp, #8]",
                "ldmia r9, {{r0-r5}}",
                "add r9, r9, #8",
                "str r9, [sp, #0]",
                "bx r10",
                ".p2align 2",
                "4:",
                ".rept 4",
                "ldmia.w r6!, {{r9, r11, r12, lr}}",
                "mov r10, r9",
                "smlad r9, r0, r11, r9",
                "smlatb r10, r0, r11, r10",
                "smlabt r9, r1, r12, r9",
                "smlad r10, r1, r12, r10",
                "smlad r9, r2, lr, r9",
                "smlatb r10, r2, lr, r10",
                "ldmia.w r6!, {{r11, r12, lr}}",
                "smlabt r9, r3, r11, r9",
                "smlad r10, r3, r11, r10",
                "smlad r9, r4, r12, r9",
                "smlatb r10, r4, r12, r10",
                "smlabt r9, r5, lr, r9",
                "smlad r10, r5, lr, r10",
                "ldmia.w r6!, {{r11, r12, lr}}",
                $($round,)*
                // The first row last: it stands where both are one.
                "strb.w r10, [r8], #1",
                "strb.w r9, [r7], #1",
                ".endr",
                "ldr r9, [sp, #12]",
                "cmp r6, r9",
                "bne.w 4b",
                "ldr r9, [sp, #4]",
                "ldr r10, [sp, #20]",
                "add r7, r7, r10",
                "add r8, r8, r10",
                "subs r9, r9, #1",
                "str r9, [sp, #4]",
                "bne.w 2b",
                "add sp, sp, #28",
                "pop {{r4-r11, pc}}",
            )
        }
    };
}

patch!(
    patch_relu,
    "smmlar r9, r9, r11, r12",
    "smmlar r10, r10, r11, r12",
    "asr.w r9, r9, lr",
    "asr.w r10, r10, lr",
    "ssat r9, #8, r9",
    "ssat r10, #8, r10",
);

patch!(
    patch_codes,
    "smmulr r9, r9, r11",
    "smmulr r10, r10, r11",
    "add.w r9, r9, r9, asr #31",
    "add.w r10, r10, r10, asr #31",
    "asrs.w r9, r9, lr",
    "adc.w r9, r9, r12",
    "asrs.w r10, r10, lr",
    "adc.w r10, r10, r12",
    "ssat r9, #8, r9",
    "ssat r10, #8, r10",
);
