//! The blob, its loader and its executor.
//!
//! A blob is validated once, by [`Model::from_bytes`] at run time or by
//! [`include_model!`](crate::include_model) at compile time; after that
//! [`Session::run`] cannot fail, panic or touch memory outside its arena. Every
//! byte of the format is explained in `docs/model-format.md`.

mod arena;
mod bands;
mod chain;
mod check;
mod decode;
mod dispatch;
pub mod embed;
pub mod format;
mod layer;
mod parse;
mod route;
mod session;

pub use arena::Arena;
pub use bands::{Bands, Rows};
pub use chain::{CHAIN, ChainNeeds};
pub use layer::{DType, TensorInfo};
pub use parse::Model;
pub use session::{Observer, Session, Tensors};
