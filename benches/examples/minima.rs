//! The shortest of many runs of each case, in microseconds: portable and native backend.
//!
//! `cargo run --release -p benches --example minima [i8|f32] [PART OF A NAME]`

use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

use benches::{Job, Sample, Visit, Work, autoencoder, cases, verified};
use microconv::backend::{Backend, Kernels, Native, Scalar};

struct Minima {
    filter: String,
}

impl Visit for Minima {
    fn case<E: Sample, J: Job<E>>(&mut self, operator: &str, name: &str, work: Work, job: &J) {
        let name = format!("{operator} {} {name}", E::NAME);
        if !name.contains(&self.filter) {
            return;
        }
        let (scalar, native) =
            (shortest::<E::Portable, E, J>(&name, job), shortest::<E::Native, E, J>(&name, job));
        let rate = match work {
            Work::Macs(macs) => format!("{:6.1} GMAC/s", macs as f64 / native / 1e3),
            Work::Bytes(bytes) => format!("{:6.1} GB/s", bytes as f64 / native / 1e3),
        };
        println!("{name:<48} {scalar:>10.2} {native:>10.2} {rate}");
    }
}

/// Microseconds of the shortest run within a third of a second.
fn shortest<B: Backend + Kernels<E>, E: Sample, J: Job<E>>(name: &str, job: &J) -> f64 {
    let (mut y, mut scratch) = verified::<B, E, J>(name, job);
    let once = Instant::now();
    job.run::<B>(&mut y, &mut scratch);
    // Runs a timing takes in: some ten microseconds, well above the clock's steps.
    let runs = (10_000 / once.elapsed().as_nanos().max(1) as u32).max(1);
    let (end, mut best) = (Instant::now() + Duration::from_millis(300), Duration::MAX);
    while Instant::now() < end {
        let start = Instant::now();
        for _ in 0..runs {
            job.run::<B>(black_box(&mut y), &mut scratch);
        }
        best = best.min(start.elapsed() / runs);
    }
    best.as_secs_f64() * 1e6
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let types = ["i8", "f32"].map(|name| arguments.first().is_none_or(|first| first == name));
    if arguments.first().is_some_and(|first| first == "i8" || first == "f32") {
        arguments.remove(0);
    }
    let types = if types == [false; 2] { [true; 2] } else { types };
    let mut visit = Minima { filter: arguments.join(" ") };
    println!("{:<48} {:>10} {:>10}", "case (µs)", Scalar::NAME, Native::NAME);
    if types[0] {
        cases::all::<i8>(&mut visit)?;
        autoencoder::whole(&mut visit)?;
    }
    if types[1] {
        cases::all::<f32>(&mut visit)?;
    }
    Ok(())
}
