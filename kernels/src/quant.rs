#![doc = include_str!("../../docs/quantisation.md")]

mod affine;
pub mod lookup;
mod multiplier;
mod requantize;

pub use affine::{Affine, round_half_away};
pub use multiplier::Multiplier;
pub use requantize::{multiply_by_quantized, requantize, rounding_divide_by_pot};
