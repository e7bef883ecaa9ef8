//! Sums through tables.
#![allow(unsafe_code, reason = "inline assembly; each block states why it is sound")]

use core::arch::naked_asm;

/// `y[i] = requantize((tables[0][a[i]] + tables[1][b[i]]) / 2)` over whole words, codes read
/// as unsigned bytes and sums doubled; `[mantissa, n, zero point]` as `requantize` takes
/// them. Returns how many elements that is.
#[inline(always)]
pub(in crate::backend::cortex_m) fn add_tables(
    tables: &[[i32; 256]; 2],
    a: &[i8],
    b: &[i8],
    [mantissa, n, zero_point]: [i32; 3],
    y: &mut [i8],
) -> usize {
    let count = a.len().min(b.len()).min(y.len()) / 4 * 4;
    if count == 0 {
        return 0;
    }
    let words = [
        y.as_mut_ptr().wrapping_add(count) as usize,
        a.as_ptr() as usize,
        b.as_ptr() as usize,
        y.as_mut_ptr() as usize,
        tables[0].as_ptr() as usize,
        tables[1].as_ptr() as usize,
        mantissa as usize,
        n as usize,
        zero_point as usize,
    ];
    // SAFETY: reads `count` bytes of `a` and of `b`, in words, by single loads, writes as
    // many of `y`, and reads entries of tables of 256 at bytes.
    unsafe { add_loop(words.as_ptr()) }
    count
}

/// [`add_tables`] where `y` holds the operand of the first table.
#[inline(always)]
pub(in crate::backend::cortex_m) fn add_tables_in_place(
    tables: [&[i32; 256]; 2],
    other: &[i8],
    [mantissa, n, zero_point]: [i32; 3],
    y: &mut [i8],
) -> usize {
    let count = other.len().min(y.len()) / 4 * 4;
    if count == 0 {
        return 0;
    }
    let own = y.as_mut_ptr();
    let words = [
        own.wrapping_add(count) as usize,
        own as usize,
        other.as_ptr() as usize,
        own as usize,
        tables[0].as_ptr() as usize,
        tables[1].as_ptr() as usize,
        mantissa as usize,
        n as usize,
        zero_point as usize,
    ];
    // SAFETY: reads `count` bytes of `y` and of `other`, in words, by single loads, and entries
    // of tables of 256 at bytes; writes the `count` bytes of `y`, each word after it was read,
    // all through the one pointer to `y`.
    unsafe { add_loop(words.as_ptr()) }
    count
}

/// r0 and r1 operands, r2 output, r4 and r5 tables, r6 mantissa, r7 right shift, r8 zero
/// point, r9 and r10 words of codes, r3, r11, r12 and lr values. On the stack the end of
/// the output.
///
/// # Safety
/// `words` are those of [`add_tables`] or [`add_tables_in_place`].
#[unsafe(naked)]
unsafe extern "C" fn add_loop(words: *const usize) {
    naked_asm!(
        cpu!(),
        ".macro microconv_round x",
        "smmulr \\x, \\x, r6",
        "add \\x, \\x, \\x, asr #31",
        "asrs \\x, \\x, r7",
        "adc \\x, \\x, r8",
        "ssat \\x, #8, \\x",
        ".endm",
        ".macro microconv_two",
        "ldr r3, [r4, r3, lsl #2]",
        "ldr r11, [r5, r11, lsl #2]",
        "ldr r12, [r4, r12, lsl #2]",
        "ldr lr, [r5, lr, lsl #2]",
        "add r3, r3, r11",
        "add r12, r12, lr",
        "microconv_round r3",
        "microconv_round r12",
        "strb r3, [r2], #1",
        "strb r12, [r2], #1",
        ".endm",
        "push {{r4-r11, lr}}",
        "ldmia r0, {{r3, r4-r11}}",
        "push {{r3}}",
        "mov r0, r4",
        "mov r1, r5",
        "mov r2, r6",
        "mov r4, r7",
        "mov r5, r8",
        "mov r6, r9",
        "mov r7, r10",
        "mov r8, r11",
        "2:",
        "ldr r9, [r0], #4",
        "ldr r10, [r1], #4",
        "uxtb r3, r9",
        "uxtb r11, r10",
        "uxtb r12, r9, ror #8",
        "uxtb lr, r10, ror #8",
        "microconv_two",
        "uxtb r3, r9, ror #16",
        "uxtb r11, r10, ror #16",
        "lsr r12, r9, #24",
        "lsr lr, r10, #24",
        "microconv_two",
        "ldr r3, [sp]",
        "cmp r2, r3",
        "bne 2b",
        "pop {{r3}}",
        "pop {{r4-r11, pc}}",
        ".purgem microconv_two",
        ".purgem microconv_round",
    )
}
