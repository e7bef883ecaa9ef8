//! Pools, means, sums and resizes: operators without weights.

use super::*;

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
            [4, 8, 12, 3, 5, 1][random.range(0, 5)]
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
