//! Seven pixels of one channel.
#![allow(unsafe_code, reason = "inline assembly; each block states why it is sound")]

use core::arch::naked_asm;

use crate::backend::cortex_m::sevens::{CELLS, PIXELS, Row, TAPS, Tiles};

/// Bytes of code of a pass over two taps, and over three.
const PASS: [usize; 2] = [96, 132];

/// A row of outputs as codes; nothing where [`Row::fits`] says no.
#[inline(always)]
pub(in crate::backend::cortex_m) fn sevens(row: &mut Row<'_>) {
    const { assert!(PIXELS == 7 && TAPS == 3 && CELLS == 9) };
    if !row.fits() {
        return;
    }
    let [bias, mantissa, offset, shift] = row.head;
    let tiles = row.tiles();
    let taps = row.taps;
    // The loop takes the passes of two pairs, half of which are left out the first time where the
    // number of pairs is odd.
    let odd = row.pairs % 2 * taps;
    let weights = row.weights.as_ptr() as usize;
    // Codes go from −128 on.
    let table = row.table.map_or(0, |table| table.as_ptr() as usize + 128);
    let words: [usize; 15] = [
        table,
        mantissa as usize,
        offset as usize,
        shift as usize,
        row.out.as_mut_ptr() as usize,
        row.step,
        // Bit 0 says Thumb.
        odd * PASS[taps - 2] + 1,
        odd * CELLS * 4,
        weights.wrapping_sub(odd * taps * 4),
        weights + row.pairs * taps * taps * 4,
        bias as usize,
        tiles,
        (tiles * PIXELS - row.count) * row.step,
        usize::from(row.relu),
        row.x.as_ptr() as usize,
    ];
    let sevens = if taps == 2 { sevens_of_two } else { sevens_of_three };
    // SAFETY: `fits` has checked that the cells of all tiles, the weights of the rows and the
    // outputs lie in their slices, and that there is a tile and a pair at least; a code and the
    // address of the middle of a table of 256 lead into the table.
    unsafe { sevens(words.as_ptr()) }
}

/// r0–r6 sums, r7–r11 weights and cells, r12 cells of the pass, lr its weights. At the end
/// r7 table, r8–r10 mantissa, offset and shift, r11 outputs, lr bytes between them. On the stack,
/// in bytes: 0 table, 4 mantissa, 8 offset, 12 shift, 16 outputs, 20 bytes between them, 24 entry, 28
/// bytes of cells that it leaves out, 32 weights, 36 their end, 40 bias, 44 tiles left, 48 bytes that
/// the last one goes back, 52 how codes are made.
/// `$pass` defines a macro for the pass whose cells and weights begin that many bytes further on; `$turn`
/// are the passes of two pairs, which move on by `$cells` and `$weights`.
macro_rules! sevens {
    ($name:ident, [$($pass:literal,)*], [$($turn:literal,)*], $cells:literal, $weights:literal) => {
        /// # Safety
        /// `words` are those of [`sevens`].
        #[unsafe(naked)]
        unsafe extern "C" fn $name(words: *const usize) {
            naked_asm!(
                cpu!(),
                requantize_macros!(),
                $($pass,)*
                ".macro microconv_codes what",
                "ldmia sp, {{r7-r11, lr}}",
                "\\what r0",
                "\\what r1",
                "\\what r2",
                "\\what r3",
                "\\what r4",
                "\\what r5",
                "\\what r6",
                ".endm",
                ".macro microconv_store x",
                "strb \\x, [r11]",
                "add r11, r11, lr",
                ".endm",
                "push {{r4-r11, lr}}",
                "sub sp, sp, #60",
                "ldmia r0!, {{r1-r12}}",
                "adr.w lr, 4f",
                "add r7, r7, lr",
                "stmia sp, {{r1-r12}}",
                "ldmia r0, {{r1, r2, r12}}",
                "adr.w r3, 6f",
                "adr.w r4, 7f",
                "cmp r2, #0",
                "it ne",
                "movne r3, r4",
                "add r3, r3, #1",
                "str r1, [sp, #48]",
                "str r3, [sp, #52]",
                // A tile.
                "2:",
                "ldr r0, [sp, #40]",
                "ldr lr, [sp, #32]",
                "ldr r7, [sp, #24]",
                "ldr r8, [sp, #28]",
                "mov r1, r0",
                "mov r2, r0",
                "mov r3, r0",
                "mov r4, r0",
                "mov r5, r0",
                "mov r6, r0",
                "sub r12, r12, r8",
                "bx r7",
                ".p2align 2",
                "4:",
                $($turn,)*
                "ldr r7, [sp, #36]",
                concat!("add r12, r12, #", $cells),
                concat!("add lr, lr, #", $weights),
                "cmp lr, r7",
                "bne.w 4b",
                "ldr r7, [sp, #52]",
                "bx r7",
                ".p2align 2",
                "6:",
                "microconv_codes microconv_code",
                "b 8f",
                ".p2align 2",
                "7:",
                "microconv_codes microconv_relu",
                "8:",
                "cbz r7, 9f",
                "ldrb r0, [r7, r0]",
                "ldrb r1, [r7, r1]",
                "ldrb r2, [r7, r2]",
                "ldrb r3, [r7, r3]",
                "ldrb r4, [r7, r4]",
                "ldrb r5, [r7, r5]",
                "ldrb r6, [r7, r6]",
                "9:",
                "microconv_store r0",
                "microconv_store r1",
                "microconv_store r2",
                "microconv_store r3",
                "microconv_store r4",
                "microconv_store r5",
                "microconv_store r6",
                "ldr r8, [sp, #44]",
                "ldr r9, [sp, #48]",
                "subs r8, r8, #1",
                "beq 3f",
                "cmp r8, #1",
                "it eq",
                "subeq r11, r11, r9",
                "str r8, [sp, #44]",
                "str r11, [sp, #16]",
                "b.w 2b",
                "3:",
                "add sp, sp, #60",
                "pop {{r4-r11, pc}}",
                ".purgem microconv_pass",
                ".purgem microconv_codes",
                ".purgem microconv_store",
                purge_requantize_macros!(),
            )
        }
    };
}

sevens!(
    sevens_of_three,
    [
        ".macro microconv_pass x, w",
        "ldr.w r7, [lr, #\\w]",
        "ldr.w r8, [lr, #\\w + 4]",
        "ldr.w r9, [lr, #\\w + 8]",
        "ldr.w r10, [r12, #\\x]",
        "ldr.w r11, [r12, #\\x + 4]",
        "smlad r0, r10, r7, r0",
        "smlad r0, r11, r8, r0",
        "smlad r1, r11, r7, r1",
        "ldr.w r10, [r12, #\\x + 8]",
        "ldr.w r11, [r12, #\\x + 12]",
        "smlad r0, r10, r9, r0",
        "smlad r1, r10, r8, r1",
        "smlad r2, r10, r7, r2",
        "smlad r1, r11, r9, r1",
        "smlad r2, r11, r8, r2",
        "smlad r3, r11, r7, r3",
        "ldr.w r10, [r12, #\\x + 16]",
        "ldr.w r11, [r12, #\\x + 20]",
        "smlad r2, r10, r9, r2",
        "smlad r3, r10, r8, r3",
        "smlad r4, r10, r7, r4",
        "smlad r3, r11, r9, r3",
        "smlad r4, r11, r8, r4",
        "smlad r5, r11, r7, r5",
        "ldr.w r10, [r12, #\\x + 24]",
        "ldr.w r11, [r12, #\\x + 28]",
        "smlad r4, r10, r9, r4",
        "smlad r5, r10, r8, r5",
        "smlad r6, r10, r7, r6",
        "smlad r5, r11, r9, r5",
        "smlad r6, r11, r8, r6",
        "ldr.w r10, [r12, #\\x + 32]",
        "smlad r6, r10, r9, r6",
        ".endm",
    ],
    [
        "microconv_pass 0, 0",
        "microconv_pass 36, 12",
        "microconv_pass 72, 24",
        "microconv_pass 108, 36",
        "microconv_pass 144, 48",
        "microconv_pass 180, 60",
    ],
    "216",
    "72"
);

sevens!(
    sevens_of_two,
    [
        ".macro microconv_pass x, w",
        "ldr.w r7, [lr, #\\w]",
        "ldr.w r8, [lr, #\\w + 4]",
        "ldr.w r9, [r12, #\\x]",
        "ldr.w r10, [r12, #\\x + 4]",
        "ldr.w r11, [r12, #\\x + 8]",
        "smlad r0, r9, r7, r0",
        "smlad r0, r10, r8, r0",
        "smlad r1, r10, r7, r1",
        "smlad r1, r11, r8, r1",
        "smlad r2, r11, r7, r2",
        "ldr.w r9, [r12, #\\x + 12]",
        "ldr.w r10, [r12, #\\x + 16]",
        "ldr.w r11, [r12, #\\x + 20]",
        "smlad r2, r9, r8, r2",
        "smlad r3, r9, r7, r3",
        "smlad r3, r10, r8, r3",
        "smlad r4, r10, r7, r4",
        "smlad r4, r11, r8, r4",
        "smlad r5, r11, r7, r5",
        "ldr.w r9, [r12, #\\x + 24]",
        "ldr.w r10, [r12, #\\x + 28]",
        "smlad r5, r9, r8, r5",
        "smlad r6, r9, r7, r6",
        "smlad r6, r10, r8, r6",
        ".endm",
    ],
    [
        "microconv_pass 0, 0",
        "microconv_pass 36, 8",
        "microconv_pass 72, 16",
        "microconv_pass 108, 24",
    ],
    "144",
    "32"
);

/// The fours of a row to a slot of every tile: pairs `[c, c + 2]` and `[c + 1, c + 3]`,
/// [`CELLS`] words each. Nothing where [`Tiles::fit`] says no.
#[inline(always)]
pub(in crate::backend::cortex_m) fn lay(x: &[i8], tiles: &Tiles<'_>, out: &mut [i32]) {
    if !tiles.fit(x, out) {
        return;
    }
    let (list, step, fours) = tiles.parts();
    let ends = list.as_ptr_range();
    let words: [usize; 6] = [
        ends.start as usize,
        ends.end as usize,
        x.as_ptr() as usize,
        out.as_mut_ptr() as usize,
        step,
        fours,
    ];
    // SAFETY: `fit` has checked that the fours of the cells of all tiles and the words of their
    // pairs lie in their slices; a `Tiles` has nine cells a tile at most and a four at least.
    unsafe { lay_cells(words.as_ptr()) }
}

/// r0 tile, r1 end of the list, r2 row, r3 slots, r4 bytes between cells, r5 fours; of the tile
/// r6 its fours, r7 their words, r8 cells, r9 fours left; r10 cells, r11, r12 and lr codes.
///
/// # Safety
/// `words` are those of [`lay`].
#[unsafe(naked)]
unsafe extern "C" fn lay_cells(words: *const usize) {
    naked_asm!(
        cpu!(),
        ".macro microconv_two at",
        "ldr.w r11, [r10]",
        "ldr.w r12, [r10, r4]",
        "add.w r10, r10, r4, lsl #1",
        "sxtb16 lr, r11",
        "sxtb16 r11, r11, ror #8",
        "str.w lr, [r7, #\\at]",
        "str.w r11, [r7, #\\at + 36]",
        "sxtb16 lr, r12",
        "sxtb16 r12, r12, ror #8",
        "str.w lr, [r7, #\\at + 4]",
        "str.w r12, [r7, #\\at + 40]",
        ".endm",
        "push {{r4-r11, lr}}",
        "ldmia r0, {{r0-r5}}",
        "cmp r0, r1",
        "beq.w 9f",
        // A tile.
        "2:",
        "ldmia r0!, {{r6, r7, r8}}",
        "mov r9, r5",
        "add r6, r6, r2",
        "add r7, r7, r3",
        // A four.
        "3:",
        "mov r10, r6",
        "tbb [pc, r8]",
        "4:",
        ".byte (8f - 4b) / 2",
        ".byte (18f - 4b) / 2",
        ".byte (26f - 4b) / 2",
        ".byte (16f - 4b) / 2",
        ".byte (24f - 4b) / 2",
        ".byte (14f - 4b) / 2",
        ".byte (22f - 4b) / 2",
        ".byte (12f - 4b) / 2",
        ".byte (20f - 4b) / 2",
        ".byte (10f - 4b) / 2",
        // An even number of cells.
        "20:",
        "microconv_two 0",
        "22:",
        "microconv_two 8",
        "24:",
        "microconv_two 16",
        "26:",
        "microconv_two 24",
        "b 8f",
        // An odd number.
        "10:",
        "microconv_two 0",
        "12:",
        "microconv_two 8",
        "14:",
        "microconv_two 16",
        "16:",
        "microconv_two 24",
        "18:",
        "ldr.w r11, [r10]",
        "sxtb16 lr, r11",
        "sxtb16 r11, r11, ror #8",
        "str.w lr, [r7, #32]",
        "str.w r11, [r7, #68]",
        "8:",
        "add r6, r6, #4",
        "add r7, r7, #72",
        "subs r9, r9, #1",
        "bne.w 3b",
        "cmp r0, r1",
        "bne.w 2b",
        "9:",
        "pop {{r4-r11, pc}}",
        ".purgem microconv_two",
    )
}
