//! Walks the graph and turns each node into a layer.

use std::collections::HashMap;

use microconv::model::DType;
use microconv::pack::PLAIN;

use super::Options;
use super::fuse::Neighbour;
use super::program::{Program, ProgramLayer, ProgramTensor, Storage};
use super::quantized::same;
use crate::graph::{self, Activation, Data, Graph, GraphError, Node, Op, Tensor, TensorId};
use crate::optimize::concat::{self, Parts};

/// The state of a lowering.
pub(super) struct Lowering<'g> {
    pub(super) graph: &'g Graph,
    pub(super) options: Options,
    /// Convolutions that are layers of their own.
    pub(super) apart: &'g [usize],
    pub(super) program: Program,
    ids: HashMap<TensorId, usize>,
    buffers: usize,
    /// Tensors that lie inside of others.
    pub(super) parts: Parts,
}

/// A node and what goes into the same layer.
pub(super) struct Fused<'g> {
    pub(super) node: &'g Node,
    /// The function of each value that follows.
    pub(super) tail: Option<&'g Node>,
    /// The operator before or after a convolution.
    pub(super) neighbour: Option<(Neighbour, &'g Node)>,
}

impl<'g> Fused<'g> {
    /// The tensors that the layer reads.
    pub(super) fn inputs(&self) -> &'g [TensorId] {
        match self.neighbour {
            Some((Neighbour::Upsample | Neighbour::Unpool, node)) => &node.inputs,
            _ => &self.node.inputs[..1],
        }
    }

    /// The operators in the words of Keras, in the order of the source.
    pub(super) fn kind(&self) -> String {
        let name = self.node.op.name();
        match self.neighbour {
            None => name.into(),
            Some((Neighbour::Pool, node)) => format!("{name}+{}", node.op.name()),
            Some((_, node)) => format!("{}+{name}", node.op.name()),
        }
    }

    /// What the convolution and its activation write.
    pub(super) fn last(&self) -> TensorId {
        self.tail.unwrap_or(self.node).outputs[0]
    }

    /// The tensor that the layer writes.
    pub(super) fn output(&self) -> TensorId {
        match self.neighbour {
            Some((Neighbour::Pool, node)) => node.outputs[0],
            _ => self.last(),
        }
    }
}

/// The layers of a graph; convolutions `apart`, by their places in it, are fused with no neighbour.
pub(super) fn lower(
    graph: &Graph,
    options: Options,
    apart: &[usize],
) -> Result<Program, GraphError> {
    let (program, ids) = (Program::default(), HashMap::new());
    let wanted = options.passes.has(&concat::PASS);
    let parts = if wanted { concat::parts(graph) } else { Parts::new() };
    let mut lowering = Lowering { graph, options, apart, program, ids, buffers: 0, parts };
    lowering.program.name.clone_from(&graph.name);
    for &id in &graph.inputs {
        let index = lowering.tensor(id).map_err(|why| GraphError::new("", why))?;
        lowering.program.inputs.push(index);
    }
    let mut done = vec![false; graph.nodes.len()];
    for index in 0..graph.nodes.len() {
        if done[index] {
            continue;
        }
        let group = lowering.group(index);
        let members: Vec<usize> =
            [group.before, group.tail, group.after].into_iter().flatten().collect();
        members.iter().for_each(|&member| done[member] = true);
        done[group.node] = true;
        let fused = group.fused(graph);
        let node = fused.node;
        let before = lowering.program.layers.len();
        lowering.node(&fused).map_err(|why| GraphError::new(&node.name, why))?;
        for layer in &mut lowering.program.layers[before..] {
            layer.node = group.node;
            layer.folded.extend(node.folded.iter().cloned());
            // Parts of a layer that was read back from a blob are in its list already.
            let part = format!("{}:", node.name);
            let names = members.iter().map(|&member| graph.nodes[member].name.clone());
            layer.folded.extend(names.filter(|name| !name.starts_with(&part)));
        }
    }
    for &id in &graph.outputs {
        let index = lowering.tensor(id).map_err(|why| GraphError::new("", why))?;
        lowering.program.outputs.push(index);
    }
    Ok(lowering.program)
}

impl<'g> Lowering<'g> {
    pub(super) fn input(&self, node: &Node, i: usize) -> Result<&'g Tensor, String> {
        node.inputs.get(i).map(|&id| &self.graph[id]).ok_or_else(|| format!("input {i} is missing"))
    }

    /// The program's tensor for `id`, made on first use.
    pub(super) fn tensor(&mut self, id: TensorId) -> Result<usize, String> {
        if let Some(&index) = self.ids.get(&id) {
            return Ok(index);
        }
        let tensor = &self.graph[id];
        let storage = match &tensor.data {
            Some(Data::I8(values)) => Storage::Constant(self.program.data.array(values)),
            Some(Data::F32(values)) => Storage::Constant(self.program.data.array(values)),
            Some(Data::I32(_)) => {
                return Err(format!(
                    "constant `{}` is int32, which no layer reads here",
                    tensor.name
                ));
            }
            None => {
                if let Some(&(whole, at)) = self.parts.get(&id) {
                    let whole = self.tensor(whole)?;
                    let Storage::Arena(buffer, offset) = self.program.tensors[whole].storage else {
                        return Err("a part of a constant".into());
                    };
                    return self.define(id, Storage::Arena(buffer, offset + at));
                }
                self.buffers += 1;
                Storage::Arena(self.buffers - 1, 0)
            }
        };
        self.define(id, storage)
    }

    /// Makes `id` share the memory of `source`: a reshape costs nothing.
    fn alias(&mut self, id: TensorId, source: TensorId) -> Result<(), String> {
        let source = self.tensor(source)?;
        let storage = self.program.tensors[source].storage;
        self.define(id, storage)?;
        Ok(())
    }

    fn define(&mut self, id: TensorId, storage: Storage) -> Result<usize, String> {
        let tensor = &self.graph[id];
        let dtype = match tensor.dtype {
            graph::DType::I8 => DType::I8,
            graph::DType::F32 => DType::F32,
            graph::DType::U32 => self.index_type(id)?,
            graph::DType::I32 => return Err(format!("tensor `{}` is int32", tensor.name)),
        };
        if tensor.shape.len() > 6 {
            return Err(format!(
                "tensor `{}` has more than six axes: {:?}",
                tensor.name, tensor.shape
            ));
        }
        let shape = if tensor.shape.is_empty() { vec![1] } else { tensor.shape.clone() };
        let quantization = tensor.quantization.as_ref().filter(|_| dtype == DType::I8);
        self.program.tensors.push(ProgramTensor {
            name: tensor.name.clone(),
            shape,
            dtype,
            scale: quantization.map_or(0.0, graph::Quantization::scale),
            zero_point: quantization.map_or(0, graph::Quantization::zero_point),
            storage,
        });
        let index = self.program.tensors.len() - 1;
        self.ids.insert(id, index);
        Ok(index)
    }

    /// Pool indices take one byte where the window has at most 256 taps.
    fn index_type(&self, id: TensorId) -> Result<DType, String> {
        let producer = self.graph.producer(id).map(|i| &self.graph.nodes[i].op);
        match producer {
            Some(Op::MaxPool2dWithIndices { window, .. }) if window[0] * window[1] <= 256 => {
                Ok(DType::U8)
            }
            Some(Op::MaxPool2dWithIndices { window, .. }) if window[0] * window[1] <= 65536 => {
                Ok(DType::U16)
            }
            _ => Err("indices must come from a max-pool of at most 65,536 taps".into()),
        }
    }

    /// Adds a layer that reads `inputs` and writes `outputs`.
    pub(super) fn layer(
        &mut self,
        node: &Node,
        opcode: u32,
        inputs: &[TensorId],
        outputs: &[TensorId],
        params: &[u8],
    ) -> Result<&mut ProgramLayer, String> {
        let element = match self.graph[inputs[0]].dtype {
            graph::DType::F32 => DType::F32,
            _ => DType::I8,
        };
        let inputs = inputs.iter().map(|&id| self.tensor(id)).collect::<Result<_, _>>()?;
        let outputs = outputs.iter().map(|&id| self.tensor(id)).collect::<Result<_, _>>()?;
        let params_at = self.program.data.record(params);
        let constants = node.inputs.iter().filter_map(|&id| self.graph[id].data.as_ref());
        let parameters = constants.map(Data::len).sum();
        self.program.layers.push(ProgramLayer {
            name: node.name.clone(),
            kind: node.op.name().to_string(),
            folded: Vec::new(),
            node: 0,
            opcode,
            element,
            inputs,
            outputs,
            scratch: 0,
            params_at,
            packing: PLAIN,
            in_place: [false; 2],
            macs: 0,
            requantisations: 0,
            parameters,
            unstored: 0,
        });
        self.program.layers.last_mut().ok_or_else(|| "no layer".into())
    }

    /// Whether the output of `node` has the scale and zero point of its input, as
    /// operators that only move or compare codes require.
    pub(super) fn same_scale(&self, node: &Node) -> Result<(), String> {
        let (x, y) = (self.input(node, 0)?, &self.graph[node.outputs[0]]);
        if x.dtype == graph::DType::I8 && !same(x, y) {
            return Err(format!("{} needs the same scale for input and output", node.op.name()));
        }
        Ok(())
    }

    fn node(&mut self, fused: &Fused<'g>) -> Result<(), String> {
        let node = fused.node;
        match &node.op {
            Op::Conv2d { .. }
            | Op::DepthwiseConv2d { .. }
            | Op::TransposedConv2d { .. }
            | Op::Dense { .. } => self.linear(fused),
            Op::MaxPool2d { .. }
            | Op::AveragePool2d { .. }
            | Op::MaxPool2dWithIndices { .. }
            | Op::MaxUnpool2d { .. } => self.pool(node),
            Op::BedOfNails2d { .. } | Op::Resize2d { .. } => self.upsample(node),
            Op::Activation(Activation::Linear) | Op::Reshape { .. } => {
                self.same_scale(node)?;
                self.alias(node.outputs[0], node.inputs[0])
            }
            Op::Activation(activation) => self.activation(node, *activation),
            Op::Table(table) => self.table(node, table),
            Op::Softmax { beta } => self.softmax(node, *beta),
            Op::Prelu | Op::Add { .. } | Op::Sub { .. } | Op::Mul { .. } => self.binary(node),
            Op::Concat { .. } if concat::is_in_place(self.graph, node, &self.parts) => {
                self.tensor(node.outputs[0]).map(|_| ())
            }
            Op::Concat { .. }
            | Op::Pad { .. }
            | Op::Slice { .. }
            | Op::Transpose { .. }
            | Op::Tile { .. } => self.arrange(node),
            Op::Mean { .. } | Op::ReduceMax { .. } => self.reduce(node),
            Op::Quantize | Op::Dequantize => self.convert(node),
        }
    }
}
