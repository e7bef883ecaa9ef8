//! Convolutional autoencoders and small CNNs on microcontrollers: int8 and f32,
//! no heap, no panic, bit for bit what TensorFlow Lite computes.
//!
//! | module | holds |
//! |---|---|
//! | [`shape`], [`window`], [`view`] | NHWC extents, sliding windows, slices with a shape |
//! | [`quant`], [`epilogue`] | the int8 arithmetic, and what ends every accumulation |
//! | [`ops`] | the operators, written once over [`backend::Kernels`] |
//! | [`backend`] | what a core can make fast; [`backend::Native`] is this target's |
//! | [`model`] | the blob, its loader and its executor |
#![no_std]
#![deny(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod backend;
pub mod element;
pub mod epilogue;
pub mod error;
pub mod model;
pub mod ops;
pub mod pack;
pub mod quant;
pub mod shape;
pub mod view;
pub mod window;

pub use backend::{Backend, Native};
pub use element::Element;
pub use error::{ArenaError, FormatError, ShapeError};
pub use model::{Arena, Model, Session};
pub use shape::Shape;
pub use view::{Tensor, View, ViewMut};
pub use window::{Padding, Window2d};
