//! Eight floats at a time.

use wide::f32x8;

/// One vector. Two registers where the build has 128-bit ones only.
pub(super) type V = f32x8;
/// Floats of a vector.
pub(super) const LANES: usize = 8;
/// Bytes by which a scratch buffer may have to be moved to hold vectors.
pub(super) const SLACK: usize = align_of::<V>();

/// Up to eight floats, then zeros.
#[inline(always)]
pub(super) fn load(x: &[f32]) -> V {
    match x.first_chunk() {
        Some(&x) => V::new(x),
        None => {
            let mut lanes = [0.0; LANES];
            for (lane, &x) in lanes.iter_mut().zip(x) {
                *lane = x;
            }
            V::new(lanes)
        }
    }
}

/// As many lanes as `out` has room for.
#[inline(always)]
pub(super) fn store(v: V, out: &mut [f32]) {
    match out.first_chunk_mut() {
        Some(out) => *out = v.to_array(),
        None => {
            for (out, lane) in out.iter_mut().zip(v.to_array()) {
                *out = lane;
            }
        }
    }
}

/// Both bounds of a clamp.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    min: V,
    max: V,
}

impl Bounds {
    /// `min ..= max`.
    pub(super) fn new(min: f32, max: f32) -> Self {
        Self { min: V::splat(min), max: V::splat(max) }
    }

    /// `x` between the bounds; NaN stays NaN.
    #[inline(always)]
    pub(super) fn clamp(&self, x: V) -> V {
        if cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) {
            // The second operand wins where one is NaN (x86), or NaN does (NEON).
            self.max.fast_min(self.min.fast_max(x))
        } else {
            let x = x.simd_lt(self.min).select(self.min, x);
            x.simd_gt(self.max).select(self.max, x)
        }
    }
}

/// The larger lanes; `best` where `x` is NaN, as in the portable pools.
#[inline(always)]
pub(super) fn larger(best: V, x: V) -> V {
    if cfg!(target_arch = "x86_64") { x.fast_max(best) } else { x.simd_gt(best).select(x, best) }
}
