use super::*;
use crate::graph::{Activation, Graph, Op};

/// Weights that count up, so that a swap shows.
fn counting(architecture: &Architecture) -> Weights {
    architecture
        .weights()
        .map(|(name, spec)| {
            let values = (0..spec.len()).map(|i| (i % 251) as f32 / 100.0 + 0.5).collect();
            (name, WeightTensor { shape: spec.shape.clone(), values })
        })
        .collect()
}

fn lowered(text: &str) -> (Architecture, Graph) {
    let architecture = Architecture::parse(text, "net.toml").unwrap();
    let graph = architecture.lower(&counting(&architecture)).unwrap();
    (architecture, graph)
}

fn error(text: &str) -> String {
    format!("{:#}", Architecture::parse(text, "net.toml").expect_err("the text is wrong"))
}

fn names(graph: &Graph) -> Vec<&str> {
    graph.nodes.iter().map(|node| node.name.as_str()).collect()
}

#[test]
fn built_ins_lower_and_count_as_keras_does() {
    // From Keras' `count_params`; max-unpool, bed-of-nails by the same formula.
    let expected = [
        ("upsample", 160 + 580 + 37),
        ("transpose", 160 + 580 + 37),
        ("strided-transpose", 160 + 1160 + 584 + 1168 + 145),
        ("max-unpool", 160 + 580 + 592 + 145),
        ("bed-of-nails", 160 + 580 + 37),
        ("dense", 25_120 + 25_872),
        ("dilated", 160 + 580 + 37),
    ];
    assert!(Architecture::built_in_names().eq(expected.iter().map(|(name, _)| *name)));
    for (name, parameters) in expected {
        let architecture = Architecture::load(name).unwrap();
        assert_eq!(architecture.name, name);
        assert_eq!(architecture.parameters(), (parameters, 0), "{name}");
        assert_eq!(architecture.output_shape(), [28, 28, 1], "{name}");
        let graph = architecture.lower(&counting(&architecture)).unwrap();
        assert_eq!(graph[graph.outputs[0]].shape, [1, 28, 28, 1], "{name}");
    }
}

#[test]
fn nodes_have_keras_names_and_clamps_are_fused() {
    let architecture = Architecture::load("upsample").unwrap();
    let graph = architecture.lower(&counting(&architecture)).unwrap();
    assert_eq!(
        names(&graph),
        ["conv2d", "max_pooling2d", "conv2d_1", "up_sampling2d", "conv2d_2", "conv2d_2/sigmoid"]
    );
    let activations: Vec<_> = graph
        .nodes
        .iter()
        .filter_map(|node| match node.op {
            Op::Conv2d { activation, .. } | Op::Activation(activation) => Some(activation),
            _ => None,
        })
        .collect();
    let (relu, linear) = (Activation::Relu, Activation::Linear);
    assert_eq!(activations, [relu, relu, linear, Activation::Sigmoid]);
}

#[test]
fn unpool_reads_the_indices_of_its_pool() {
    let architecture = Architecture::load("max-unpool").unwrap();
    let graph = architecture.lower(&counting(&architecture)).unwrap();
    let find = |wanted: &str| graph.nodes.iter().find(|node| node.op.name() == wanted).unwrap();
    let (pool, unpool) = (find("MaxPooling2D+indices"), find("MaxUnpooling2D"));
    assert_eq!(unpool.inputs[1], pool.outputs[1]);
}

const NORM: &str = r#"
input = [6, 5, 2]
[[layers]]
type = "Conv2D"
filters = 3
kernel_size = [3, 2]
use_bias = false
[[layers]]
type = "BatchNormalization"
[[layers]]
type = "ReLU"
max_value = 6
"#;

#[test]
fn batch_norm_folds_into_the_convolution_before_it() {
    let (architecture, graph) = lowered(NORM);
    assert_eq!(names(&graph), ["conv2d"]);
    assert_eq!(graph.nodes[0].folded, ["batch_normalization", "re_lu"]);
    assert!(matches!(graph.nodes[0].op, Op::Conv2d { activation: Activation::Relu6, .. }));
    // Keras counts the moving statistics as parameters that do not train.
    assert_eq!(architecture.layers[1].parameters(), (6, 6));
    let [gamma, beta, mean, variance]: [f32; 4] = [0.51, 0.51, 0.51, 0.51];
    let scale = gamma / (variance + 1e-3).sqrt();
    let kernel = graph[graph.nodes[0].inputs[1]].f32_data().unwrap();
    let bias = graph[graph.nodes[0].inputs[2]].f32_data().unwrap();
    // Channel 1 of the kernel starts after 3 · 2 · 2 values.
    assert!((kernel[12] - 0.62 * scale).abs() < 1e-6);
    assert!((bias[1] - (beta - mean * scale)).abs() < 1e-6);
}

#[test]
fn batch_norm_after_a_clamp_stands_alone() {
    let text = NORM.replace("use_bias = false", "activation = \"relu\"");
    let (_, graph) = lowered(&text);
    assert_eq!(
        names(&graph),
        ["conv2d", "batch_normalization/mul", "batch_normalization/add", "re_lu"]
    );
}

#[test]
fn depthwise_batch_norm_scales_the_last_axis() {
    let text = NORM.replace("Conv2D\"\nfilters = 3", "DepthwiseConv2D\"\ndepth_multiplier = 2");
    let (_, graph) = lowered(&text);
    let kernel = graph[graph.nodes[0].inputs[1]].f32_data().unwrap();
    let scale = |channel: usize| {
        let value = channel as f32 / 100.0 + 0.5;
        value / (value + 1e-3).sqrt()
    };
    assert!((kernel[6] - 0.56 * scale(2)).abs() < 1e-6, "second tap, third of four channels");
}

#[test]
fn transposed_sizes_are_keras() {
    let size = |arguments: &str| {
        let text = format!(
            "input = [5, 6, 3]\n[[layers]]\ntype = \"Conv2DTranspose\"\nfilters = 2\n{arguments}"
        );
        Architecture::parse(&text, "net.toml").unwrap().output_shape().to_vec()
    };
    assert_eq!(size("kernel_size = 3\nstrides = 2\npadding = \"same\""), [10, 12, 2]);
    assert_eq!(size("kernel_size = 3\nstrides = 2"), [11, 13, 2]);
    assert_eq!(size("kernel_size = 2\nstrides = 3"), [15, 18, 2]);
    assert_eq!(
        size("kernel_size = 3\nstrides = 2\npadding = \"same\"\noutput_padding = 0"),
        [9, 11, 2]
    );
}

#[test]
fn errors_name_the_line_and_what_was_expected() {
    let layer = |text: &str| error(&format!("input = [8, 8, 1]\n\n[[layers]]\n{text}"));
    let cases = [
        (
            layer("type = \"Conv2d\"\nfilters = 3"),
            "net.toml: line 4: unknown layer type `Conv2d`; did you mean `Conv2D`? known: Conv2D, ",
        ),
        (
            layer("type = \"Conv2D\"\nfilters = 3\nkernal_size = 3"),
            "line 6: Conv2D has no argument `kernal_size`; did you mean `kernel_size`? it takes: filters, ",
        ),
        (layer("type = \"Conv2D\"\nfilters = 3"), "line 3: Conv2D needs `kernel_size`"),
        (
            layer("type = \"Conv2D\"\nfilters = -3\nkernel_size = 3"),
            "line 5: `filters` of Conv2D must be a whole number",
        ),
        (
            layer("type = \"Conv2D\"\nfilters = 3\nkernel_size = 3\npadding = \"full\""),
            "line 7: `padding` of Conv2D must be one of \"valid\", \"same\"",
        ),
        (
            layer("type = \"Conv2D\"\nfilters = 3\nkernel_size = 9"),
            "line 3: layer `conv2d`: a window of 9 does not fit 8 cells",
        ),
        (
            layer("type = \"Reshape\"\ntarget_shape = [3, 3, 1]"),
            "line 3: layer `reshape`: cannot reshape",
        ),
        (layer("type = \"MaxUnpooling2D\"\npool = \"p\""), "line 3: no MaxPooling2D called `p`"),
        (layer("type = \"Dense\"\nunits = 4\nname = \"a b\""), "line 3: the name `a b`"),
        (layer("filters = 3"), "line 3: a layer needs `type`"),
        (error("input = [8, 8]\nlayers = []"), "line 1: `input` must be [height, width, channels]"),
        (error("input = [8, 8, 1]"), "line 1: the architecture needs `layers`"),
        (error("input = [8, 8, 1]\nlayers = 3"), "line 2: `layers` must be tables"),
        (error("input = [8, 8, 1\n"), "is no valid TOML"),
        (
            error("inputs = [8, 8, 1]"),
            "line 1: the architecture has no argument `inputs`; did you mean `input`?",
        ),
    ];
    for (message, expected) in cases {
        assert!(message.contains(expected), "{message}\n  should contain\n{expected}");
        assert!(!message.contains('\n'), "{message}");
    }
    let missing = format!("{:#}", Architecture::load("upsampel").unwrap_err());
    assert!(missing.contains("neither a built-in architecture nor a file"), "{missing}");
}

#[test]
fn huge_extents_are_refused() {
    let text = "input = [65535, 65535, 1]\n[[layers]]\ntype = \"Flatten\"";
    assert!(error(text).contains("line 1"));
    let text = "input = [1000, 1000, 1]\n[[layers]]\ntype = \"UpSampling2D\"\nsize = 65535";
    assert!(error(text).contains("layer `up_sampling2d`"));
}

#[test]
fn weights_that_do_not_fit_are_named() {
    let architecture = Architecture::load("upsample").unwrap();
    let mut weights = counting(&architecture);
    weights.get_mut("conv2d_1/bias").unwrap().shape = vec![5];
    let message = architecture.lower(&weights).unwrap_err().to_string();
    assert!(message.contains("`conv2d_1/bias` has shape [5]"), "{message}");
    weights.remove("conv2d_1/bias");
    let message = architecture.lower(&weights).unwrap_err().to_string();
    assert!(message.contains("`conv2d_1/bias` is missing"), "{message}");
}
