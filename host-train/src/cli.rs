//! The command line: each command is a file of this folder that parses its
//! flags, calls the stages and prints.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Trains, imports, quantises and runs small convolutional networks.
#[derive(Debug, Parser)]
#[command(name = "microconv", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {}

/// Parses the arguments of the process, runs the command and reports an error
/// as `error: …` on one line.
pub fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // `{:#}` joins the causes with colons; a message never spans lines.
            let message = format!("{error:#}").replace('\n', " ");
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {}
}
