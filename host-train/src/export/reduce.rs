//! Mean and maximum over axes.

use microconv::model::format::{ReduceRecord, RequantizeRecord, opcode};
use microconv::quant::{Affine, Multiplier};

use super::lower::Lowering;
use super::quantized::affine;
use crate::graph::{DType, Node, Op};

/// Extent and stride of merged neighbouring axes, kept or reduced.
struct Axes {
    kept: Vec<[usize; 2]>,
    reduced: Vec<[usize; 2]>,
}

fn axes(shape: &[usize], reduced: &[usize]) -> Axes {
    let mut result = Axes { kept: Vec::new(), reduced: Vec::new() };
    let (mut stride, mut last) = (1, None);
    for axis in (0..shape.len()).rev() {
        let is_reduced = reduced.contains(&axis);
        let list = if is_reduced { &mut result.reduced } else { &mut result.kept };
        if shape[axis] != 1 {
            match list.first_mut() {
                Some(first) if last == Some(is_reduced) => first[0] *= shape[axis],
                _ => list.insert(0, [shape[axis], stride]),
            }
            last = Some(is_reduced);
        }
        stride *= shape[axis];
    }
    result
}

/// Right-aligned in three axes; unused ones have extent 1.
fn three(list: &[[usize; 2]]) -> Result<[[u32; 3]; 2], String> {
    if list.len() > 3 {
        return Err("more than three separate groups of axes".into());
    }
    let mut result = [[1; 3], [0; 3]];
    for (slot, &[extent, stride]) in (3 - list.len()..3).zip(list) {
        (result[0][slot], result[1][slot]) = (extent as u32, stride as u32);
    }
    Ok(result)
}

/// TFLite's MEAN: the count is folded into the multiplier as far as its bits reach.
fn divided(multiplier: Multiplier, count: usize) -> Multiplier {
    let bits = (63 - (count as u64).leading_zeros() as i32).min(32).min(31 + multiplier.shift);
    let mantissa = (i64::from(multiplier.mantissa) << bits) / count as i64;
    Multiplier { mantissa: mantissa as i32, shift: multiplier.shift - bits }
}

/// Extents and strides of a reduction over `reduced` axes of a tensor.
pub(crate) fn reduce_record(shape: &[usize], reduced: &[usize]) -> Result<ReduceRecord, String> {
    let axes = axes(shape, reduced);
    let [kept, kept_strides] = three(&axes.kept)?;
    let [reduced, reduced_strides] = three(&axes.reduced)?;
    Ok(ReduceRecord { kept, kept_strides, reduced, reduced_strides, initial: 0 })
}

/// From a sum of `count` codes to their mean on another scale.
pub(crate) fn mean_multiplier(from: Affine, to: Affine, count: usize) -> Multiplier {
    divided(Multiplier::from_real(f64::from(from.scale) / f64::from(to.scale)), count)
}

impl<'g> Lowering<'g> {
    pub(super) fn reduce(&mut self, node: &'g Node) -> Result<(), String> {
        let x = self.input(node, 0)?;
        let (mean, over) = match &node.op {
            Op::Mean { axes, .. } => (true, axes),
            Op::ReduceMax { axes, .. } => (false, axes),
            _ => return Err("not a reduction".into()),
        };
        let mut record = reduce_record(&x.shape, over)?;
        let count: usize = over.iter().map(|&axis| x.shape[axis]).product();
        if !mean {
            self.same_scale(node)?;
            let params = bytemuck::bytes_of(&record);
            self.layer(node, opcode::REDUCE_MAX, &node.inputs, &node.outputs, params)?;
            return Ok(());
        }
        let mut params = Vec::new();
        if x.dtype == DType::I8 {
            let (from, to) = (affine(x)?, affine(&self.graph[node.outputs[0]])?);
            let by = mean_multiplier(from, to, count);
            record.initial = -from.zero_point * count as i32;
            let data = &mut self.program.data;
            let epilogue = RequantizeRecord {
                bias_at: data.array::<i32>(&[]),
                biases: 0,
                mantissas_at: data.array(&[by.mantissa]),
                shifts_at: data.array(&[by.shift]),
                multipliers: 1,
                zero_point: to.zero_point,
                min: -128,
                max: 127,
                table_at: 0,
            };
            params.extend_from_slice(bytemuck::bytes_of(&epilogue));
        }
        params.splice(0..0, bytemuck::bytes_of(&record).iter().copied());
        let written = self.graph[node.outputs[0]].len() as u64;
        let requantisations = if x.dtype == DType::I8 { written } else { 0 };
        let layer = self.layer(node, opcode::MEAN, &node.inputs, &node.outputs, &params)?;
        layer.requantisations = requantisations;
        Ok(())
    }
}
