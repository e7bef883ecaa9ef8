//! The cases of the benches, and how a case is checked and timed.
//!
//! [`cases`] lists, for each operator, the layers of the demonstration models, of
//! MLPerf Tiny and of the comparison with other libraries. Each is a [`Job`]: an
//! operator with its input, generic over the element type. A [`Visit`] gets all of
//! them: [`Bench`] is criterion's, `examples/minima.rs` prints the shortest of many
//! runs, which other load on a machine disturbs least.

pub mod autoencoder;
pub mod cases;
pub mod job;
pub mod sample;

pub use job::{Bench, Job, Visit, Work, verified};
pub use sample::Sample;
