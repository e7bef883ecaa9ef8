//! The `microconv` command: one line per error on stderr, exit status 1.

use std::process::ExitCode;

fn main() -> ExitCode {
    host_train::cli::main()
}
