//! Standard output that never panics: a reader that left is no error, and
//! anything else is reported once the command is through.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write};
use std::sync::OnceLock;

use anyhow::{Result, bail};

static FAILURE: OnceLock<std::io::Error> = OnceLock::new();

/// Writes to standard output, by the line.
pub(super) fn text(text: Arguments<'_>) {
    if let Err(error) = std::io::stdout().write_fmt(text) {
        // Only the first failure is reported.
        let _ = FAILURE.set(error);
    }
}

/// Reports what went wrong with the output so far.
///
/// # Errors
/// When something could not be written although its reader is still there.
pub(super) fn finish() -> Result<()> {
    match FAILURE.get() {
        Some(error) if error.kind() != ErrorKind::BrokenPipe => {
            bail!("standard output: cannot write: {error}; free some space or send it elsewhere")
        }
        _ => Ok(()),
    }
}
