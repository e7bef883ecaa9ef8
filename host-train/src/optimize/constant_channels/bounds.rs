//! The codes that each channel of a map can hold.

use std::collections::BTreeMap;

use microconv::quant::{Multiplier, requantize};

use super::layer::{Layer, Passage};
use crate::graph::{Graph, TensorId};

/// The lowest and the highest code of each channel.
pub(super) type Bounds = BTreeMap<TensorId, Vec<(i8, i8)>>;

/// The bounds of a map; what nothing is known of holds any code.
const ANY: (i8, i8) = (i8::MIN, i8::MAX);

/// Bounds of the outputs of layers and of what their channels pass through.
pub(super) fn of(graph: &Graph) -> Bounds {
    let mut bounds = Bounds::new();
    for node in &graph.nodes {
        let found = match Layer::of(graph, node) {
            Some(layer) => {
                let any = vec![ANY; layer.inputs];
                let input = bounds.get(&node.inputs[0]).unwrap_or(&any);
                layer_bounds(&layer, input)
            }
            None => {
                let input = node.inputs.first().and_then(|id| bounds.get(id));
                let Some((input, passage)) = input.zip(Passage::through(graph, node)) else {
                    continue;
                };
                let through = |&(low, high): &(i8, i8)| (passage.code(low), passage.code(high));
                input.iter().map(through).collect()
            }
        };
        bounds.insert(node.outputs[0], found);
    }
    bounds
}

/// The code of a channel that is constant.
pub(super) fn constant(bounds: &Bounds, id: TensorId, channel: usize) -> Option<i8> {
    let &(low, high) = bounds.get(&id)?.get(channel)?;
    (low == high).then_some(low)
}

fn layer_bounds(layer: &Layer, input: &[(i8, i8)]) -> Vec<(i8, i8)> {
    let taps = layer.taps();
    let mut sums = vec![[0i64; 2]; layer.outputs * taps];
    for (i, &weight) in layer.weights.iter().enumerate() {
        let [output, tap, from] = layer.place(i);
        let (low, high) = input[from];
        let [a, b] = [low, high]
            .map(|code| i64::from(weight) * (i64::from(code) - i64::from(layer.zero[0])));
        let sum = &mut sums[output * taps + tap];
        *sum = [sum[0] + a.min(b), sum[1] + a.max(b)];
    }
    let inside = layer.inside();
    let channel = |(output, sums): (usize, &[[i64; 2]])| {
        let one = |taps: &Vec<usize>| {
            let bias = i64::from(layer.bias[output]);
            let sum = |end: usize| bias + taps.iter().map(|&tap| sums[tap][end]).sum::<i64>();
            codes([sum(0), sum(1)], layer, output)
        };
        let all = inside.iter().map(one);
        all.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))).unwrap_or(layer.clamp)
    };
    sums.chunks_exact(taps).enumerate().map(channel).collect()
}

/// The codes that sums between two bounds become.
fn codes(sums: [i64; 2], layer: &Layer, output: usize) -> (i8, i8) {
    let by = layer.multiplier(output);
    let (min, max) = layer.clamp;
    // Beyond these a sum or its left shift wraps, and the order is lost.
    let fits = |sum: i64| i32::try_from(sum << by.shift.max(0)).is_ok();
    if !sums.into_iter().all(fits) {
        return (min, max);
    }
    let [low, high] = sums.map(|sum| code(sum as i32, by, layer));
    (low, high)
}

fn code(sum: i32, by: Multiplier, layer: &Layer) -> i8 {
    let (min, max) = layer.clamp;
    requantize(sum, by, layer.zero[1], min, max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optimize::constant_channels::layer::tests::one_channel;

    #[test]
    fn bounds_are_reached() {
        // Sums −256…254 after a bias of 1, a quarter of them, zero point 3.
        let quarter = Multiplier { mantissa: 1 << 30, shift: -1 };
        let layer = one_channel(2, 1, quarter, [0, 3]);
        assert_eq!(layer_bounds(&layer, &[ANY]), [(-61, 67)]);
        assert_eq!(layer_bounds(&layer, &[(5, 5)]), [(6, 6)]);
        // A bias that the weight cannot move over a boundary.
        let tiny = Multiplier { mantissa: 1 << 30, shift: -27 };
        let layer = one_channel(2, 1 << 30, tiny, [0, 0]);
        assert_eq!(layer_bounds(&layer, &[ANY]), [(4, 4)]);
        // A left shift that wraps bounds nothing.
        let huge = Multiplier { mantissa: 1 << 30, shift: 24 };
        let layer = one_channel(2, 0, huge, [0, 0]);
        assert_eq!(layer_bounds(&layer, &[ANY]), [ANY]);
    }
}
