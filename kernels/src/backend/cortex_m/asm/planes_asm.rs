//! Rows of codes to planes.
#![allow(unsafe_code, reason = "inline assembly; each block states why it is sound")]

use core::arch::{asm, naked_asm};

/// The first `fours` fours of channels of `cells` cells, `step` elements apart in `x`: pairs
/// `[c, c + 2]` and `[c + 1, c + 3]`, one after the other `pitch` words apart in `out`, cells
/// `BETWEEN` words apart. Nothing is done where a slice is too short.
#[inline(always)]
pub(in crate::backend::cortex_m) fn spread<const BETWEEN: usize>(
    x: &[i8],
    [fours, step, cells]: [usize; 3],
    out: &mut [i32],
    pitch: usize,
) {
    let fits = fours != 0
        && cells != 0
        && x.len() >= (cells - 1) * step + fours * 4
        && out.len() > (2 * fours - 1) * pitch + (cells - 1) * BETWEEN;
    if !fits {
        return;
    }
    for four in 0..fours {
        // SAFETY: reads a word in each of `cells` cells, the last of which ends inside `x`,
        // and writes a word to as many cells of two pairs, the last of which lies inside `out`;
        // single loads and stores need no alignment.
        unsafe {
            asm!(
                "lsrs {n}, {n}, #1",
                "bcc 2f",
                "ldr {a}, [{x}]",
                "add {x}, {x}, {step}",
                "sxtb16 {c}, {a}",
                "sxtb16 {a}, {a}, ror #8",
                "str {c}, [{o}], #{between}",
                "str {a}, [{p}], #{between}",
                "2:",
                "cmp {n}, #0",
                "beq 4f",
                "3:",
                "ldr {a}, [{x}]",
                "ldr {b}, [{x}, {step}]",
                "add {x}, {x}, {step}, lsl #1",
                "sxtb16 {c}, {a}",
                "sxtb16 {a}, {a}, ror #8",
                "str {c}, [{o}], #{between}",
                "sxtb16 {c}, {b}",
                "str {a}, [{p}], #{between}",
                "sxtb16 {b}, {b}, ror #8",
                "str {c}, [{o}], #{between}",
                "subs {n}, {n}, #1",
                "str {b}, [{p}], #{between}",
                "bne 3b",
                "4:",
                x = inout(reg) x.as_ptr().wrapping_add(four * 4) => _,
                o = inout(reg) out.as_mut_ptr().wrapping_add(2 * four * pitch) => _,
                p = inout(reg) out.as_mut_ptr().wrapping_add((2 * four + 1) * pitch) => _,
                n = inout(reg) cells => _,
                step = in(reg) step,
                a = out(reg) _,
                b = out(reg) _,
                c = out(reg) _,
                between = const BETWEEN * 4,
                options(nostack),
            );
        }
    }
}

/// The first `fours` fours of `channels` channels of `cells` cells of four rows: of each pair, as in
/// [`spread`], the words `[a − c, b + c, c − b, d − b]`. Nothing is done where a slice is too short.
#[inline(never)]
pub(in crate::backend::cortex_m) fn twice(
    rows: [&[i8]; 4],
    [channels, fours, cells]: [usize; 3],
    out: &mut [i32],
    pitch: usize,
) {
    let fits = fours != 0
        && cells != 0
        && rows.iter().all(|row| row.len() >= (cells - 1) * channels + fours * 4)
        && out.len() >= (2 * fours - 1) * pitch + cells * 4;
    if !fits {
        return;
    }
    let mut words: [usize; 9] = [
        rows[0].as_ptr() as usize,
        rows[1].as_ptr() as usize,
        rows[2].as_ptr() as usize,
        rows[3].as_ptr() as usize,
        out.as_mut_ptr() as usize,
        pitch * 4,
        fours * 4,
        channels.wrapping_sub(fours * 4),
        cells,
    ];
    // SAFETY: every row holds the fours of `cells` cells; the last cell of the last
    // pair ends inside `out`, which holds words, as `stm` wants.
    unsafe { twice_cells(words.as_mut_ptr()) }
}

/// r0–r3 values, r4–r7 codes, r8–r11 rows, r12 output, lr bytes between pairs. On the
/// stack, in bytes: 0 end of the cell in the first row, 4 output of the cell, 8 bytes of
/// the fours, 12 bytes beyond them, 16 cells left.
///
/// # Safety
/// `words` are those of [`twice`].
#[unsafe(naked)]
unsafe extern "C" fn twice_cells(words: *mut usize) {
    naked_asm!(
        cpu!(),
        ".macro microconv_pair ror",
        "sxtb16 r0, r6, ror #\\ror",
        "sxtb16 r3, r5, ror #\\ror",
        "sadd16 r1, r0, r3",
        "ssub16 r2, r0, r3",
        "ssub16 r0, r3, r1",
        "sadd16 r3, r2, r0",
        "sxtab16 r0, r0, r4, ror #\\ror",
        "sxtab16 r3, r3, r7, ror #\\ror",
        "stmia.w r12, {{r0-r3}}",
        "add r12, r12, lr",
        ".endm",
        ".macro microconv_four",
        "ldr r4, [r8], #4",
        "ldr r5, [r9], #4",
        "ldr r6, [r10], #4",
        "ldr r7, [r11], #4",
        "microconv_pair 0",
        "microconv_pair 8",
        ".endm",
        "push {{r4-r11, lr}}",
        "sub sp, sp, #20",
        "ldmia r0, {{r1-r9}}",
        "mov r12, r5",
        "mov lr, r6",
        "str r5, [sp, #4]",
        "str r7, [sp, #8]",
        "str r8, [sp, #12]",
        "str r9, [sp, #16]",
        "mov r8, r1",
        "mov r9, r2",
        "mov r10, r3",
        "mov r11, r4",
        // A cell.
        "2:",
        "ldr r0, [sp, #8]",
        "add r1, r8, r0",
        "str r1, [sp, #0]",
        "lsls r0, r0, #29",
        "bpl 4f",
        "microconv_four",
        "ldr r0, [sp, #0]",
        "cmp r8, r0",
        "beq 5f",
        "4:",
        "microconv_four",
        "microconv_four",
        "ldr r0, [sp, #0]",
        "cmp r8, r0",
        "bne 4b",
        "5:",
        "ldr r0, [sp, #4]",
        "ldr r1, [sp, #12]",
        "ldr r2, [sp, #16]",
        "add r12, r0, #16",
        "str r12, [sp, #4]",
        "add r8, r8, r1",
        "add r9, r9, r1",
        "add r10, r10, r1",
        "add r11, r11, r1",
        "subs r2, r2, #1",
        "str r2, [sp, #16]",
        "bne.w 2b",
        "add sp, sp, #20",
        "pop {{r4-r11, pc}}",
        ".purgem microconv_pair",
        ".purgem microconv_four",
    )
}
