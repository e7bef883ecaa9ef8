//! The oracle (naive loops in wide arithmetic that share no code with the kernels),
//! the cases that every backend must meet, and how near floats have to come.

pub mod fuzz;
pub mod generate;
pub mod golden;
pub mod oracle;
pub mod tolerance;
