use super::*;
use crate::graph::{Data, Quantization};

fn graph_of(shape: &[usize]) -> (Graph, TensorId) {
    let mut graph = Graph::new("test");
    let x = graph.add_tensor(Tensor::activation("x", shape.to_vec(), DType::F32));
    graph.inputs.push(x);
    (graph, x)
}

fn relu(graph: &mut Graph, name: &str, x: TensorId) -> TensorId {
    graph.push(name, Op::Activation(Activation::Relu), &[x]).unwrap()[0]
}

#[test]
fn identities_disappear_and_outputs_keep_their_names() {
    let (mut graph, x) = graph_of(&[1, 2, 1, 3]);
    let same = graph.push("same", Op::Reshape { shape: vec![1, 2, 1, 3] }, &[x]).unwrap()[0];
    let y = relu(&mut graph, "relu", same);
    let moved = graph.push("moved", Op::Transpose { perm: vec![0, 2, 1, 3] }, &[y]).unwrap()[0];
    let tiled = graph.push("result", Op::Tile { multiples: vec![1; 4] }, &[moved]).unwrap()[0];
    graph.outputs.push(tiled);
    drop_identities(&mut graph);
    graph.validate().unwrap();
    let names: Vec<&str> = graph.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["relu", "moved"]);
    assert!(matches!(graph.nodes[1].op, Op::Reshape { .. }));
    assert_eq!(graph.nodes[0].folded, ["same"]);
    assert_eq!(graph[graph.outputs[0]].name, "result");
}

#[test]
fn a_copy_from_input_to_output_is_made() {
    let (mut graph, x) = graph_of(&[1, 3]);
    let y = graph.push("copy", Op::Tile { multiples: vec![1, 1] }, &[x]).unwrap()[0];
    graph.outputs.push(y);
    drop_identities(&mut graph);
    graph.validate().unwrap();
    assert_eq!(graph.nodes.len(), 1);
}

#[test]
fn an_extent_of_one_that_another_axis_passes_is_no_identity() {
    let (mut graph, x) = graph_of(&[2, 2]);
    let y = graph.push("swap", Op::Transpose { perm: vec![1, 0] }, &[x]).unwrap()[0];
    let z = relu(&mut graph, "relu", y);
    graph.outputs.push(z);
    drop_identities(&mut graph);
    assert!(matches!(graph.nodes[0].op, Op::Transpose { .. }));
}

#[test]
fn what_nobody_reads_is_dropped_with_what_only_it_reads() {
    let (mut graph, x) = graph_of(&[1, 3]);
    let unread = relu(&mut graph, "unread", x);
    relu(&mut graph, "also unread", unread);
    let y = relu(&mut graph, "read", x);
    graph.outputs.push(y);
    drop_unread(&mut graph);
    graph.validate().unwrap();
    assert_eq!(graph.nodes.len(), 1);
}

/// A padding of this value in front of an int8 convolution of zero point 5.
fn padded_convolution(value: f32) -> Graph {
    let (mut graph, x) = graph_of(&[1, 4, 4, 1]);
    let scale = Quantization::per_tensor(0.5, 5);
    let pad = Op::Pad {
        before: vec![0, 1, 0, 0],
        after: vec![0, 0, 2, 0],
        mode: PadMode::Constant(value),
    };
    let y = graph.push("pad", pad, &[x]).unwrap()[0];
    let mut weights = Tensor::activation("w", vec![1, 3, 3, 1], DType::I8);
    weights.data = Some(Data::I8(vec![1; 9]));
    weights.quantization = Some(Quantization::per_tensor(1.0, 0));
    let weights = graph.add_tensor(weights);
    let conv = Op::Conv2d {
        strides: [2, 1],
        dilation: [1, 1],
        padding: Padding::Same,
        groups: 1,
        activation: Activation::Linear,
    };
    let z = graph.push("conv", conv, &[y, weights]).unwrap()[0];
    for id in [x, y, z] {
        graph[id].dtype = DType::I8;
        graph[id].quantization = Some(scale.clone());
    }
    graph.outputs.push(z);
    graph
}

#[test]
fn a_convolution_takes_in_the_padding_before_it() {
    let mut graph = padded_convolution(0.0);
    fold_padding(&mut graph);
    graph.validate().unwrap();
    assert_eq!(graph.nodes.len(), 1);
    assert_eq!(graph.nodes[0].folded, ["pad"]);
    let Op::Conv2d { padding, .. } = graph.nodes[0].op else { panic!() };
    // SAME over 5 rows by 2 adds one each; over 6 columns by 1, one each.
    assert_eq!(padding, Padding::Explicit { top: 2, bottom: 1, left: 1, right: 3 });
}

#[test]
fn a_padding_of_another_value_or_of_another_reader_stays() {
    let mut other = padded_convolution(1.0);
    fold_padding(&mut other);
    assert_eq!(other.nodes.len(), 2);

    let mut shared = padded_convolution(0.0);
    let y = shared.nodes[0].outputs[0];
    shared.outputs.push(y);
    fold_padding(&mut shared);
    assert_eq!(shared.nodes.len(), 2);
}
