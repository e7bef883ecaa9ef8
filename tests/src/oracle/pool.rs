//! Pools, unpools and upsampling.

use super::conv::Geometry;
use super::{Nhwc, at};

/// Every in-bounds cell of a window: its offset in the window and its place in the map.
fn cells(g: Geometry, input: Nhwc, oy: usize, ox: usize) -> Vec<(usize, usize, usize)> {
    let mut cells = Vec::new();
    for ky in 0..g.kernel[0] {
        for kx in 0..g.kernel[1] {
            let y = (oy * g.stride[0] + ky).checked_sub(g.pad[0]).filter(|&y| y < input[1]);
            let x = (ox * g.stride[1] + kx).checked_sub(g.pad[1]).filter(|&x| x < input[2]);
            if let (Some(y), Some(x)) = (y, x) {
                cells.push((ky * g.kernel[1] + kx, y, x));
            }
        }
    }
    cells
}

/// Maxima and the offset in its window of each first maximum.
///
/// # Panics
/// When a window has no cell inside the map.
pub fn max<T: Copy + PartialOrd>(
    x: &[T],
    input: Nhwc,
    output: Nhwc,
    g: Geometry,
) -> (Vec<T>, Vec<usize>) {
    let (mut values, mut offsets) = (Vec::new(), Vec::new());
    for n in 0..output[0] {
        for oy in 0..output[1] {
            for ox in 0..output[2] {
                for c in 0..output[3] {
                    let mut best: Option<(T, usize)> = None;
                    for (offset, y, xx) in cells(g, input, oy, ox) {
                        let value = x[at(input, [n, y, xx, c])];
                        if best.is_none_or(|(b, _)| value > b) {
                            best = Some((value, offset));
                        }
                    }
                    let (value, offset) = best.expect("a window without cells");
                    values.push(value);
                    offsets.push(offset);
                }
            }
        }
    }
    (values, offsets)
}

/// Sums and counts of the cells inside.
pub fn sums<T: Copy + Into<f64>>(
    x: &[T],
    input: Nhwc,
    output: Nhwc,
    g: Geometry,
) -> Vec<(f64, usize)> {
    let mut result = Vec::new();
    for n in 0..output[0] {
        for oy in 0..output[1] {
            for ox in 0..output[2] {
                for c in 0..output[3] {
                    let cells = cells(g, input, oy, ox);
                    let sum =
                        cells.iter().map(|&(_, y, xx)| x[at(input, [n, y, xx, c])].into()).sum();
                    result.push((sum, cells.len()));
                }
            }
        }
    }
    result
}

/// The mean of int8 codes as AVERAGE_POOL_2D has it: of the raw codes, halves away from zero.
pub fn average_code(sum: i64, count: i64) -> i64 {
    let magnitude = (2 * sum.abs() + count) / (2 * count);
    magnitude * sum.signum()
}

/// Zeros, and each value where its pool found it; later windows overwrite. An offset
/// that the window does not have, or that lies outside the map, is passed over.
pub fn unpool<T: Copy>(
    x: &[T],
    offsets: &[usize],
    pooled: Nhwc,
    map: Nhwc,
    g: Geometry,
    zero: T,
) -> Vec<T> {
    let mut y = vec![zero; map.iter().product()];
    for n in 0..pooled[0] {
        for oy in 0..pooled[1] {
            for ox in 0..pooled[2] {
                for c in 0..pooled[3] {
                    let from = at(pooled, [n, oy, ox, c]);
                    for (offset, row, column) in cells(g, map, oy, ox) {
                        if offset == offsets[from] {
                            y[at(map, [n, row, column, c])] = x[from];
                        }
                    }
                }
            }
        }
    }
    y
}

/// Each value at the top left of a cell of zeros.
pub fn bed_of_nails<T: Copy>(x: &[T], input: Nhwc, [sh, sw]: [usize; 2], zero: T) -> Vec<T> {
    let output = [input[0], input[1] * sh, input[2] * sw, input[3]];
    let mut y = Vec::new();
    for n in 0..output[0] {
        for oy in 0..output[1] {
            for ox in 0..output[2] {
                for c in 0..output[3] {
                    let nail = oy % sh == 0 && ox % sw == 0;
                    y.push(if nail { x[at(input, [n, oy / sh, ox / sw, c])] } else { zero });
                }
            }
        }
    }
    y
}
