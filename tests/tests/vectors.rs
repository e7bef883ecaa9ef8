//! The vectors of this build are those that `cargo xtask simd` asked for: flags that do not
//! arrive would test the same code twice.

/// The vectors that `wide` uses in this build.
const VECTORS: &str = if cfg!(target_feature = "avx2") {
    "AVX2"
} else if cfg!(target_feature = "sse2") {
    "SSE2"
} else if cfg!(target_feature = "neon") {
    "NEON"
} else if cfg!(target_feature = "simd128") {
    "simd128"
} else {
    "none"
};

#[test]
fn wide_has_the_vectors_that_were_asked_for() {
    if let Ok(asked) = std::env::var("MICROCONV_VECTORS") {
        assert_eq!(VECTORS, asked);
    }
}
