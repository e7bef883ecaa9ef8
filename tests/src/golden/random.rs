//! Inputs for a model that comes without any.

use microconv::model::{DType, TensorInfo};

/// A linear congruential generator (Knuth's MMIX), the same on every machine.
pub(super) struct Values(u64);

impl Values {
    pub(super) fn new() -> Self {
        Self(1)
    }

    fn next(&mut self) -> u32 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 32) as u32
    }

    /// Bytes of a tensor: any code, or floats in −1…1.
    pub(super) fn of(&mut self, info: &TensorInfo) -> Vec<u8> {
        if info.dtype == DType::F32 {
            let real = |word: u32| word as f32 / (u32::MAX as f32) * 2.0 - 1.0;
            return (0..info.count()).flat_map(|_| real(self.next()).to_le_bytes()).collect();
        }
        (0..info.bytes()).map(|_| (self.next() >> 24) as u8).collect()
    }
}
