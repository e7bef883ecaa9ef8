//! Resizing by TFLite's definitions; positions are formed in `f32` there, so here too.

use super::{Nhwc, at};

/// Where samples lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampling {
    /// Corners of input and output coincide.
    pub align_corners: bool,
    /// Samples lie at the centres of cells.
    pub half_pixel_centers: bool,
}

impl Sampling {
    fn extents(self, input: usize, output: usize) -> (usize, usize) {
        if self.align_corners && output > 1 { (input - 1, output - 1) } else { (input, output) }
    }

    fn scale(self, input: usize, output: usize) -> f32 {
        let (input, output) = self.extents(input, output);
        input as f32 / output as f32
    }

    fn nearest(self, o: usize, input: usize, output: usize) -> usize {
        let middle = if self.half_pixel_centers { 0.5 } else { 0.0 };
        let position = (o as f32 + middle) * self.scale(input, output);
        let cell = if self.align_corners { position.round() } else { position.floor() };
        (cell as usize).min(input - 1)
    }

    /// Both neighbours and the weight of the second.
    fn between(self, o: usize, input: usize, output: usize) -> (usize, usize, f64) {
        let scale = self.scale(input, output);
        let position =
            if self.half_pixel_centers { (o as f32 + 0.5) * scale - 0.5 } else { o as f32 * scale };
        let lower = (position.floor().max(0.0) as usize).min(input - 1);
        let upper = (position.ceil().max(0.0) as usize).min(input - 1);
        (lower, upper, f64::from(position) - lower as f64)
    }

    /// The same in 1/1024 cells.
    fn between_fixed(self, o: usize, input: usize, output: usize) -> (usize, usize, i64) {
        let (from, to) = self.extents(input, output);
        let scale = ((1024 * from + to / 2) / to) as i64;
        let centre = if self.half_pixel_centers { scale / 2 - 512 } else { 0 };
        let position = o as i64 * scale + centre;
        // C's division: towards zero.
        let last = input as i64 - 1;
        let lower = (position / 1024).clamp(0, last);
        let upper = ((position + 1023) / 1024).clamp(0, last);
        (lower as usize, upper as usize, position - 1024 * lower)
    }
}

/// Every output of `of(n, oy, ox, c)`.
fn each<U>(output: Nhwc, of: impl Fn(usize, usize, usize, usize) -> U) -> Vec<U> {
    let mut y = Vec::new();
    for n in 0..output[0] {
        for oy in 0..output[1] {
            for ox in 0..output[2] {
                for c in 0..output[3] {
                    y.push(of(n, oy, ox, c));
                }
            }
        }
    }
    y
}

/// RESIZE_NEAREST_NEIGHBOR.
pub fn nearest<T: Copy>(x: &[T], input: Nhwc, output: Nhwc, how: Sampling) -> Vec<T> {
    each(output, |n, oy, ox, c| {
        let row = how.nearest(oy, input[1], output[1]);
        let column = how.nearest(ox, input[2], output[2]);
        x[at(input, [n, row, column, c])]
    })
}

/// RESIZE_BILINEAR of floats, weighed in `f64`.
pub fn bilinear(x: &[f32], input: Nhwc, output: Nhwc, how: Sampling) -> Vec<f64> {
    each(output, |n, oy, ox, c| {
        let (top, bottom, dy) = how.between(oy, input[1], output[1]);
        let (left, right, dx) = how.between(ox, input[2], output[2]);
        let cell = |row, column| f64::from(x[at(input, [n, row, column, c])]);
        let above = cell(top, left) * (1.0 - dx) + cell(top, right) * dx;
        let below = cell(bottom, left) * (1.0 - dx) + cell(bottom, right) * dx;
        above * (1.0 - dy) + below * dy
    })
}

/// RESIZE_BILINEAR of codes: weights in 1/1024, halves away from zero.
pub fn bilinear_codes(x: &[i8], input: Nhwc, output: Nhwc, how: Sampling) -> Vec<i8> {
    each(output, |n, oy, ox, c| {
        let (top, bottom, dy) = how.between_fixed(oy, input[1], output[1]);
        let (left, right, dx) = how.between_fixed(ox, input[2], output[2]);
        let cell = |row, column| i64::from(x[at(input, [n, row, column, c])]);
        let above = cell(top, left) * (1024 - dx) + cell(top, right) * dx;
        let below = cell(bottom, left) * (1024 - dx) + cell(bottom, right) * dx;
        let sum = above * (1024 - dy) + below * dy;
        let magnitude = (sum.abs() + (1 << 19)) >> 20;
        (magnitude * sum.signum()) as i8
    })
}
