//! The backend beside the portable one, bit for bit, over random shapes.

use std::format;
use std::vec;
use std::vec::Vec;

mod depthwise;
mod maps;
mod pooled;
mod upsampled;

use super::{CortexM, packed};
use crate::backend::{Backend, Kernels, Scalar};
use crate::epilogue::Requantize;
use crate::error::ShapeError;
use crate::ops::elementwise::{Combine8, Kind8};
use crate::ops::{
    AveragePool2d, Binary, Broadcast, Conv2d, Conv2dGeometry, Dense, DenseGeometry, MaxPool2d,
    MaxPool2dWithIndices, MaxUnpool2d, Pool2dGeometry, Resize2dGeometry, ResizeNearest2d,
    TransposedConv2d, TransposedConv2dGeometry,
};
use crate::pack::{self, Geometry, Packed};
use crate::quant::Multiplier;
use crate::shape::Shape;
use crate::view::{View, ViewMut};
use crate::window::{Padding, Window, Window2d};

/// Miri takes a thousand times as long.
const CASES: u64 = if cfg!(miri) { 12 } else { 3000 };
/// What stands around outputs and scratch.
const CANARY: i8 = 0x55;

/// Marsaglia's xorshift.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32
    }

    /// From `low` to `high`, both included.
    fn range(&mut self, low: usize, high: usize) -> usize {
        low + self.next() as usize % (high - low + 1)
    }

    fn codes(&mut self, count: usize) -> Vec<i8> {
        (0..count).map(|_| self.next() as i8).collect()
    }

    /// Codes, most often without the one that has no opposite.
    fn weights(&mut self, count: usize) -> Vec<i8> {
        let least = if self.range(0, 3) == 0 { i8::MIN } else { -i8::MAX };
        self.codes(count).into_iter().map(|weight| weight.max(least)).collect()
    }

    fn window(&mut self, dilated: bool) -> Option<Window> {
        let dilation = if dilated { [self.range(1, 3), self.range(1, 2)] } else { [1, 1] };
        let padding = match self.range(0, 2) {
            0 => Padding::Same,
            1 => Padding::Valid,
            _ => Padding::Explicit([
                [self.range(0, 3), self.range(0, 3)],
                [self.range(0, 3), self.range(0, 3)],
            ]),
        };
        Window2d::new(self.range(1, 5), self.range(1, 5))
            .stride(self.range(1, 3), self.range(1, 3))
            .dilation(dilation[0], dilation[1])
            .padding(padding)
            .over(self.range(1, 9), self.range(1, 13))
            .ok()
    }

    fn channels(&mut self) -> usize {
        match self.range(0, 3) {
            0 => 1,
            1 => self.range(1, 4),
            2 => self.range(5, 12),
            _ => [16, 17, 33, 40][self.range(0, 3)],
        }
    }

    fn end(&mut self, biases: usize, channels: usize) -> End {
        let count = if self.range(0, 1) == 0 { 1 } else { channels };
        let general = self.range(0, 2) == 0;
        let [least, most] = if self.range(0, 1) == 0 { [1, 14] } else { [6, 11] };
        let shifts = (0..count).map(|_| {
            let n = self.range(least, most) as i32;
            if general { 3 - n } else { -n }
        });
        let shifts = shifts.collect();
        let mantissas = (0..count).map(|_| {
            if self.range(0, 9) == 0 { 0 } else { (1 << 30) + self.range(0, (1 << 30) - 1) as i32 }
        });
        let mantissas = mantissas.collect();
        let large = if self.range(0, 5) == 0 { 30 } else { 16 };
        let bias = (0..biases).map(|_| (self.next() as i32) >> (32 - large)).collect();
        let zero_point = if self.range(0, 2) == 0 { i8::MIN } else { self.next() as i8 };
        let (min, max) = match self.range(0, 3) {
            0 => (i8::MIN, i8::MAX),
            1 => (-100, 90),
            _ => (zero_point, i8::MAX),
        };
        let table = (self.range(0, 3) == 0).then(|| core::array::from_fn(|_| self.next() as i8));
        End { bias, mantissas, shifts, zero_point, min, max, table }
    }
}

struct End {
    bias: Vec<i32>,
    mantissas: Vec<i32>,
    shifts: Vec<i32>,
    zero_point: i8,
    min: i8,
    max: i8,
    table: Option<[i8; 256]>,
}

impl End {
    fn requantize(&self) -> Requantize<'_> {
        Requantize {
            bias: &self.bias,
            mantissas: &self.mantissas,
            shifts: &self.shifts,
            zero_point: self.zero_point.into(),
            min: self.min,
            max: self.max,
            table: self.table.as_ref(),
        }
    }
}

/// Output and scratch with canaries around them; `run` gets exactly what it asked for.
fn guarded(count: usize, scratch: usize, run: impl FnOnce(&mut [i8], &mut [u8])) -> Vec<i8> {
    const MARGIN: usize = 32;
    let mut y = vec![CANARY; count + 2 * MARGIN];
    let mut words = vec![[CANARY as u8; 16]; scratch.div_ceil(16) + 4];
    let bytes = words.as_flattened_mut();
    run(&mut y[MARGIN..MARGIN + count], &mut bytes[MARGIN..MARGIN + scratch]);
    assert!(y[..MARGIN].iter().chain(&y[MARGIN + count..]).all(|&code| code == CANARY));
    let around = bytes[..MARGIN].iter().chain(&bytes[MARGIN + scratch..]);
    assert!(around.copied().all(|byte| byte == CANARY as u8));
    y[MARGIN..MARGIN + count].to_vec()
}

fn both(case: &str, run: impl Fn(bool) -> Vec<i8>) {
    assert_eq!(run(true), run(false), "{case}");
}

#[test]
fn convolutions() {
    for seed in 0..CASES {
        let mut random = Random::new(seed);
        let Some(window) = random.window(true) else { continue };
        let groups = if random.range(0, 7) == 0 { 2 } else { 1 };
        let (inputs, outputs) = (random.channels() * groups, random.channels() * groups);
        let g = Conv2dGeometry::new(window, random.range(1, 2), inputs, outputs, groups).unwrap();
        let weights = random.weights(g.weights());
        let (x, end) = (random.codes(g.input.count()), random.end(outputs, outputs));
        let op = Conv2d::<i8>::new(g, &weights, random.next() as i8, end.requantize()).unwrap();
        fn run<B: Backend>(op: &Conv2d<'_, i8>, x: &[i8]) -> Vec<i8> {
            let g = *op.geometry();
            guarded(g.output.count(), <B as Kernels<i8>>::conv2d_scratch(&g), |y, scratch| {
                let (x, y) = (View::new(g.input, x).unwrap(), ViewMut::new(g.output, y).unwrap());
                op.run_on::<B>(x, y, scratch).unwrap();
            })
        }
        both(&format!("{seed} {g:?}"), |ours| {
            if ours { run::<CortexM>(&op, &x) } else { run::<Scalar>(&op, &x) }
        });
        packings(Geometry::Conv2d(g), &weights, &x, op.padding, end.requantize(), || {
            run::<Scalar>(&op, &x)
        });
    }
}

/// Cells beside each other, whose last words may reach beyond the map.
#[test]
fn pointwise_convolutions() {
    for seed in 0..CASES / 10 {
        let mut random = Random::new(seed + 5);
        let window = Window2d::new(1, 1).over(random.range(1, 5), random.range(1, 13)).unwrap();
        let (inputs, outputs) = (random.channels(), random.channels());
        let g = Conv2dGeometry::new(window, random.range(1, 2), inputs, outputs, 1).unwrap();
        let (weights, x) = (random.weights(g.weights()), random.codes(g.input.count()));
        let (end, zero) = (random.end(outputs, outputs), random.next() as i8);
        let op = Conv2d::<i8>::new(g, &weights, zero, end.requantize()).unwrap();
        packings(Geometry::Conv2d(g), &weights, &x, zero, end.requantize(), || {
            let bytes = <Scalar as Kernels<i8>>::conv2d_scratch(&g);
            guarded(g.output.count(), bytes, |y, scratch| {
                let (x, y) = (View::new(g.input, &x).unwrap(), ViewMut::new(g.output, y).unwrap());
                op.run_on::<Scalar>(x, y, scratch).unwrap();
            })
        });
    }
}

/// Both axes by Winograd: any border, tiles that reach beyond the map, weights and codes at
/// their ends.
#[test]
fn winograd() {
    let mut packed = 0;
    for seed in 0..CASES / 10 {
        let mut random = Random::new(seed + 77);
        let mut side = || [random.range(0, 2), random.range(0, 2)];
        let padding = Padding::Explicit([side(), side()]);
        let window = Window2d::new(3, 3).padding(padding);
        let Ok(window) = window.over(random.range(1, 9), random.range(1, 13)) else { continue };
        let (inputs, outputs) = (16 * random.range(1, 3), 4 * random.range(1, 4));
        let g = Conv2dGeometry::new(window, random.range(1, 2), inputs, outputs, 1).unwrap();
        let mut weights = random.codes(g.weights());
        let mut x = random.codes(g.input.count());
        if random.range(0, 3) == 0 {
            x.fill(-128);
            weights.fill([-128, 127][random.range(0, 1)]);
        }
        let end = random.end(outputs, outputs);
        let zero = random.next() as i8;
        let op = Conv2d::<i8>::new(g, &weights, zero, end.requantize()).unwrap();
        let geometry = Geometry::Conv2d(g);
        let mut words = vec![0; geometry.words(pack::WINOGRAD).unwrap()];
        let holds = geometry.pack(pack::WINOGRAD, &weights, &end.requantize(), &mut words).is_ok();
        packed += usize::from(holds && geometry.choose(&weights, &end.requantize()).is_some());
        packings(geometry, &weights, &x, zero, end.requantize(), || {
            let bytes = <Scalar as Kernels<i8>>::conv2d_scratch(&g);
            guarded(g.output.count(), bytes, |y, scratch| {
                let (x, y) = (View::new(g.input, &x).unwrap(), ViewMut::new(g.output, y).unwrap());
                op.run_on::<Scalar>(x, y, scratch).unwrap();
            })
        });
    }
    assert!(packed > CASES as usize / 40, "{packed} layers were packed");
}

/// Seven pixels at a time: tiles that share pixels, any border, few channels, both directions.
#[test]
fn sevens() {
    let mut packed = 0;
    for seed in 0..CASES / 5 {
        let mut random = Random::new(seed + 99);
        let mut side = || [random.range(0, 3), random.range(0, 3)];
        let padding = Padding::Explicit([side(), side()]);
        let window = Window2d::new(3, 3).padding(padding);
        let Ok(window) = window.over(random.range(1, 6), random.range(5, 30)) else { continue };
        let (inputs, outputs) = (random.range(1, 9), random.range(1, 3));
        let (x, zero) = (window, random.next() as i8);
        let n = random.range(1, 2);
        let end = random.end(outputs, outputs);
        let (geometry, weights, x, plain) = if random.range(0, 1) == 0 {
            let g = Conv2dGeometry::new(x, n, inputs, outputs, 1).unwrap();
            let (weights, x) = (random.codes(g.weights()), random.codes(g.input.count()));
            let op = Conv2d::<i8>::new(g, &weights, zero, end.requantize()).unwrap();
            let bytes = <Scalar as Kernels<i8>>::conv2d_scratch(&g);
            let plain = guarded(g.output.count(), bytes, |y, scratch| {
                let (x, y) = (View::new(g.input, &x).unwrap(), ViewMut::new(g.output, y).unwrap());
                op.run_on::<Scalar>(x, y, scratch).unwrap();
            });
            (Geometry::Conv2d(g), weights, x, plain)
        } else {
            let g = TransposedConv2dGeometry::new(x, n, inputs, outputs).unwrap();
            let (weights, x) = (random.codes(g.weights()), random.codes(g.input.count()));
            let op = TransposedConv2d::<i8>::new(g, &weights, zero, end.requantize()).unwrap();
            let bytes = <Scalar as Kernels<i8>>::transposed_conv2d_scratch(&g);
            let plain = guarded(g.output.count(), bytes, |y, scratch| {
                let (x, y) = (View::new(g.input, &x).unwrap(), ViewMut::new(g.output, y).unwrap());
                op.run_on::<Scalar>(x, y, scratch).unwrap();
            });
            (Geometry::TransposedConv2d(g), weights, x, plain)
        };
        let serves = geometry.words(pack::SEVENS).is_some();
        packed += usize::from(serves && geometry.choose(&weights, &end.requantize()).is_some());
        packings(geometry, &weights, &x, zero, end.requantize(), || plain);
    }
    assert!(packed > CASES as usize / 20, "{packed} layers were packed");
}

/// Every packing that serves the layer beside the plain weights on the portable backend.
fn packings(
    geometry: Geometry,
    weights: &[i8],
    x: &[i8],
    zero_point: i8,
    end: Requantize<'_>,
    plain: impl FnOnce() -> Vec<i8>,
) {
    let Some(chosen) = geometry.choose(weights, &end) else { return };
    let plain = plain();
    assert!(geometry.words(chosen).is_some() && geometry.scratch(chosen).is_some());
    let bounded = [packed::LANES, pack::WINOGRAD, packed::QUADS_SHORT];
    for packing in 1..=pack::LAST {
        let Some(count) = geometry.words(packing) else { continue };
        let mut words = vec![0; count];
        match geometry.pack(packing, weights, &end, &mut words) {
            // The lanes do not hold every weight, the others not every bias and shift.
            Err(ShapeError::Range) if bounded.contains(&packing) => continue,
            result => result.unwrap(),
        }
        let op = Packed::new(geometry, packing, &words, zero_point, end).unwrap();
        let (input, output) = (geometry.input(), geometry.output());
        let y = guarded(output.count(), geometry.scratch(packing).unwrap(), |y, scratch| {
            let (x, y) = (View::new(input, x).unwrap(), ViewMut::new(output, y).unwrap());
            op.run(x, y, scratch).unwrap();
        });
        assert_eq!(y, plain, "packing {packing} of {geometry:?}");
    }
}

#[test]
fn transposed_convolutions() {
    let mut short = 0;
    for seed in 0..CASES {
        let mut random = Random::new(seed);
        let Some(window) = random.window(false) else { continue };
        let (inputs, outputs) = (random.channels(), random.channels());
        let n = random.range(1, 2);
        let g = TransposedConv2dGeometry::new(window, n, inputs, outputs).unwrap();
        let weights = random.codes(g.weights());
        let (x, end) = (random.codes(g.input.count()), random.end(g.biases(), outputs));
        let zero = random.next() as i8;
        let op = TransposedConv2d::<i8>::new(g, &weights, zero, end.requantize()).unwrap();
        fn run<B: Backend>(op: &TransposedConv2d<'_, i8>, x: &[i8]) -> Vec<i8> {
            let g = *op.geometry();
            let bytes = <B as Kernels<i8>>::transposed_conv2d_scratch(&g);
            guarded(g.output.count(), bytes, |y, scratch| {
                let (x, y) = (View::new(g.input, x).unwrap(), ViewMut::new(g.output, y).unwrap());
                op.run_on::<B>(x, y, scratch).unwrap();
            })
        }
        both(&format!("{seed} {g:?}"), |ours| {
            if ours { run::<CortexM>(&op, &x) } else { run::<Scalar>(&op, &x) }
        });
        let geometry = Geometry::TransposedConv2d(g);
        let chosen = geometry.choose(&weights, &end.requantize());
        short += u64::from(chosen == Some(packed::QUADS_SHORT));
        packings(geometry, &weights, &x, zero, end.requantize(), || run::<Scalar>(&op, &x));
    }
    assert!(short > CASES / 100, "{short} layers ended short");
}

#[test]
fn dense_layers() {
    for seed in 0..CASES {
        let mut random = Random::new(seed);
        let (inputs, units) = (random.range(1, 70), random.range(1, 20));
        let g = DenseGeometry::new(random.range(1, 2), inputs, units).unwrap();
        let weights = random.weights(inputs * units);
        let (x, end) = (random.codes(g.batch * inputs), random.end(units, units));
        let op = Dense::<i8>::new(g, &weights, end.requantize()).unwrap();
        fn run<B: Backend>(op: &Dense<'_, i8>, x: &[i8]) -> Vec<i8> {
            let g = *op.geometry();
            let bytes = <B as Kernels<i8>>::dense_scratch(&g);
            guarded(g.batch * g.units, bytes, |y, scratch| {
                op.run_on::<B>(x, y, scratch).unwrap();
            })
        }
        both(&format!("{seed} {g:?}"), |ours| {
            if ours { run::<CortexM>(&op, &x) } else { run::<Scalar>(&op, &x) }
        });
        packings(Geometry::Dense(g), &weights, &x, 0, end.requantize(), || run::<Scalar>(&op, &x));
    }
}

/// See `cpu!` in `asm.rs`: without it the function does not build for Armv8-M.
#[test]
#[cfg_attr(miri, ignore = "reads source files")]
fn naked_functions_name_a_core() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/backend/cortex_m/asm");
    let mut functions = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        for body in text.split("naked_asm!(").skip(1) {
            assert!(body.trim_start().starts_with("cpu!(),"), "{}", path.display());
            functions += 1;
        }
    }
    assert!(functions >= 7, "the naked functions have moved");
}
