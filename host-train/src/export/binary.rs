//! Add, subtract, multiply and PReLU, with broadcasting.

use microconv::model::format::{BinaryRecord, opcode};
use microconv::quant::{Affine, Multiplier};

use super::lower::Lowering;
use super::quantized::{affine, clamp};
use crate::graph::{Activation, DType, Node, Op, Tensor};
use crate::optimize::in_place;

/// Extents and strides of two operands over an output, neighbouring axes merged
/// where both run through them as one.
fn broadcast(output: &[usize], a: &[usize], b: &[usize]) -> Result<[[u32; 6]; 3], String> {
    let strides = |shape: &[usize]| {
        let mut result = vec![0; output.len()];
        let mut stride = 1;
        for (axis, &extent) in (output.len() - shape.len()..output.len()).zip(shape).rev() {
            result[axis] = if extent == 1 { 0 } else { stride };
            stride *= extent;
        }
        result
    };
    let (a, b) = (strides(a), strides(b));
    let mut axes: Vec<[usize; 3]> = Vec::new();
    for axis in (0..output.len()).filter(|&axis| output[axis] != 1) {
        let (extent, a, b) = (output[axis], a[axis], b[axis]);
        match axes.last_mut() {
            Some(last) if last[1] == a * extent && last[2] == b * extent => {
                *last = [last[0] * extent, a, b];
            }
            _ => axes.push([extent, a, b]),
        }
    }
    if axes.len() > 6 {
        return Err("operands differ along more than six axes".into());
    }
    let mut result = [[1; 6], [0; 6], [0; 6]];
    for (axis, values) in (6 - axes.len()..6).zip(axes) {
        for (row, value) in result.iter_mut().zip(values) {
            row[axis] = value as u32;
        }
    }
    Ok(result)
}

/// Multipliers of the operands and of the output.
fn multipliers(op: &Op, a: Affine, b: Affine, y: Affine) -> [Multiplier; 3] {
    let real = Multiplier::from_real;
    match op {
        Op::Add { .. } | Op::Sub { .. } => {
            let twice = 2.0 * f64::from(a.scale.max(b.scale));
            let output = twice / (f64::from(1u32 << 20) * f64::from(y.scale));
            [real(f64::from(a.scale) / twice), real(f64::from(b.scale) / twice), real(output)]
        }
        // TFLite computes these two in f32.
        Op::Mul { .. } => [f64::from(a.scale * b.scale / y.scale), 0.0, 0.0].map(real),
        _ => {
            let slope = f64::from(a.scale * b.scale / y.scale);
            [f64::from(a.scale / y.scale), slope, 0.0].map(real)
        }
    }
}

/// What a blob says of `op` over two operands.
pub(crate) fn binary_record(
    op: &Op,
    [a, b]: [&Tensor; 2],
    y: &Tensor,
) -> Result<BinaryRecord, String> {
    let (kind, activation) = match *op {
        Op::Add { activation } => (0, activation),
        Op::Sub { activation } => (1, activation),
        Op::Mul { activation } => (2, activation),
        _ => (3, Activation::Linear),
    };
    if a.dtype != b.dtype || a.dtype != y.dtype {
        return Err(format!("operands of type {:?} and {:?} for {:?}", a.dtype, b.dtype, y.dtype));
    }
    let [dims, strides_a, strides_b] = broadcast(&y.shape, &a.shape, &b.shape)?;
    let (min_f32, max_f32) = activation.bounds();
    let mut record = BinaryRecord {
        kind,
        dims,
        a: strides_a,
        b: strides_b,
        zero_points: [0; 2],
        mantissas: [0; 2],
        shifts: [0; 2],
        output_mantissa: 0,
        output_shift: 0,
        zero_point: 0,
        min: -128,
        max: 127,
        min_f32,
        max_f32,
    };
    if a.dtype == DType::I8 {
        let (qa, qb, qy) = (affine(a)?, affine(b)?, affine(y)?);
        let [by_a, by_b, by_y] = multipliers(op, qa, qb, qy);
        let (min, max) = clamp(activation, qy);
        record.zero_points = [qa.zero_point, qb.zero_point];
        record.mantissas = [by_a.mantissa, by_b.mantissa];
        record.shifts = [by_a.shift, by_b.shift];
        (record.output_mantissa, record.output_shift) = (by_y.mantissa, by_y.shift);
        record.zero_point = qy.zero_point;
        (record.min, record.max) = (i32::from(min), i32::from(max));
    }
    Ok(record)
}

impl<'g> Lowering<'g> {
    pub(super) fn binary(&mut self, node: &'g Node) -> Result<(), String> {
        let (a, b) = (self.input(node, 0)?, self.input(node, 1)?);
        let y = &self.graph[node.outputs[0]];
        let record = binary_record(&node.op, [a, b], y)?;
        let requantisations = if a.dtype == DType::I8 { y.len() as u64 } else { 0 };
        let in_place = self.options.passes.has(&in_place::PASS);
        let params = bytemuck::bytes_of(&record);
        let layer = self.layer(node, opcode::BINARY, &node.inputs, &node.outputs, params)?;
        layer.requantisations = requantisations;
        // An operand that does not repeat has the place of each of its elements in the output.
        layer.in_place = [a, b].map(|operand| in_place && operand.len() == y.len());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::broadcast;

    #[test]
    fn axes_merge_where_both_operands_run_through() {
        let same = broadcast(&[1, 4, 5, 3], &[1, 4, 5, 3], &[1, 4, 5, 3]).unwrap();
        assert_eq!(same, [[1, 1, 1, 1, 1, 60], [0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 1]]);
        let channel = broadcast(&[1, 4, 5, 3], &[1, 4, 5, 3], &[3]).unwrap();
        assert_eq!(channel, [[1, 1, 1, 1, 20, 3], [0, 0, 0, 0, 3, 1], [0, 0, 0, 0, 0, 1]]);
        let scalar = broadcast(&[2, 3], &[2, 3], &[1]).unwrap();
        assert_eq!(scalar, [[1, 1, 1, 1, 1, 6], [0, 0, 0, 0, 0, 1], [0; 6]]);
    }
}
