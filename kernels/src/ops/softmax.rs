//! Softmax over the last axis: `y[i] = exp(β·(x[i] − max)) / Σ exp(β·(x[j] − max))`.
//!
//! int8 follows TFLite: exponentials from a 256-entry `f32` table
//! ([`crate::quant::lookup::softmax_exponentials`]), a float sum, and outputs
//! `⌊256·p + ½⌋ − 128` in the fixed scale 1/256.
//!
//! Kernels work in place: the largest element and the sum are known before the first element
//! is written, and each is read last where it is written.

use crate::element::Element;
use crate::error::ShapeError;
use crate::ops::elementwise::ElementOps;

/// A softmax ready to run; for int8 `table` is the exponentials, for f32 `β`.
#[derive(Clone, Copy, Debug)]
pub struct Softmax<'a, E: ElementOps> {
    pub(crate) classes: usize,
    pub(crate) table: E::SoftmaxTable<'a>,
}

impl<'a, E: ElementOps> Softmax<'a, E> {
    /// A softmax over rows of `classes` elements.
    ///
    /// # Errors
    /// [`ShapeError::Zero`] for no class.
    pub const fn new(classes: usize, table: E::SoftmaxTable<'a>) -> Result<Self, ShapeError> {
        if classes == 0 { Err(ShapeError::Zero) } else { Ok(Self { classes, table }) }
    }

    /// Runs over all rows of `x`.
    ///
    /// # Errors
    /// [`ShapeError::Length`] when `x` is no whole number of rows or `y` differs in length.
    pub fn run(&self, x: &[E], y: &mut [E]) -> Result<(), ShapeError> {
        if x.len() != y.len() || !x.len().is_multiple_of(self.classes) {
            return Err(ShapeError::Length);
        }
        y.copy_from_slice(x);
        E::softmax(self, y);
        Ok(())
    }
}

/// Of `x`, or the lowest element.
fn largest<E: Element>(x: &[E]) -> E {
    x.iter().fold(E::LOWEST, |best, &x| E::larger(best, x))
}

pub(crate) fn run_i8(op: &Softmax<'_, i8>, y: &mut [i8]) {
    for row in y.chunks_exact_mut(op.classes) {
        let max = i32::from(largest(row));
        let exponential = |code: i8| op.table[(max - i32::from(code)) as usize & 255];
        let sum = row.iter().fold(0.0f32, |sum, &code| sum + exponential(code));
        let inverse = 1.0 / (sum * (1.0 / 256.0));
        for code in row {
            // Not negative, so truncation is the floor that TFLite takes.
            let rounded = (exponential(*code) * inverse + 0.5) as i32;
            *code = (rounded - 128).min(127) as i8;
        }
    }
}

pub(crate) fn run_f32(op: &Softmax<'_, f32>, y: &mut [f32]) {
    for row in y.chunks_exact_mut(op.classes) {
        let max = largest(row);
        let mut sum = 0.0;
        for value in &mut *row {
            *value = libm::expf((*value - max) * op.table);
            sum += *value;
        }
        for value in row {
            *value /= sum;
        }
    }
}
