//! `cargo bench -p benches --bench autoencoder`: fused layers, and the shipped model whole.

use benches::{Bench, autoencoder, cases};
use criterion::{Criterion, criterion_group, criterion_main};

fn run(criterion: &mut Criterion) {
    let mut bench = Bench(criterion);
    cases::fused::<i8>(&mut bench).expect("the shapes fit");
    cases::fused::<f32>(&mut bench).expect("the shapes fit");
    autoencoder::whole(&mut bench).expect("the model is sound");
}

criterion_group!(benches, run);
criterion_main!(benches);
