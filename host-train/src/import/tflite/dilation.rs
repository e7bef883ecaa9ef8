//! Dilated convolutions, recognised in what the converter makes of them when
//! the batch is open: every `d`-th pixel put into a map of its own, a plain
//! convolution over all of these maps, and the pixels put back.

use super::rewrite::{MAX_SIMULATED, moves, simulate};
use crate::graph::{Graph, Node, Op, Padding, TensorId};

/// Longest chain on either side, operators.
const LONGEST: usize = 8;

pub(super) fn recognise_dilation(graph: &mut Graph) {
    let mut index = 0;
    while index < graph.nodes.len() {
        if let Some(found) = find(graph, index) {
            let conv = replace(graph, index, &found);
            crop_less(graph, conv);
            index = conv;
        }
        index += 1;
    }
}

/// The maps before and after the pixels are moved, and how far apart they are.
struct Found {
    source: TensorId,
    result: TensorId,
    /// Operators that go.
    moved: Vec<usize>,
    blocks: [usize; 2],
}

fn find(graph: &Graph, conv: usize) -> Option<Found> {
    let node = &graph.nodes[conv];
    let (Op::Conv2d { strides, dilation, padding, .. }
    | Op::DepthwiseConv2d { strides, dilation, padding, .. }) = &node.op
    else {
        return None;
    };
    if [*strides, *dilation] != [[1, 1]; 2] || *padding != Padding::Valid {
        return None;
    }
    let (x, y) = (node.inputs[0], node.outputs[0]);
    let (source, before, blocks) = apart(graph, x)?;
    let (result, after) = together(graph, y, blocks)?;
    let same = |a: TensorId, b: TensorId| graph[a].quantization == graph[b].quantization;
    let moved = before.into_iter().chain(after).collect();
    (same(source, x) && same(y, result)).then_some(Found { source, result, moved, blocks })
}

/// A map as batch, rows, columns, channels; of a sequence, its `row` of columns.
fn map_of(shape: &[usize], row: bool) -> Option<[usize; 4]> {
    match *shape {
        [n, h, w, c] => Some([n, h, w, c]),
        [n, l, c] if row => Some([n, 1, l, c]),
        [n, l, c] => Some([n, l, 1, c]),
        _ => None,
    }
}

/// The operators that put the pixels of some map into `x`, and their distances.
fn apart(graph: &Graph, x: TensorId) -> Option<(TensorId, Vec<usize>, [usize; 2])> {
    let &[maps, h, w, c] = graph[x].shape.as_slice() else { return None };
    let (mut chain, mut source) = (Vec::new(), x);
    while chain.len() < LONGEST {
        let producer = graph.producer(source)?;
        let node = &graph.nodes[producer];
        let alone = graph.consumers(source).len() == 1 && !graph.outputs.contains(&source);
        if !moves(&node.op) || matches!(node.op, Op::Tile { .. }) || !alone {
            return None;
        }
        chain.push(producer);
        source = node.inputs[0];
        let Some([n, big_h, big_w, big_c]) = map_of(&graph[source].shape, h == 1) else { continue };
        let blocks = [big_h / h, big_w / w];
        let fits = [n * blocks[0] * blocks[1], h * blocks[0], w * blocks[1], c];
        if maps <= n || fits != [maps, big_h, big_w, big_c] || graph[x].len() > MAX_SIMULATED {
            continue;
        }
        let mut order = chain.iter().rev().copied();
        let indices = walk(graph, &mut order, graph[x].len());
        let place = |i: usize| {
            let (channel, column, row, map) = (i % c, i / c % w, i / c / w % h, i / c / w / h);
            let (row, column) =
                (row * blocks[0] + map / n / blocks[1], column * blocks[1] + map / n % blocks[1]);
            (((map % n) * big_h + row) * big_w + column) * c + channel
        };
        if indices.iter().enumerate().all(|(i, &index)| index as usize == place(i)) {
            return Some((source, chain, blocks));
        }
    }
    None
}

/// The operators that put the pixels of `y` back.
fn together(graph: &Graph, y: TensorId, blocks: [usize; 2]) -> Option<(TensorId, Vec<usize>)> {
    let &[maps, h, w, c] = graph[y].shape.as_slice() else { return None };
    let (mut chain, mut result) = (Vec::new(), y);
    while chain.len() < LONGEST && !graph.outputs.contains(&result) {
        let &[next] = graph.consumers(result).as_slice() else { return None };
        let node = &graph.nodes[next];
        if !moves(&node.op) || matches!(node.op, Op::Tile { .. }) {
            return None;
        }
        chain.push(next);
        result = node.outputs[0];
        let wanted = [h * blocks[0], w * blocks[1], c];
        let Some([n, big_h, big_w, big_c]) = map_of(&graph[result].shape, h == 1) else { continue };
        if [big_h, big_w, big_c] != wanted || graph[y].len() > MAX_SIMULATED {
            continue;
        }
        let indices = walk(graph, &mut chain.iter().copied(), graph[y].len());
        let place = |i: usize| {
            let (channel, column, row, image) =
                (i % c, i / c % big_w, i / c / big_w % big_h, i / c / big_w / big_h);
            let map = (row % blocks[0] * blocks[1] + column % blocks[1]) * n + image;
            ((map * h + row / blocks[0]) * w + column / blocks[1]) * c + channel
        };
        if maps == n * blocks[0] * blocks[1]
            && indices.iter().enumerate().all(|(i, &index)| index as usize == place(i))
        {
            return Some((result, chain));
        }
    }
    None
}

/// Where the elements come from that a chain of operators moves.
fn walk(graph: &Graph, chain: &mut dyn Iterator<Item = usize>, count: usize) -> Vec<u32> {
    chain.fold((0..count as u32).collect(), |values, index| {
        let node = &graph.nodes[index];
        let shapes = [&graph[node.inputs[0]].shape, &graph[node.outputs[0]].shape];
        simulate(&node.op, &values, shapes[0], shapes[1])
    })
}

/// One dilated convolution in place of convolution `conv` and what moves pixels
/// around it; where it stands then.
fn replace(graph: &mut Graph, conv: usize, found: &Found) -> usize {
    let mut node = graph.nodes[conv].clone();
    if let Op::Conv2d { dilation, .. } | Op::DepthwiseConv2d { dilation, .. } = &mut node.op {
        *dilation = found.blocks;
    }
    node.folded.extend(found.moved.iter().map(|&i| graph.nodes[i].name.clone()));
    let [x, y] = [node.inputs[0], node.outputs[0]];
    let row = graph[x].shape[1] == 1;
    let mut nodes = Vec::new();
    for (map, outside) in [(x, found.source), (y, found.result)] {
        if let Some(shape) = map_of(&graph[outside].shape, row) {
            graph.tensors[map.0].shape = shape.to_vec();
        }
    }
    let reshape = |graph: &Graph, from: TensorId, to: TensorId| Node {
        name: graph[to].name.clone(),
        op: Op::Reshape { shape: graph[to].shape.clone() },
        inputs: vec![from],
        outputs: vec![to],
        folded: Vec::new(),
    };
    if graph[found.source].shape.len() == 4 {
        node.inputs[0] = found.source;
    } else {
        nodes.push(reshape(graph, found.source, x));
    }
    let place = nodes.len();
    if graph[found.result].shape.len() == 4 {
        node.outputs[0] = found.result;
        node.name.clone_from(&graph[found.result].name);
        nodes.push(node);
    } else {
        nodes.push(node);
        nodes.push(reshape(graph, y, found.result));
    }
    let gone_before = found.moved.iter().filter(|&&i| i < conv).count();
    let (mut index, mut replacement) = (0, Some(nodes));
    graph.nodes = std::mem::take(&mut graph.nodes)
        .into_iter()
        .flat_map(|node| {
            index += 1;
            match index - 1 {
                i if i == conv => replacement.take().unwrap_or_default(),
                i if found.moved.contains(&i) => Vec::new(),
                _ => vec![node],
            }
        })
        .collect();
    conv - gone_before + place
}

/// Pads less at the end where the result is cropped there.
fn crop_less(graph: &mut Graph, conv: usize) {
    let node = &graph.nodes[conv];
    let chain = |id: TensorId| match graph.consumers(id).as_slice() {
        &[next] if !graph.outputs.contains(&id) => Some(next),
        _ => None,
    };
    let through = |index: usize| matches!(graph.nodes[index].op, Op::Reshape { .. });
    // The tensors that shrink, from the padded map to the one that is cropped.
    let mut shrinking = vec![node.inputs[0], node.outputs[0]];
    let Some(mut pad) = graph.producer(node.inputs[0]) else { return };
    if through(pad) {
        let Some(before) = graph.producer(graph.nodes[pad].inputs[0]) else { return };
        shrinking.push(graph.nodes[pad].inputs[0]);
        pad = before;
    }
    let Some(mut crop) = chain(node.outputs[0]) else { return };
    if through(crop) {
        shrinking.push(graph.nodes[crop].outputs[0]);
        let Some(after) = chain(graph.nodes[crop].outputs[0]) else { return };
        crop = after;
    }
    let Op::Slice { begin, size, strides } = &graph.nodes[crop].op else { return };
    let whole = graph[graph.nodes[crop].inputs[0]].shape.clone();
    let plain = begin.iter().all(|&first| first == 0) && strides.iter().all(|&step| step == 1);
    let cut: Vec<usize> = whole.iter().zip(size).map(|(&whole, &size)| whole - size).collect();
    let Op::Pad { after, .. } = &graph.nodes[pad].op else { return };
    let alone = shrinking.iter().all(|&id| graph.consumers(id).len() == 1);
    let enough =
        after.len() == cut.len() && after.iter().zip(&cut).all(|(after, cut)| after >= cut);
    if !plain || !alone || !enough {
        return;
    }
    let rank = cut.len();
    let row = graph[graph.nodes[conv].inputs[0]].shape[1] == 1;
    if let Op::Pad { after, .. } = &mut graph.nodes[pad].op {
        after.iter_mut().zip(&cut).for_each(|(after, cut)| *after -= cut);
    }
    for &id in &shrinking {
        let shape = &mut graph.tensors[id.0].shape;
        let four = shape.len() > rank;
        for (axis, cut) in cut.iter().enumerate() {
            let moved = usize::from(four && (axis == 2 || axis == 1 && row));
            shape[axis + moved] -= cut;
        }
    }
    for node in &mut graph.nodes {
        let output = node.outputs[0];
        if let (Op::Reshape { shape }, true) = (&mut node.op, shrinking.contains(&output)) {
            shape.clone_from(&graph.tensors[output.0].shape);
        }
    }
}
