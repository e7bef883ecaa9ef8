//! Layers with weights, and the operator that is fused with one.

use microconv::model::TensorInfo;
use microconv::model::format::{
    ActivateRecord, LayerRecord, LinearRecord, MapRecord, PoolRecord, RequantizeRecord,
    UpsampleRecord, WindowRecord, opcode,
};
use microconv::pack;

use super::Reader;
use super::epilogue::{Ending, clamp_between, float_clamp};
use crate::graph::{
    Activation, DType, Data, Op, Padding, Quantization, ResizeMode, Tensor, TensorId,
};

pub(super) fn pair(values: [u32; 2]) -> [usize; 2] {
    values.map(|value| value as usize)
}

/// The padding of a window that gives `output` cells of `input` cells.
pub(super) fn padding(window: &WindowRecord, input: [usize; 2], output: [usize; 2]) -> Padding {
    let (kernel, stride) = (pair(window.kernel), pair(window.stride));
    let (dilation, pad) = (pair(window.dilation), pair(window.pad));
    let after = |axis: usize| {
        let reach = (kernel[axis].max(1) - 1) * dilation[axis] + 1;
        let needed = (output[axis].max(1) - 1) * stride[axis] + reach;
        needed.saturating_sub(input[axis] + pad[axis])
    };
    if pad == [0; 2] && [after(0), after(1)] == [0; 2] {
        return Padding::Valid;
    }
    Padding::Explicit { top: pad[0], bottom: after(0), left: pad[1], right: after(1) }
}

/// Rows and columns of a map.
fn cells(info: &TensorInfo) -> Result<[usize; 2], String> {
    match info.shape() {
        &[_, h, w, _] => Ok([h, w]),
        shape => Err(format!("a map of {} axes", shape.len())),
    }
}

impl Reader<'_, '_> {
    pub(super) fn linear(&mut self, record: &LayerRecord) -> Result<(), String> {
        if record.packing != pack::PLAIN {
            return Err(
                "its weights are packed for a core; give the portable blob, or import the model again"
                    .into(),
            );
        }
        let linear: LinearRecord = self.params(record, 0)?;
        let (x, y) = (self.info(record, 0)?, self.output(record));
        let (inputs, outputs) = self.operands(record)?;
        let name = self.note().name;

        let before = self.before(record, &name, &inputs)?;
        let data = before.unwrap_or(inputs[0]);
        let written = self.map_before_pool(record, outputs[0])?;
        let (op, shape) = self.operator(record, &linear, (data, &x), &written, &y)?;
        let float = self.graph[data].dtype == DType::F32;
        let count = shape.iter().product();
        let (values, ending) = if float {
            let values = self.array::<f32>(linear.weights_at, count)?;
            (Data::F32(values), self.float_ending(record)?)
        } else {
            let values = self.array::<i8>(linear.weights_at, count)?;
            let ending = self.int8_ending(record, &op, (&shape, &values), &written)?;
            (Data::I8(values), ending)
        };
        let op = clamped(op, ending.clamp);
        let weights = weights(&name, &op, shape, values, &ending, [&self.graph[data], &written]);
        let weights = self.graph.add_tensor(weights);
        let bias = self.bias(&name, &op, &ending, *written.shape.last().unwrap_or(&1))?;
        let last = self.after(record, &name, written.clone(), outputs[0])?;
        let (convolved, tail) = self.split(&name, written, last.0, ending.tail);
        self.push(name.clone(), op, vec![data, weights, bias], vec![convolved])?;
        self.graph.nodes.last_mut().expect("just pushed").folded = self.note().folded;
        if let Some(tail) = tail {
            self.push(format!("{name}:activation"), tail, vec![convolved], vec![last.0])?;
        }
        if let Some(pool) = last.1 {
            self.push(format!("{name}:pool"), pool, vec![last.0], vec![outputs[0]])?;
        }
        Ok(())
    }

    /// Where the record of the operator beside a convolution begins.
    fn second(record: &LayerRecord) -> usize {
        let end = if record.element == 1 { RequantizeRecord::SIZE } else { ActivateRecord::SIZE };
        LinearRecord::SIZE + end
    }

    /// The upsampling or unpooling before a convolution, pushed; the map that it writes.
    fn before(
        &mut self,
        record: &LayerRecord,
        name: &str,
        inputs: &[TensorId],
    ) -> Result<Option<TensorId>, String> {
        let second = Self::second(record);
        let small = self.info(record, 0)?;
        let [h, w] = match record.opcode {
            opcode::UPSAMPLE_CONV_2D | opcode::UNPOOL_CONV_2D => cells(&small)?,
            _ => return Ok(None),
        };
        let (op, size) = if record.opcode == opcode::UPSAMPLE_CONV_2D {
            let up: UpsampleRecord = self.params(record, second)?;
            let size = [h * up.stride[0] as usize, w * up.stride[1] as usize];
            let half_pixel_centers = up.half_pixel_centers == 1;
            let mode = ResizeMode::Nearest;
            (Op::Resize2d { size, mode, align_corners: false, half_pixel_centers }, size)
        } else {
            let map: MapRecord = self.params(record, second)?;
            let pool: PoolRecord = self.params(record, second + MapRecord::SIZE)?;
            let size = pair(map.extent);
            let padding = padding(&pool.window, size, [h, w]);
            let (window, strides) = (pair(pool.window.kernel), pair(pool.window.stride));
            (Op::MaxUnpool2d { window, strides, padding, output_size: size }, size)
        };
        let name = format!("{name}:map");
        let mut map = self.graph[inputs[0]].clone();
        map.name.clone_from(&name);
        (map.shape[1], map.shape[2], map.data) = (size[0], size[1], None);
        let map = self.graph.add_tensor(map);
        self.push(name, op, inputs.to_vec(), vec![map])?;
        Ok(Some(map))
    }

    /// The tensor that a convolution and its activation write: that of the layer, or the
    /// map inside before its pool.
    fn map_before_pool(&self, record: &LayerRecord, output: TensorId) -> Result<Tensor, String> {
        let mut tensor = self.graph[output].clone();
        if record.opcode == opcode::CONV_POOL_2D {
            let map: MapRecord = self.params(record, Self::second(record))?;
            [tensor.shape[1], tensor.shape[2]] = pair(map.extent);
        }
        Ok(tensor)
    }

    /// The tensor before a pool and the pool; the layer's output where there is none.
    fn after(
        &mut self,
        record: &LayerRecord,
        name: &str,
        mut map: Tensor,
        output: TensorId,
    ) -> Result<(TensorId, Option<Op>), String> {
        if record.opcode != opcode::CONV_POOL_2D {
            return Ok((output, None));
        }
        let pool: PoolRecord = self.params(record, Self::second(record) + MapRecord::SIZE)?;
        let pooled = &self.graph[output];
        let activation = if pooled.dtype == DType::F32 {
            float_clamp(pool.min_f32, pool.max_f32)?
        } else {
            clamp_between((pool.min, pool.max), pooled)
                .ok_or_else(|| format!("its pool clamps to {}…{}", pool.min, pool.max))?
        };
        let extents = |shape: &[usize]| [shape[1], shape[2]];
        let padding = padding(&pool.window, extents(&map.shape), extents(&pooled.shape));
        let (window, strides) = (pair(pool.window.kernel), pair(pool.window.stride));
        map.name = format!("{name}:map");
        let map = self.graph.add_tensor(map);
        Ok((map, Some(Op::MaxPool2d { window, strides, padding, activation })))
    }

    /// What the convolution itself writes, and the function from there to `last`.
    fn split(
        &mut self,
        name: &str,
        written: Tensor,
        last: TensorId,
        tail: Option<(Op, Option<Quantization>)>,
    ) -> (TensorId, Option<Op>) {
        let Some((tail, quantization)) = tail else { return (last, None) };
        let name = format!("{name}:sums");
        let quantization = quantization.or_else(|| written.quantization.clone());
        let sums = Tensor { name, quantization, ..written };
        (self.graph.add_tensor(sums), Some(tail))
    }

    /// The operator, not clamped yet, and the shape of its weights.
    fn operator(
        &self,
        record: &LayerRecord,
        linear: &LinearRecord,
        (data, x): (TensorId, &TensorInfo),
        written: &Tensor,
        y: &TensorInfo,
    ) -> Result<(Op, Vec<usize>), String> {
        let data = &self.graph[data];
        let channels = *written.shape.last().unwrap_or(&1);
        let activation = Activation::Linear;
        if record.opcode == opcode::DENSE {
            let depth = data.len() / (written.len() / channels);
            let leading = |shape: &[usize]| shape[..shape.len() - 1].to_vec();
            let keep_dims = data.shape.last() == Some(&depth)
                && leading(&data.shape) == leading(&written.shape);
            return Ok((Op::Dense { keep_dims, activation }, vec![channels, depth]));
        }
        let (&[_, h, w, c], &[_, oh, ow, _]) = (data.shape.as_slice(), written.shape.as_slice())
        else {
            return Err(format!("maps of {} and {} axes", x.rank, y.rank));
        };
        let window = &linear.window;
        let ([kh, kw], strides) = (pair(window.kernel), pair(window.stride));
        let dilation = pair(window.dilation);
        match record.opcode {
            opcode::TRANSPOSED_CONV_2D => {
                let padding = padding(window, [oh, ow], [h, w]);
                let op =
                    Op::TransposedConv2d { strides, padding, output_size: [oh, ow], activation };
                Ok((op, vec![channels, kh, kw, c]))
            }
            opcode::DEPTHWISE_CONV_2D => {
                let padding = padding(window, [h, w], [oh, ow]);
                let multiplier = channels / c.max(1);
                let op = Op::DepthwiseConv2d { strides, dilation, padding, multiplier, activation };
                Ok((op, vec![1, kh, kw, channels]))
            }
            _ => {
                let padding = padding(window, [h, w], [oh, ow]);
                let groups = linear.groups as usize;
                let op = Op::Conv2d { strides, dilation, padding, groups, activation };
                Ok((op, vec![channels, kh, kw, c / groups.max(1)]))
            }
        }
    }

    /// The bias as a tensor: one value a channel, also where the blob has one per phase.
    fn bias(
        &mut self,
        name: &str,
        op: &Op,
        ending: &Ending,
        channels: usize,
    ) -> Result<TensorId, String> {
        fn first<T: Copy + PartialEq>(values: &[T], channels: usize) -> Result<Vec<T>, String> {
            let phases = || values.chunks_exact(channels);
            match values.get(..channels) {
                Some(own) if phases().all(|phase| phase == own) => Ok(own.to_vec()),
                _ => Err("its phases have biases of their own".into()),
            }
        }
        let (dtype, data) = match &ending.bias {
            Data::F32(values) => (DType::F32, Data::F32(first(values, channels)?)),
            Data::I32(values) => (DType::I32, Data::I32(first(values, channels)?)),
            Data::I8(_) => return Err(format!("{} has int8 biases", op.name())),
        };
        let bias = Tensor::activation(format!("{name}:bias"), vec![channels], dtype);
        Ok(self.graph.add_tensor(Tensor { data: Some(data), ..bias }))
    }
}

/// `op` with this clamp.
fn clamped(mut op: Op, clamp: Activation) -> Op {
    if let Op::Conv2d { activation, .. }
    | Op::DepthwiseConv2d { activation, .. }
    | Op::TransposedConv2d { activation, .. }
    | Op::Dense { activation, .. } = &mut op
    {
        *activation = clamp;
    }
    op
}

/// The weights with their factors, and scales that come near them.
fn weights(
    name: &str,
    op: &Op,
    shape: Vec<usize>,
    values: Data,
    ending: &Ending,
    [x, y]: [&Tensor; 2],
) -> Tensor {
    let dtype = if matches!(values, Data::F32(_)) { DType::F32 } else { DType::I8 };
    let mut tensor = Tensor::activation(format!("{name}:weights"), shape, dtype);
    tensor.data = Some(values);
    if let (DType::I8, Some(from), Some(to)) = (dtype, &x.quantization, &y.quantization) {
        let ratio = f64::from(to.scale()) / f64::from(from.scale());
        let scale = |by: &microconv::quant::Multiplier| (by.to_real() * ratio) as f32;
        let axis = if matches!(op, Op::DepthwiseConv2d { .. }) { 3 } else { 0 };
        let scales = ending.multipliers.iter().map(scale).collect();
        let multipliers = ending.multipliers.clone();
        tensor.quantization =
            Some(Quantization { multipliers, ..Quantization::per_channel(scales, axis) });
    }
    tensor
}
