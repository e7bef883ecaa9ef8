//! `cargo xtask simd`: the tests of the kernels, and those of the `wide` backend against the
//! oracle, under each kind of vectors that the backend can be built for: AVX2 (what
//! `cargo test` builds on x86-64), SSE2, NEON and simd128. What this machine's core cannot
//! run is emulated.

use std::{
    env::consts::ARCH,
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Result, bail, ensure};
use clap::{Args, ValueEnum};

use crate::{process, setup};

const NEON: &str = "aarch64-unknown-linux-gnu";
const SIMD128: &str = "wasm32-wasip1";

/// Random cases of each operator and type where an emulator runs them; 2000 to 3000 elsewhere.
const EMULATED_CASES: u32 = 200;

/// What `cargo xtask simd` takes.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Only these vectors.
    only: Vec<Vectors>,
    /// Random cases of each operator and type, at most.
    #[arg(long)]
    cases: Option<u32>,
}

/// Vectors that a build may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Vectors {
    /// The baseline of x86-64.
    Sse2,
    /// AArch64.
    Neon,
    /// WebAssembly.
    Simd128,
}

impl Vectors {
    const fn name(self) -> &'static str {
        match self {
            Self::Sse2 => "SSE2",
            Self::Neon => "NEON",
            Self::Simd128 => "simd128",
        }
    }
}

/// How the tests are built and run.
struct Suite {
    /// A target other than this machine's own.
    target: Option<&'static str>,
    flags: &'static str,
    /// `KEY=VALUE` for Cargo's configuration.
    configuration: Vec<String>,
    /// What runs the programs, when this machine's core does not.
    emulator: Option<&'static str>,
}

/// Runs the suites, a line each, and reports all that failed.
///
/// # Errors
/// A test failed, or a suite cannot be run here.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let wanted = Vectors::value_variants();
    let wanted = if arguments.only.is_empty() { wanted } else { &arguments.only };
    let mut failed = Vec::new();
    for &vectors in wanted {
        match suite(vectors, arguments.cases) {
            Ok(line) => println!("{:<8} {line}", vectors.name()),
            Err(error) => {
                println!("{:<8} FAILED: {error:#}", vectors.name());
                failed.push(vectors.name());
            }
        }
    }
    if failed.is_empty() { Ok(()) } else { bail!("failed: {}", failed.join(", ")) }
}

/// Installs what a suite needs, runs it and says what was run.
///
/// # Errors
/// A test failed, or something cannot be had.
pub(crate) fn suite(vectors: Vectors, cases: Option<u32>) -> Result<String> {
    let suite = prepare(vectors)?;
    let cases = cases.or(suite.emulator.map(|_| EMULATED_CASES));
    let start = Instant::now();
    // Of the suite that all backends share, the tests of this one.
    let kernels = tests(&suite, vectors, cases, &["--package", "microconv", "--lib"], &[])?;
    let conformance = tests(&suite, vectors, cases, &["--package", "conformance"], &["wide"])?;
    let how = match suite.emulator {
        Some(emulator) => format!("under {emulator}"),
        None => "on this core".into(),
    };
    let at_most = cases.map_or(String::new(), |most| format!(", at most {most} random cases each"));
    let seconds = start.elapsed().as_secs_f64();
    Ok(format!(
        "{kernels} tests of the kernels and {conformance} of the backend passed {how}{at_most} ({seconds:.0} s)"
    ))
}

fn prepare(vectors: Vectors) -> Result<Suite> {
    Ok(match vectors {
        Vectors::Sse2 => {
            ensure!(ARCH == "x86_64", "needs an x86-64 core; this one is {ARCH}");
            Suite { target: None, flags: "", configuration: Vec::new(), emulator: None }
        }
        Vectors::Neon if ARCH == "aarch64" => {
            Suite { target: None, flags: "", configuration: Vec::new(), emulator: None }
        }
        Vectors::Neon => {
            setup::target(NEON)?;
            let linker = setup::program(&setup::GCC_AARCH64)?;
            let emulator = setup::program(&setup::QEMU_AARCH64)?;
            // Where the cross compiler's packages keep the C library.
            let runner = format!("[{emulator:?}, \"-L\", \"/usr/aarch64-linux-gnu\"]");
            let set = |key: &str, value: String| format!("target.{NEON}.{key}={value}");
            Suite {
                target: Some(NEON),
                flags: "",
                configuration: vec![set("linker", format!("{linker:?}")), set("runner", runner)],
                emulator: Some("qemu-aarch64"),
            }
        }
        Vectors::Simd128 => {
            setup::target(SIMD128)?;
            let node = setup::program(&setup::NODE)?;
            let script = process::root().join("xtask/src/simd/wasi.mjs");
            let runner = format!("[{node:?}, \"--no-warnings\", {script:?}]");
            Suite {
                target: Some(SIMD128),
                // A test's frames hold whole maps: more than the megabyte of the default.
                flags: "-Ctarget-feature=+simd128 -Clink-arg=-zstack-size=16777216",
                configuration: vec![format!("target.{SIMD128}.runner={runner}")],
                emulator: Some("node's WASI"),
            }
        }
    })
}

/// Builds and runs the tests of a package whose names contain `filter`, and counts them.
fn tests(
    suite: &Suite,
    vectors: Vectors,
    cases: Option<u32>,
    package: &[&str],
    filter: &[&str],
) -> Result<usize> {
    let mut command = process::cargo();
    command.arg("test").args(package);
    if let Some(target) = suite.target {
        command.args(["--target", target]);
    }
    for value in &suite.configuration {
        command.args(["--config", value]);
    }
    command.args(filter);
    // Instead of the vectors that `.cargo/config.toml` asks for.
    command.env_remove("CARGO_ENCODED_RUSTFLAGS").env("RUSTFLAGS", suite.flags);
    // A test in `tests/vectors.rs` checks that the build has these and no others.
    command.env("MICROCONV_VECTORS", vectors.name());
    if let Some(cases) = cases {
        command.env("MICROCONV_CASES", cases.to_string());
    }
    count(&mut command)
}

/// Runs `cargo test`, shows its output if it fails, and counts the tests that passed.
fn count(command: &mut Command) -> Result<usize> {
    let done = command.stderr(Stdio::piped()).output()?;
    let text = String::from_utf8_lossy(&done.stdout);
    if !done.status.success() {
        eprint!("{text}{}", String::from_utf8_lossy(&done.stderr));
        bail!("`{}` failed ({})", process::shown(command), done.status);
    }
    // test result: ok. 70 passed; 0 failed; …
    let passed = text.lines().filter_map(|line| {
        line.strip_prefix("test result: ok. ")?.split(' ').next()?.parse::<usize>().ok()
    });
    let passed = passed.sum();
    ensure!(passed > 0, "`{}` ran no test", process::shown(command));
    Ok(passed)
}
