//! Numbers from a seed.

use crate::oracle::quant::{Affine, Codes, Multiplier};

/// Values of a linear congruential generator: reproducible from the seed of a case.
#[derive(Clone, Debug)]
pub struct Values(u64);

impl Values {
    /// Starts from a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Codes: mostly any, sometimes only extremes and the zero point.
    pub fn codes(&mut self, count: usize, zero: i8) -> Vec<i8> {
        let extremes = self.below(5) == 0;
        let mut one = || {
            if extremes {
                [-128, 127, zero][self.below(3) as usize]
            } else {
                (self.below(256) as i32 - 128) as i8
            }
        };
        (0..count).map(|_| one()).collect()
    }

    /// A scale: a power of two, one next to a power of two, or any from 2^−12 to 2^4.
    pub fn scale(&mut self) -> f32 {
        let power = 2f32.powi(self.below(16) as i32 - 12);
        match self.below(4) {
            0 => power,
            1 => f32::from_bits(power.to_bits() + self.below(7) as u32 - 3),
            _ => power * (1.0 + self.below(1 << 23) as f32 / (1 << 23) as f32),
        }
    }

    /// A scale and a zero point.
    pub fn affine(&mut self) -> Affine {
        Affine { scale: self.scale(), zero: i32::from(self.zero_point()) }
    }

    /// An output of an operator on `of`: often its own scale, a power of two or a small
    /// fraction away from it (which makes ties, or nearly) or a few units in the last
    /// place next to that.
    pub fn affine_near(&mut self, of: Affine) -> Affine {
        let power = of.scale * 2f32.powi(self.below(5) as i32 - 1);
        let scale = match self.below(5) {
            0 => of.scale,
            1 => power,
            2 => f32::from_bits(power.to_bits() + self.below(5) as u32 - 2),
            3 => of.scale * 8.0 / (2 * self.below(12) + 1) as f32,
            _ => self.scale(),
        };
        Affine { scale, zero: i32::from(self.zero_point()) }
    }

    /// Whether, once in `times`.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// Bits to spoil an index with: none mostly, one often, any now and then.
    pub fn wild(&mut self) -> u8 {
        match self.below(8) {
            0..5 => 0,
            5 | 6 => 1 << self.below(8),
            _ => self.below(256) as u8,
        }
    }

    /// Weights, −127…127.
    pub fn weights(&mut self, count: usize) -> Vec<i8> {
        (0..count).map(|_| (self.below(255) as i32 - 127) as i8).collect()
    }

    /// Floats of magnitude up to one, all multiples of 2^−6, so that sums are exact.
    pub fn floats(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| (self.below(129) as f32 - 64.0) / 64.0).collect()
    }

    /// Floats of 24 random bits and magnitudes around one, so that sums and products round.
    pub fn reals(&mut self, count: usize) -> Vec<f32> {
        let mut one = || {
            let fraction = self.below(1 << 24) as f32 / (1 << 23) as f32 - 1.0;
            fraction * 2f32.powi(self.below(9) as i32 - 4)
        };
        (0..count).map(|_| one()).collect()
    }

    /// A zero point, the extremes often.
    pub fn zero_point(&mut self) -> i8 {
        match self.below(6) {
            0 => -128,
            1 => 127,
            2 => 0,
            _ => (self.below(256) as i32 - 128) as i8,
        }
    }

    /// Multipliers (ordinary, tiny, above one, powers of two that make ties), zero points and a clamp.
    pub fn codes_of(&mut self, channels: usize, input_zero: i8) -> Codes {
        let kind = self.below(4);
        let multipliers = (0..channels).map(|_| {
            let mantissa = if kind == 0 { 1 << 30 } else { (1 << 30) + self.below(1 << 30) as i32 };
            let shift = match kind {
                1 => -(self.below(32) as i32),
                2 => self.below(4) as i32,
                _ => -(self.below(10) as i32) - 2,
            };
            Multiplier { mantissa, shift }
        });
        let mut multipliers: Vec<Multiplier> = multipliers.collect();
        if self.once_in(4) {
            // Quantised per tensor.
            let first = multipliers[0];
            multipliers.fill(first);
        }
        let mut code = || (self.below(256) as i32 - 128) as i8;
        let table = std::array::from_fn(|_| code());
        let table = self.once_in(4).then_some(table);
        let output_zero = self.zero_point();
        let (min, max) = if self.below(2) == 0 { (-128, 127) } else { (output_zero, 127) };
        Codes {
            input_zero: i32::from(input_zero),
            multipliers,
            output_zero: i32::from(output_zero),
            min,
            max,
            table,
        }
    }
}
