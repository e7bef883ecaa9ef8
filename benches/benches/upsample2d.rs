//! `cargo bench -p benches --bench upsample2d`: see [`benches::cases::upsample2d`].

use benches::{Bench, cases};
use criterion::{Criterion, criterion_group, criterion_main};

fn run(criterion: &mut Criterion) {
    let mut bench = Bench(criterion);
    cases::upsample2d::<i8>(&mut bench).expect("the shapes fit");
    cases::upsample2d::<f32>(&mut bench).expect("the shapes fit");
}

criterion_group!(benches, run);
criterion_main!(benches);
