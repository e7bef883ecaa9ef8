//! Host side of microconv: trains, imports, quantises, plans and exports
//! models for the `microconv` kernels. The stages are the modules.

pub mod arch;
pub mod cli;
pub mod data;
pub mod export;
pub mod graph;
pub mod plan;
pub mod report;
pub mod run_folder;
