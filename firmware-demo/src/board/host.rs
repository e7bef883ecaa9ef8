//! The board of a program that runs on the machine that built it.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use super::Memory;

/// A file of the working directory, open for reading.
#[derive(Debug)]
pub struct Input(File);

/// Opens `name` in the working directory.
///
/// # Errors
/// The file does not exist or cannot be read.
pub fn open_input(name: &'static str) -> io::Result<Input> {
    File::open(name).map(Input)
}

/// Fills `bytes` from the file.
///
/// # Errors
/// The file ends early or cannot be read.
pub fn read_exact(input: &mut Input, bytes: &mut [u8]) -> io::Result<()> {
    input.0.read_exact(bytes)
}

/// Writes `bytes` to `name` in the working directory, replacing what was there.
///
/// # Errors
/// The file cannot be written.
pub fn create_output(name: &'static str, bytes: &[u8]) -> io::Result<()> {
    std::fs::write(Path::new(name), bytes)
}

/// Ends the process.
pub fn exit(status: i32) -> ! {
    std::process::exit(status)
}

/// The linker of a host tells nothing about flash and RAM.
pub fn memory() -> Option<Memory> {
    None
}

/// The stack of a host is not painted.
pub fn clear_stack_mark() {}

/// The stack of a host is not painted: unknown.
pub fn stack_mark() -> Option<usize> {
    None
}

/// Prints a number in hexadecimal digits.
pub fn write_number(number: usize) {
    println!("{number:x}");
}
