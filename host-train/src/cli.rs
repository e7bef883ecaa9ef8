//! The command line: each command is a file of this folder that parses its
//! flags, calls the stages and prints. A new command is one file with
//! `Args` and `run`, and one line in each of the three lists below.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

// These shadow the standard macros in all commands, which panic when the
// reader of a pipe is gone (`microconv inspect … | head`).
macro_rules! print {
    ($($arguments:tt)*) => { $crate::cli::output::text(format_args!($($arguments)*)) };
}
macro_rules! println {
    () => { print!("\n") };
    ($($arguments:tt)*) => { print!("{}\n", format_args!($($arguments)*)) };
}

mod evaluate;
mod export;
mod files;
mod import;
mod inspect;
mod optimize;
mod output;
mod passes;
mod progress;
mod quantize;
mod run;
mod table;
mod train;

/// Trains, imports, quantises and runs small convolutional networks.
#[derive(Debug, Parser)]
#[command(name = "microconv", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Train(train::Args),
    Quantize(quantize::Args),
    Import(import::Args),
    Optimize(optimize::Args),
    Run(run::Args),
    Inspect(inspect::Args),
    Evaluate(evaluate::Args),
    Export(export::Args),
}

/// Parses the arguments of the process, runs the command and reports an error
/// as `error: …` on one line of stderr.
pub fn main() -> ExitCode {
    // Wrong usage ends here, with clap's message and status 2.
    match run(Cli::parse().command).and_then(|()| output::finish()) {
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
    match command {
        Command::Train(args) => train::run(args),
        Command::Quantize(args) => quantize::run(args),
        Command::Import(args) => import::run(args),
        Command::Optimize(args) => optimize::run(args),
        Command::Run(args) => run::run(args),
        Command::Inspect(args) => inspect::run(args),
        Command::Evaluate(args) => evaluate::run(args),
        Command::Export(args) => export::run(args),
    }
}
