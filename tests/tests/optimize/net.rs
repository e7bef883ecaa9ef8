//! Random int8 graphs, and what they compute.

use conformance::generate::Values;
use host_train::export::{Options, Target, export};
use host_train::graph::{
    Activation, DType, Data, Graph, Op, Padding, Quantization, Tensor, TensorId,
};
use host_train::import::blob;
use host_train::optimize::Passes;
use host_train::runner::AlignedBytes;
use microconv::backend::{Backend, CortexM, Scalar, Wide};
use microconv::{Model, Session};

/// Graphs per pass.
pub(crate) const CASES: u64 = 150;
/// Inputs per graph.
const RUNS: usize = 3;

/// A graph that grows.
pub(crate) struct Net {
    pub(crate) graph: Graph,
    pub(crate) values: Values,
}

impl Net {
    pub(crate) fn new(seed: u64) -> Self {
        Self { graph: Graph::new("net"), values: Values::new(seed) }
    }

    /// From `low` to `high`.
    pub(crate) fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.values.below((high - low + 1) as u64) as usize
    }

    fn quantization(&mut self, scale: f32) -> Quantization {
        Quantization::per_tensor(scale, i32::from(self.values.zero_point()))
    }

    pub(crate) fn input(&mut self, shape: &[usize]) -> TensorId {
        let mut tensor = Tensor::activation("x", shape.to_vec(), DType::I8);
        let step = 0.02 + 0.001 * self.values.below(40) as f32;
        tensor.quantization = Some(self.quantization(step));
        let id = self.graph.add_tensor(tensor);
        self.graph.inputs.push(id);
        id
    }

    /// An operator whose output has the scale of its input.
    pub(crate) fn same(&mut self, op: Op, inputs: &[TensorId]) -> TensorId {
        let quantization = self.graph[inputs[0]].quantization.clone();
        self.with(op, inputs, quantization)
    }

    /// An operator whose output has a scale of its own, `times` that of the input or so.
    pub(crate) fn other(&mut self, op: Op, inputs: &[TensorId], times: f32) -> TensorId {
        let scale = self.scale(inputs[0]) * times * (0.7 + 0.01 * self.values.below(80) as f32);
        let quantization = Some(self.quantization(scale));
        self.with(op, inputs, quantization)
    }

    fn scale(&self, id: TensorId) -> f32 {
        self.graph[id].quantization.as_ref().unwrap().scale()
    }

    fn with(&mut self, op: Op, inputs: &[TensorId], q: Option<Quantization>) -> TensorId {
        let name = format!("n{}", self.graph.nodes.len());
        let outputs = self.graph.push(name, op, inputs).unwrap();
        self.graph[outputs[0]].quantization = q;
        outputs[0]
    }

    /// Weights of this shape, `filters` scales along `axis`, some filters all zero when `dead`.
    fn weights(&mut self, shape: &[usize], axis: usize, dead: bool) -> TensorId {
        let filters = shape[axis];
        let mut values = self.values.weights(shape.iter().product());
        let inner: usize = shape[axis + 1..].iter().product();
        for filter in 0..filters {
            if dead && self.values.once_in(3) {
                let of = |i: usize| i / inner % filters;
                (0..values.len()).filter(|&i| of(i) == filter).for_each(|i| values[i] = 0);
            }
        }
        let scales = if self.values.once_in(4) { 1 } else { filters };
        let scales = (0..scales).map(|_| 0.004 + 0.0003 * self.values.below(20) as f32).collect();
        let mut tensor = Tensor::activation("w", shape.to_vec(), DType::I8);
        tensor.quantization = Some(Quantization::per_channel(scales, axis));
        tensor.data = Some(Data::I8(values));
        self.graph.add_tensor(tensor)
    }

    fn bias(&mut self, channels: usize) -> TensorId {
        let one = |_| self.values.below(4001) as i32 - 2000;
        let values = (0..channels).map(one).collect();
        let mut tensor = Tensor::activation("b", vec![channels], DType::I32);
        tensor.data = Some(Data::I32(values));
        self.graph.add_tensor(tensor)
    }

    /// A layer with weights `[out, …]` or depthwise, with or without a bias.
    pub(crate) fn layer(&mut self, op: Op, x: TensorId, shape: &[usize], dead: bool) -> TensorId {
        let axis = if matches!(op, Op::DepthwiseConv2d { .. }) { 3 } else { 0 };
        let weights = self.weights(shape, axis, dead);
        let mut inputs = vec![x, weights];
        if !self.values.once_in(4) {
            inputs.push(self.bias(shape[axis]));
        }
        let depth = (shape.iter().product::<usize>() / shape[axis]) as f32;
        self.other(op, &inputs, 0.006 * 80.0 * depth.sqrt())
    }

    /// Gives some channels of the layer that writes `y` what converters give to those that never
    /// fire: a scale so small that the bias fills its range, and with it constants of any code.
    pub(crate) fn settle_some(&mut self, y: TensorId) {
        let node = self.graph.nodes[self.graph.producer(y).unwrap()].clone();
        let &[_, weights, bias] = node.inputs.as_slice() else { return };
        for channel in 0..*self.graph[y].shape.last().unwrap() {
            let (settled, sign) = (self.values.once_in(3), 1 - 2 * self.values.below(2) as i32);
            let code = self.values.below(100) as f32;
            let scales = &mut self.graph[weights].quantization.as_mut().unwrap().scales;
            let Some(scale) = scales.get_mut(channel).filter(|_| settled) else { continue };
            *scale = 1e-9 * (1.0 + code);
            if let Some(Data::I32(bias)) = &mut self.graph[bias].data {
                bias[channel] = sign * ((1 << 30) + 77 * channel as i32);
            }
        }
    }

    pub(crate) fn conv(&mut self, x: TensorId, dead: bool) -> TensorId {
        let shape = self.graph[x].shape.clone();
        let kernel = [self.between(1, 3.min(shape[1])), self.between(1, 3.min(shape[2]))];
        let op = Op::Conv2d {
            strides: [1, 1],
            dilation: [1, 1],
            padding: if self.values.once_in(2) { Padding::Same } else { Padding::Valid },
            groups: 1,
            activation: self.clamp(),
        };
        let out = self.between(1, 7);
        self.layer(op, x, &[out, kernel[0], kernel[1], shape[3]], dead)
    }

    pub(crate) fn clamp(&mut self) -> Activation {
        [Activation::Linear, Activation::Relu, Activation::Relu6][self.between(0, 2)]
    }

    /// A function of one code.
    pub(crate) fn unary(&mut self, x: TensorId) -> TensorId {
        let op = match self.values.below(5) {
            0 => Op::Quantize,
            1 => Op::Activation(Activation::Relu),
            2 => Op::Activation(Activation::LeakyRelu { alpha: 0.125 }),
            3 => Op::Activation(Activation::Tanh),
            _ => Op::Activation(Activation::HardSwish),
        };
        self.other(op, &[x], 1.0)
    }

    /// A softmax over the last axis.
    pub(crate) fn softmax(&mut self, x: TensorId) -> TensorId {
        let quantization = Some(Quantization::per_tensor(1.0 / 256.0, -128));
        self.with(Op::Softmax { beta: 1.0 }, &[x], quantization)
    }

    pub(crate) fn finish(mut self, y: TensorId) -> Self {
        self.graph.outputs.push(y);
        self
    }
}

/// The layers and outputs of a blob on a backend.
fn run<B: Backend>(blob: &[u8], inputs: &[Vec<Vec<u8>>]) -> Vec<Vec<u8>> {
    let aligned = AlignedBytes::copy_of(blob);
    let model = Model::from_bytes(aligned.as_slice()).unwrap();
    let mut arena = AlignedBytes::zeros(model.arena_bytes());
    arena.as_mut_slice().fill(0xa5);
    let mut session = Session::<B>::with_backend(model, arena.as_mut_slice()).unwrap();
    let one = |inputs: &Vec<Vec<u8>>| {
        for (i, input) in inputs.iter().enumerate() {
            session.input_bytes(i).copy_from_slice(input);
        }
        session.run();
        (0..model.outputs()).flat_map(|i| session.output_bytes(i).to_vec()).collect()
    };
    inputs.iter().map(one).collect()
}

/// What an inference takes: layers, multiply-accumulates, requantisations, memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cost {
    pub(crate) layers: usize,
    pub(crate) macs: u64,
    pub(crate) requantisations: u64,
    pub(crate) arena: usize,
    /// Maps between layers of which only some rows are in memory.
    pub(crate) kept: usize,
}

/// Compares the graph with nothing rewritten with that after the passes `named` alone, after all passes
/// and after all passes over its blob read back, on every backend. Returns the cost of the
/// first two.
pub(crate) fn compare(net: Net, names: &[&str]) -> [Cost; 2] {
    let Net { graph, mut values } = net;
    graph.validate().unwrap();
    let one = |id: &TensorId| {
        let codes = values.codes(graph[*id].len(), 0);
        bytemuck::cast_slice(&codes).to_vec()
    };
    let mut one = one;
    let inputs: Vec<Vec<Vec<u8>>> =
        (0..RUNS).map(|_| graph.inputs.iter().map(&mut one).collect()).collect();
    let write = |graph: &Graph, target, passes| {
        export(graph, Options { target, passes, strip: true }).unwrap()
    };
    let plain = write(&graph, Target::Portable, Passes::NONE);
    let want = run::<Scalar>(&plain.blob, &inputs);
    let aligned = AlignedBytes::copy_of(&plain.blob);
    let back = blob::read(&Model::from_bytes(aligned.as_slice()).unwrap()).unwrap();
    let named = Passes::named(names);
    for (graph, passes) in [(&graph, named), (&graph, Passes::ALL), (&back, Passes::ALL)] {
        let portable = write(graph, Target::Portable, passes);
        assert_eq!(run::<Scalar>(&portable.blob, &inputs), want, "{names:?}: {graph:?}");
        let packed = write(graph, Target::CortexM, passes);
        assert_eq!(run::<CortexM>(&packed.blob, &inputs), want, "{names:?}, Cortex-M: {graph:?}");
        let native = write(graph, Target::Native, passes);
        assert_eq!(run::<Wide>(&native.blob, &inputs), want, "{names:?}, wide: {graph:?}");
    }
    [plain, write(&graph, Target::Portable, named)].map(|exported| {
        let aligned = AlignedBytes::copy_of(&exported.blob);
        let model = Model::from_bytes(aligned.as_slice()).unwrap();
        Cost {
            layers: model.layers(),
            kept: (0..model.tensors()).filter(|&i| model.tensor(i).kept != 0).count(),
            macs: exported.macs,
            requantisations: exported.requantisations,
            arena: exported.plan.bytes,
        }
    })
}

/// Compares `CASES` graphs, and says in how many the pass made `better` of the cost.
pub(crate) fn better_in(
    pass: &str,
    net: fn(&mut Net) -> TensorId,
    better: fn(&Cost, &Cost) -> bool,
) -> u64 {
    better_with(&[pass], net, better)
}

/// As [`better_in`], with several passes.
pub(crate) fn better_with(
    passes: &[&str],
    net: fn(&mut Net) -> TensorId,
    better: fn(&Cost, &Cost) -> bool,
) -> u64 {
    let one = |seed: u64| {
        let mut grown = Net::new(seed + 1);
        let output = net(&mut grown);
        let [before, after] = compare(grown.finish(output), passes);
        u64::from(better(&after, &before))
    };
    (0..CASES).map(one).sum()
}
