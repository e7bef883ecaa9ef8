//! The board: console, files on the host's side, exit, memory in use.
//!
//! Two implementations with the same functions: `host` on the standard library
//! and `chip` on semihosting. What differs between chips is in
//! `boards/<board>/`: memory map, target, emulator.

use core::fmt::Display;

#[cfg(target_os = "none")]
mod asm;
#[cfg(target_os = "none")]
mod chip;
#[cfg(not(target_os = "none"))]
mod host;

#[cfg(target_os = "none")]
pub use chip::{
    Input, clear_stack_mark, create_output, exit, memory, open_input, read_exact, stack_mark,
    write_number,
};
#[cfg(not(target_os = "none"))]
pub use host::{
    Input, clear_stack_mark, create_output, exit, memory, open_input, read_exact, stack_mark,
    write_number,
};

#[cfg(target_os = "none")]
#[doc(hidden)]
pub use semihosting::println as println_on_board;
#[cfg(not(target_os = "none"))]
#[doc(hidden)]
pub use std::println as println_on_board;

/// Prints a line on the board's console.
#[macro_export]
macro_rules! say {
    ($($argument:tt)*) => { $crate::board::println_on_board!($($argument)*) };
}

/// The folder of `boards/` that this image was built for.
pub const NAME: &str = env!("MICROCONV_BOARD_NAME");

/// The status of a program that panicked.
pub const PANICKED: i32 = 101;

/// What the linker placed, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Machine code, with the vector table.
    pub code: usize,
    /// Constants, the embedded blob among them, and the initial values of `data`.
    pub constants: usize,
    /// Variables in RAM, the arena among them; the stack is not counted.
    pub variables: usize,
}

/// Ends the program with the outcome of `run`.
pub fn finish<E: Display>(outcome: Result<(), E>) -> ! {
    match outcome {
        Ok(()) => exit(0),
        Err(error) => {
            say!("error: {error}");
            exit(1)
        }
    }
}
