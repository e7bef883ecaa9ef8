//! Every pass of the optimiser: fused equals pair, on random int8 graphs of odd sizes, any
//! zero points and scales, on every backend, and over blobs that are read back.

mod net;

use host_train::graph::{Activation, Op, PadMode, Padding, ResizeMode, TensorId};
use host_train::optimize::PASSES;
use net::{CASES, Net, better_in, better_with};

/// A map of odd extents.
fn map(net: &mut Net) -> TensorId {
    let shape = [1, net.between(2, 9), net.between(2, 9), net.between(1, 5)];
    net.input(&shape)
}

#[test]
fn paddings_go_into_convolutions() {
    let net = |net: &mut Net| {
        let x = map(net);
        let mut side = || vec![0, net.between(0, 2), net.between(0, 2), 0];
        let (before, after) = (side(), side());
        let pad = Op::Pad { before, after, mode: PadMode::Constant(0.0) };
        let padded = net.same(pad, &[x]);
        net.conv(padded, false)
    };
    assert_eq!(better_in("padding", net, |after, before| after.layers < before.layers), CASES);
}

#[test]
fn reshapes_move_out_of_the_way() {
    let net = |net: &mut Net| {
        let [length, channels] = [net.between(2, 12), net.between(1, 5)];
        let x = net.input(&[1, length, channels]);
        let (before, after) = (vec![0, net.between(0, 3), 0], vec![0, net.between(0, 2), 0]);
        let longer = length + before[1] + after[1];
        let pad = Op::Pad { before, after, mode: PadMode::Constant(0.0) };
        let padded = net.same(pad, &[x]);
        let row = net.between(0, 1) == 1;
        let shape = if row { vec![1, 1, longer, channels] } else { vec![1, longer, 1, channels] };
        let map = net.same(Op::Reshape { shape }, &[padded]);
        let sums = net.conv(map, false);
        let [_, h, w, c] = net.graph[sums].shape[..] else { panic!("a map has four axes") };
        let sequence = net.same(Op::Reshape { shape: vec![1, h * w, c] }, &[sums]);
        let result = net.unary(sequence);
        net.same(Op::Reshape { shape: vec![h * w * c] }, &[result])
    };
    // The padding and the function meet the convolution.
    let passes = ["reshapes", "padding", "activation"];
    let better = better_with(&passes, net, |after, before| after.layers + 2 <= before.layers);
    assert!(better > CASES / 2, "only {better} of {CASES} graphs got smaller");
    better_in("reshapes", net, |_, _| true);
}

#[test]
fn requantisations_are_joined() {
    let net = |net: &mut Net| {
        let x = map(net);
        let one = net.unary(x);
        let two = net.unary(one);
        net.unary(two)
    };
    let better = better_in("requantize", net, |after, before| {
        after.layers == 1 && after.requantisations * 3 == before.requantisations
    });
    assert_eq!(better, CASES);
}

#[test]
fn constant_channels_are_cut_out() {
    let net = |net: &mut Net| {
        let x = map(net);
        let one = net.conv(x, true);
        let two = net.conv(one, true);
        net.conv(two, false)
    };
    let better = better_in("constant-channels", net, |after, before| after.macs < before.macs);
    assert!(better > CASES / 2, "only {better} of {CASES} graphs got smaller");
}

#[test]
fn what_only_feeds_constant_channels_is_cut_out_with_them() {
    let net = |net: &mut Net| {
        let x = map(net);
        let one = net.conv(x, true);
        let depthwise = Op::DepthwiseConv2d {
            strides: [net.between(1, 2), net.between(1, 2)],
            dilation: [1, 1],
            padding: if net.values.once_in(2) {
                Padding::Same
            } else {
                Padding::Explicit {
                    top: net.between(0, 1),
                    bottom: 1,
                    left: 1,
                    right: net.between(0, 2),
                }
            },
            multiplier: 1,
            activation: net.clamp(),
        };
        let shape = net.graph[one].shape.clone();
        let kernel = [shape[1].min(3), shape[2].min(3)];
        let mut two = net.layer(depthwise, one, &[1, kernel[0], kernel[1], shape[3]], true);
        net.settle_some(two);
        let [h, w] = [1, 2].map(|axis| net.graph[two].shape[axis]);
        if net.values.once_in(2) {
            let pool = Op::AveragePool2d {
                window: [h, w],
                strides: [1, 1],
                padding: Padding::Valid,
                activation: Activation::Linear,
            };
            let (axes, keep_dims) = (vec![1, 2], net.values.once_in(2));
            two = match net.values.below(3) {
                0 => net.other(Op::Mean { axes, keep_dims }, &[two], 1.0),
                1 => net.same(Op::ReduceMax { axes, keep_dims }, &[two]),
                _ => net.same(pool, &[two]),
            };
        }
        if net.graph[two].shape.len() == 4 && net.values.once_in(3) {
            return net.conv(two, false);
        }
        let depth = net.graph[two].shape[1..].iter().product();
        let dense = Op::Dense { keep_dims: false, activation: net.clamp() };
        net.layer(dense, two, &[3, depth], false)
    };
    let better = better_in("constant-channels", net, |after, before| after.macs < before.macs);
    assert!(better > CASES / 2, "only {better} of {CASES} graphs got smaller");
}

#[test]
fn nails_become_transposed_convolutions() {
    let net = |net: &mut Net| {
        let x = map(net);
        let strides = [net.between(1, 3), net.between(1, 3)];
        let nailed = net.same(Op::BedOfNails2d { strides }, &[x]);
        net.conv(nailed, false)
    };
    let better = better_in("nails", net, |after, before| after.layers < before.layers);
    assert!(better > CASES / 2, "only {better} of {CASES} graphs got smaller");
}

#[test]
fn activations_go_into_layers() {
    let net = |net: &mut Net| {
        let x = map(net);
        let sums = net.conv(x, false);
        let one = net.unary(sums);
        let channels = net.graph[one].shape[3];
        let depthwise = Op::DepthwiseConv2d {
            strides: [1, 1],
            dilation: [1, 1],
            padding: Padding::Same,
            multiplier: 1,
            activation: Activation::Linear,
        };
        let two = net.layer(depthwise, one, &[1, 3, 3, channels], false);
        net.unary(two)
    };
    let better = better_in("activation", net, |after, before| {
        after.layers == 2 && after.requantisations * 2 == before.requantisations
    });
    assert_eq!(better, CASES);
}

#[test]
fn pools_go_into_convolutions() {
    let net = |net: &mut Net| {
        let x = map(net);
        let mut sums = net.conv(x, false);
        if net.between(0, 3) == 0 {
            sums = net.unary(sums);
        }
        let pool = Op::MaxPool2d {
            window: [net.between(2, 3), net.between(1, 3)],
            strides: [net.between(1, 3), net.between(1, 3)],
            padding: Padding::Same,
            activation: Activation::Linear,
        };
        net.same(pool, &[sums])
    };
    let better = better_in("pool", net, |after, before| after.layers < before.layers);
    assert!(better > CASES / 4, "only {better} of {CASES} graphs got smaller");
}

#[test]
fn upsamplings_go_into_convolutions() {
    let net = |net: &mut Net| {
        let x = map(net);
        let [h, w] = [1, 2].map(|axis| net.graph[x].shape[axis] * net.between(1, 3));
        let up = Op::Resize2d {
            size: [h, w],
            mode: ResizeMode::Nearest,
            align_corners: false,
            half_pixel_centers: net.between(0, 1) == 1,
        };
        let large = net.same(up, &[x]);
        net.conv(large, false)
    };
    let better = better_in("upsample", net, |after, before| after.layers < before.layers);
    assert!(better > CASES / 4, "only {better} of {CASES} graphs got smaller");
    let fewer = better_in("upsample", net, |after, before| after.macs < before.macs);
    assert!(fewer > CASES / 8, "only {fewer} of {CASES} graphs multiply less");
}

#[test]
fn unpoolings_go_into_convolutions() {
    let net = |net: &mut Net| {
        let x = map(net);
        let (window, strides) = ([2, 2], [2, 2]);
        let pool = Op::MaxPool2dWithIndices { window, strides, padding: Padding::Same };
        let pooled = net.same(pool, &[x]);
        let indices = net.graph.nodes.last().unwrap().outputs[1];
        let [h, w] = [1, 2].map(|axis| net.graph[x].shape[axis]);
        let unpool =
            Op::MaxUnpool2d { window, strides, padding: Padding::Same, output_size: [h, w] };
        let large = net.same(unpool, &[pooled, indices]);
        net.conv(large, false)
    };
    let better = better_in("unpool", net, |after, before| after.layers < before.layers);
    assert!(better > CASES / 4, "only {better} of {CASES} graphs got smaller");
}

#[test]
fn functions_of_a_code_work_in_place() {
    let net = |net: &mut Net| {
        let x = map(net);
        let one = net.unary(x);
        net.unary(one)
    };
    assert_eq!(better_in("in-place", net, |after, before| after.arena < before.arena), CASES);
}

#[test]
fn operands_and_softmax_make_room_for_the_result() {
    let net = |net: &mut Net| {
        let x = map(net);
        let (a, b) = (net.unary(x), net.unary(x));
        let (shape, rank) = (net.graph[x].shape.clone(), net.graph[x].shape.len());
        let activation = net.clamp();
        let op = match net.values.below(4) {
            0 => Op::Sub { activation },
            1 => Op::Mul { activation },
            2 => Op::Prelu,
            _ => Op::Add { activation },
        };
        // The second operand may also repeat, and then only the first makes room.
        let b = if net.values.once_in(3) {
            let mut size = shape.clone();
            size[rank - 1] = 1;
            let strides = vec![1; rank];
            net.same(Op::Slice { begin: vec![0; rank], size, strides }, &[b])
        } else {
            b
        };
        // One operand is needed once more afterwards, in half of the cases.
        let sum = net.other(op, &[a, b], 1.5);
        if net.values.once_in(2) {
            net.other(Op::Add { activation: Activation::Linear }, &[a, sum], 1.5)
        } else {
            net.softmax(sum)
        }
    };
    let better = better_in("in-place", net, |after, before| after.arena < before.arena);
    assert!(better > CASES / 2, "only {better} of {CASES} graphs take less memory");
}

#[test]
fn sums_follow_convolutions_in_the_place_of_the_other_operand() {
    let net = |net: &mut Net| {
        let shape = [1, net.between(6, 14), net.between(6, 14), net.between(2, 6)];
        let x = net.input(&shape);
        let same = |net: &mut Net, x: TensorId| {
            let op = Op::Conv2d {
                strides: [1, 1],
                dilation: [1, 1],
                padding: Padding::Same,
                groups: 1,
                activation: net.clamp(),
            };
            let [_, _, _, c] = net.graph[x].shape[..] else { panic!("a map has four axes") };
            let kernel = 1 + 2 * net.between(0, 1);
            net.layer(op, x, &[c, kernel, kernel, c], false)
        };
        let (one, block) = (same(net, x), net.between(1, 2));
        let sums = (0..block).fold(one, |map, _| same(net, map));
        let activation = net.clamp();
        let op = match net.values.below(4) {
            0 => Op::Sub { activation },
            1 => Op::Mul { activation },
            _ => Op::Add { activation },
        };
        let order = if net.values.once_in(2) { [one, sums] } else { [sums, one] };
        let y = net.other(op, &order, 1.5);
        // Now and then the map is needed once more, and stays.
        if net.values.once_in(5) { net.other(Op::Add { activation }, &[y, one], 1.5) } else { y }
    };
    let passes = ["in-place", "bands", "residual"];
    let better = better_with(&passes, net, |after, before| {
        after.kept > before.kept && after.arena < before.arena
    });
    assert!(better > CASES / 4, "only {better} of {CASES} graphs run such a chain");
}

#[test]
fn layers_write_into_a_concatenated_tensor() {
    let net = |net: &mut Net| {
        // Rows of sixteen bytes.
        let shape = [1, net.between(4, 9), 4, 3];
        let x = net.input(&shape);
        let mut parts = Vec::new();
        for _ in 0..net.between(2, 4) {
            let op = Op::Conv2d {
                strides: [1, 1],
                dilation: [1, 1],
                padding: Padding::Valid,
                groups: 1,
                activation: net.clamp(),
            };
            let kernel = net.between(1, 4);
            let part = net.layer(op, x, &[4, kernel, 1, 3], false);
            let first = *parts.first().unwrap_or(&part);
            net.graph[part].quantization = net.graph[first].quantization.clone();
            parts.push(part);
        }
        // A part that cannot be written there, now and then: the rest is copied with it.
        if net.values.once_in(5) {
            parts.push(parts[0]);
        }
        let mut y = net.same(Op::Concat { axis: 1 }, &parts);
        // A concatenation in a concatenation, of another shape.
        if net.values.once_in(2) {
            let rows = net.graph[y].len() / 16;
            y = net.same(Op::Reshape { shape: vec![1, 1, rows, 16] }, &[y]);
            let other = net.unary(parts[0]);
            net.graph[other].quantization = net.graph[y].quantization.clone();
            let rows = net.graph[other].len() / 16;
            let other = net.same(Op::Reshape { shape: vec![1, 1, rows, 16] }, &[other]);
            y = net.same(Op::Concat { axis: 2 }, &[other, y]);
        }
        // A part may be read by itself as well.
        if net.values.once_in(3) {
            let one = net.unary(parts[1]);
            net.graph.outputs.push(one);
        }
        net.unary(y)
    };
    let better = better_in("concat", net, |after, before| after.layers < before.layers);
    assert!(better > CASES / 3, "only {better} of {CASES} graphs copy less");
}

#[test]
fn passes_have_names_of_their_own() {
    let mut names: Vec<&str> = PASSES.iter().map(|pass| pass.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), PASSES.len());
}
