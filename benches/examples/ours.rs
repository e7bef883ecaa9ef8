//! microconv as a worker of `cargo xtask bench --peers`.
//!
//! `ours DIR` answers each line `CASE<TAB>TYPE<TAB>SECONDS` with a line of JSON: the
//! shortest run of `DIR/CASE.TYPE.mcv` in microseconds, and whether its int8 output is
//! the expected one. A line `peak` is answered with this core's limits.

use std::collections::HashMap;
use std::error::Error;
use std::hint::black_box;
use std::io::BufRead as _;
use std::path::Path;
use std::time::{Duration, Instant};

use microconv::{Model, Native, Session};
use wide::{f32x8, i16x16, i32x8};

/// Memory that stays, aligned as blobs and arenas want it.
fn memory(len: usize) -> &'static mut [u8] {
    let words = vec![0u128; len.div_ceil(16)].leak();
    &mut bytemuck::cast_slice_mut(words)[..len]
}

struct Case {
    session: Session<'static, 'static, Native>,
    exact: Option<bool>,
}

fn load(folder: &Path, name: &str, kind: &str) -> Result<Case, Box<dyn Error>> {
    let base = format!("{}.{kind}", name.replace(' ', "_"));
    let read = |extension: &str| std::fs::read(folder.join(format!("{base}.{extension}")));
    let bytes = read("mcv")?;
    let blob = memory(bytes.len());
    blob.copy_from_slice(&bytes);
    let model = Model::from_bytes(blob).map_err(|error| format!("{base}: {error}"))?;
    let arena = memory(model.arena_bytes_for::<Native>());
    let mut session = Session::<Native>::with_backend(model, arena).map_err(|e| e.to_string())?;
    session.input_bytes(0).copy_from_slice(&read("in")?);
    session.run();
    let exact = if kind == "i8" { Some(session.output_bytes(0) == read("out")?) } else { None };
    Ok(Case { session, exact })
}

/// Microseconds of the shortest call: batches of about a tenth of a millisecond.
fn shortest(seconds: f64, mut call: impl FnMut()) -> f64 {
    call();
    let start = Instant::now();
    call();
    let runs = (1e-4 / start.elapsed().as_secs_f64().max(1e-8)).max(1.0) as u32;
    let (end, mut best) = (Instant::now() + Duration::from_secs_f64(seconds), Duration::MAX);
    while Instant::now() < end {
        let start = Instant::now();
        for _ in 0..runs {
            call();
        }
        best = best.min(start.elapsed() / runs);
    }
    best.as_secs_f64() * 1e6
}

/// Steps of one measurement of a limit.
const STEPS: usize = 10_000;
/// Words of a run of factors; divides [`STEPS`].
const RUN: usize = 16;

/// GMAC/s of fused multiply-adds in f32 and of pairs of i16 products added to i32,
/// with ten sums in registers.
fn peaks() -> [f64; 2] {
    let (a, b) = (black_box(f32x8::splat(1.0)), black_box(f32x8::splat(1e-9)));
    let float = shortest(0.3, || {
        let mut sums = [f32x8::splat(0.0); 10];
        for _ in 0..STEPS {
            for sum in &mut sums {
                *sum = a.mul_add(b, *sum);
            }
        }
        black_box(sums);
    });
    // As in a convolution: five words of input by two of weights, from the first-level cache.
    let (inputs, weights) = black_box(([[7i32; 5]; RUN], [[i16x16::splat(3); 2]; RUN]));
    let int = shortest(0.3, || {
        let mut sums = [[i32x8::splat(0); 2]; 5];
        for _ in 0..STEPS / RUN {
            // Not known to be the same in every round, so that no product is taken out.
            let (inputs, weights) = black_box((&inputs, &weights));
            for (inputs, weights) in inputs.iter().zip(weights) {
                for (sums, &word) in sums.iter_mut().zip(inputs) {
                    let word: i16x16 = bytemuck::cast(i32x8::splat(word));
                    for (sum, &weights) in sums.iter_mut().zip(weights) {
                        *sum += word.dot(weights);
                    }
                }
            }
        }
        black_box(sums);
    });
    let gmacs = |lanes: usize, micros: f64| (lanes * 10 * STEPS) as f64 / micros / 1e3;
    [gmacs(8, float), gmacs(16, int)]
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("give the folder of the models")?;
    let mut cases = HashMap::new();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        if line == "peak" {
            let [float, int] = peaks();
            println!("{{\"f32\": {float:.1}, \"i8\": {int:.1}}}");
            continue;
        }
        let words: Vec<&str> = line.split('\t').collect();
        let [name, kind, seconds] = words[..] else {
            return Err("CASE<TAB>TYPE<TAB>SECONDS".into());
        };
        let key = (name.to_string(), kind.to_string());
        if !cases.contains_key(&key) {
            cases.insert(key.clone(), load(Path::new(&folder), name, kind)?);
        }
        let Some(case) = cases.get_mut(&key) else { continue };
        let micros = shortest(seconds.parse()?, || case.session.run());
        let exact = case.exact.map_or("null".to_string(), |exact| exact.to_string());
        println!("{{\"microseconds\": {micros}, \"exact\": {exact}}}");
    }
    Ok(())
}
