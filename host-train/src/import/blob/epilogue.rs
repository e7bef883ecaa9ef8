//! The end of an accumulation: biases without the zero point, factors, bounds, table.

use microconv::model::format::{ActivateRecord, LayerRecord, LinearRecord, RequantizeRecord};
use microconv::quant::Multiplier;

use super::Reader;
use crate::export::{bias_index, clamp_of};
use crate::graph::{Activation, Data, Op, Quantization, Tensor};

/// What a layer's sums go through.
pub(super) struct Ending {
    pub(super) bias: Data,
    pub(super) clamp: Activation,
    /// Of int8: one factor, or one per channel.
    pub(super) multipliers: Vec<Multiplier>,
    /// The function of each value after the clamp, and the scale before it.
    pub(super) tail: Option<(Op, Option<Quantization>)>,
}

const CLAMPS: [Activation; 4] =
    [Activation::Linear, Activation::Relu, Activation::Relu6, Activation::ReluN1To1];

/// The clamp that has these bounds in the codes of `output`.
pub(super) fn clamp_between(bounds: (i32, i32), output: &Tensor) -> Option<Activation> {
    let codes = |clamp: &Activation| clamp_of(*clamp, output).map(|(a, b)| (a.into(), b.into()));
    CLAMPS.into_iter().find(|clamp| codes(clamp) == Ok(bounds))
}

/// The clamp that has these bounds in reals.
pub(super) fn float_clamp(min: f32, max: f32) -> Result<Activation, String> {
    CLAMPS
        .into_iter()
        .find(|clamp| clamp.bounds() == (min, max))
        .ok_or_else(|| format!("it clamps to {min}…{max}, which no activation does"))
}

/// The activation of a float record.
pub(super) fn float_activation(code: u32, alpha: f32) -> Activation {
    match code {
        1 => Activation::Sigmoid,
        2 => Activation::Tanh,
        3 => Activation::LeakyRelu { alpha },
        4 => Activation::Elu { alpha },
        5 => Activation::HardSwish,
        _ => Activation::Linear,
    }
}

impl Reader<'_, '_> {
    pub(super) fn float_ending(&self, record: &LayerRecord) -> Result<Ending, String> {
        let how: ActivateRecord = self.params(record, LinearRecord::SIZE)?;
        let bias = self.array::<f32>(how.bias_at, how.biases as usize)?;
        let tail = match float_activation(how.activation, how.alpha) {
            Activation::Linear => None,
            activation => Some((Op::Activation(activation), None)),
        };
        let clamp = float_clamp(how.min, how.max)?;
        Ok(Ending { bias: Data::F32(bias), clamp, multipliers: Vec::new(), tail })
    }

    /// `op` and `weights` (shape and values) are those of the layer, `y` is what it writes
    /// before a pool.
    pub(super) fn int8_ending(
        &self,
        record: &LayerRecord,
        op: &Op,
        (shape, weights): (&[usize], &[i8]),
        y: &Tensor,
    ) -> Result<Ending, String> {
        let linear: LinearRecord = self.params(record, 0)?;
        let how: RequantizeRecord = self.params(record, LinearRecord::SIZE)?;
        let count = how.multipliers as usize;
        let mantissas = self.array::<i32>(how.mantissas_at, count)?;
        let shifts = self.array::<i32>(how.shifts_at, count)?;
        let pairs = mantissas.into_iter().zip(shifts);
        let multipliers = pairs.map(|(mantissa, shift)| Multiplier { mantissa, shift }).collect();

        let channels = *y.shape.last().unwrap_or(&1);
        let mut bias = self.array::<i32>(how.bias_at, how.biases as usize)?;
        let (_, index) = bias_index(op, shape, channels);
        for (i, &weight) in weights.iter().enumerate() {
            let bias = &mut bias[index(i)];
            *bias = bias.wrapping_add(linear.zero_point.wrapping_mul(i32::from(weight)));
        }

        let table = match how.table_at {
            0 => None,
            at => Some(self.array::<i8>(at, 256)?),
        };
        let inside = |code: i32| code.clamp(how.min, how.max);
        let through = |code: i32| {
            let code = inside(code);
            table.as_ref().map_or(code as i8, |table| table[(code + 128) as usize])
        };
        let own = y.quantization.as_ref().ok_or("its output has no scale")?;
        let clamp = clamp_between((how.min, how.max), y);
        let (clamp, tail) = match (clamp, table.is_some()) {
            (Some(clamp), false) if how.zero_point == own.zero_point() => (clamp, None),
            (_, false) if how.zero_point != own.zero_point() => {
                return Err("it ends at another zero point than its output has".into());
            }
            // Bounds before a table are part of the table.
            _ => {
                let table: Vec<i8> = (-128..128).map(through).collect();
                let table = table.try_into().map_err(|_| "a table of 256 codes")?;
                let before = Quantization::per_tensor(own.scale(), how.zero_point);
                (Activation::Linear, Some((Op::Table(Box::new(table)), Some(before))))
            }
        };
        Ok(Ending { bias: Data::I32(bias), clamp, multipliers, tail })
    }
}
