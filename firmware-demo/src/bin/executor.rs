//! The least firmware that takes a blob at run time: checked, then run once.
//!
//! `cargo xtask footprint --run-time` reads its image to tell what the parser and all
//! operators cost. It prints what `footprint` prints.

#![cfg_attr(target_os = "none", no_std, no_main)]
#![deny(unsafe_code)]

use core::hint::black_box;

use firmware_demo::board;
use microconv::model::embed::Aligned;
use microconv::{Arena, Model, Session};
use static_cell::ConstStaticCell;

/// A blob of which the compiler shall know nothing.
static BLOB: Aligned<[u8; include_bytes!(env!("MICROCONV_MODEL_FILE")).len()]> =
    Aligned(*include_bytes!(env!("MICROCONV_MODEL_FILE")));

static ARENA: ConstStaticCell<Arena<{ 64 * 1024 }>> = ConstStaticCell::new(Arena::new());

#[cfg(target_os = "none")]
#[cortex_m_rt::entry]
fn main() -> ! {
    board::exit(status())
}

/// Says nothing, so that no formatting is linked.
#[cfg(target_os = "none")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    board::exit(board::PANICKED)
}

#[cfg(not(target_os = "none"))]
fn main() {
    board::exit(status());
}

/// 0 when the model ran; 1 when the blob is bad or the arena too small for it.
fn status() -> i32 {
    let Ok(model) = Model::from_bytes(black_box(&BLOB.0)) else { return 1 };
    let Ok(mut session) = Session::new(model, ARENA.take().bytes()) else { return 1 };
    // For all that the compiler knows, an image is written here.
    black_box(session.input_bytes(0));
    board::clear_stack_mark();
    session.run();
    if let Some(stack) = board::stack_mark() {
        board::write_number(stack);
    }
    black_box(session.output_bytes(0));
    0
}
