//! `cargo bench -p benches --bench dense`: see [`benches::cases::dense`].

use benches::{Bench, cases};
use criterion::{Criterion, criterion_group, criterion_main};

fn run(criterion: &mut Criterion) {
    let mut bench = Bench(criterion);
    cases::dense::<i8>(&mut bench).expect("the shapes fit");
    cases::dense::<f32>(&mut bench).expect("the shapes fit");
}

criterion_group!(benches, run);
criterion_main!(benches);
