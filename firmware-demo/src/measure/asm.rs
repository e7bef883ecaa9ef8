//! The two markers, and SysTick: every `unsafe` of the counter.

#![allow(unsafe_code, reason = "reads a timer once per instruction")]

use core::{arch::naked_asm, sync::atomic::AtomicU32};

use super::MAX_EVENTS;

/// Readings of SysTick per event: 18 groups of five, one instruction apart, with
/// one instruction that stores after each group.
pub(super) const GROUP: usize = 5;
pub(super) const READINGS: usize = 18 * GROUP;

/// Instructions from the entry of a marker to its first reading.
pub(super) const BEFORE: u64 = 16;
/// Instructions from the first reading to the marker's return, both included.
pub(super) const AFTER: u64 = (READINGS + READINGS / GROUP + 2) as u64;

/// One call of a marker: the region (bit 31 set: stop), then the readings.
pub(super) const WORDS: usize = 1 + READINGS;

const _: () = assert!(MAX_EVENTS == 256, "the markers wrap an 8-bit index");

/// What the markers write: a ring that keeps the last [`MAX_EVENTS`] calls.
#[repr(C)]
pub(super) struct Record {
    /// Calls since the last reset.
    pub(super) calls: AtomicU32,
    pub(super) events: [[AtomicU32; WORDS]; MAX_EVENTS],
}

pub(super) static RECORD: Record = Record {
    calls: AtomicU32::new(0),
    events: [const { [const { AtomicU32::new(0) }; WORDS] }; MAX_EVENTS],
};

macro_rules! marker {
    ($(#[$doc:meta])* $name:ident, $stop:literal) => {
        $(#[$doc])*
        //
        // SAFETY: the function keeps to AAPCS (it restores r4 to r7 and changes
        // r0 to r3) and writes the words of `events[calls % 256]` only.
        #[unsafe(naked)]
        #[unsafe(no_mangle)]
        pub extern "C" fn $name(id: u32) {
            naked_asm!(
                "push {{r4, r5, r6, r7}}",
                "ldr r1, ={record}",
                "ldr r2, [r1]",
                "adds r3, r2, #1",
                "str r3, [r1]",
                "uxtb r2, r2",
                "movs r3, #{words}",
                "muls r2, r3, r2",
                "lsls r2, r2, #2",
                "adds r2, r2, r1",
                "adds r2, r2, #4",
                "movs r3, #{stop}",
                "lsls r3, r3, #31",
                "orrs r0, r0, r3",
                "stmia r2!, {{r0}}",
                "ldr r0, =0xe000e018",
                ".rept 18",
                "ldr r3, [r0]",
                "ldr r4, [r0]",
                "ldr r5, [r0]",
                "ldr r6, [r0]",
                "ldr r7, [r0]",
                "stmia r2!, {{r3, r4, r5, r6, r7}}",
                ".endr",
                "pop {{r4, r5, r6, r7}}",
                "bx lr",
                ".p2align 2",
                ".ltorg",
                record = sym RECORD,
                words = const WORDS,
                stop = const $stop,
            )
        }
    };
}

marker! {
    /// Enters region `id`.
    measure_start, 0
}
marker! {
    /// Leaves region `id`.
    measure_stop, 1
}

/// Lets SysTick count down from 2^24 − 1, over and over, without an interrupt.
pub(super) fn start_timer() {
    const CONTROL: usize = 0xe000_e010;
    const RELOAD: usize = 0xe000_e014;
    const CURRENT: usize = 0xe000_e018;
    const ENABLE_ON_CORE_CLOCK: u32 = 0b101;
    for (register, value) in [(RELOAD, 0x00ff_ffff), (CURRENT, 0), (CONTROL, ENABLE_ON_CORE_CLOCK)]
    {
        // SAFETY: these are the three SysTick registers of every Cortex-M with
        // that timer; nothing else in the program uses it.
        unsafe {
            core::ptr::with_exposed_provenance_mut::<u32>(register).write_volatile(value);
        }
    }
}

/// A region of exactly `3 + 2 × rounds` instructions between the markers.
// SAFETY: keeps to AAPCS: saves what it uses and the return address on the stack.
#[unsafe(naked)]
pub(super) extern "C" fn known_region(id: u32, rounds: u32) {
    naked_asm!(
        "push {{r4, r5, r6, lr}}",
        "mov r4, r0",
        "mov r5, r1",
        "bl {start}",
        "nop",
        "2:",
        "subs r5, r5, #1",
        "bne 2b",
        "mov r0, r4",
        "bl {stop}",
        "pop {{r4, r5, r6, pc}}",
        start = sym measure_start,
        stop = sym measure_stop,
    )
}
