//! An operator with its input, checked before it is timed.

use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};
use microconv::Backend;
use microconv::backend::Kernels;

use crate::Sample;

/// What one run amounts to.
#[derive(Clone, Copy, Debug)]
pub enum Work {
    /// Multiply-accumulates; criterion reports elements a second.
    Macs(u64),
    /// Bytes read and written.
    Bytes(u64),
}

/// An operator with its input.
pub trait Job<E: Sample> {
    /// Elements of the output.
    fn outputs(&self) -> usize;
    /// Bytes of scratch on a backend.
    fn scratch<B: Backend + Kernels<E>>(&self) -> usize;
    /// One run.
    fn run<B: Backend + Kernels<E>>(&self, y: &mut [E], scratch: &mut [u8]);
}

/// What is done with each case.
pub trait Visit {
    /// A case: the operator's and its own name, what a run amounts to, and the job.
    fn case<E: Sample, J: Job<E>>(&mut self, operator: &str, name: &str, work: Work, job: &J);
}

/// Buffers of a job on one backend.
fn buffers<B: Backend + Kernels<E>, E: Sample, J: Job<E>>(job: &J) -> (Vec<E>, Vec<u8>) {
    // Room for the alignment that a backend may want.
    (vec![E::ZERO; job.outputs()], vec![0; job.scratch::<B>() + 64])
}

/// Buffers of the job on the backend `B`, once its result has been found to be that of
/// the portable backend.
///
/// # Panics
/// When it is not.
pub fn verified<B: Backend + Kernels<E>, E: Sample, J: Job<E>>(
    name: &str,
    job: &J,
) -> (Vec<E>, Vec<u8>) {
    let (mut expected, mut scratch) = buffers::<E::Portable, E, J>(job);
    job.run::<E::Portable>(&mut expected, &mut scratch);
    let (mut y, mut scratch) = buffers::<B, E, J>(job);
    job.run::<B>(&mut y, &mut scratch);
    let same = y.iter().zip(&expected).all(|(&a, &b)| E::agree(a, b));
    assert!(same, "{name} in {}: {} differs from scalar", E::NAME, B::NAME);
    (y, scratch)
}

/// Criterion, set up for a quick run: about half a second a case.
pub struct Bench<'a>(pub &'a mut Criterion);

impl Visit for Bench<'_> {
    fn case<E: Sample, J: Job<E>>(&mut self, operator: &str, name: &str, work: Work, job: &J) {
        let mut group = self.0.benchmark_group(format!("{operator}/{}", E::NAME));
        group.throughput(match work {
            Work::Macs(macs) => Throughput::Elements(macs),
            Work::Bytes(bytes) => Throughput::Bytes(bytes),
        });
        group.sample_size(20);
        group.warm_up_time(Duration::from_millis(100));
        group.measurement_time(Duration::from_millis(300));
        time::<E::Portable, E, J>(&mut group, name, job);
        if E::Native::NAME != E::Portable::NAME {
            time::<E::Native, E, J>(&mut group, name, job);
        }
        group.finish();
    }
}

fn time<B: Backend + Kernels<E>, E: Sample, J: Job<E>>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    job: &J,
) {
    let (mut y, mut scratch) = verified::<B, E, J>(name, job);
    group.bench_function(format!("{}/{name}", B::NAME), |bencher| {
        bencher.iter(|| job.run::<B>(&mut y, &mut scratch));
    });
}
