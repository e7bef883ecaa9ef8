//! The one intermediate representation: a list of operators over tensors.
//!
//! Training and import end here; calibration, quantisation, optimisation,
//! planning and export start here. Activations are NHWC and carry their batch
//! axis; nodes stand in an order in which they can run.

mod infer;
mod op;
mod tensor;

use std::fmt;

pub use infer::infer_shapes;
pub use op::{Activation, Op, PadMode, Padding, ResizeMode};
pub use tensor::{DType, Data, Quantization, Tensor};

/// Index of a [`Tensor`] in [`Graph::tensors`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TensorId(pub usize);

/// One operator and the tensors it reads and writes.
#[derive(Clone, Debug)]
pub struct Node {
    /// Unique name, shown to the user (`conv2d_1`).
    pub name: String,
    /// What it computes.
    pub op: Op,
    /// What it reads, in the order that [`Op`] documents.
    pub inputs: Vec<TensorId>,
    /// What it writes, in the order that [`Op`] documents.
    pub outputs: Vec<TensorId>,
    /// Names of source operators that a rewrite folded into this one.
    pub folded: Vec<String>,
}

/// A model: tensors, the operators over them, inputs and outputs.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// Name of the model.
    pub name: String,
    /// Activations and constants.
    pub tensors: Vec<Tensor>,
    /// Operators in an executable order.
    pub nodes: Vec<Node>,
    /// What the caller writes, in order.
    pub inputs: Vec<TensorId>,
    /// What the caller reads, in order.
    pub outputs: Vec<TensorId>,
}

/// Why a graph is not well formed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GraphError {
    /// Name of the offending node, empty for the graph itself.
    pub node: String,
    /// What is wrong, and what was expected.
    pub message: String,
}

impl GraphError {
    /// An error about the node called `node`.
    pub fn new(node: impl Into<String>, message: impl Into<String>) -> Self {
        Self { node: node.into(), message: message.into() }
    }
}

impl fmt::Display for GraphError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.node.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "layer `{}`: {}", self.node, self.message)
        }
    }
}

impl std::error::Error for GraphError {}

impl Graph {
    /// An empty graph.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Adds a tensor and returns its id.
    pub fn add_tensor(&mut self, tensor: Tensor) -> TensorId {
        self.tensors.push(tensor);
        TensorId(self.tensors.len() - 1)
    }

    /// Adds an operator at the end, infers the shapes of its outputs and
    /// creates the output tensors (type of the first input, unquantised).
    ///
    /// # Errors
    /// [`GraphError`] when the operator does not accept these inputs.
    pub fn push(
        &mut self,
        name: impl Into<String>,
        op: Op,
        inputs: &[TensorId],
    ) -> Result<Vec<TensorId>, GraphError> {
        let name = name.into();
        let shapes = infer_shapes(&op, &self.input_tensors(inputs))
            .map_err(|message| GraphError::new(&name, message))?;
        let dtype = inputs.first().map_or(DType::F32, |&id| self[id].dtype);
        let outputs: Vec<TensorId> = shapes
            .into_iter()
            .enumerate()
            .map(|(index, shape)| {
                let (suffix, dtype) = match (&op, index) {
                    (Op::MaxPool2dWithIndices { .. }, 1) => (":indices", DType::U32),
                    (Op::Quantize, _) => ("", DType::I8),
                    (Op::Dequantize, _) => ("", DType::F32),
                    _ => ("", dtype),
                };
                self.add_tensor(Tensor::activation(format!("{name}{suffix}"), shape, dtype))
            })
            .collect();
        self.nodes.push(Node {
            name,
            op,
            inputs: inputs.to_vec(),
            outputs: outputs.clone(),
            folded: Vec::new(),
        });
        Ok(outputs)
    }

    /// The tensors behind `ids`.
    pub fn input_tensors(&self, ids: &[TensorId]) -> Vec<&Tensor> {
        ids.iter().map(|&id| &self[id]).collect()
    }

    /// Index of the node that writes `id`; `None` for inputs and constants.
    pub fn producer(&self, id: TensorId) -> Option<usize> {
        self.nodes.iter().position(|node| node.outputs.contains(&id))
    }

    /// Indices of the nodes that read `id`.
    pub fn consumers(&self, id: TensorId) -> Vec<usize> {
        (0..self.nodes.len()).filter(|&i| self.nodes[i].inputs.contains(&id)).collect()
    }

    /// The node that alone reads the only output of node `index`, which the caller does not read.
    pub fn sole_reader(&self, index: usize) -> Option<usize> {
        let &[output] = self.nodes[index].outputs.as_slice() else { return None };
        let &[reader] = self.consumers(output).as_slice() else { return None };
        (!self.outputs.contains(&output)).then_some(reader)
    }

    /// Checks ids, order and shapes of the whole graph.
    ///
    /// # Errors
    /// [`GraphError`] names the first node that does not hold.
    pub fn validate(&self) -> Result<(), GraphError> {
        let mut ready: Vec<bool> = self.tensors.iter().map(|t| t.data.is_some()).collect();
        let known = |id: &TensorId| id.0 < self.tensors.len();
        if !self.inputs.iter().chain(&self.outputs).all(known) {
            return Err(GraphError::new("", "an input or output names a tensor that is not there"));
        }
        self.inputs.iter().for_each(|id| ready[id.0] = true);
        for node in &self.nodes {
            let fail = |message: String| Err(GraphError::new(&node.name, message));
            if !node.inputs.iter().chain(&node.outputs).all(known) {
                return fail("it names a tensor that is not there".into());
            }
            if let Some(id) = node.inputs.iter().find(|id| !ready[id.0]) {
                return fail(format!("it reads `{}` before it is written", self[*id].name));
            }
            let shapes = infer_shapes(&node.op, &self.input_tensors(&node.inputs))
                .map_err(|message| GraphError::new(&node.name, message))?;
            let written: Vec<_> = node.outputs.iter().map(|&id| self[id].shape.clone()).collect();
            let reshaped = matches!(node.op, Op::Reshape { .. });
            if !reshaped && shapes != written {
                return fail(format!("its output is {written:?}, expected {shapes:?}"));
            }
            node.outputs.iter().for_each(|id| ready[id.0] = true);
        }
        match self.outputs.iter().find(|id| !ready[id.0]) {
            Some(id) => {
                Err(GraphError::new("", format!("output `{}` is never written", self[*id].name)))
            }
            None => Ok(()),
        }
    }
}

impl std::ops::Index<TensorId> for Graph {
    type Output = Tensor;
    fn index(&self, id: TensorId) -> &Tensor {
        &self.tensors[id.0]
    }
}

impl std::ops::IndexMut<TensorId> for Graph {
    fn index_mut(&mut self, id: TensorId) -> &mut Tensor {
        &mut self.tensors[id.0]
    }
}
