//! Layers without weights.

use microconv::model::format::{
    ActivateRecord, AffineRecord, BinaryRecord, LayerRecord, PoolRecord, ReduceRecord,
    RequantizeRecord, TableRecord, UpsampleRecord, opcode,
};
use microconv::quant::{Affine, lookup};

use super::Reader;
use super::epilogue::{clamp_between, float_activation, float_clamp};
use super::linear::{padding, pair};
use crate::export::{binary_record, mean_multiplier, reduce_record};
use crate::graph::{Activation, DType, Op, ResizeMode, TensorId};

impl Reader<'_, '_> {
    pub(super) fn simple(&mut self, record: &LayerRecord) -> Result<(), String> {
        let (inputs, outputs) = self.operands(record)?;
        let op = match record.opcode {
            opcode::MAX_POOL_2D
            | opcode::AVERAGE_POOL_2D
            | opcode::MAX_POOL_2D_WITH_INDICES
            | opcode::MAX_UNPOOL_2D => self.pool(record, inputs[0], outputs[0])?,
            opcode::BED_OF_NAILS_2D | opcode::RESIZE_NEAREST_2D | opcode::RESIZE_BILINEAR_2D => {
                self.upsample(record, outputs[0])?
            }
            opcode::UNARY => self.unary(record, inputs[0])?,
            opcode::BINARY => self.binary(record, &inputs, &outputs)?,
            opcode::SOFTMAX => self.softmax(record, inputs[0])?,
            opcode::MEAN | opcode::REDUCE_MAX => self.reduce(record, inputs[0], outputs[0])?,
            opcode::QUANTIZE => self.affine(record, outputs[0], Op::Quantize)?,
            opcode::DEQUANTIZE => self.affine(record, inputs[0], Op::Dequantize)?,
            code => return Err(format!("operator {code} cannot be read back")),
        };
        let note = self.note();
        self.push(note.name, op, inputs, outputs)?;
        self.graph.nodes.last_mut().expect("just pushed").folded = note.folded;
        Ok(())
    }

    fn pool(&self, record: &LayerRecord, x: TensorId, y: TensorId) -> Result<Op, String> {
        let pool: PoolRecord = self.params(record, 0)?;
        let (x, y) = (&self.graph[x], &self.graph[y]);
        let unpool = record.opcode == opcode::MAX_UNPOOL_2D;
        let (map, pooled) = if unpool { (y, x) } else { (x, y) };
        let (&[_, h, w, _], &[_, oh, ow, _]) = (map.shape.as_slice(), pooled.shape.as_slice())
        else {
            return Err("a pool of other than four axes".into());
        };
        let padding = padding(&pool.window, [h, w], [oh, ow]);
        let (window, strides) = (pair(pool.window.kernel), pair(pool.window.stride));
        let activation = if x.dtype == DType::F32 {
            float_clamp(pool.min_f32, pool.max_f32)?
        } else {
            clamp_between((pool.min, pool.max), y)
                .ok_or_else(|| format!("it clamps to {}…{}", pool.min, pool.max))?
        };
        Ok(match record.opcode {
            opcode::MAX_POOL_2D => Op::MaxPool2d { window, strides, padding, activation },
            opcode::AVERAGE_POOL_2D => Op::AveragePool2d { window, strides, padding, activation },
            opcode::MAX_UNPOOL_2D => {
                Op::MaxUnpool2d { window, strides, padding, output_size: [h, w] }
            }
            _ => Op::MaxPool2dWithIndices { window, strides, padding },
        })
    }

    fn upsample(&self, record: &LayerRecord, y: TensorId) -> Result<Op, String> {
        let up: UpsampleRecord = self.params(record, 0)?;
        let &[_, h, w, _] = self.graph[y].shape.as_slice() else {
            return Err("an upsampling of other than four axes".into());
        };
        if record.opcode == opcode::BED_OF_NAILS_2D {
            return Ok(Op::BedOfNails2d { strides: pair(up.stride) });
        }
        let nearest = record.opcode == opcode::RESIZE_NEAREST_2D;
        Ok(Op::Resize2d {
            size: [h, w],
            mode: if nearest { ResizeMode::Nearest } else { ResizeMode::Bilinear },
            align_corners: up.align_corners == 1,
            half_pixel_centers: up.half_pixel_centers == 1,
        })
    }

    fn unary(&self, record: &LayerRecord, x: TensorId) -> Result<Op, String> {
        if self.graph[x].dtype == DType::I8 {
            let at: TableRecord = self.params(record, 0)?;
            let table = self.array::<i8>(at.table_at, 256)?;
            return Ok(Op::Table(table.try_into().map_err(|_| "a table of 256 codes")?));
        }
        let how: ActivateRecord = self.params(record, 0)?;
        let activation = match float_activation(how.activation, how.alpha) {
            Activation::Linear => float_clamp(how.min, how.max)?,
            activation if (how.min, how.max) == (f32::NEG_INFINITY, f32::INFINITY) => activation,
            _ => return Err("an activation of clamped values".into()),
        };
        match how.biases {
            0 => Ok(Op::Activation(activation)),
            _ => Err("an activation with a bias".into()),
        }
    }

    fn binary(
        &self,
        record: &LayerRecord,
        inputs: &[TensorId],
        outputs: &[TensorId],
    ) -> Result<Op, String> {
        let how: BinaryRecord = self.params(record, 0)?;
        let y = &self.graph[outputs[0]];
        let activation = float_clamp(how.min_f32, how.max_f32)?;
        let op = match how.kind {
            0 => Op::Add { activation },
            1 => Op::Sub { activation },
            2 => Op::Mul { activation },
            _ => Op::Prelu,
        };
        let &[a, b] = inputs else { return Err("it needs two inputs".into()) };
        let own = binary_record(&op, [&self.graph[a], &self.graph[b]], y)?;
        if own == how { Ok(op) } else { Err("its factors do not follow from its scales".into()) }
    }

    fn softmax(&self, record: &LayerRecord, x: TensorId) -> Result<Op, String> {
        let how: TableRecord = self.params(record, 0)?;
        let x = &self.graph[x];
        if let (DType::I8, Some(quantization)) = (x.dtype, &x.quantization) {
            let own = lookup::softmax_exponentials(quantization.scale(), how.beta);
            if self.array::<f32>(how.table_at, 256)? != own {
                return Err("its exponentials do not follow from its scale".into());
            }
        }
        Ok(Op::Softmax { beta: how.beta })
    }

    fn affine(&self, record: &LayerRecord, of: TensorId, op: Op) -> Result<Op, String> {
        let how: AffineRecord = self.params(record, 0)?;
        let own = self.graph[of].quantization.as_ref().map(|q| (q.scale(), q.zero_point()));
        if own != Some((how.scale, how.zero_point)) {
            return Err("its scale is not that of its tensor".into());
        }
        Ok(op)
    }

    /// The axes that give the record's extents and strides.
    fn reduce(&self, record: &LayerRecord, x: TensorId, y: TensorId) -> Result<Op, String> {
        let how: ReduceRecord = self.params(record, 0)?;
        let (x, y) = (&self.graph[x], &self.graph[y]);
        let rank = x.shape.len();
        let keep_dims = y.shape.len() == rank;
        let fits = |axes: &Vec<usize>| {
            let kept = (0..rank).filter(|axis| keep_dims || !axes.contains(axis));
            let shape = kept.map(|axis| if axes.contains(&axis) { 1 } else { x.shape[axis] });
            let shape: Vec<usize> = shape.collect();
            // A blob has no tensor without axes.
            let same = shape == y.shape || (shape.is_empty() && y.shape == [1]);
            let own = reduce_record(&x.shape, axes);
            same && own.is_ok_and(|own| ReduceRecord { initial: how.initial, ..own } == how)
        };
        let subsets = (1usize..1 << rank)
            .map(|set| (0..rank).filter(|axis| set >> axis & 1 == 1).collect::<Vec<_>>());
        let axes = subsets.into_iter().find(fits).ok_or("no axes have its extents")?;
        if record.opcode == opcode::REDUCE_MAX {
            return Ok(Op::ReduceMax { axes, keep_dims });
        }
        if let (Some(from), Some(to)) = (&x.quantization, &y.quantization) {
            let end: RequantizeRecord = self.params(record, ReduceRecord::SIZE)?;
            let affine = |q: &crate::graph::Quantization| Affine {
                scale: q.scale(),
                zero_point: q.zero_point(),
            };
            let count = axes.iter().map(|&axis| x.shape[axis]).product();
            let own = mean_multiplier(affine(from), affine(to), count);
            let mantissas = self.array::<i32>(end.mantissas_at, 1)?;
            let shifts = self.array::<i32>(end.shifts_at, 1)?;
            let plain = (end.min, end.max, end.table_at) == (-128, 127, 0);
            if [own.mantissa, own.shift] != [mantissas[0], shifts[0]]
                || !plain
                || end.zero_point != to.zero_point()
                || how.initial != -from.zero_point() * count as i32
            {
                return Err("its factor does not follow from its scales".into());
            }
        }
        Ok(Op::Mean { axes, keep_dims })
    }
}
