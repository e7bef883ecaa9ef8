//! Linker symbols and the painted stack: every `unsafe` of the board.

#![allow(unsafe_code, reason = "the stack is measured through raw memory")]

use core::{
    arch::asm,
    sync::atomic::{AtomicUsize, Ordering},
};

use cortex_m_rt::STACK_PAINT_VALUE;

// SAFETY: cortex-m-rt's linker script defines these symbols. Their addresses are
// taken and their contents never read, so their type does not matter.
unsafe extern "C" {
    safe static __vector_table: u8;
    safe static __etext: u8;
    safe static __srodata: u8;
    safe static __erodata: u8;
    safe static __sdata: u8;
    safe static __edata: u8;
    safe static __ebss: u8;
    safe static _stack_end: u8;
    safe static _stack_start: u8;
}

/// Addresses from the linker script.
pub(super) struct Layout {
    pub(super) flash_start: usize,
    pub(super) text_end: usize,
    pub(super) constants_start: usize,
    pub(super) constants_end: usize,
    pub(super) data_start: usize,
    pub(super) data_end: usize,
    pub(super) variables_end: usize,
}

pub(super) fn layout() -> Layout {
    Layout {
        flash_start: (&raw const __vector_table).addr(),
        text_end: (&raw const __etext).addr(),
        constants_start: (&raw const __srodata).addr(),
        constants_end: (&raw const __erodata).addr(),
        data_start: (&raw const __sdata).addr(),
        data_end: (&raw const __edata).addr(),
        variables_end: (&raw const __ebss).addr(),
    }
}

/// How far below the stack pointer the paint reaches when it is renewed: more
/// than any program here uses.
const PAINTED_BYTES: usize = 64 * 1024;

/// The stack pointer at the last painting; zero stands for the reset value.
static BASE: AtomicUsize = AtomicUsize::new(0);

/// The lowest word that is certainly painted when the stack pointer is `base`.
fn lowest_painted(base: usize) -> usize {
    base.saturating_sub(PAINTED_BYTES).max((&raw const _stack_end).addr())
}

#[inline(never)]
pub(super) fn paint_stack() {
    let sp: usize;
    // SAFETY: copies the stack pointer; touches no memory and no flags.
    unsafe { asm!("mov {}, sp", out(reg) sp, options(nomem, nostack, preserves_flags)) };
    BASE.store(sp, Ordering::Relaxed);
    // SAFETY: writes the words of [lowest, sp). They lie between the end of the
    // variables and the stack pointer, so no live object is there: AAPCS leaves
    // everything below sp unused, and no interrupt is enabled that would push.
    // Both bounds are multiples of four and the loop stops at the first.
    unsafe {
        asm!(
            "b 3f",
            "2: subs {at}, {at}, #4",
            "str {paint}, [{at}]",
            "3: cmp {at}, {lowest}",
            "bhi 2b",
            at = inout(reg) sp => _,
            lowest = in(reg) lowest_painted(sp),
            paint = in(reg) STACK_PAINT_VALUE,
            options(nostack)
        );
    }
}

pub(super) fn painted_depth() -> usize {
    let base = match BASE.load(Ordering::Relaxed) {
        0 => (&raw const _stack_start).addr(),
        base => base,
    };
    let mut at = lowest_painted(base);
    while at < base {
        // SAFETY: [lowest, base) is RAM between the end of the variables and the
        // start of the stack, word-aligned, and nothing else runs that writes it.
        let word = unsafe { core::ptr::with_exposed_provenance::<u32>(at).read_volatile() };
        if word != STACK_PAINT_VALUE {
            break;
        }
        at += 4;
    }
    base - at
}
