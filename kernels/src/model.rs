//! The blob, its loader and its executor.
pub mod format {
    pub const VERSION: u32 = 1;
}
