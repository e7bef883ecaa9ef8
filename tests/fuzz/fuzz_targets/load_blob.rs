//! Any bytes as a blob: loaded and run, as they are and with a right checksum.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| conformance::fuzz::load_blob(bytes));
