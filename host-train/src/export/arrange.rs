//! Concatenation, padding, slices, transposes and tiles as strided copies.

use microconv::model::format::{ArrangeRecord, CopyRecord, opcode};

use super::lower::Lowering;
use super::quantized::{affine, same};
use crate::graph::{DType, Node, Op, PadMode};

/// A copy between layouts of any rank; neighbouring axes that run as one are merged.
#[derive(Clone, Debug)]
struct Copy {
    source: usize,
    input_offset: usize,
    output_offset: usize,
    /// Extent, input stride, output stride.
    axes: Vec<(usize, isize, usize)>,
}

fn strides(shape: &[usize]) -> Vec<usize> {
    (0..shape.len()).map(|axis| shape[axis + 1..].iter().product()).collect()
}

impl Copy {
    /// Records of at most six axes: outer axes beyond them become copies of their own.
    fn records(&self, ids: &[u32]) -> Vec<CopyRecord> {
        let mut axes: Vec<(usize, isize, usize)> = Vec::new();
        for &(extent, input, output) in self.axes.iter().filter(|axis| axis.0 != 1) {
            match axes.last_mut() {
                Some(last) if last.1 == input * extent as isize && last.2 == output * extent => {
                    *last = (last.0 * extent, input, output);
                }
                _ => axes.push((extent, input, output)),
            }
        }
        if axes.len() > 6 {
            let (extent, input, output) = axes.remove(0);
            let part = |i: usize| Self {
                source: self.source,
                input_offset: self.input_offset.wrapping_add_signed(i as isize * input),
                output_offset: self.output_offset + i * output,
                axes: axes.clone(),
            };
            return (0..extent).flat_map(|i| part(i).records(ids)).collect();
        }
        let mut record = CopyRecord {
            source: ids[self.source],
            dims: [1; 6],
            input_offset: self.input_offset as u32,
            input_strides: [0; 6],
            output_offset: self.output_offset as u32,
            output_strides: [0; 6],
        };
        for (slot, (extent, input, output)) in (6 - axes.len()..6).zip(axes) {
            record.dims[slot] = extent as u32;
            record.input_strides[slot] = input as i32;
            record.output_strides[slot] = output as u32;
        }
        vec![record]
    }
}

/// Copies of `op` from inputs of these shapes to an output of that shape.
fn copies(op: &Op, inputs: &[Vec<usize>], output: &[usize]) -> Result<Vec<Copy>, String> {
    let to = strides(output);
    let x = &inputs[0];
    let from = strides(x);
    let rank = x.len();
    let plain = |axes: Vec<(usize, isize, usize)>| Copy {
        source: 0,
        input_offset: 0,
        output_offset: 0,
        axes,
    };
    match op {
        Op::Concat { axis } => {
            let mut done = 0;
            let parts = inputs.iter().enumerate().map(|(source, shape)| {
                let from = strides(shape);
                let axes = (0..shape.len()).map(|i| (shape[i], from[i] as isize, to[i])).collect();
                let output_offset = done * to[*axis];
                done += shape[*axis];
                Copy { source, input_offset: 0, output_offset, axes }
            });
            Ok(parts.collect())
        }
        Op::Slice { begin, size, strides: steps } => {
            let axes = (0..rank).map(|i| (size[i], steps[i] * from[i] as isize, to[i])).collect();
            let input_offset = (0..rank).map(|i| begin[i] * from[i]).sum();
            Ok(vec![Copy { input_offset, ..plain(axes) }])
        }
        Op::Transpose { perm } => {
            let axes = (0..rank).map(|i| (output[i], from[perm[i]] as isize, to[i])).collect();
            Ok(vec![plain(axes)])
        }
        Op::Tile { multiples } => {
            let axes = (0..rank)
                .flat_map(|i| [(multiples[i], 0, x[i] * to[i]), (x[i], from[i] as isize, to[i])]);
            Ok(vec![plain(axes.collect())])
        }
        Op::Pad { before, after, mode } => Ok(pad(x, before, after, *mode, &to)),
        _ => Err("not a copy".into()),
    }
}

/// The inside and, when mirrored, every border: along each axis a stretch before, inside or after.
fn pad(x: &[usize], before: &[usize], after: &[usize], mode: PadMode, to: &[usize]) -> Vec<Copy> {
    let from = strides(x);
    let edge = match mode {
        PadMode::Constant(_) => None,
        PadMode::Reflect => Some(1),
        PadMode::Symmetric => Some(0),
    };
    let mut parts = vec![Copy { source: 0, input_offset: 0, output_offset: 0, axes: Vec::new() }];
    for i in 0..x.len() {
        // First output cell, first input cell, extent, direction.
        let mut stretches = vec![(before[i], 0, x[i], 1isize)];
        if let Some(edge) = edge {
            if before[i] > 0 {
                stretches.push((0, before[i] - 1 + edge, before[i], -1));
            }
            if after[i] > 0 {
                stretches.push((before[i] + x[i], x[i] - 1 - edge, after[i], -1));
            }
        }
        let extend = |part: &Copy| {
            let one = |&(out, inp, extent, direction): &(usize, usize, usize, isize)| {
                let mut part = part.clone();
                part.output_offset += out * to[i];
                part.input_offset += inp * from[i];
                part.axes.push((extent, direction * from[i] as isize, to[i]));
                part
            };
            stretches.iter().map(one).collect::<Vec<_>>()
        };
        parts = parts.iter().flat_map(extend).collect();
    }
    parts
}

/// The copies of `op` between tensors of these shapes, `ids` standing for the inputs.
pub(crate) fn copy_records(
    op: &Op,
    inputs: &[Vec<usize>],
    output: &[usize],
    ids: &[u32],
) -> Result<Vec<CopyRecord>, String> {
    let copies = copies(op, inputs, output)?;
    Ok(copies.iter().flat_map(|copy| copy.records(ids)).collect())
}

impl<'g> Lowering<'g> {
    pub(super) fn arrange(&mut self, node: &'g Node) -> Result<(), String> {
        let y = &self.graph[node.outputs[0]];
        let inputs = self.graph.input_tensors(&node.inputs);
        if let Some(x) = inputs.iter().find(|x| x.dtype != y.dtype) {
            return Err(format!("`{}` is {:?}, the output is {:?}", x.name, x.dtype, y.dtype));
        }
        if y.dtype == DType::I8 && inputs.iter().any(|x| !same(x, y)) {
            return Err(format!("{} needs the same scale for inputs and output", node.op.name()));
        }
        let shapes: Vec<Vec<usize>> = inputs.iter().map(|x| x.shape.clone()).collect();
        let (fill, code, value) = match node.op {
            Op::Pad { mode: PadMode::Constant(value), .. } if y.dtype == DType::I8 => {
                (1, i32::from(affine(y)?.quantize(value)), 0.0)
            }
            Op::Pad { mode: PadMode::Constant(value), .. } => (1, 0, value),
            _ => (0, 0, 0.0),
        };
        let ids = node.inputs.iter().map(|&id| Ok(self.tensor(id)? as u32));
        let ids = ids.collect::<Result<Vec<_>, String>>()?;
        let records = copy_records(&node.op, &shapes, &y.shape, &ids)?;
        if records.len() > microconv::model::format::MAX_COUNT as usize {
            return Err(format!("it would take {} copies", records.len()));
        }
        let header = ArrangeRecord { copies: records.len() as u32, fill, code, value };
        let params = [bytemuck::bytes_of(&header), bytemuck::cast_slice(&records)].concat();
        self.layer(node, opcode::ARRANGE, &node.inputs, &node.outputs, &params)?;
        Ok(())
    }
}
