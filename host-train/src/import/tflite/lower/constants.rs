//! Constants that an operator makes.

use super::{Entry, Lowering};
use crate::graph::{DType, Data, Tensor as GraphTensor, TensorId};
use crate::import::tflite::MAX_ELEMENTS;
use crate::import::tflite::schema::Operator;

impl<'a> Lowering<'_, 'a> {
    /// Makes the output of `operator` the reals of an int8 constant, which may have a scale per channel.
    pub(in crate::import::tflite) fn dequantized(
        &mut self,
        operator: &Operator<'a>,
        x: TensorId,
    ) -> Result<(), String> {
        let index = *operator.outputs.first().ok_or("an output is missing")? as usize;
        let mut constant = self.activation(&self.model.tensors[index])?;
        let x = &self.graph[x];
        let (Some(Data::I8(codes)), Some(q)) = (&x.data, &x.quantization) else {
            return Err("the input must be int8".into());
        };
        if constant.shape != x.shape || constant.dtype != DType::F32 {
            return Err("the output must be float32 and of the input's shape".into());
        }
        self.budget.spend(4 * codes.len()).map_err(|error| error.to_string())?;
        // Codes that share a scale stand together.
        let apart: usize = x.shape.iter().skip(q.axis + 1).product();
        let real = |(i, &code): (usize, &i8)| {
            let channel = if q.scales.len() > 1 { i / apart % q.scales.len() } else { 0 };
            q.scales[channel] * (i32::from(code) - q.zero_points[channel]) as f32
        };
        constant.data = Some(Data::F32(codes.iter().enumerate().map(real).collect()));
        self.entries[index] = Some(Entry::Tensor(self.graph.add_tensor(constant)));
        Ok(())
    }

    /// Makes the only output of `operator` a constant of this shape, every element `value`'s first.
    pub(in crate::import::tflite) fn fill(
        &mut self,
        operator: &Operator<'a>,
        shape: Vec<usize>,
        value: TensorId,
    ) -> Result<(), String> {
        let index = *operator.outputs.first().ok_or("an output is missing")? as usize;
        let count = shape.iter().try_fold(1usize, |a, &b| a.checked_mul(b));
        let count = count.filter(|&c| c <= MAX_ELEMENTS).ok_or("a constant that is too large")?;
        self.budget.spend(4 * count).map_err(|_| "constants that are too large".to_string())?;
        let mut constant = GraphTensor { shape, ..self.activation(&self.model.tensors[index])? };
        let value = &self.graph[value];
        constant.data = Some(match (&value.data, value.dtype == constant.dtype) {
            (Some(Data::F32(v)), true) if !v.is_empty() => Data::F32(vec![v[0]; count]),
            (Some(Data::I8(v)), true) if !v.is_empty() => Data::I8(vec![v[0]; count]),
            _ => return Err("the value must be a constant of the output's type".into()),
        });
        if constant.is_empty() {
            return Err(format!("an output of {:?}", constant.shape));
        }
        self.entries[index] = Some(Entry::Tensor(self.graph.add_tensor(constant)));
        Ok(())
    }
}
