//! The least firmware around the embedded model: input in RAM, one inference, output in RAM.
//!
//! `cargo xtask footprint` reads its image to tell what a model costs. Nothing is formatted,
//! and the debugger is asked for two things: to take the depth of the stack, digit by digit,
//! and to end the program: some 200 bytes.

#![cfg_attr(target_os = "none", no_std, no_main)]
#![deny(unsafe_code)]

use core::hint::black_box;

use firmware_demo::board;
use microconv::Arena;

microconv::include_model!(
    /// The model that `MICROCONV_MODEL` named at build time.
    Embedded,
    env!("MICROCONV_MODEL_FILE")
);

type Memory = Arena<{ Embedded::ARENA_BYTES }>;

#[cfg(target_os = "none")]
#[cortex_m_rt::entry]
fn main() -> ! {
    // The entry point runs once, so this is a mutable reference.
    static mut ARENA: Memory = Arena::new();
    run(ARENA);
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
    run(&mut Arena::new());
}

fn run(arena: &mut Memory) {
    let mut session = Embedded::session(arena);
    // For all that the compiler knows, an image is written here.
    black_box(session.input_bytes(0));
    board::clear_stack_mark();
    session.run();
    if let Some(stack) = board::stack_mark() {
        board::write_number(stack);
    }
    black_box(session.output_bytes(0));
}
