//! The raw lanes: two pixels beside four channels, or one beside eight that is not widened.
#![allow(unsafe_code, reason = "inline assembly; each block states why it is sound")]

use core::arch::{asm, naked_asm};

use crate::backend::cortex_m::lanes::{Lanes, Tile, UNROLL};

/// Bytes of code of a pair: of two pixels widened, and of one as bytes, where two pairs share a
/// word.
const PASS: [usize; 2] = [56, 70];

/// Tiles of all groups; nothing where [`Lanes::fits`] says no.
#[inline(always)]
pub(in crate::backend::cortex_m) fn lanes(lanes: &mut Lanes<'_>) {
    const { assert!(UNROLL == 16) };
    if !lanes.fits() {
        return;
    }
    let skipped = (UNROLL - lanes.pairs % UNROLL) % UNROLL;
    let bytes = lanes.tile.window(lanes.pairs);
    let x = lanes.x.as_ptr() as usize;
    let words: [usize; 12] = [
        x,
        x + bytes,
        // Bit 0 says Thumb.
        skipped * PASS[usize::from(lanes.tile == Tile::One)] + 1,
        lanes.out.as_mut_ptr() as usize,
        lanes.groups,
        lanes.tiles,
        usize::from(lanes.relu),
        lanes.groups,
        lanes.weights.as_ptr() as usize,
        bytes,
        (lanes.tile.pixels() * lanes.step).wrapping_sub(lanes.tile.channels() * lanes.groups),
        lanes.step,
    ];
    let run = match lanes.tile {
        Tile::Two => lanes_2x4,
        Tile::One => lanes_1x8,
    };
    // SAFETY: `fits` has checked that windows, weights and outputs of all tiles and groups lie
    // in their slices, that there is one of each, and that pairs come in twos. Weights are words,
    // as `ldm` wants; windows are read by single loads, which need no alignment.
    unsafe { run(words.as_ptr()) }
}

/// The sums of the high channels apart from those of the low ones, all doubled.
macro_rules! halves {
    () => {
        "subs r1, r1, r0
        subs r3, r3, r2
        subs r5, r5, r4
        subs r7, r7, r6
        lsls r0, r0, #1
        lsls r2, r2, #1
        lsls r4, r4, #1
        lsls r6, r6, #1
        asrs r1, r1, #7
        asrs r3, r3, #7
        asrs r5, r5, #7
        asrs r7, r7, #7"
    };
}

/// The frame, as [`lanes_2x4`] has it; lr weights.
macro_rules! begin {
    () => {
        "push {{r4-r11, lr}}
        sub sp, sp, #48
        ldmia r0!, {{r1-r7}}
        adr.w r8, 4f
        add r3, r3, r8
        adr.w r8, 6f
        adr.w r9, 7f
        cmp r7, #0
        it ne
        movne r8, r9
        add r7, r8, #1
        mov r8, sp
        stmia r8!, {{r1-r7}}
        ldmia r0, {{r1-r5}}
        stmia r8, {{r1-r5}}
        mov lr, r2"
    };
}

/// The end of the passes at label 4, the codes, and the ends of a group (label 2 begins one) and of
/// a tile, which leave the function.
macro_rules! end {
    () => {
        "ldr r8, [sp, #4]
        cmp r12, r8
        bne.w 4b
        ldr r12, [sp, #12]
        ldr r11, [sp, #44]
        ldr r9, [sp, #24]
        add r11, r11, r12
        bx r9
        .p2align 2
        6:
        microconv_codes microconv_code
        b 8f
        .p2align 2
        7:
        microconv_codes microconv_relu
        8:
        ldr r8, [sp, #16]
        subs r8, r8, #1
        str r12, [sp, #12]
        str r8, [sp, #16]
        bne.w 2b
        ldr r8, [sp, #20]
        ldr r9, [sp, #28]
        ldr r10, [sp, #40]
        ldr r11, [sp, #4]
        ldr r7, [sp, #36]
        ldr lr, [sp, #32]
        add r12, r12, r10
        str r12, [sp, #12]
        str r9, [sp, #16]
        str r11, [sp, #0]
        add r11, r11, r7
        str r11, [sp, #4]
        subs r8, r8, #1
        str r8, [sp, #20]
        bne.w 2b
        add sp, sp, #48
        pop {{r4-r11, pc}}"
    };
}

/// r0–r3 sums of the first pixel, low and raw of each two channels, r4–r7 of the second,
/// r8 and r9 inputs, r10 and r11 weights, r12 window, lr weights.
/// On the stack, in bytes: 0 window, 4 its end, 8 entry, 12 outputs, 16 groups left, 20 tiles
/// left, 24 how codes are made, 28 groups, 32 weights, 36 bytes of a window, 40 outputs
/// between tiles, 44 between pixels.
///
/// # Safety
/// `words` are those of [`lanes`].
#[unsafe(naked)]
unsafe extern "C" fn lanes_2x4(words: *const usize) {
    naked_asm!(
        cpu!(),
        requantize_macros!(),
        // The codes of all channels; their parameters follow the weights.
        ".macro microconv_codes what",
        halves!(),
        "ldmia lr!, {{r8, r9, r10}}",
        "\\what r0",
        "\\what r4",
        "strb r0, [r12], #1",
        "strb r4, [r11], #1",
        "ldmia lr!, {{r8, r9, r10}}",
        "\\what r1",
        "\\what r5",
        "strb r1, [r12], #1",
        "strb r5, [r11], #1",
        "ldmia lr!, {{r8, r9, r10}}",
        "\\what r2",
        "\\what r6",
        "strb r2, [r12], #1",
        "strb r6, [r11], #1",
        "ldmia lr!, {{r8, r9, r10}}",
        "\\what r3",
        "\\what r7",
        "strb r3, [r12], #1",
        "strb r7, [r11], #1",
        ".endm",
        begin!(),
        // A group.
        "2:",
        "ldr r12, [sp, #0]",
        "ldr r9, [sp, #8]",
        "ldmia lr!, {{r0-r3}}",
        "mov r4, r0",
        "mov r5, r1",
        "mov r6, r2",
        "mov r7, r3",
        "bx r9",
        ".p2align 2",
        "4:",
        ".rept 16",
        "ldr.w r8, [r12], #4",
        "ldr.w r9, [r12], #4",
        "ldr.w r10, [lr], #4",
        "ldr.w r11, [lr], #4",
        "smlad r1, r8, r10, r1",
        "smlad r5, r9, r10, r5",
        "smlad r3, r8, r11, r3",
        "smlad r7, r9, r11, r7",
        "sxtb16 r10, r10",
        "sxtb16 r11, r11",
        "smlad r0, r8, r10, r0",
        "smlad r4, r9, r10, r4",
        "smlad r2, r8, r11, r2",
        "smlad r6, r9, r11, r6",
        ".endr",
        end!(),
        purge_requantize_macros!(),
        ".purgem microconv_codes",
    )
}

/// r0–r7 sums, low and raw of each two channels, r8 and r9 inputs, r8, r10 and r11 weights,
/// r12 window, lr weights; the stack is that of [`lanes_2x4`].
///
/// # Safety
/// `words` are those of [`lanes`].
#[unsafe(naked)]
unsafe extern "C" fn lanes_1x8(words: *const usize) {
    naked_asm!(
        cpu!(),
        requantize_macros!(),
        // The codes of all channels; their parameters follow the weights.
        ".macro microconv_codes what",
        halves!(),
        "ldmia lr!, {{r8, r9, r10}}",
        "\\what r0",
        "strb r0, [r12], #1",
        "ldmia lr!, {{r8, r9, r10}}",
        "\\what r1",
        "strb r1, [r12], #1",
        "ldmia lr!, {{r8, r9, r10}}",
        "\\what r2",
        "strb r2, [r12], #1",
        "ldmia lr!, {{r8, r9, r10}}",
        "\\what r3",
        "strb r3, [r12], #1",
        "ldmia lr!, {{r8, r9, r10}}",
        "\\what r4",
        "strb r4, [r12], #1",
        "ldmia lr!, {{r8, r9, r10}}",
        "\\what r5",
        "strb r5, [r12], #1",
        "ldmia lr!, {{r8, r9, r10}}",
        "\\what r6",
        "strb r6, [r12], #1",
        "ldmia lr!, {{r8, r9, r10}}",
        "\\what r7",
        "strb r7, [r12], #1",
        ".endm",
        begin!(),
        // A group.
        "2:",
        "ldr r12, [sp, #0]",
        "ldr r9, [sp, #8]",
        "ldmia lr!, {{r0-r7}}",
        "bx r9",
        ".p2align 2",
        "4:",
        ".rept 8",
        "ldr.w r8, [r12], #4",
        "ldr.w r10, [lr], #4",
        "ldr.w r11, [lr], #4",
        "sxtb16 r9, r8, ror #8",
        "sxtb16 r8, r8",
        "smlad r1, r8, r10, r1",
        "smlad r3, r8, r11, r3",
        "sxtb16 r10, r10",
        "sxtb16 r11, r11",
        "smlad r0, r8, r10, r0",
        "smlad r2, r8, r11, r2",
        "ldr.w r10, [lr], #4",
        "ldr.w r11, [lr], #4",
        "smlad r5, r8, r10, r5",
        "smlad r7, r8, r11, r7",
        "sxtb16 r10, r10",
        "sxtb16 r11, r11",
        "smlad r4, r8, r10, r4",
        "smlad r6, r8, r11, r6",
        // The second pair; the first one's register is free.
        "ldr.w r8, [lr], #4",
        "ldr.w r10, [lr], #4",
        "ldr.w r11, [lr], #4",
        "smlad r1, r9, r8, r1",
        "smlad r3, r9, r10, r3",
        "smlad r5, r9, r11, r5",
        "sxtb16 r8, r8",
        "sxtb16 r10, r10",
        "sxtb16 r11, r11",
        "smlad r0, r9, r8, r0",
        "smlad r2, r9, r10, r2",
        "smlad r4, r9, r11, r4",
        "ldr.w r8, [lr], #4",
        "smlad r7, r9, r8, r7",
        "sxtb16 r8, r8",
        "smlad r6, r9, r8, r6",
        ".endr",
        end!(),
        purge_requantize_macros!(),
        ".purgem microconv_codes",
    )
}

/// Words of four codes of two pixels, widened side by side: of each pixel bytes 0 and 2, then
/// 1 and 3. As many words as all slices hold.
#[inline(always)]
pub(in crate::backend::cortex_m) fn pair_up(x: [&[i8]; 2], out: &mut [i32]) {
    let words = (x[0].len().min(x[1].len()) / 4).min(out.len() / 4);
    if words == 0 {
        return;
    }
    pair(x.map(<[i8]>::as_ptr), 0, [words, 1], out.as_mut_ptr());
}

/// The same for `tiles` tiles of two cells of `words` words, `step` codes apart. Nothing is done
/// where a slice is too short.
#[inline(always)]
pub(in crate::backend::cortex_m) fn pair_cells(
    x: &[i8],
    [step, words, tiles]: [usize; 3],
    out: &mut [i32],
) {
    let reach = (2 * tiles).saturating_sub(1).saturating_mul(step).saturating_add(4 * words);
    if words == 0 || tiles == 0 || x.len() < reach || out.len() / 4 / words < tiles {
        return;
    }
    let a = x.as_ptr();
    let skip = (2 * step).wrapping_sub(4 * words);
    pair([a, a.wrapping_add(step)], skip, [words, tiles], out.as_mut_ptr());
}

/// The loop of [`pair_up`] and [`pair_cells`], which have checked that all of it lies in their
/// slices; `skip` bytes lie behind the words of a tile.
#[inline(always)]
fn pair(x: [*const i8; 2], skip: usize, [words, tiles]: [usize; 2], out: *mut i32) {
    // SAFETY: reads `words` words from both places on and writes four times as many, `tiles`
    // times; the callers have checked that and that there is one of each. Single loads and
    // stores need no alignment.
    unsafe {
        asm!(
            "2:",
            "mov {n}, {words}",
            "3:",
            "ldr {a}, [{pa}], #4",
            "ldr {b}, [{pb}], #4",
            "sxtb16 {c}, {a}",
            "sxtb16 {d}, {b}",
            "sxtb16 {a}, {a}, ror #8",
            "sxtb16 {b}, {b}, ror #8",
            "str {d}, [{o}, #4]",
            "str {a}, [{o}, #8]",
            "str {b}, [{o}, #12]",
            "str {c}, [{o}], #16",
            "subs {n}, {n}, #1",
            "bne 3b",
            "add {pa}, {pa}, {skip}",
            "add {pb}, {pb}, {skip}",
            "subs {tiles}, {tiles}, #1",
            "bne 2b",
            pa = inout(reg) x[0] => _,
            pb = inout(reg) x[1] => _,
            o = inout(reg) out => _,
            tiles = inout(reg) tiles => _,
            words = in(reg) words,
            skip = in(reg) skip,
            n = out(reg) _,
            a = out(reg) _,
            b = out(reg) _,
            c = out(reg) _,
            d = out(reg) _,
            options(nostack),
        );
    }
}
