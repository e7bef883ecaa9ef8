//! `cargo xtask …`: everything that a person or continuous integration runs.
//!
//! Each command is a file. They install what is missing ([`setup`]), build the
//! firmware for a board ([`firmware`]) and run it on an emulator, and leave the
//! work on models to the `microconv` binary.

mod bench;
mod board;
mod cycles;
mod demo;
mod exported;
mod firmware;
mod footprint;
mod miri;
mod process;
mod selftest;
mod setup;
mod show;
mod simd;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Builds, runs, proves and measures microconv.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Installs the Rust targets and the emulator that are missing.
    Setup,
    /// Builds a program of firmware-demo for a board, and runs it on the emulator.
    Firmware(firmware::Arguments),
    /// Trains, quantises, and restores ten digits on an emulated Cortex-M4.
    Demo(demo::Arguments),
    /// Criterion's benches, or microconv beside TensorFlow Lite, XNNPACK and ONNX Runtime.
    Bench(bench::Arguments),
    /// Counts executed instructions per layer on an emulated board.
    Cycles(cycles::Arguments),
    /// Flash, RAM and stack of the least firmware around a model, and its largest symbols.
    Footprint(footprint::Arguments),
    /// What the optimiser gains: work, instructions, RAM and flash, before → after.
    Show(show::Arguments),
    /// The tests of the desktop backend under SSE2, NEON and simd128, emulated where need be.
    Simd(simd::Arguments),
    /// Runs the kernels' unit tests under Miri (nightly Rust).
    Miri,
    /// Formatting, lints, every test on the host, and the firmware on every emulated core.
    Test(test::Arguments),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Setup => setup::run(),
        Command::Firmware(arguments) => firmware::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Cycles(arguments) => cycles::run(&arguments),
        Command::Footprint(arguments) => footprint::run(&arguments),
        Command::Show(arguments) => show::run(&arguments),
        Command::Simd(arguments) => simd::run(&arguments),
        Command::Miri => miri::run(),
        Command::Test(arguments) => test::run(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", format!("{error:#}").replace('\n', " "));
            ExitCode::FAILURE
        }
    }
}
