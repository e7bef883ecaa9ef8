//! Firmware demo.
fn main() {}
