//! The `microconv` command.
fn main() {}
