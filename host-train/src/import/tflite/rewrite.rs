//! Keras 3's `UpSampling2D`, recognised in what the converter makes of it.
//!
//! A chain of reshapes, tiles and transposes from a map to a larger map is run
//! on the indices of its input; when the result is that of a nearest
//! upsampling, element by element, the chain becomes one.

use crate::graph::{Graph, Node, Op, ResizeMode, TensorId};

/// Longest chain looked at.
const LONGEST: usize = 8;
/// Largest output that is simulated, elements.
pub(super) const MAX_SIMULATED: usize = 1 << 22;

pub(super) fn recognise_upsampling(graph: &mut Graph) {
    let mut start = 0;
    while start < graph.nodes.len() {
        if let Some((chain, size)) = find(graph, start) {
            replace(graph, &chain, size);
        }
        start += 1;
    }
}

pub(super) fn moves(op: &Op) -> bool {
    matches!(op, Op::Reshape { .. } | Op::Tile { .. } | Op::Transpose { .. })
}

/// The longest chain from node `start` on that is a nearest upsampling, and its output size.
fn find(graph: &Graph, start: usize) -> Option<(Vec<usize>, [usize; 2])> {
    let source = *graph.nodes[start].inputs.first()?;
    if !moves(&graph.nodes[start].op) || graph[source].len() > MAX_SIMULATED {
        return None;
    }
    let &[n, h, w, c] = graph[source].shape.as_slice() else { return None };
    let mut chain = Vec::new();
    let mut values: Vec<u32> = (0..graph[source].len() as u32).collect();
    let mut current = start;
    let mut best = None;
    while chain.len() < LONGEST && moves(&graph.nodes[current].op) {
        let node = &graph.nodes[current];
        let (from, to) = (&graph[node.inputs[0]].shape, &graph[node.outputs[0]].shape);
        if graph[node.outputs[0]].len() > MAX_SIMULATED {
            break;
        }
        values = simulate(&node.op, &values, from, to);
        chain.push(current);
        if let &[on, oh, ow, oc] = to.as_slice()
            && (on, oc) == (n, c)
            && oh.is_multiple_of(h)
            && ow.is_multiple_of(w)
            && oh * ow > h * w
            && is_nearest(&values, [h, w, c], [oh, ow])
        {
            best = Some((chain.clone(), [oh, ow]));
        }
        if graph.outputs.contains(&node.outputs[0]) {
            break;
        }
        match graph.consumers(node.outputs[0]).as_slice() {
            [next] => current = *next,
            _ => break,
        }
    }
    best
}

/// Moves values as a reshape, tile or transpose does.
pub(super) fn simulate(op: &Op, values: &[u32], from: &[usize], to: &[usize]) -> Vec<u32> {
    let strides: Vec<usize> = (0..from.len()).map(|i| from[i + 1..].iter().product()).collect();
    let read = |index: &[usize]| -> usize {
        match op {
            Op::Tile { .. } => (0..from.len()).map(|i| index[i] % from[i] * strides[i]).sum(),
            Op::Transpose { perm } => (0..perm.len()).map(|i| index[i] * strides[perm[i]]).sum(),
            _ => 0,
        }
    };
    if matches!(op, Op::Reshape { .. }) {
        return values.to_vec();
    }
    let count: usize = to.iter().product();
    let mut index = vec![0; to.len()];
    (0..count)
        .map(|_| {
            let value = values[read(&index)];
            for axis in (0..to.len()).rev() {
                index[axis] += 1;
                if index[axis] < to[axis] {
                    break;
                }
                index[axis] = 0;
            }
            value
        })
        .collect()
}

fn is_nearest(values: &[u32], [h, w, c]: [usize; 3], [oh, ow]: [usize; 2]) -> bool {
    values.iter().enumerate().all(|(i, &value)| {
        let (channel, x, y, n) = (i % c, i / c % ow, i / c / ow % oh, i / c / ow / oh);
        value as usize == ((n * h + y * h / oh) * w + x * w / ow) * c + channel
    })
}

fn replace(graph: &mut Graph, chain: &[usize], size: [usize; 2]) {
    let (Some(&first), Some(&last)) = (chain.first(), chain.last()) else { return };
    let output: TensorId = graph.nodes[last].outputs[0];
    let node = Node {
        name: graph[output].name.clone(),
        op: Op::Resize2d {
            size,
            mode: ResizeMode::Nearest,
            align_corners: false,
            half_pixel_centers: false,
        },
        inputs: vec![graph.nodes[first].inputs[0]],
        outputs: vec![output],
        folded: chain
            .iter()
            .map(|&i| graph.nodes[i].name.clone())
            .filter(|name| *name != graph[output].name)
            .collect(),
    };
    // Moving codes keeps their scale, whatever the converter wrote on the way.
    graph.nodes[last] = node;
    let mut index = 0;
    let gone: Vec<usize> = chain.iter().copied().filter(|&i| i != last).collect();
    graph.nodes.retain(|_| {
        index += 1;
        !gone.contains(&(index - 1))
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{DType, Tensor};

    /// What Keras 3 makes of `UpSampling2D((2, 3))`, the tile of the columns at axis `axis`.
    fn keras(axis: usize) -> Graph {
        let mut graph = Graph::new("keras");
        let x = graph.add_tensor(Tensor::activation("x", vec![1, 4, 5, 2], DType::F32));
        graph.inputs.push(x);
        let mut columns = vec![1; 5];
        columns[axis] = 3;
        let widened = if axis == 3 { vec![1, 8, 15, 2] } else { vec![1, 8, 5, 6] };
        let steps = [
            Op::Reshape { shape: vec![1, 4, 1, 5, 2] },
            Op::Tile { multiples: vec![1, 1, 2, 1, 1] },
            Op::Reshape { shape: vec![1, 8, 5, 1, 2] },
            Op::Tile { multiples: columns },
            Op::Reshape { shape: widened },
        ];
        let last = steps
            .into_iter()
            .enumerate()
            .fold(x, |from, (i, op)| graph.push(format!("step{i}"), op, &[from]).unwrap()[0]);
        graph.outputs.push(last);
        graph
    }

    #[test]
    fn keras_upsampling_becomes_one_nearest_resize() {
        let mut graph = keras(3);
        recognise_upsampling(&mut graph);
        graph.validate().unwrap();
        assert_eq!(graph.nodes.len(), 1);
        let Op::Resize2d { size, mode: ResizeMode::Nearest, .. } = graph.nodes[0].op else {
            panic!("{:?}", graph.nodes[0].op)
        };
        assert_eq!(size, [8, 15]);
    }

    #[test]
    fn a_tile_of_channels_is_left_alone() {
        let mut graph = keras(4);
        recognise_upsampling(&mut graph);
        graph.validate().unwrap();
        assert!(graph.nodes.iter().any(|node| matches!(node.op, Op::Tile { .. })));
    }
}
