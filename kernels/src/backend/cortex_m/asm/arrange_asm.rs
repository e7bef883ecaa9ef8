//! Widening, interleaving and copying, before anything is multiplied.
#![allow(unsafe_code, reason = "inline assembly; each block states why it is sound")]

use core::arch::{asm, naked_asm};

/// Widens `x` to the first `x.len()` elements of `out`, in order.
#[inline(always)]
pub(in crate::backend::cortex_m) fn widen(x: &[i8], out: &mut [i16]) {
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

/// Copies codes, as many as both have, in whole words while there are any.
#[inline(never)]
pub(in crate::backend::cortex_m) fn copy(to: &mut [i8], from: &[i8]) {
    let count = to.len().min(from.len());
    if count == 0 {
        return;
    }
    // SAFETY: reads and writes `count` bytes of either slice, which have as many; loads and
    // stores of one word need no alignment.
    unsafe {
        asm!(
            "subs {n}, {n}, #16",
            "blo 3f",
            "2:",
            "ldr {a}, [{x}], #4",
            "ldr {b}, [{x}], #4",
            "ldr {c}, [{x}], #4",
            "ldr {d}, [{x}], #4",
            "str {a}, [{y}], #4",
            "str {b}, [{y}], #4",
            "str {c}, [{y}], #4",
            "subs {n}, {n}, #16",
            "str {d}, [{y}], #4",
            "bhs 2b",
            "3:",
            "adds {n}, {n}, #12",
            "blo 5f",
            "4:",
            "ldr {a}, [{x}], #4",
            "subs {n}, {n}, #4",
            "str {a}, [{y}], #4",
            "bhs 4b",
            "5:",
            "adds {n}, {n}, #4",
            "beq 7f",
            "6:",
            "ldrb {a}, [{x}], #1",
            "subs {n}, {n}, #1",
            "strb {a}, [{y}], #1",
            "bne 6b",
            "7:",
            x = inout(reg) from.as_ptr() => _,
            y = inout(reg) to.as_mut_ptr() => _,
            n = inout(reg) count => _,
            a = out(reg) _,
            b = out(reg) _,
            c = out(reg) _,
            d = out(reg) _,
            options(nostack),
        );
    }
}

/// `columns` columns of `pitch` elements: column `i` holds, one after the other, the runs of
/// `run` elements that start `starts` (in bytes, at most `last`) from element `i · step` of `x`.
/// An odd run takes one element more, which the next one overwrites. Nothing is done
/// where a slice is too short.
#[inline(always)]
pub(in crate::backend::cortex_m) fn gather(
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
/// r8 run, r9 source, r10 destination or second word, r11 turns left, r12 word; on the
/// stack the turns of a run, for which r4 becomes the entry.
///
/// # Safety
/// The arguments are those of [`gather`].
#[unsafe(naked)]
unsafe extern "C" fn gather_columns(arguments: *const usize) {
    naked_asm!(
        cpu!(),
        "push {{r3-r11, lr}}",
        "ldmia r0, {{r0-r8}}",
        "mov lr, r8",
        // Turns of eight words, of which the first begins in the middle.
        "add r9, r4, #7",
        "lsrs r9, r9, #3",
        "str r9, [sp, #0]",
        "lsl r9, r9, #3",
        "sub r9, r9, r4",
        "cmp r4, #2",
        "adr r4, 4f",
        "add r4, r4, r9, lsl #3",
        "orr r4, r4, #1",
        "beq 5f",
        // A column.
        "2:",
        "mov r8, r0",
        "3:",
        "ldr r9, [r8], #4",
        "ldr r11, [sp, #0]",
        "mov r10, r3",
        "add r9, r9, r2",
        "bx r4",
        ".p2align 2",
        "4:",
        ".rept 8",
        "ldr.w r12, [r9], #4",
        "str.w r12, [r10], #4",
        ".endr",
        "subs r11, r11, #1",
        "bne.w 4b",
        "add r3, r3, r5",
        "cmp r8, r1",
        "bne 3b",
        "add r3, r3, lr",
        "add r2, r2, r6",
        "subs r7, r7, #1",
        "bne 2b",
        "pop {{r3-r11, pc}}",
        // A column of runs of two words.
        "5:",
        "mov r8, r0",
        "6:",
        "ldr r9, [r8], #4",
        "cmp r8, r1",
        "add r9, r9, r2",
        "ldr r12, [r9]",
        "ldr r10, [r9, #4]",
        "str r12, [r3]",
        "str r10, [r3, #4]",
        "add r3, r3, r5",
        "bne 6b",
        "add r3, r3, lr",
        "add r2, r2, r6",
        "subs r7, r7, #1",
        "bne 5b",
        "pop {{r3-r11, pc}}",
    )
}

/// Widens four at a time to `[x0, x2, x1, x3]`; a rest of `x.len() % 4` is left alone.
#[inline(always)]
pub(in crate::backend::cortex_m) fn widen_split(x: &[i8], out: &mut [i16]) {
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
pub(in crate::backend::cortex_m) fn interleave(a: &[i8], b: &[i8], out: &mut [i16]) {
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
