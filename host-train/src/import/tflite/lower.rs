//! From the operators of a TFLite subgraph to the nodes of a graph.

use super::MAX_ELEMENTS;
use super::constant::{Ints, MAX_INTS, evaluate};
use super::flatbuffer::Budget;
use super::names::label;
use super::operators;
use super::schema::{Model, Operator, Tensor, Type};
use crate::graph::{DType, Data, Graph, Op, Quantization, Tensor as GraphTensor, TensorId};
use crate::import::ImportError;

mod constants;
mod subgraphs;

use subgraphs::{calls, calls_subgraph};

/// What the name of a node ends in that computes something on the way to an output.
pub(super) const STEP_SUFFIX: &str = ":step";

/// What a TFLite tensor became.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    Tensor(TensorId),
    Ints(Ints),
}

/// The state of a lowering.
pub(super) struct Lowering<'m, 'a> {
    pub(super) model: &'m Model<'a>,
    pub(super) graph: Graph,
    entries: Vec<Option<Entry>>,
    /// What constants may still take, bytes: tensors of a hostile file can share one buffer.
    budget: Budget,
}

/// The graph of a model.
///
/// # Errors
/// The first thing that cannot be imported; control flow before all else,
/// since the operators around it only serve it.
pub(super) fn lower(model: &Model<'_>) -> Result<Graph, ImportError> {
    if let Some(error) = calls(model) {
        return Err(error);
    }
    let (graph, problems) = attempt(model);
    problems.into_iter().next().map_or(Ok(graph), Err)
}

/// Everything that cannot be imported, in the order of the operators.
pub(super) fn survey(model: &Model<'_>) -> Vec<ImportError> {
    let (_, mut problems) = attempt(model);
    if model.subgraphs != 1 && !model.operators.iter().any(|o| calls_subgraph(o.code)) {
        problems.extend(calls(model));
    }
    problems
}

/// Lowers what can be; what comes after an operator that cannot is looked at
/// as far as the file describes the tensors between.
fn attempt(model: &Model<'_>) -> (Graph, Vec<ImportError>) {
    let mut problems = Vec::new();

    let mut unknown = vec![false; model.tensors.len()];
    let mut lowering = Lowering {
        model,
        graph: Graph::new(&model.name),
        entries: vec![None; model.tensors.len()],
        budget: Budget::of_constants(model.bytes),
    };
    for &id in &model.inputs {
        if let Err(why) = lowering.input(id as usize) {
            unknown[id as usize] = true;
            problems.push(why);
        }
    }
    for operator in &model.operators {
        let skip = operator.inputs.iter().any(|&id| id >= 0 && unknown[id as usize]);
        let refused = match operators::refusal(operator.code) {
            Some(why) => Some(why.to_string()),
            None if skip => None,
            None => lowering.operator(operator).err(),
        };
        if !skip && refused.is_none() {
            continue;
        }
        for &id in &operator.outputs {
            unknown[id as usize] |= skip || !lowering.stand_in(id as usize);
        }
        problems.extend(refused.map(|why| ImportError::new(format!("{}: {why}", label(operator)))));
    }
    for &id in model.outputs.iter().filter(|&&id| !unknown[id as usize]) {
        let name = &model.tensors[id as usize].name;
        let problem = match &lowering.entries[id as usize] {
            Some(Entry::Tensor(node)) => {
                lowering.graph.outputs.push(*node);
                continue;
            }
            Some(Entry::Ints(_)) => format!("output `{name}` is shape arithmetic"),
            None => format!("is damaged: output `{name}` is never computed"),
        };
        problems.push(ImportError::new(problem));
    }
    (lowering.graph, problems)
}

/// Scales as the graph keeps them.
fn quantization(tensor: &Tensor<'_>) -> Result<Option<Quantization>, String> {
    let Some(q) = &tensor.quantization else { return Ok(None) };
    let zero = |&zero: &i64| {
        i32::try_from(zero).ok().filter(|z| (-128..=127).contains(z)).ok_or_else(|| {
            format!("tensor `{}` has the zero point {zero}, which is no int8", tensor.name)
        })
    };
    let zero_points = q.zero_points.iter().map(zero).collect::<Result<_, _>>()?;
    Ok(Some(Quantization {
        scales: q.scales.clone(),
        zero_points,
        axis: q.axis,
        multipliers: Vec::new(),
    }))
}

impl<'m, 'a> Lowering<'m, 'a> {
    /// A graph tensor of the type and scale of a TFLite tensor.
    fn activation(&self, tensor: &Tensor<'_>) -> Result<GraphTensor, String> {
        if let Some(what) = tensor.unsupported {
            return Err(format!("tensor `{}`: {what}", tensor.name));
        }
        if tensor.shape.contains(&0) {
            return Err(format!("tensor `{}` is empty: {:?}", tensor.name, tensor.shape));
        }
        let dtype = match tensor.kind {
            Type::F32 => DType::F32,
            Type::I8 => DType::I8,
            other => return Err(format!("tensor `{}`: {}", tensor.name, other.refusal())),
        };
        let mut result = GraphTensor::activation(&tensor.name, tensor.shape.clone(), dtype);
        if dtype == DType::I8 {
            result.quantization = quantization(tensor)?;
            if result.quantization.is_none() {
                return Err(format!(
                    "tensor `{}` is int8 but has no scale and zero point; convert with a representative dataset",
                    tensor.name
                ));
            }
        }
        Ok(result)
    }

    /// Adds input `id` of the model; an error names the operator that reads it first.
    fn input(&mut self, id: usize) -> Result<(), ImportError> {
        let tensor = &self.model.tensors[id];
        let value = match tensor.signature.get(1..) {
            Some(rest) if rest.contains(&-1) => Err(format!(
                "input `{}` has the dynamic shape {:?}, only the first extent (the batch) may be -1; convert with a fixed shape",
                tensor.name, tensor.signature
            )),
            _ => self.activation(tensor),
        };
        let reader = self.model.operators.iter().find(|o| o.inputs.contains(&(id as i32)));
        let value = value.map_err(|why| {
            ImportError::new(reader.map_or(why.clone(), |o| format!("{}: {why}", label(o))))
        })?;
        let node = self.graph.add_tensor(value);
        self.graph.inputs.push(node);
        self.entries[id] = Some(Entry::Tensor(node));
        Ok(())
    }

    /// Takes tensor `id` as the file describes it, where the operator that
    /// computes it was refused; whether that can be done.
    fn stand_in(&mut self, id: usize) -> bool {
        if self.entries[id].is_some() {
            return true;
        }
        let described = self.activation(&self.model.tensors[id]);
        if let (Ok(tensor), false) = (described, self.dynamic()) {
            self.entries[id] = Some(Entry::Tensor(self.graph.add_tensor(tensor)));
        }
        self.entries[id].is_some()
    }

    /// Input `i` as what it became; `None` when it is absent.
    pub(super) fn entry(
        &mut self,
        operator: &Operator<'a>,
        i: usize,
    ) -> Result<Option<Entry>, String> {
        let Some(&id) = operator.inputs.get(i) else { return Ok(None) };
        if id < 0 {
            return Ok(None);
        }
        let id = id as usize;
        if let Some(entry) = &self.entries[id] {
            return Ok(Some(entry.clone()));
        }
        let tensor = &self.model.tensors[id];
        let Some(data) = tensor.data else {
            return Err(format!(
                "reads `{}` before it is computed (a cycle, or a damaged file)",
                tensor.name
            ));
        };
        self.budget.spend(data.len()).map_err(|error| error.to_string())?;
        let entry = match tensor.kind {
            Type::I32 | Type::I64 | Type::Bool => match Ints::of(tensor) {
                Some(ints) => Entry::Ints(ints),
                None => return Err(format!("constant `{}` is too large", tensor.name)),
            },
            _ => {
                let mut constant = self.activation(tensor)?;
                constant.data = Some(match tensor.kind {
                    Type::F32 => Data::F32(
                        data.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
                    ),
                    _ => Data::I8(data.iter().map(|b| b.cast_signed()).collect()),
                });
                Entry::Tensor(self.graph.add_tensor(constant))
            }
        };
        self.entries[id] = Some(entry.clone());
        Ok(Some(entry))
    }

    /// Input `i` as a tensor of the graph.
    pub(super) fn tensor(&mut self, operator: &Operator<'a>, i: usize) -> Result<TensorId, String> {
        match self.entry(operator, i)? {
            Some(Entry::Tensor(id)) => Ok(id),
            Some(Entry::Ints(_)) => {
                Err(format!("input {i} holds integers, expected float32 or int8"))
            }
            None => Err(format!("input {i} is missing")),
        }
    }

    /// Input `i` as integers known at import.
    pub(super) fn ints(&mut self, operator: &Operator<'a>, i: usize) -> Result<Ints, String> {
        match self.entry(operator, i)? {
            Some(Entry::Ints(ints)) => Ok(ints),
            Some(Entry::Tensor(_)) => Err(format!("input {i} must be constant integers")),
            None => Err(format!("input {i} is missing")),
        }
    }

    /// A bias of the file: floats, or the int32 of an int8 layer.
    pub(super) fn bias(
        &mut self,
        operator: &Operator<'a>,
        i: usize,
    ) -> Result<Option<TensorId>, String> {
        match self.entry(operator, i)? {
            None => Ok(None),
            Some(Entry::Tensor(id)) => Ok(Some(id)),
            Some(Entry::Ints(ints)) => {
                let value = |&v: &i64| i32::try_from(v).map_err(|_| format!("a bias of {v}"));
                let values: Vec<i32> = ints.values.iter().map(value).collect::<Result<_, _>>()?;
                let mut bias = GraphTensor::activation("bias", vec![values.len()], DType::I32);
                bias.data = Some(Data::I32(values));
                Ok(Some(self.graph.add_tensor(bias)))
            }
        }
    }

    fn operator(&mut self, operator: &Operator<'a>) -> Result<(), String> {
        let output = *operator.outputs.first().ok_or("has no output")? as usize;
        if operator.outputs.iter().any(|&id| self.entries[id as usize].is_some()) {
            return Err("computes a tensor that is there already; the file is damaged".into());
        }
        // SHAPE and RANK
        if matches!(operator.code, 77 | 110) {
            let shape = match self.entry(operator, 0)?.ok_or("input 0 is missing")? {
                Entry::Tensor(x) => self.graph[x].shape.clone(),
                Entry::Ints(ints) => ints.shape,
            };
            let ints = match operator.code {
                77 => Ints::vector(shape.iter().map(|&extent| extent as i64).collect()),
                _ => Ints::scalar(shape.len() as i64),
            };
            self.entries[output] = Some(Entry::Ints(ints));
            return Ok(());
        }
        let (mut ints, mut values) = (Vec::new(), 0);
        for i in 0..operator.inputs.len() {
            match self.entry(operator, i)? {
                Some(Entry::Ints(value)) => {
                    values += value.values.len();
                    if values > MAX_INTS {
                        return Err("shape arithmetic on too many values".into());
                    }
                    ints.push(value);
                }
                _ => break,
            }
        }
        if ints.len() == operator.inputs.len() && !ints.is_empty() {
            let folded = evaluate(operator, &ints.iter().collect::<Vec<_>>())?;
            let folded = folded.ok_or("this shape arithmetic is not supported")?;
            self.entries[output] = Some(Entry::Ints(folded));
            return Ok(());
        }
        operators::lower(self, operator)
    }

    /// Adds a node that computes something on the way to an output of `operator`.
    pub(super) fn step(
        &mut self,
        operator: &Operator<'a>,
        op: Op,
        inputs: &[TensorId],
    ) -> Result<TensorId, String> {
        let id = self.push(format!("{}{STEP_SUFFIX}", self.label(operator, 0)), op, inputs)?;
        let quantization = self.graph[inputs[0]].quantization.clone();
        self.graph[id].quantization = quantization;
        Ok(id)
    }

    /// Adds a node of one output.
    fn push(&mut self, name: String, op: Op, inputs: &[TensorId]) -> Result<TensorId, String> {
        let id = self.graph.push(name, op, inputs).map_err(|e| e.message)?[0];
        let shape = &self.graph[id].shape;
        let count = shape.iter().try_fold(1usize, |a, &b| a.checked_mul(b));
        match count.filter(|&count| count <= MAX_ELEMENTS) {
            Some(_) => Ok(id),
            None => Err(format!("computes {shape:?}, which is too large")),
        }
    }

    fn label(&self, operator: &Operator<'a>, output: usize) -> String {
        operator
            .outputs
            .get(output)
            .map_or_else(String::new, |&id| self.model.tensors[id as usize].name.clone())
    }

    /// Adds the node that computes output `output` of `operator`.
    pub(super) fn output(
        &mut self,
        operator: &Operator<'a>,
        output: usize,
        op: Op,
        inputs: &[TensorId],
    ) -> Result<(), String> {
        let index = *operator.outputs.get(output).ok_or("an output is missing")? as usize;
        let source = &self.model.tensors[index];
        let weighted = matches!(
            op,
            Op::Conv2d { .. }
                | Op::DepthwiseConv2d { .. }
                | Op::TransposedConv2d { .. }
                | Op::Dense { .. }
        );
        for (i, &id) in inputs.iter().enumerate() {
            let scales = self.graph[id].quantization.as_ref().map_or(1, |q| q.scales.len());
            if scales > 1 && !(weighted && i == 1) {
                return Err(format!(
                    "`{}` has {scales} scales, which only weights may have",
                    self.graph[id].name
                ));
            }
        }
        let expected = self.activation(source)?;
        let moves = matches!(op, Op::Slice { .. } | Op::Transpose { .. } | Op::Tile { .. });
        let id = if moves && self.relabelled(inputs[0], &expected) {
            // TFLite's kernels move codes whatever their scales, and the converter lets
            // these differ for REVERSE_V2.
            let moved = self.step(operator, op, inputs)?;
            let same = core::array::from_fn(|i| (i as i32 - 128) as i8);
            self.push(self.label(operator, output), Op::Table(Box::new(same)), &[moved])?
        } else {
            self.push(self.label(operator, output), op, inputs)?
        };
        if !source.dynamic() && expected.shape != self.graph[id].shape && !self.dynamic() {
            return Err(format!(
                "computes {:?}, the file says {:?}",
                self.graph[id].shape, expected.shape
            ));
        }
        self.graph[id].dtype = expected.dtype;
        self.graph[id].quantization = expected.quantization;
        self.entries[index] = Some(Entry::Tensor(id));
        Ok(())
    }

    /// Whether codes of `x` mean other reals than those of `to`.
    fn relabelled(&self, x: TensorId, to: &GraphTensor) -> bool {
        let x = &self.graph[x];
        (x.dtype, to.dtype) == (DType::I8, DType::I8) && x.quantization != to.quantization
    }

    /// Whether the model has a dynamic batch, so that shapes in the file may be guesses.
    fn dynamic(&self) -> bool {
        self.model.inputs.iter().any(|&id| self.model.tensors[id as usize].dynamic())
    }
}
