//! What ends every accumulation: bias, requantise or activate, clamp, store.

use crate::error::ShapeError;
use crate::quant::{Multiplier, lookup, requantize};

/// End of an int8 accumulation: `clamp(zero_point + round((acc + bias[c]) · multiplier[c]))`,
/// then, if there is one, a table.
#[derive(Clone, Copy, Debug)]
pub struct Requantize<'a> {
    /// One bias per output channel, `Σw · input zero point` subtracted already
    /// ([`crate::quant`] says why).
    pub bias: &'a [i32],
    /// One mantissa per channel, or one for all.
    pub mantissas: &'a [i32],
    /// As many shifts as mantissas.
    pub shifts: &'a [i32],
    /// Code of zero in the output.
    pub zero_point: i32,
    /// Lowest code after the fused activation.
    pub min: i8,
    /// Highest code after the fused activation.
    pub max: i8,
    /// A function of the clamped code (sigmoid, tanh, …), indexed by `code + 128`.
    pub table: Option<&'a lookup::Table>,
}

impl<'a> Requantize<'a> {
    /// Checks lengths and ranges for `biases` biases and `channels` output channels.
    ///
    /// # Errors
    /// [`ShapeError::Length`], [`ShapeError::Multiplier`] or [`ShapeError::Range`].
    pub fn check(&self, biases: usize, channels: usize) -> Result<(), ShapeError> {
        let per_channel = self.mantissas.len() == channels || self.mantissas.len() == 1;
        if self.bias.len() != biases || !per_channel || self.shifts.len() != self.mantissas.len() {
            return Err(ShapeError::Length);
        }
        let valid = |(&mantissa, &shift)| Multiplier { mantissa, shift }.is_valid();
        if !self.mantissas.iter().zip(self.shifts).all(valid) {
            return Err(ShapeError::Multiplier);
        }
        if self.min > self.max || i8::try_from(self.zero_point).is_err() {
            return Err(ShapeError::Range);
        }
        Ok(())
    }

    /// Multiplier of `channel`.
    #[inline(always)]
    pub fn multiplier(&self, channel: usize) -> Multiplier {
        let index = if self.mantissas.len() == 1 { 0 } else { channel };
        match (self.mantissas.get(index), self.shifts.get(index)) {
            (Some(&mantissa), Some(&shift)) => Multiplier { mantissa, shift },
            _ => Multiplier { mantissa: 0, shift: 0 },
        }
    }

    /// The code of accumulator `acc` in `channel`.
    #[inline(always)]
    pub fn apply(&self, acc: i32, channel: usize) -> i8 {
        let bias = self.bias.get(channel).copied().unwrap_or(0);
        let code = requantize(
            acc.wrapping_add(bias),
            self.multiplier(channel),
            self.zero_point,
            self.min,
            self.max,
        );
        match self.table {
            Some(table) => table[(i32::from(code) + 128) as usize & 255],
            None => code,
        }
    }

    /// The same with the biases of `channels` from `first` on.
    #[must_use]
    pub fn with_bias(self, first: usize, channels: usize) -> Self {
        Self { bias: self.bias.get(first..first + channels).unwrap_or(&[]), ..self }
    }
}

/// What decides which forms of an int8 epilogue are exact, and which may be left out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ending {
    /// Largest magnitude of a bias.
    bias: u32,
    /// Least and largest shift.
    shifts: (i32, i32),
    /// Whether codes are clamped beyond their type.
    pub(crate) narrow: bool,
    /// Whether a table follows.
    pub(crate) table: bool,
    /// Whether zero has the lowest code of the type, and no code is clamped from below.
    pub(crate) lowest: bool,
}

impl Ending {
    /// No channels.
    pub(crate) const NOTHING: Self =
        Self { bias: 0, shifts: (i32::MAX, i32::MIN), narrow: false, table: false, lowest: false };

    /// Of an epilogue.
    pub(crate) fn of(how: &Requantize<'_>) -> Self {
        let narrow = (how.min, how.max) != (i8::MIN, i8::MAX);
        let lowest = how.zero_point == i32::from(i8::MIN) && how.min == i8::MIN;
        let start = Self { narrow, table: how.table.is_some(), lowest, ..Self::NOTHING };
        let biased = how.bias.iter().fold(start, |ending, &bias| ending.bias(bias));
        how.shifts.iter().fold(biased, |ending, &shift| ending.shift(shift))
    }

    /// With another bias.
    pub(crate) const fn bias(mut self, bias: i32) -> Self {
        if bias.unsigned_abs() > self.bias {
            self.bias = bias.unsigned_abs();
        }
        self
    }

    /// With the shift of another channel.
    pub(crate) const fn shift(mut self, shift: i32) -> Self {
        if shift < self.shifts.0 {
            self.shifts.0 = shift;
        }
        if shift > self.shifts.1 {
            self.shifts.1 = shift;
        }
        self
    }

    /// Largest magnitude of a bias.
    pub(crate) const fn largest_bias(&self) -> u32 {
        self.bias
    }

    /// Least and most bits that a multiplier shifts to the right.
    pub(crate) const fn right(&self) -> (i32, i32) {
        (-self.shifts.1, -self.shifts.0)
    }

    /// Whether every multiplier shifts right and no sum of `depth` products and a bias
    /// reaches 2^30: rounding has a short form, and never decreases.
    pub(crate) const fn is_short(&self, depth: usize) -> bool {
        let bound = (depth as u64).saturating_mul(1 << 14).saturating_add(self.bias as u64);
        bound < 1 << 30 && self.shifts.0 >= -31 && self.shifts.1 <= -1
    }
}

/// A float activation that ends an accumulation or stands alone.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Activation {
    /// Identity.
    Linear,
    /// `1 / (1 + exp(−x))`.
    Sigmoid,
    /// Hyperbolic tangent.
    Tanh,
    /// `x`, or `alpha · x` below zero.
    LeakyRelu(f32),
    /// `x`, or `alpha · (exp(x) − 1)` below zero.
    Elu(f32),
    /// `x · relu6(x + 3) / 6`.
    HardSwish,
}

impl Activation {
    /// The function, in `f32`.
    #[inline]
    pub fn apply(self, x: f32) -> f32 {
        match self {
            Self::Linear => x,
            Self::Sigmoid => 1.0 / (1.0 + libm::expf(-x)),
            Self::Tanh => libm::tanhf(x),
            Self::LeakyRelu(alpha) => {
                if x < 0.0 {
                    alpha * x
                } else {
                    x
                }
            }
            Self::Elu(alpha) => {
                if x < 0.0 {
                    alpha * libm::expm1f(x)
                } else {
                    x
                }
            }
            Self::HardSwish => lookup::hard_swish(x),
        }
    }
}

/// End of a float accumulation: `activation(clamp(acc + bias[c]))`.
#[derive(Clone, Copy, Debug)]
pub struct Activate<'a> {
    /// One bias per output channel.
    pub bias: &'a [f32],
    /// Lower bound.
    pub min: f32,
    /// Upper bound.
    pub max: f32,
    /// Applied after the clamp.
    pub activation: Activation,
}

impl<'a> Activate<'a> {
    /// Checks the number of biases and the order of the bounds.
    ///
    /// # Errors
    /// [`ShapeError::Length`] or [`ShapeError::Range`].
    pub fn check(&self, biases: usize) -> Result<(), ShapeError> {
        if self.bias.len() != biases {
            return Err(ShapeError::Length);
        }
        // NaN bounds do not compare, so they are refused too.
        if self.min <= self.max { Ok(()) } else { Err(ShapeError::Range) }
    }

    /// The output for accumulator `acc` in `channel`.
    #[inline(always)]
    pub fn apply(&self, acc: f32, channel: usize) -> f32 {
        let sum = acc + self.bias.get(channel).copied().unwrap_or(0.0);
        self.activation.apply(clamp(sum, self.min, self.max))
    }

    /// The same with the biases of `channels` from `first` on.
    #[must_use]
    pub fn with_bias(self, first: usize, channels: usize) -> Self {
        Self { bias: self.bias.get(first..first + channels).unwrap_or(&[]), ..self }
    }
}

/// `x` between `min` and `max`; NaN stays NaN, as in TensorFlow.
#[inline(always)]
pub(crate) fn clamp(x: f32, min: f32, max: f32) -> f32 {
    if x < min {
        min
    } else if x > max {
        max
    } else {
        x
    }
}
