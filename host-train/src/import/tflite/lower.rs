//! From the operators of a TFLite subgraph to the nodes of a graph.

use super::constant::{Ints, MAX_INTS, evaluate};
use super::operators::{self, name};
use super::schema::{Model, Operator, Tensor, Type};
use crate::graph::{DType, Data, Graph, Op, Quantization, Tensor as GraphTensor, TensorId};
use crate::import::ImportError;

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
}

pub(super) fn lower(model: &Model<'_>) -> Result<Graph, ImportError> {
    let mut lowering = Lowering {
        model,
        graph: Graph::new(&model.name),
        entries: vec![None; model.tensors.len()],
    };
    for &id in &model.inputs {
        let tensor = &model.tensors[id as usize];
        let value = lowering.activation(tensor).map_err(ImportError::new)?;
        let id = id as usize;
        let node = lowering.graph.add_tensor(value);
        lowering.graph.inputs.push(node);
        lowering.entries[id] = Some(Entry::Tensor(node));
    }
    for operator in &model.operators {
        lowering.operator(operator).map_err(|message| {
            ImportError::new(format!("operator {} ({}): {message}", operator.index, name(operator)))
        })?;
    }
    for &id in &model.outputs {
        match &lowering.entries[id as usize] {
            Some(Entry::Tensor(node)) => lowering.graph.outputs.push(*node),
            Some(Entry::Ints(_)) => return Err(ImportError::new("an output is shape arithmetic")),
            None => return Err(ImportError::new("is damaged: an output is never computed")),
        }
    }
    Ok(lowering.graph)
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
    Ok(Some(Quantization { scales: q.scales.clone(), zero_points, axis: q.axis }))
}

impl<'m, 'a> Lowering<'m, 'a> {
    /// A graph tensor of the type and scale of a TFLite tensor.
    fn activation(&self, tensor: &Tensor<'_>) -> Result<GraphTensor, String> {
        let unsupported = |what: &str| {
            Err(format!(
                "tensor `{}`: {what} is not supported; convert to float32 or full int8",
                tensor.name
            ))
        };
        if let Some(what) = tensor.unsupported {
            return unsupported(what);
        }
        if tensor.shape.contains(&0) {
            return Err(format!("tensor `{}` is empty: {:?}", tensor.name, tensor.shape));
        }
        let dtype = match tensor.kind {
            Type::F32 => DType::F32,
            Type::I8 => DType::I8,
            other => return unsupported(other.name()),
        };
        let mut result = GraphTensor::activation(&tensor.name, tensor.shape.clone(), dtype);
        if dtype == DType::I8 {
            result.quantization = quantization(tensor)?;
            if result.quantization.is_none() {
                return Err(format!("tensor `{}` is int8 but has no scale", tensor.name));
            }
        }
        Ok(result)
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
        if operator.code == 77 {
            let x = self.tensor(operator, 0)?;
            let shape = self.graph[x].shape.iter().map(|&extent| extent as i64).collect();
            self.entries[output] = Some(Entry::Ints(Ints::vector(shape)));
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
        suffix: &str,
        op: Op,
        inputs: &[TensorId],
    ) -> Result<TensorId, String> {
        let id = self
            .graph
            .push(format!("{}{suffix}", self.label(operator, 0)), op, inputs)
            .map_err(|e| e.message)?[0];
        let quantization = self.graph[inputs[0]].quantization.clone();
        self.graph[id].quantization = quantization;
        Ok(id)
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
        let id =
            self.graph.push(self.label(operator, output), op, inputs).map_err(|e| e.message)?[0];
        let expected = self.activation(source)?;
        if !source.dynamic && expected.shape != self.graph[id].shape && !self.dynamic() {
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

    /// Whether the model has a dynamic batch, so that shapes in the file may be guesses.
    fn dynamic(&self) -> bool {
        self.model.inputs.iter().any(|&id| self.model.tensors[id as usize].dynamic)
    }
}
