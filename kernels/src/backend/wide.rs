//! Desktop and browser cores: the vectors of the crate `wide`, in safe Rust.
//!
//! AVX2 and FMA, SSE2, NEON or simd128: what the build's target features allow
//! decides, at compile time. Operators that are not here are the portable ones.

mod float;
mod int8;

use super::Backend;

/// The backend for x86-64, AArch64 and wasm.
#[derive(Clone, Copy, Debug)]
pub struct Wide;

impl Backend for Wide {
    const NAME: &'static str = "wide";
}
