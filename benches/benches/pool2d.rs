//! `cargo bench -p benches --bench pool2d`: see [`benches::cases::pool2d`].

use benches::{Bench, cases};
use criterion::{Criterion, criterion_group, criterion_main};

fn run(criterion: &mut Criterion) {
    let mut bench = Bench(criterion);
    cases::pool2d::<i8>(&mut bench).expect("the shapes fit");
    cases::pool2d::<f32>(&mut bench).expect("the shapes fit");
}

criterion_group!(benches, run);
criterion_main!(benches);
