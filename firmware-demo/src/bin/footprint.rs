//! The least firmware around the embedded model: input in RAM, one inference, output in RAM.
//!
//! `cargo xtask footprint` reads its image to tell what a model costs. Nothing is formatted,
//! and the debugger is asked for two things: to take the depth of the stack, digit by digit,
//! and to end the program: some 250 bytes.

#![cfg_attr(target_os = "none", no_std, no_main)]
#![deny(unsafe_code)]

use core::hint::black_box;

use firmware_demo::board;
use microconv::Arena;
use static_cell::ConstStaticCell;

microconv::include_model!(
    /// The model that `MICROCONV_MODEL` named at build time.
    Embedded,
    env!("MICROCONV_MODEL_FILE")
);

static ARENA: ConstStaticCell<Arena<{ Embedded::ARENA_BYTES }>> =
    ConstStaticCell::new(Arena::new());

#[cfg(target_os = "none")]
#[cortex_m_rt::entry]
fn main() -> ! {
    run();
    board::exit(0)
}

/// Says nothing, so that no formatting is linked.
#[cfg(target_os = "none")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    board::exit(board::PANICKED)
}

#[cfg(not(target_os = "none"))]
fn main() {
    run();
}

fn run() {
    let Some(arena) = ARENA.try_take() else { return };
    let mut session = Embedded::session(arena);
    for byte in session.input_bytes(0) {
        *byte = black_box(1);
    }
    board::clear_stack_mark();
    session.run();
    if let Some(stack) = board::stack_mark() {
        board::write_number(stack);
    }
    black_box(session.output_bytes(0));
}
