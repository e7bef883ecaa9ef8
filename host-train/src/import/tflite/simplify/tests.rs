use super::*;
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
