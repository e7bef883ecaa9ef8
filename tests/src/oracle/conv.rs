//! Convolution, its transpose, depthwise and dense, as sums of `(x − zero) · w`.

use super::{Nhwc, at};

/// A window along rows and columns.
#[derive(Clone, Copy, Debug)]
pub struct Geometry {
    /// Rows, columns.
    pub kernel: [usize; 2],
    /// Rows, columns.
    pub stride: [usize; 2],
    /// Rows, columns.
    pub dilation: [usize; 2],
    /// Padding above and before.
    pub pad: [usize; 2],
}

impl Geometry {
    /// The input cell of tap `t` of output `o`, if it is inside.
    fn input(&self, axis: usize, o: usize, t: usize, extent: usize) -> Option<usize> {
        let padded = o * self.stride[axis] + t * self.dilation[axis];
        padded.checked_sub(self.pad[axis]).filter(|&i| i < extent)
    }
}

/// Sums of a convolution in groups, weights OHWI: `product(x, w)` over the taps inside.
pub fn conv2d<T: Copy>(
    x: &[T],
    input: Nhwc,
    weights: &[T],
    output: Nhwc,
    groups: usize,
    g: Geometry,
    product: impl Fn(T, T) -> f64,
) -> Vec<f64> {
    let depth = input[3] / groups;
    let mut sums = vec![0.0; output.iter().product()];
    for n in 0..output[0] {
        for oy in 0..output[1] {
            for ox in 0..output[2] {
                for o in 0..output[3] {
                    let first = o / (output[3] / groups) * depth;
                    let mut sum = 0.0;
                    for ky in 0..g.kernel[0] {
                        for kx in 0..g.kernel[1] {
                            let (Some(y), Some(xx)) =
                                (g.input(0, oy, ky, input[1]), g.input(1, ox, kx, input[2]))
                            else {
                                continue;
                            };
                            for i in 0..depth {
                                let w = ((o * g.kernel[0] + ky) * g.kernel[1] + kx) * depth + i;
                                sum += product(x[at(input, [n, y, xx, first + i])], weights[w]);
                            }
                        }
                    }
                    sums[at(output, [n, oy, ox, o])] = sum;
                }
            }
        }
    }
    sums
}

/// Sums of a depthwise convolution, weights `[kh, kw, c·m]`.
pub fn depthwise<T: Copy>(
    x: &[T],
    input: Nhwc,
    weights: &[T],
    output: Nhwc,
    g: Geometry,
    product: impl Fn(T, T) -> f64,
) -> Vec<f64> {
    let multiplier = output[3] / input[3];
    let mut sums = vec![0.0; output.iter().product()];
    for (index, sum) in sums.iter_mut().enumerate() {
        let o = index % output[3];
        let (ox, oy) = (index / output[3] % output[2], index / output[3] / output[2] % output[1]);
        let n = index / (output[1] * output[2] * output[3]);
        for ky in 0..g.kernel[0] {
            for kx in 0..g.kernel[1] {
                if let (Some(y), Some(xx)) =
                    (g.input(0, oy, ky, input[1]), g.input(1, ox, kx, input[2]))
                {
                    let w = (ky * g.kernel[1] + kx) * output[3] + o;
                    *sum += product(x[at(input, [n, y, xx, o / multiplier])], weights[w]);
                }
            }
        }
    }
    sums
}

/// Sums of a transposed convolution, by scattering each input: weights OHWI,
/// `g` the window of the forward convolution from the output to the input.
pub fn transposed<T: Copy>(
    x: &[T],
    input: Nhwc,
    weights: &[T],
    output: Nhwc,
    g: Geometry,
    product: impl Fn(T, T) -> f64,
) -> Vec<f64> {
    let mut sums = vec![0.0; output.iter().product()];
    for n in 0..input[0] {
        for iy in 0..input[1] {
            for ix in 0..input[2] {
                for ky in 0..g.kernel[0] {
                    for kx in 0..g.kernel[1] {
                        let (Some(oy), Some(ox)) =
                            (g.input(0, iy, ky, output[1]), g.input(1, ix, kx, output[2]))
                        else {
                            continue;
                        };
                        for o in 0..output[3] {
                            for i in 0..input[3] {
                                let w = ((o * g.kernel[0] + ky) * g.kernel[1] + kx) * input[3] + i;
                                sums[at(output, [n, oy, ox, o])] +=
                                    product(x[at(input, [n, iy, ix, i])], weights[w]);
                            }
                        }
                    }
                }
            }
        }
    }
    sums
}

/// Sums of a dense layer, weights `[units, inputs]`.
pub fn dense<T: Copy>(
    x: &[T],
    weights: &[T],
    inputs: usize,
    product: impl Fn(T, T) -> f64,
) -> Vec<f64> {
    let rows = x.chunks(inputs);
    rows.flat_map(|row| {
        weights
            .chunks(inputs)
            .map(|w| row.iter().zip(w).map(|(&x, &w)| product(x, w)).sum())
            .collect::<Vec<f64>>()
    })
    .collect()
}
