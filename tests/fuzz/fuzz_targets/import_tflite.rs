//! Any bytes as a TensorFlow Lite model: described, imported, exported, run.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| conformance::fuzz::import_tflite(bytes));
