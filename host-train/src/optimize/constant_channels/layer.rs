//! An int8 layer whose output channels are sums of products.

use microconv::quant::{Affine, Multiplier, requantize};
use microconv::window::Window;

use crate::export::{clamp_of, mean_multiplier, multipliers, window};
use crate::graph::{Activation, DType, Data, Graph, Node, Op, Quantization, TensorId};

/// How channels of the input belong to channels of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Every output reads every input: convolution, dense.
    All,
    /// Output `c` reads input `c`: depthwise.
    Each,
}

/// A convolution without groups, a depthwise one or a dense layer with constant int8 weights.
pub(super) struct Layer {
    pub(super) kind: Kind,
    pub(super) weights: Vec<i8>,
    /// One for each output channel.
    pub(super) bias: Vec<i32>,
    /// One, or one for each output channel.
    pub(super) by: Vec<Multiplier>,
    /// Channels of the input.
    pub(super) inputs: usize,
    /// Channels of the output.
    pub(super) outputs: usize,
    /// `None` for a dense layer.
    window: Option<Window>,
    /// Zero points of input and output.
    pub(super) zero: [i32; 2],
    /// The lowest and the highest code.
    pub(super) clamp: (i8, i8),
}

/// How channels pass one by one through an operator without weights.
#[derive(Clone, Copy, Debug)]
pub(super) enum Passage {
    /// With codes between the lowest and the highest that they had.
    Same,
    /// As means of so many codes, on another scale.
    Mean { count: usize, by: Multiplier, zero: [i32; 2] },
}

impl Passage {
    /// How channels pass through `node`; `None` where they do not.
    pub(super) fn through(graph: &Graph, node: &Node) -> Option<Self> {
        let x = &graph[*node.inputs.first()?];
        let channels = x.shape.len().checked_sub(1)?;
        let same = match &node.op {
            Op::MaxPool2d { activation, .. } | Op::AveragePool2d { activation, .. } => {
                *activation == Activation::Linear
            }
            Op::Reshape { shape } => shape.last() == x.shape.last(),
            Op::ReduceMax { axes, .. } => !axes.contains(&channels),
            Op::Mean { axes, .. } if !axes.contains(&channels) => {
                let count = axes.iter().map(|&axis| x.shape[axis]).product();
                return Self::mean(graph, node, count);
            }
            _ => false,
        };
        same.then_some(Self::Same)
    }

    fn mean(graph: &Graph, node: &Node, count: usize) -> Option<Self> {
        let ids = [node.inputs[0], node.outputs[0]];
        let [x, y] = ids.map(|id| zero_point(graph, id).zip(graph[id].quantization.as_ref()));
        let [(from, x), (to, y)] = [x?, y?];
        let affine = |zero_point, scale| Affine { scale, zero_point };
        let by = mean_multiplier(affine(from, x.scale()), affine(to, y.scale()), count);
        // Beyond 32 bits the order of sums would be lost.
        let largest = (255 * count as i64).checked_shl(by.shift.max(0) as u32)?;
        let fits = i32::try_from(largest).is_ok();
        fits.then_some(Self::Mean { count, by, zero: [from, to] })
    }

    /// What becomes of a channel that has this code everywhere.
    pub(super) fn code(self, code: i8) -> i8 {
        match self {
            Self::Same => code,
            Self::Mean { count, by, zero } => {
                let sum = (i32::from(code) - zero[0]) * count as i32;
                requantize(sum, by, zero[1], i8::MIN, i8::MAX)
            }
        }
    }
}

fn zero_point(graph: &Graph, id: TensorId) -> Option<i32> {
    let quantized = graph[id].dtype == DType::I8;
    graph[id].quantization.as_ref().filter(|_| quantized).map(Quantization::zero_point)
}

impl Layer {
    /// `None` for other operators and weights that are not known.
    pub(super) fn of(graph: &Graph, node: &Node) -> Option<Self> {
        let (activation, kind) = match node.op {
            Op::Conv2d { groups: 1, activation, .. } | Op::Dense { activation, .. } => {
                (activation, Kind::All)
            }
            Op::DepthwiseConv2d { multiplier: 1, activation, .. } => (activation, Kind::Each),
            _ => return None,
        };
        let (&[x, w, ..], &[y]) = (node.inputs.as_slice(), node.outputs.as_slice()) else {
            return None;
        };
        let zero = [zero_point(graph, x)?, zero_point(graph, y)?];
        let Some(Data::I8(weights)) = &graph[w].data else { return None };
        let outputs = *graph[y].shape.last()?;
        let bias = match node.inputs.get(2).map(|&id| &graph[id].data) {
            None => vec![0; outputs],
            Some(Some(Data::I32(values))) => values.clone(),
            _ => return None,
        };
        Some(Self {
            kind,
            weights: weights.clone(),
            bias,
            by: multipliers(&graph[x], &graph[w], &graph[y]).ok()?,
            inputs: *graph[x].shape.last()?,
            outputs,
            window: Self::window(graph, node)?,
            zero,
            clamp: clamp_of(activation, &graph[y]).ok()?,
        })
    }

    /// The window of a convolution, no window of a dense layer; `None` where it has none that holds.
    fn window(graph: &Graph, node: &Node) -> Option<Option<Window>> {
        let (strides, dilation, padding) = match node.op {
            Op::Conv2d { strides, dilation, padding, .. }
            | Op::DepthwiseConv2d { strides, dilation, padding, .. } => {
                (strides, dilation, padding)
            }
            _ => return Some(None),
        };
        let &[_, h, w, _] = graph[node.inputs[0]].shape.as_slice() else { return None };
        let &[_, kh, kw, _] = graph[node.inputs[1]].shape.as_slice() else { return None };
        window([kh, kw], strides, dilation, padding, [h, w]).ok().map(Some)
    }

    /// Whether no window touches the padding.
    pub(super) fn is_unpadded(&self) -> bool {
        self.window.is_none_or(|window| window.is_unpadded())
    }

    /// Taps; of a dense layer, cells of its input.
    pub(super) fn taps(&self) -> usize {
        let all = match self.kind {
            Kind::All => self.inputs * self.outputs,
            Kind::Each => self.outputs,
        };
        self.weights.len() / all
    }

    /// The taps that lie inside the input, for each way in which windows meet the border.
    pub(super) fn inside(&self) -> Vec<Vec<usize>> {
        let Some(Window { rows, columns }) = self.window else {
            return vec![(0..self.taps()).collect()];
        };
        let ways = |axis: microconv::window::Axis| {
            let range = |o: usize| (axis.taps(o).first, axis.taps(o).end);
            let mut all: Vec<_> = (0..axis.output).map(range).collect();
            all.sort_unstable();
            all.dedup();
            all
        };
        let (down, across) = (ways(rows), ways(columns));
        let rectangle = |&(top, bottom): &(usize, usize), &(left, right): &(usize, usize)| {
            (top..bottom)
                .flat_map(|ky| (left..right).map(move |kx| (ky, kx)))
                .map(|(ky, kx)| ky * columns.kernel + kx)
                .collect()
        };
        down.iter()
            .flat_map(|rows| across.iter().map(move |columns| rectangle(rows, columns)))
            .collect()
    }

    /// Output channel, tap and input channel of weight `i`.
    pub(super) fn place(&self, i: usize) -> [usize; 3] {
        match self.kind {
            Kind::Each => [i % self.outputs, i / self.outputs, i % self.outputs],
            Kind::All => {
                let depth = self.weights.len() / self.outputs;
                [i / depth, i % depth / self.inputs, i % self.inputs]
            }
        }
    }

    /// The multiplier of an output channel.
    pub(super) fn multiplier(&self, channel: usize) -> Multiplier {
        self.by[if self.by.len() == 1 { 0 } else { channel }]
    }

    /// Whether any weight of input channel `from` is not zero.
    pub(super) fn reads(&self, from: usize) -> bool {
        let reads = |(i, &weight): (usize, &i8)| weight != 0 && self.place(i)[2] == from;
        self.weights.iter().enumerate().any(reads)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A layer of one weight.
    pub(in super::super) fn one_channel(
        weight: i8,
        bias: i32,
        by: Multiplier,
        zero: [i32; 2],
    ) -> Layer {
        Layer {
            kind: Kind::All,
            weights: vec![weight],
            bias: vec![bias],
            by: vec![by],
            inputs: 1,
            outputs: 1,
            window: None,
            zero,
            clamp: (i8::MIN, i8::MAX),
        }
    }
}
