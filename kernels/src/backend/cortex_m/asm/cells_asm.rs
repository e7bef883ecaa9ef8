//! Maxima, means and sums over windows of cells, eight channels at a time.
#![allow(unsafe_code, reason = "naked functions; each call states why it is sound")]

use core::arch::naked_asm;

use crate::backend::cortex_m::cells::{Cells, Division};

/// Taps of a turn.
const TAPS: usize = 4;
/// Bytes of code of a tap.
const TAP: usize = 28;

/// What the naked functions read through r4; they write `entry` anew as an address.
#[repr(C)]
struct Arguments {
    x: *const i8,
    out: *mut u8,
    channels: usize,
    pitch: usize,
    /// From the end of a row to the next one.
    gap: usize,
    rows: usize,
    columns: usize,
    /// Turns of [`TAPS`] taps, and the code of the first one that is skipped.
    turns: usize,
    entry: usize,
    division: Division,
    /// Windows left, and bytes between them.
    windows: usize,
    step: usize,
}

impl Arguments {
    /// For outputs that go to `out`; `None` where cells are missing, or there are other outputs.
    fn new<T>(cells: &Cells<'_>, out: &mut [T]) -> Option<Self> {
        if !cells.fits(out.len()) {
            return None;
        }
        let [rows, columns] = cells.size;
        let turns = columns.div_ceil(TAPS);
        Some(Self {
            x: cells.x.as_ptr(),
            out: out.as_mut_ptr().cast(),
            channels: cells.channels,
            pitch: cells.pitch,
            gap: cells.row.wrapping_sub(columns * cells.pitch),
            rows,
            columns,
            turns,
            entry: (turns * TAPS - columns) * TAP,
            division: Division { halves: [0; 2], by: [0; 2] },
            windows: cells.windows,
            step: cells.step,
        })
    }
}

/// The largest code of each channel; nothing is done where cells are missing.
#[inline(always)]
pub(in crate::backend::cortex_m) fn max_cells(cells: &Cells<'_>, out: &mut [i8]) {
    let Some(mut arguments) = Arguments::new(cells, out) else {
        return;
    };
    // SAFETY: all cells lie in the slice, and `out` has a byte per channel, four or more,
    // of each window.
    unsafe { max_windows(&mut arguments) }
}

/// The mean of each channel; nothing is done where cells are missing.
#[inline(always)]
pub(in crate::backend::cortex_m) fn mean_cells(
    cells: &Cells<'_>,
    division: &Division,
    out: &mut [i8],
) {
    let Some(arguments) = Arguments::new(cells, out) else { return };
    let mut arguments = Arguments { division: *division, ..arguments };
    // SAFETY: all cells lie in the slice, and `out` has a byte per channel, four or more,
    // of each window.
    unsafe { mean_windows(&mut arguments) }
}

/// The sum of each channel, of at most [`Cells::MOST`] cells; nothing is done where cells are
/// missing.
#[inline(always)]
pub(in crate::backend::cortex_m) fn sum_cells(cells: &Cells<'_>, out: &mut [i32]) {
    let Some(mut arguments) = Arguments::new(cells, out) else {
        return;
    };
    // SAFETY: all cells lie in the slice, and `out` has a word per channel, four or more,
    // of each window.
    unsafe { sum_windows(&mut arguments) }
}

/// r0 inputs, r1 outputs, r2 channels left, r3 pitch, r4 arguments, r5 cell, r6 rows left,
/// r7 turns left, r8–r11 eight channels, r12 and lr cells. Window by window eight channels at a
/// time, the last eight once more in part; fewer than eight by fours, in the same way.
///
/// `$by`: bits by which a channel of the output is wider than a byte, as a shift; `$start`
/// empties r8 to r11; `$tap` takes in r12 (channels 0 to 3) and lr (4 to 7), in [`TAP`] bytes
/// with its loads; `$end` writes r8 to r11 and moves r1 on. `$tap4` and `$end4` are for r12
/// alone.
macro_rules! windows {
    ($name:ident: $by:literal; $start:expr; $tap:expr, $tap4:expr; $end:expr, $end4:expr) => {
        /// # Safety
        /// The arguments are those of [`Arguments::new`] with an output that has its channels.
        #[unsafe(naked)]
        unsafe extern "C" fn $name(arguments: *mut Arguments) {
            naked_asm!(
                cpu!(),
                "push {{r4-r11, lr}}",
                "mov r4, r0",
                "adr r5, 4f",
                "ldr r6, [r4, #32]",
                "add r5, r5, r6",
                "orr r5, r5, #1",
                "str r5, [r4, #32]",
                "ldmia r4, {{r0-r3}}",
                // A window.
                "1:",
                "cmp r2, #8",
                "blo.w 6f",
                "2:",
                "mov r5, r0",
                "ldr r6, [r4, #20]",
                $start,
                "3:",
                "ldr r7, [r4, #28]",
                "ldr pc, [r4, #32]",
                ".p2align 2",
                "4:",
                ".rept 4",
                "ldr.w r12, [r5]",
                "ldr.w lr, [r5, #4]",
                "add.w r5, r5, r3",
                $tap,
                ".endr",
                "subs r7, r7, #1",
                "bne 4b",
                "ldr r7, [r4, #16]",
                "subs r6, r6, #1",
                "add r5, r5, r7",
                "bne 3b",
                $end,
                "add r0, r0, #8",
                "subs r2, r2, #8",
                "beq.w 9f",
                "cmp r2, #8",
                "bhs 2b",
                // Back by the channels that are there already.
                "rsb r2, r2, #8",
                "sub r0, r0, r2",
                concat!("sub r1, r1, r2, lsl #", $by),
                "mov r2, #8",
                "b 2b",
                // Four channels.
                "6:",
                "mov r5, r0",
                "ldr r6, [r4, #20]",
                $start,
                "7:",
                "ldr r7, [r4, #24]",
                "8:",
                "ldr r12, [r5]",
                "add r5, r5, r3",
                $tap4,
                "subs r7, r7, #1",
                "bne 8b",
                "ldr r7, [r4, #16]",
                "subs r6, r6, #1",
                "add r5, r5, r7",
                "bne 7b",
                $end4,
                "add r0, r0, #4",
                "subs r2, r2, #4",
                "beq 9f",
                "rsb r2, r2, #4",
                "sub r0, r0, r2",
                concat!("sub r1, r1, r2, lsl #", $by),
                "mov r2, #4",
                "b 6b",
                "9:",
                "ldr r5, [r4, #52]",
                "ldr r0, [r4, #0]",
                "subs r5, r5, #1",
                "ldr r6, [r4, #56]",
                "str r5, [r4, #52]",
                "add r0, r0, r6",
                "ldr r2, [r4, #8]",
                "str r0, [r4, #0]",
                "bne.w 1b",
                "pop {{r4-r11, pc}}",
            )
        }
    };
}

/// Empties r8 to r11.
macro_rules! empty_lanes {
    () => {
        "movs r7, #0
        mov r8, r7
        mov r9, r7
        mov r10, r7
        mov r11, r7"
    };
}

/// Adds the bytes of a word to two words of lanes.
macro_rules! add_lanes {
    ($word:literal, $even:literal, $odd:literal) => {
        concat!(
            "sxtab16 ",
            $even,
            ", ",
            $even,
            ", ",
            $word,
            "\n",
            "sxtab16 ",
            $odd,
            ", ",
            $odd,
            ", ",
            $word,
            ", ror #8\n",
        )
    };
}

/// Keeps the larger bytes; r10 is lost.
macro_rules! larger {
    ($best:literal, $word:literal) => {
        concat!(
            "ssub8 r10, ",
            $best,
            ", ",
            $word,
            "\n",
            "sel ",
            $best,
            ", ",
            $best,
            ", ",
            $word,
            "\n",
        )
    };
}

/// Rounds the sums of a lane before the division; r5 to r7 are zero and the halves, r12 is lost.
macro_rules! round_lanes {
    ($sum:literal) => {
        concat!(
            "sadd16 r12, ",
            $sum,
            ", r5\n",
            "sel r12, r6, r7\n",
            "sadd16 ",
            $sum,
            ", ",
            $sum,
            ", r12\n",
        )
    };
}

/// The bytes of four quotients; r6 and r7 are [`Division::by`], r12 and lr are lost.
macro_rules! divide_lanes {
    ($even:literal, $odd:literal) => {
        concat!(
            "smlawb r12, r6, ",
            $even,
            ", r7\n",
            "smlawt lr, r6, ",
            $even,
            ", r7\n",
            "pkhtb ",
            $even,
            ", lr, r12, asr #16\n",
            "smlawb r12, r6, ",
            $odd,
            ", r7\n",
            "smlawt lr, r6, ",
            $odd,
            ", r7\n",
            "pkhtb ",
            $odd,
            ", lr, r12, asr #16\n",
            "uxtb16 ",
            $even,
            ", ",
            $even,
            "\n",
            "uxtb16 ",
            $odd,
            ", ",
            $odd,
            "\n",
            "orr ",
            $even,
            ", ",
            $even,
            ", ",
            $odd,
            ", lsl #8\n",
            "str ",
            $even,
            ", [r1], #4\n",
        )
    };
}

/// Writes the sums of four channels; r12 and lr are lost.
macro_rules! store_lanes {
    ($even:literal, $odd:literal) => {
        concat!(
            "sxth r12, ",
            $even,
            "\n",
            "sxth lr, ",
            $odd,
            "\n",
            "str r12, [r1], #4\n",
            "str lr, [r1], #4\n",
            "asr r12, ",
            $even,
            ", #16\n",
            "asr lr, ",
            $odd,
            ", #16\n",
            "str r12, [r1], #4\n",
            "str lr, [r1], #4\n",
        )
    };
}

windows! {
    max_windows: "0";
    "mov r8, #0x80808080
    mov r9, #0x80808080";
    concat!(larger!("r8", "r12"), larger!("r9", "lr")), larger!("r8", "r12");
    "str r8, [r1], #4
    str r9, [r1], #4", "str r8, [r1], #4"
}

windows! {
    mean_windows: "0";
    empty_lanes!();
    concat!(add_lanes!("r12", "r8", "r9"), add_lanes!("lr", "r10", "r11")),
    add_lanes!("r12", "r8", "r9");
    concat!(
        "movs r5, #0
        ldrd r6, r7, [r4, #36]
        ",
        round_lanes!("r8"), round_lanes!("r9"), round_lanes!("r10"), round_lanes!("r11"),
        "ldrd r6, r7, [r4, #44]
        ",
        divide_lanes!("r8", "r9"), divide_lanes!("r10", "r11"),
    ),
    concat!(
        "movs r5, #0
        ldrd r6, r7, [r4, #36]
        ",
        round_lanes!("r8"), round_lanes!("r9"),
        "ldrd r6, r7, [r4, #44]
        ",
        divide_lanes!("r8", "r9"),
    )
}

windows! {
    sum_windows: "2";
    empty_lanes!();
    concat!(add_lanes!("r12", "r8", "r9"), add_lanes!("lr", "r10", "r11")),
    add_lanes!("r12", "r8", "r9");
    concat!(store_lanes!("r8", "r9"), store_lanes!("r10", "r11")),
    store_lanes!("r8", "r9")
}
