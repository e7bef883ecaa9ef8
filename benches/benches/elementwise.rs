//! `cargo bench -p benches --bench elementwise`: see [`benches::cases::elementwise`].

use benches::{Bench, cases};
use criterion::{Criterion, criterion_group, criterion_main};

fn run(criterion: &mut Criterion) {
    let mut bench = Bench(criterion);
    cases::elementwise::<i8>(&mut bench).expect("the shapes fit");
    cases::elementwise::<f32>(&mut bench).expect("the shapes fit");
}

criterion_group!(benches, run);
criterion_main!(benches);
