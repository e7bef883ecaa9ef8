//! Dot products, maxima and sums of what lies in memory.
#![allow(unsafe_code, reason = "inline assembly; each block states why it is sound")]

use core::arch::{asm, naked_asm};

/// `acc[o] += Σ x · w[o · stride..]` over four rows and the whole words of `x`, which
/// is as [`widen_split`] leaves it; a rest of `x.len() % 4` is left out.
#[inline(always)]
pub(in crate::backend::cortex_m) fn dot4(
    acc: &mut [i32; 4],
    x: &[i16],
    weights: &[i8],
    stride: usize,
) {
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
        cpu!(),
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
pub(in crate::backend::cortex_m) fn dot(acc: i32, x: &[i8], weights: &[i8]) -> i32 {
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
pub(in crate::backend::cortex_m) fn max_into(out: &mut [i8], x: &[i8]) {
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

/// `best[i] = x[i]` and `winners[i] = tap` where `x[i] > best[i]`, over the whole words of
/// all; a rest is left alone.
#[inline(always)]
pub(in crate::backend::cortex_m) fn max_index_into(
    best: &mut [i8],
    winners: &mut [u8],
    x: &[i8],
    tap: u8,
) {
    let words = best.len().min(winners.len()).min(x.len()) / 4;
    if words == 0 {
        return;
    }
    // SAFETY: reads `words` words of `x`, reads and writes as many of `best` and `winners`,
    // by single loads and stores; both `sel` follow the flags of `ssub8`.
    unsafe {
        asm!(
            "2:",
            "ldr {a}, [{o}]",
            "ldr {b}, [{x}], #4",
            "ldr {w}, [{i}]",
            "ssub8 {c}, {a}, {b}",
            "sel {a}, {a}, {b}",
            "sel {w}, {w}, {t}",
            "str {a}, [{o}], #4",
            "str {w}, [{i}], #4",
            "subs {n}, {n}, #1",
            "bne 2b",
            x = inout(reg) x.as_ptr() => _,
            o = inout(reg) best.as_mut_ptr() => _,
            i = inout(reg) winners.as_mut_ptr() => _,
            n = inout(reg) words => _,
            t = in(reg) u32::from(tap) * 0x0101_0101,
            a = out(reg) _,
            b = out(reg) _,
            c = out(reg) _,
            w = out(reg) _,
            options(nostack),
        );
    }
}

/// `acc[i] += x[i]` over the whole words of `x`; a rest is left alone.
#[inline(always)]
pub(in crate::backend::cortex_m) fn add_into(acc: &mut [i32], x: &[i8]) {
    let words = acc.len().min(x.len()) / 4;
    if words == 0 {
        return;
    }
    // SAFETY: reads `words` words of `x`, reads and writes four times as many of `acc`, by
    // single loads and stores.
    unsafe {
        asm!(
            "2:",
            "ldr {v}, [{x}], #4",
            "ldr {a}, [{o}, #0]",
            "ldr {b}, [{o}, #4]",
            "ldr {c}, [{o}, #8]",
            "ldr {d}, [{o}, #12]",
            "sxtab {a}, {a}, {v}",
            "sxtab {b}, {b}, {v}, ror #8",
            "sxtab {c}, {c}, {v}, ror #16",
            "sxtab {d}, {d}, {v}, ror #24",
            "str {b}, [{o}, #4]",
            "str {c}, [{o}, #8]",
            "str {d}, [{o}, #12]",
            "str {a}, [{o}], #16",
            "subs {n}, {n}, #1",
            "bne 2b",
            x = inout(reg) x.as_ptr() => _,
            o = inout(reg) acc.as_mut_ptr() => _,
            n = inout(reg) words => _,
            v = out(reg) _,
            a = out(reg) _,
            b = out(reg) _,
            c = out(reg) _,
            d = out(reg) _,
            options(nostack),
        );
    }
}

/// One output row of a 2 × 2 max-pool of stride 2 over two rows of `channels`, a multiple of four.
#[inline(always)]
pub(in crate::backend::cortex_m) fn max_2x2(
    top: &[i8],
    bottom: &[i8],
    channels: usize,
    out: &mut [i8],
) {
    let words = channels / 4;
    let pixels = out.len() / (words * 4).max(1);
    let read = pixels * words * 8;
    if words == 0 || pixels == 0 || top.len() < read || bottom.len() < read {
        return;
    }
    macro_rules! turns {
        ($unroll:literal) => {
            // SAFETY: each of `pixels` turns reads two cells of `words` words from both rows,
            // `read` bytes in all, and writes one cell of `out`; `sel` follows the flags of
            // `ssub8`. The loop is unrolled by a divisor of `words`.
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

/// [`max_2x2`] that remembers which tap of its window, 0 to 3, each maximum is: the first
/// of equals.
#[inline(always)]
pub(in crate::backend::cortex_m) fn max_index_2x2(
    top: &[i8],
    bottom: &[i8],
    channels: usize,
    out: &mut [i8],
    winners: &mut [u8],
) {
    let words = channels / 4;
    let pixels = out.len().min(winners.len()) / (words * 4).max(1);
    let read = pixels * words * 8;
    if words == 0 || pixels == 0 || top.len() < read || bottom.len() < read {
        return;
    }
    let arguments: [usize; 7] = [
        pixels,
        top.as_ptr() as usize,
        bottom.as_ptr() as usize,
        out.as_mut_ptr() as usize,
        winners.as_mut_ptr() as usize,
        words * 4,
        0x0101_0101,
    ];
    // SAFETY: each of `pixels` turns reads two cells of `words` words from both rows, `read`
    // bytes in all, and writes one cell of `out` and of `winners`.
    unsafe { max_index_cells(arguments.as_ptr()) }
}

/// r0 and r1 rows, r2 maxima, r3 winners, r4 bytes of a cell, r5 bytes left of it, r6–r9
/// taps, of which r7 and r9 become winners, r10 differences, r11 r12 lr the taps 1, 2 and 3
/// in every byte. On the stack the pixels left.
///
/// # Safety
/// The arguments are those of [`max_index_2x2`].
#[unsafe(naked)]
unsafe extern "C" fn max_index_cells(arguments: *const usize) {
    naked_asm!(
        cpu!(),
        "push {{r4-r11, lr}}",
        "ldr r1, [r0], #4",
        "push {{r1}}",
        "ldmia r0, {{r5-r10}}",
        "mov r0, r5",
        "mov r1, r6",
        "mov r2, r7",
        "mov r3, r8",
        "mov r4, r9",
        "mov r11, r10",
        "lsl r12, r11, #1",
        "add lr, r11, r12",
        "2:",
        "mov r5, r4",
        "3:",
        "ldr r7, [r0, r4]",
        "ldr r9, [r1, r4]",
        "ldr r6, [r0], #4",
        "ldr r8, [r1], #4",
        // Of a pair the second wins where the first is smaller.
        "ssub8 r10, r6, r7",
        "sel r6, r6, r7",
        "mov.w r7, #0",
        "sel r7, r7, r11",
        "ssub8 r10, r8, r9",
        "sel r8, r8, r9",
        "sel r9, r12, lr",
        "ssub8 r10, r6, r8",
        "sel r6, r6, r8",
        "sel r7, r7, r9",
        "str r6, [r2], #4",
        "str r7, [r3], #4",
        "subs r5, r5, #4",
        "bne 3b",
        "ldr r5, [sp]",
        "add r0, r0, r4",
        "add r1, r1, r4",
        "subs r5, r5, #1",
        "str r5, [sp]",
        "bne 2b",
        "pop {{r1}}",
        "pop {{r4-r11, pc}}",
    )
}
