//! Host side of microconv: trains, imports, quantises, plans and exports
//! models for the `microconv` kernels. The stages are the modules.

pub mod arch;
pub mod calibrate;
pub mod cli;
pub mod data;
pub mod evaluate;
pub mod export;
pub mod graph;
pub mod import;
pub mod inspect;
pub mod optimize;
pub mod plan;
pub mod quantize;
pub mod report;
pub mod run_folder;
pub mod runner;
pub mod train;
