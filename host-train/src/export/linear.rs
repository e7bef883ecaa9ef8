//! Layers with weights: convolutions and dense.

use microconv::epilogue::Requantize;
use microconv::model::format::{
    ActivateRecord, LinearRecord, RequantizeRecord, WindowRecord, opcode,
};
use microconv::ops::{Conv2dGeometry, DenseGeometry, TransposedConv2dGeometry};
use microconv::quant::Affine;
use microconv::window::{Padding as WindowPadding, Window, Window2d};

use super::lower::{Fused, Lowering};
use super::quantized::{affine, clamp, multipliers};
use super::simple::{activation_code, code_table};
use super::target::Scratch;
use crate::graph::{Activation, DType, Data, Node, Op, Padding, Tensor};

/// A resolved window as a record.
pub(super) fn window_record(window: &Window) -> WindowRecord {
    let (r, c) = (&window.rows, &window.columns);
    let pair = |a: usize, b: usize| [a as u32, b as u32];
    WindowRecord {
        kernel: pair(r.kernel, c.kernel),
        stride: pair(r.stride, c.stride),
        dilation: pair(r.dilation, c.dilation),
        pad: pair(r.pad, c.pad),
    }
}

/// The window of an operator over `h` × `w` cells.
pub(crate) fn window(
    kernel: [usize; 2],
    strides: [usize; 2],
    dilation: [usize; 2],
    padding: Padding,
    [h, w]: [usize; 2],
) -> Result<Window, String> {
    let padding = match padding {
        Padding::Same => WindowPadding::Same,
        Padding::Valid => WindowPadding::Valid,
        Padding::Explicit { top, bottom, left, right } => {
            WindowPadding::Explicit([[top, bottom], [left, right]])
        }
    };
    Window2d::new(kernel[0], kernel[1])
        .stride(strides[0], strides[1])
        .dilation(dilation[0], dilation[1])
        .padding(padding)
        .over(h, w)
        .map_err(|why| why.to_string())
}

/// What the kernels need to know of a layer with weights.
pub(super) struct Shape {
    opcode: u32,
    pub(super) scratch: Scratch,
    window: WindowRecord,
    groups: usize,
    macs: u64,
    /// Output channels.
    channels: usize,
    activation: Activation,
}

/// Weights in an order of [`microconv::pack`].
struct PackedWeights {
    packing: u32,
    words: Vec<i32>,
    /// Bytes.
    scratch: usize,
}

/// The record that follows a [`LinearRecord`].
enum Epilogue {
    Float(ActivateRecord),
    Quantized(RequantizeRecord),
}

impl Epilogue {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Float(record) => bytemuck::bytes_of(record),
            Self::Quantized(record) => bytemuck::bytes_of(record),
        }
    }
}

/// For each bias vector the weights that its zero point correction sums: `(phase, channel)` of a weight.
pub(crate) fn bias_index(
    op: &Op,
    weights: &[usize],
    channels: usize,
) -> (usize, Box<dyn Fn(usize) -> usize>) {
    match *op {
        Op::DepthwiseConv2d { .. } => (1, Box::new(move |i| i % channels)),
        Op::TransposedConv2d { strides: [sh, sw], .. } => {
            let (kh, kw, depth) = (weights[1], weights[2], weights[3]);
            let index = move |i: usize| {
                let (o, ky, kx) = (i / (kh * kw * depth), i / (kw * depth) % kh, i / depth % kw);
                (ky % sh * sw + kx % sw) * channels + o
            };
            (sh * sw, Box::new(index))
        }
        _ => {
            let depth = weights[1..].iter().product::<usize>();
            (1, Box::new(move |i| i / depth))
        }
    }
}

impl<'g> Lowering<'g> {
    pub(super) fn linear(&mut self, fused: &Fused<'g>) -> Result<(), String> {
        let node = fused.node;
        let (x, weights) = (self.input(node, 0)?, self.input(node, 1)?);
        let shape = self.shape_of(node, x, weights)?;
        let float = x.dtype == DType::F32;
        let mut packed = None;
        let (weights_at, weights_bytes, zero_point, epilogue) = if float {
            let Some(values) = weights.f32_data() else {
                return Err("a float layer needs constant float weights".into());
            };
            let epilogue = Epilogue::Float(self.float_epilogue(fused, &shape)?);
            (self.program.data.array(values), 4 * values.len(), 0, epilogue)
        } else {
            let Some(Data::I8(values)) = &weights.data else {
                return Err("an int8 layer needs constant int8 weights".into());
            };
            let input = affine(x)?;
            let epilogue = self.quantized_epilogue(fused, &shape, input, values)?;
            if fused.neighbour.is_none() {
                packed = self.packed(shape.scratch, values, &epilogue)?;
            }
            let data = &mut self.program.data;
            let (at, bytes) = match &packed {
                Some(packed) => (data.array(&packed.words), 4 * packed.words.len()),
                None => (data.array(values), values.len()),
            };
            (at, bytes, input.zero_point, Epilogue::Quantized(epilogue))
        };
        let record = LinearRecord {
            window: shape.window,
            groups: shape.groups as u32,
            weights_at,
            weights_bytes: weights_bytes as u32,
            zero_point,
        };
        let mut params = [bytemuck::bytes_of(&record), epilogue.bytes()].concat();
        let mut scratch = shape.scratch;
        let mut opcode = shape.opcode;
        let (mut unstored, mut macs) = (0, shape.macs);
        if let Some((neighbour, _)) = fused.neighbour {
            let pair = self.pair(fused, neighbour)?;
            params.extend(pair.params);
            (opcode, scratch, unstored) = (pair.opcode, pair.scratch, pair.unstored);
            macs = pair.macs;
        }
        let scratch = match &packed {
            Some(packed) => packed.scratch,
            None => self.options.target.scratch(scratch, float),
        };
        let written = self.graph[fused.output()].len() as u64;
        let requantisations = if float { 0 } else { written };
        let layer = self.layer(node, opcode, fused.inputs(), &[fused.output()], &params)?;
        (layer.scratch, layer.macs, layer.unstored) = (scratch, macs, unstored);
        layer.requantisations = requantisations;
        layer.kind = fused.kind();
        if let Some(packed) = packed {
            layer.packing = packed.packing;
            layer.kind += match packed.packing {
                microconv::pack::WINOGRAD => ", Winograd",
                microconv::pack::SEVENS => ", packed for seven pixels",
                _ => ", packed",
            };
        }
        Ok(())
    }

    /// Weights as the target's kernel reads them, where it has an order of its own for the layer.
    fn packed(
        &self,
        of: Scratch,
        weights: &[i8],
        epilogue: &RequantizeRecord,
    ) -> Result<Option<PackedWeights>, String> {
        let array = |at: u32, count: u32| -> Vec<i32> {
            let bytes = &self.program.data.bytes[at as usize..][..4 * count as usize];
            bytemuck::pod_collect_to_vec(bytes)
        };
        let code = |code: i32| i8::try_from(code).map_err(|_| "a bound is no code".to_string());
        let how = Requantize {
            bias: &array(epilogue.bias_at, epilogue.biases),
            mantissas: &array(epilogue.mantissas_at, epilogue.multipliers),
            shifts: &array(epilogue.shifts_at, epilogue.multipliers),
            zero_point: epilogue.zero_point,
            min: code(epilogue.min)?,
            max: code(epilogue.max)?,
            table: None,
        };
        let Some((geometry, packing)) = self.options.target.packing(of, weights, &how) else {
            return Ok(None);
        };
        let (words, scratch) = (geometry.words(packing), geometry.scratch(packing));
        let (Some(words), Some(scratch)) = (words, scratch) else { return Ok(None) };
        let mut words = vec![0; words];
        geometry.pack(packing, weights, &how, &mut words).map_err(|why| why.to_string())?;
        Ok(Some(PackedWeights { packing, words, scratch }))
    }

    pub(super) fn shape_of(
        &self,
        node: &Node,
        x: &Tensor,
        weights: &Tensor,
    ) -> Result<Shape, String> {
        let why = |error: microconv::ShapeError| error.to_string();
        if let Op::Dense { activation, .. } = node.op {
            let &[channels, depth] = weights.shape.as_slice() else {
                return Err("dense weights must have two axes".into());
            };
            let geometry = DenseGeometry::new(x.len() / depth, depth, channels).map_err(why)?;
            let one = Window2d::new(1, 1).over(1, 1).map_err(why)?;
            return Ok(Shape {
                opcode: opcode::DENSE,
                scratch: Scratch::Dense(geometry),
                window: window_record(&one),
                groups: 1,
                macs: geometry.macs(),
                channels,
                activation,
            });
        }
        let (&[n, h, w, c], &[out, kh, kw, _]) = (x.shape.as_slice(), weights.shape.as_slice())
        else {
            return Err("a convolution needs four axes".into());
        };
        match node.op {
            Op::Conv2d { strides, dilation, padding, groups, activation } => {
                let window = window([kh, kw], strides, dilation, padding, [h, w])?;
                let geometry = Conv2dGeometry::new(window, n, c, out, groups).map_err(why)?;
                Ok(Shape {
                    opcode: opcode::CONV_2D,
                    scratch: Scratch::Conv2d(geometry),
                    window: window_record(&window),
                    groups,
                    macs: geometry.macs(),
                    channels: out,
                    activation,
                })
            }
            Op::DepthwiseConv2d { strides, dilation, padding, multiplier, activation } => {
                let window = window([kh, kw], strides, dilation, padding, [h, w])?;
                let channels = c * multiplier;
                let geometry = Conv2dGeometry::new(window, n, c, channels, c).map_err(why)?;
                Ok(Shape {
                    opcode: opcode::DEPTHWISE_CONV_2D,
                    scratch: Scratch::DepthwiseConv2d(geometry),
                    window: window_record(&window),
                    groups: c,
                    macs: geometry.macs(),
                    channels,
                    activation,
                })
            }
            Op::TransposedConv2d { strides, padding, output_size, activation } => {
                let window = window([kh, kw], strides, [1, 1], padding, output_size)?;
                let geometry = TransposedConv2dGeometry::new(window, n, c, out).map_err(why)?;
                Ok(Shape {
                    opcode: opcode::TRANSPOSED_CONV_2D,
                    scratch: Scratch::TransposedConv2d(geometry),
                    window: window_record(&window),
                    groups: 1,
                    macs: geometry.macs(),
                    channels: out,
                    activation,
                })
            }
            _ => Err("not a layer with weights".into()),
        }
    }

    fn float_epilogue(
        &mut self,
        fused: &Fused<'g>,
        shape: &Shape,
    ) -> Result<ActivateRecord, String> {
        let node = fused.node;
        let bias = match node.inputs.get(2).map(|&id| &self.graph[id]) {
            None => vec![0.0; shape.channels],
            Some(bias) => {
                bias.f32_data().ok_or("a float layer needs a constant float bias")?.to_vec()
            }
        };
        let weights = self.input(node, 1)?.shape.clone();
        let (phases, _) = bias_index(&node.op, &weights, shape.channels);
        let (min, max) = shape.activation.bounds();
        let tail = match fused.tail.map(|tail| &tail.op) {
            Some(Op::Activation(activation)) => *activation,
            _ => Activation::Linear,
        };
        let (activation, alpha) = activation_code(tail);
        let biases = bias.repeat(phases);
        Ok(ActivateRecord {
            bias_at: self.program.data.array(&biases),
            biases: biases.len() as u32,
            min,
            max,
            activation,
            alpha,
        })
    }

    fn quantized_epilogue(
        &mut self,
        fused: &Fused<'g>,
        shape: &Shape,
        input: Affine,
        values: &[i8],
    ) -> Result<RequantizeRecord, String> {
        let node = fused.node;
        let weights = self.input(node, 1)?;
        let output = &self.graph[node.outputs[0]];
        let bias = match node.inputs.get(2).map(|&id| &self.graph[id]) {
            None => vec![0; shape.channels],
            Some(Tensor { data: Some(Data::I32(bias)), .. }) => bias.clone(),
            Some(_) => return Err("an int8 layer needs a constant int32 bias".into()),
        };
        let (phases, index) = bias_index(&node.op, &weights.shape, shape.channels);
        let mut folded = bias.repeat(phases);
        for (i, &weight) in values.iter().enumerate() {
            let bias = &mut folded[index(i)];
            *bias = bias.wrapping_sub(input.zero_point.wrapping_mul(i32::from(weight)));
        }
        let out = affine(output)?;
        let multipliers = multipliers(self.input(node, 0)?, weights, output)?;
        let count = multipliers.len();
        if count != 1 && count != shape.channels {
            return Err(format!("{count} weight scales for {} channels", shape.channels));
        }
        let (min, max) = clamp(shape.activation, out);
        let table_at = match fused.tail {
            None => 0,
            Some(tail) => {
                let table = code_table(self.graph, tail).ok_or("its activation has no table")?;
                self.program.data.array(&table)
            }
        };
        let data = &mut self.program.data;
        let mantissas: Vec<i32> = multipliers.iter().map(|m| m.mantissa).collect();
        let shifts: Vec<i32> = multipliers.iter().map(|m| m.shift).collect();
        Ok(RequantizeRecord {
            bias_at: data.array(&folded),
            biases: folded.len() as u32,
            mantissas_at: data.array(&mantissas),
            shifts_at: data.array(&shifts),
            multipliers: mantissas.len() as u32,
            zero_point: out.zero_point,
            min: i32::from(min),
            max: i32::from(max),
            table_at,
        })
    }
}
