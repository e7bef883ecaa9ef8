//! The oracle (naive loops in wide arithmetic that share no code with the kernels)
//! and the cases that every backend must meet.

pub mod generate;
pub mod golden;
pub mod oracle;
