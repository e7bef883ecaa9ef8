//! The board of a Cortex-M under a debugger or an emulator: semihosting.
//!
//! A semihosting file lives in the working directory of the emulator. Names are
//! passed as `&'static CStr` to the calls, so the few names used are listed.

use core::ffi::CStr;

use semihosting::{
    fs::File,
    io::{self, Read as _},
    sys::arm_compat::sys_writec,
};

use super::{Memory, asm};

/// A file on the host's side, open for reading.
#[derive(Debug)]
pub struct Input(File);

/// Semihosting takes names that end in a zero byte.
const NAMES: [&CStr; 3] = [c"restored.bin", c"selftest.pack", c"numbers.txt"];

fn c_name(name: &str) -> io::Result<&'static CStr> {
    NAMES
        .into_iter()
        .find(|known| known.to_bytes() == name.as_bytes())
        .ok_or(io::Error::from(io::ErrorKind::NotFound))
}

/// Opens `name` in the emulator's working directory.
///
/// # Errors
/// The file does not exist or cannot be read.
pub fn open_input(name: &'static str) -> io::Result<Input> {
    File::open(c_name(name)?).map(Input)
}

/// Fills `bytes` from the file.
///
/// # Errors
/// The file ends early or cannot be read.
pub fn read_exact(input: &mut Input, bytes: &mut [u8]) -> io::Result<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let count = input.0.read(rest)?;
        if count == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        }
        rest = rest.get_mut(count..).unwrap_or_default();
    }
    Ok(())
}

/// Writes `bytes` to `name` in the emulator's working directory, replacing what
/// was there.
///
/// # Errors
/// The file cannot be written.
pub fn create_output(name: &'static str, bytes: &[u8]) -> io::Result<()> {
    semihosting::fs::write(c_name(name)?, bytes)
}

/// Ends the emulation with a status.
pub fn exit(status: i32) -> ! {
    semihosting::process::exit(status)
}

/// What the linker placed in flash and RAM.
pub fn memory() -> Option<Memory> {
    let layout = asm::layout();
    Some(Memory {
        code: layout.text_end - layout.flash_start,
        constants: (layout.constants_end - layout.constants_start)
            + (layout.data_end - layout.data_start),
        variables: layout.variables_end - layout.data_start,
    })
}

/// Paints the unused stack again, so that [`stack_mark`] tells about what runs
/// from here.
pub fn clear_stack_mark() {
    asm::paint_stack();
}

/// The deepest use of the stack below the caller since the last
/// [`clear_stack_mark`], in bytes; from reset, if there was none.
pub fn stack_mark() -> Option<usize> {
    Some(asm::painted_depth())
}

/// Prints a number in hexadecimal digits, without what formatting would link.
#[inline(never)]
pub fn write_number(number: usize) {
    // As many digits as it has: a loop of known length would be unrolled.
    let mut shift = (usize::BITS - number.leading_zeros()).next_multiple_of(4);
    while let Some(next) = shift.checked_sub(4) {
        shift = next;
        let digit = (number >> shift & 15) as u8;
        sys_writec(digit + if digit < 10 { b'0' } else { b'a' - 10 });
    }
}
