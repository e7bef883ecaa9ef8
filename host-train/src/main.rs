//! The `microconv` command: one line per error on stderr, exit status 1.

use std::process::ExitCode;

// Training allocates a tensor per operator and step: 1.7 times less CPU per
// epoch than with glibc's malloc.
#[cfg(feature = "train")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    host_train::cli::main()
}
