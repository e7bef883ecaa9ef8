//! The memory of a session.

/// `N` bytes, aligned to 16, for every activation and all scratch of a model.
///
/// ```
/// static mut MEMORY: microconv::model::Arena<4096> = microconv::model::Arena::new();
/// ```
#[derive(Clone, Debug)]
#[repr(C, align(16))]
pub struct Arena<const N: usize>([u8; N]);

impl<const N: usize> Arena<N> {
    /// An arena of zeros.
    pub const fn new() -> Self {
        Self([0; N])
    }

    /// Its bytes.
    pub const fn bytes(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl<const N: usize> Default for Arena<N> {
    fn default() -> Self {
        Self::new()
    }
}
