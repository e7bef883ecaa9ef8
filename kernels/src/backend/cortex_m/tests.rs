//! The backend beside the portable one, bit for bit, over random shapes.

use std::format;
use std::vec;
use std::vec::Vec;

use super::CortexM;
use crate::backend::{Backend, Kernels, Scalar};
use crate::epilogue::Requantize;
use crate::error::ShapeError;
use crate::ops::elementwise::{Combine8, Kind8};
use crate::ops::{
    AveragePool2d, Binary, Broadcast, Conv2d, Conv2dGeometry, Dense, DenseGeometry,
    DepthwiseConv2d, MaxPool2d, MaxPool2dWithIndices, MaxUnpool2d, Pool2dGeometry,
    Resize2dGeometry, ResizeNearest2d, TransposedConv2d, TransposedConv2dGeometry,
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
        let shifts = (0..count).map(|_| {
            let n = self.range(1, 14) as i32;
            if general { 3 - n } else { -n }
        });
        let shifts = shifts.collect();
        let mantissas = (0..count).map(|_| {
            if self.range(0, 9) == 0 { 0 } else { (1 << 30) + self.range(0, (1 << 30) - 1) as i32 }
        });
        let mantissas = mantissas.collect();
        let large = if self.range(0, 5) == 0 { 30 } else { 16 };
        let bias = (0..biases).map(|_| (self.next() as i32) >> (32 - large)).collect();
        let (min, max) = if self.range(0, 1) == 0 { (-128, 127) } else { (-100, 90) };
        let table = (self.range(0, 3) == 0).then(|| core::array::from_fn(|_| self.next() as i8));
        End { bias, mantissas, shifts, zero_point: self.next() as i8, min, max, table }
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
    for packing in 1..=pack::LAST {
        let Some(count) = geometry.words(packing) else { continue };
        let mut words = vec![0; count];
        match geometry.pack(packing, weights, &end, &mut words) {
            // The lanes do not hold every weight.
            Err(ShapeError::Range) if packing == pack::LAST => continue,
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
        packings(geometry, &weights, &x, zero, end.requantize(), || run::<Scalar>(&op, &x));
    }
}

#[test]
fn depthwise_convolutions() {
    for seed in 0..CASES {
        let mut random = Random::new(seed);
        let Some(window) = random.window(true) else { continue };
        let inputs = random.channels();
        let outputs = inputs * [1, 1, 2, 3][random.range(0, 3)];
        let g = Conv2dGeometry::new(window, random.range(1, 2), inputs, outputs, inputs).unwrap();
        let weights = random.codes(g.window.taps() * outputs);
        let (x, end) = (random.codes(g.input.count()), random.end(outputs, outputs));
        let zero = random.next() as i8;
        let op = DepthwiseConv2d::<i8>::new(g, &weights, zero, end.requantize()).unwrap();
        fn run<B: Backend>(op: &DepthwiseConv2d<'_, i8>, x: &[i8]) -> Vec<i8> {
            let g = *op.geometry();
            let bytes = <B as Kernels<i8>>::depthwise_conv2d_scratch(&g);
            guarded(g.output.count(), bytes, |y, scratch| {
                let (x, y) = (View::new(g.input, x).unwrap(), ViewMut::new(g.output, y).unwrap());
                op.run_on::<B>(x, y, scratch).unwrap();
            })
        }
        both(&format!("{seed} {g:?}"), |ours| {
            if ours { run::<CortexM>(&op, &x) } else { run::<Scalar>(&op, &x) }
        });
    }
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

#[test]
fn pools() {
    for seed in 0..CASES {
        let mut random = Random::new(seed);
        let window = if random.range(0, 2) == 0 {
            let (h, w) = (random.range(2, 9), random.range(2, 9));
            Window2d::new(2, 2).stride(2, 2).over(h, w).ok()
        } else {
            random.window(false)
        };
        let channels = random.channels();
        let Some(Ok(g)) = window.map(|window| Pool2dGeometry::new(window, 2, channels)) else {
            continue;
        };
        let x = random.codes(g.input.count());
        let (min, max) = if random.range(0, 1) == 0 { (-128, 127) } else { (-90, 80) };
        fn run<B: Backend>(g: Pool2dGeometry, x: &[i8], bounds: (i8, i8)) -> Vec<i8> {
            let op = MaxPool2d::new(g, bounds.0, bounds.1).unwrap();
            let mut both = guarded(g.output.count(), 0, |y, _| {
                let (x, y) = (View::new(g.input, x).unwrap(), ViewMut::new(g.output, y).unwrap());
                op.run_on::<B>(x, y).unwrap();
            });
            let op = AveragePool2d::new(g, bounds.0, bounds.1).unwrap();
            both.extend(guarded(g.output.count(), 0, |y, _| {
                let (x, y) = (View::new(g.input, x).unwrap(), ViewMut::new(g.output, y).unwrap());
                op.run_on::<B>(x, y).unwrap();
            }));
            both
        }
        both(&format!("{seed} {g:?}"), |ours| {
            if ours { run::<CortexM>(g, &x, (min, max)) } else { run::<Scalar>(g, &x, (min, max)) }
        });
    }
}

#[test]
fn pools_with_indices() {
    for seed in 0..CASES {
        let mut random = Random::new(seed);
        let window = if random.range(0, 3) == 0 {
            let (h, w) = (random.range(2, 9), random.range(2, 9));
            Window2d::new(2, 2).stride(2, 2).over(h, w).ok()
        } else {
            random.window(false)
        };
        let Some(window) = window else { continue };
        let Ok(g) = Pool2dGeometry::new(window, 2, random.channels()) else { continue };
        let (pool, zero) = (MaxPool2dWithIndices::new(g).unwrap(), random.next() as i8);
        let unpool = MaxUnpool2d::new(g, zero).unwrap();
        // Few values, so that maxima are often equal; later taps that no window has.
        let x: Vec<i8> = random.codes(g.input.count()).iter().map(|code| code >> 5).collect();
        let codes = random.codes(g.output.count());
        let foreign: Vec<u8> = codes.iter().map(|&code| code as u8 % 20).collect();
        fn run<B: Backend>(
            (pool, unpool): (&MaxPool2dWithIndices, &MaxUnpool2d<i8>),
            x: &[i8],
            foreign: &[u8],
        ) -> (Vec<i8>, Vec<u8>, Vec<u16>) {
            let g = *pool.geometry();
            let (mut bytes, mut words) = (vec![0u8; foreign.len()], vec![0u16; foreign.len()]);
            let x = View::new(g.input, x).unwrap();
            let mut all = guarded(g.output.count(), 0, |y, _| {
                pool.run_on::<B, i8, u16>(x, ViewMut::new(g.output, y).unwrap(), &mut words)
                    .unwrap();
            });
            let best = guarded(g.output.count(), 0, |y, _| {
                pool.run_on::<B, i8, u8>(x, ViewMut::new(g.output, y).unwrap(), &mut bytes)
                    .unwrap();
            });
            for indices in [&bytes[..], foreign] {
                all.extend(guarded(g.input.count(), 0, |y, _| {
                    let best = View::new(g.output, &best).unwrap();
                    let y = ViewMut::new(g.input, y).unwrap();
                    unpool.run_on::<B, u8>(best, indices, y).unwrap();
                }));
            }
            all.extend(best);
            (all, bytes, words)
        }
        let operators = (&pool, &unpool);
        let (ours, portable) =
            (run::<CortexM>(operators, &x, &foreign), run::<Scalar>(operators, &x, &foreign));
        assert_eq!(ours, portable, "{seed} {g:?}");
    }
}

#[test]
fn means() {
    for seed in 0..CASES {
        let mut random = Random::new(seed);
        let (mut ours, count) = (vec![0; random.range(1, 70)], random.range(0, 80));
        for sum in &mut ours {
            *sum = random.next() as i32;
        }
        let (mut portable, x) = (ours.clone(), random.codes(count));
        <CortexM as Kernels<i8>>::reduce_sum(&mut ours, &x);
        <Scalar as Kernels<i8>>::reduce_sum(&mut portable, &x);
        assert_eq!(ours, portable, "{seed}");
    }
}

#[test]
fn sums() {
    for seed in 0..CASES {
        let mut random = Random::new(seed);
        let count =
            if random.range(0, 7) == 0 { random.range(700, 1300) } else { random.range(1, 40) };
        let dims = [1, 1, 1, 1, random.range(1, 3), count];
        let strides = [0, 0, 0, 0, if dims[4] == 1 { 0 } else { count }, 1];
        let b = if random.range(0, 3) == 0 { [0, 0, 0, 0, 0, 1] } else { strides };
        let broadcast = Broadcast { dims, a: strides, b };
        let mut multiplier = |low: usize, high: usize| {
            let mantissa = (1 << 30) + random.range(0, (1 << 30) - 1) as i32;
            Multiplier { mantissa, shift: 3 - random.range(low, high) as i32 }
        };
        let multipliers = [multiplier(2, 8), multiplier(3, 8)];
        let output = multiplier(2, 24);
        let kind = [Kind8::Add, Kind8::Add, Kind8::Sub, Kind8::Mul][random.range(0, 3)];
        let zero_points = [i32::from(random.next() as i8), i32::from(random.next() as i8)];
        let zero_point = i32::from(random.next() as i8);
        let (min, max) = if random.range(0, 1) == 0 { (-128, 127) } else { (-70, 60) };
        let how = Combine8 { kind, zero_points, multipliers, output, zero_point, min, max };
        let op = Binary::<i8>::new(broadcast, how).unwrap();
        let (a, b) = (random.codes(dims[4] * count), random.codes(dims[4] * count));
        both(&format!("{seed} {how:?}"), |ours| {
            guarded(a.len(), 0, |y, _| {
                if ours {
                    op.run_on::<CortexM>(&a, &b, y).unwrap();
                } else {
                    op.run_on::<Scalar>(&a, &b, y).unwrap();
                }
            })
        });
    }
}

#[test]
fn nearest_resizes() {
    for seed in 0..CASES {
        let mut random = Random::new(seed);
        let input = Shape::new(random.range(1, 2), random.range(1, 6), random.range(1, 6), {
            [4, 8, 12, 3, 5][random.range(0, 4)]
        });
        let input = input.unwrap();
        let [up, across] = [random.range(1, 4), random.range(1, 4)];
        let (h, w) = if random.range(0, 4) == 0 {
            (random.range(1, 14), random.range(1, 14))
        } else {
            (input.h * up, input.w * across)
        };
        let flags = [(false, false), (false, true), (true, false)][random.range(0, 2)];
        let g = Resize2dGeometry::new(input, h, w, flags.0, flags.1).unwrap();
        let (op, x) = (ResizeNearest2d::new(g), random.codes(input.count()));
        both(&format!("{seed} {g:?}"), |ours| {
            guarded(g.output.count(), 0, |y, _| {
                let (x, y) = (View::new(input, &x).unwrap(), ViewMut::new(g.output, y).unwrap());
                if ours {
                    op.run_on::<CortexM, i8>(x, y).unwrap();
                } else {
                    op.run_on::<Scalar, i8>(x, y).unwrap();
                }
            })
        });
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
