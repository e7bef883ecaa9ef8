//! The oracle against TensorFlow's recorded numbers and hand-worked values,
//! with no kernel and no importer in between.

use conformance::oracle::conv::{self, Geometry};
use conformance::oracle::quant::{Codes, Multiplier};
use conformance::oracle::{at, pool, same, valid};

/// Sum with bias, mantissa, shift, output zero point, and the code that TFLite's
/// reference kernels (TensorFlow 2.21) gave it. CONV_2D, DEPTHWISE_CONV_2D and
/// TRANSPOSE_CONV outputs where rounding once would be off by one.
const RECORDED: &[(i64, i32, i32, i32, i8)] = &[
    (-3101, 1240846986, -9, -3, -7),
    (-18165, 1240846986, -9, -3, -24),
    (7677, 1253148206, -8, -6, 12),
    (33660, 1159588776, -9, -6, 30),
    (7034, 1797487929, -9, -8, 4),
    (-13151, 1797487929, -9, -8, -30),
    (495, 1387503970, -7, -128, -125),
    (891, 1387503970, -7, -128, -123),
    (5801, 1374089495, -8, -128, -113),
    (8015, 1903277206, -7, -128, -72),
    (321, 1924959072, -6, -128, -123),
    (2397, 1433102997, -7, -128, -115),
    (4242, 1198668882, -7, -128, -109),
    (26982, 2088400385, -8, -128, -25),
    (20934, 1221114699, -8, -10, 37),
    (3396, 1133089124, -9, -10, -6),
    (2185, 1682407752, -5, -128, -74),
    (6008, 1298131359, -5, -128, -14),
    (8145, 1273982972, -6, -128, -52),
];

#[test]
fn requantises_as_tensorflow_recorded() {
    for &(sum, mantissa, shift, output_zero, expected) in RECORDED {
        let multipliers = vec![Multiplier { mantissa, shift }];
        let codes =
            Codes { input_zero: 0, multipliers, output_zero, min: -128, max: 127, table: None };
        assert_eq!(codes.code(sum, 0), expected, "sum {sum}");
        let bits = 31 - shift;
        let product = i128::from(sum) * i128::from(mantissa);
        let once = ((product + (1 << (bits - 1))) >> bits) + i128::from(output_zero);
        assert_ne!(once, i128::from(expected), "sum {sum} does not tell the roundings apart");
    }
}

#[test]
fn extents_follow_tensorflow() {
    assert_eq!((valid(1920, 5, 5, 1), valid(1080, 5, 5, 1)), (Some(384), Some(216)));
    assert_eq!((same(1920, 5, 5, 1), same(1080, 5, 5, 1)), ((384, 0), (216, 0)));
    assert_eq!(same(28, 3, 2, 1), (14, 0), "the odd missing cell goes behind");
    assert_eq!(same(13, 3, 2, 1), (7, 1));
    assert_eq!(same(15, 3, 1, 2), (15, 2));
    assert_eq!(same(2, 5, 1, 1), (2, 2), "a kernel wider than the map");
    assert_eq!(same(5, 2, 3, 1), (2, 0), "a stride wider than the kernel");
    assert_eq!(valid(2, 5, 1, 1), None);
}

#[test]
fn first_maximum_wins_and_later_windows_overwrite() {
    let whole = Geometry { kernel: [2, 2], stride: [2, 2], dilation: [1, 1], pad: [0, 0] };
    let (values, offsets) = pool::max(&[1i8, 7, 7, 7], [1, 2, 2, 1], [1, 1, 1, 1], whole);
    assert_eq!((values, offsets), (vec![7], vec![1]));
    let overlapping = Geometry { kernel: [1, 2], stride: [1, 1], ..whole };
    let map = pool::unpool(&[4i8, 9], &[1, 0], [1, 1, 2, 1], [1, 1, 3, 1], overlapping, -3);
    assert_eq!(map, [-3, 9, -3]);
}

#[test]
fn transposed_scatter_equals_gather() {
    let (input, channels) = ([1, 4, 3, 2], 3);
    for kernel in 1..5 {
        for stride in 1..4 {
            for pad in 0..kernel {
                let extent = |i: usize| (i - 1) * stride + kernel;
                let output = [1, extent(4), extent(3), channels];
                let x: Vec<i8> = (0..24).map(|i| (i * 37 % 101 - 50) as i8).collect();
                let count = channels * kernel * kernel * 2;
                let w: Vec<i8> = (0..count).map(|i| (i * 53 % 89) as i8 - 44).collect();
                let g = Geometry {
                    kernel: [kernel; 2],
                    stride: [stride; 2],
                    dilation: [1; 2],
                    pad: [pad; 2],
                };
                let scattered =
                    conv::transposed(&x, input, &w, output, g, |x, w| f64::from(x) * f64::from(w));
                let from = |o: usize, tap: usize, cells: usize| {
                    let distance = (o + pad).checked_sub(tap)?;
                    Some(distance / stride).filter(|&i| distance % stride == 0 && i < cells)
                };
                for (index, &sum) in scattered.iter().enumerate() {
                    let (c, ox, oy) = (
                        index % channels,
                        index / channels % output[2],
                        index / channels / output[2],
                    );
                    let mut gathered = 0i64;
                    for (ky, kx) in (0..kernel * kernel).map(|t| (t / kernel, t % kernel)) {
                        if let (Some(y), Some(column)) = (from(oy, ky, 4), from(ox, kx, 3)) {
                            for i in 0..2 {
                                let weight = w[at([channels, kernel, kernel, 2], [c, ky, kx, i])];
                                let cell = x[at(input, [0, y, column, i])];
                                gathered += i64::from(cell) * i64::from(weight);
                            }
                        }
                    }
                    assert_eq!(sum, gathered as f64, "k{kernel} s{stride} p{pad} at {index}");
                }
            }
        }
    }
}
