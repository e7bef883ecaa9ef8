//! Fused blobs against those with every layer on its own: every built-in autoencoder,
//! int8 bit for bit on every backend, and less memory.

use conformance::generate::Values;
use host_train::arch::{Architecture, WeightTensor, Weights};
use host_train::calibrate::calibrate;
use host_train::export::{Options, Target, export};
use host_train::graph::{Data, Graph, Op};
use host_train::inspect::summarize;
use host_train::optimize::Passes;
use host_train::quantize::quantize;
use host_train::runner::AlignedBytes;
use microconv::backend::{Backend, CortexM, Scalar, Wide};
use microconv::model::DType;
use microconv::model::format::opcode;
use microconv::{Model, Session};

/// Inputs per model.
const SAMPLES: usize = 6;

/// A built-in architecture with random weights, as floats and quantised.
fn graphs(name: &str) -> [Graph; 2] {
    random(&Architecture::load(name).unwrap(), name.len() as u64 * 77)
}

/// An architecture with random weights, as floats and quantised.
fn random(architecture: &Architecture, seed: u64) -> [Graph; 2] {
    let mut values = Values::new(seed);
    let mut weights = Weights::default();
    for (name, spec) in architecture.weights() {
        let count: usize = spec.shape.iter().product();
        let scale = (2.0 / (count as f32 / spec.shape[0] as f32).max(1.0)).sqrt();
        let values = values.floats(count).into_iter().map(|value| value * scale).collect();
        weights.insert(name, WeightTensor { shape: spec.shape.clone(), values });
    }
    let float = architecture.lower(&weights).unwrap();
    let count = architecture.input.iter().product();
    let samples: Vec<Vec<f32>> =
        (0..4).map(|_| values.floats(count).into_iter().map(f32::abs).collect()).collect();
    let quantized = quantize(&float, &calibrate(&float, &samples).unwrap()).unwrap();
    [float, quantized]
}

/// Output bytes of every sample on a backend.
fn outputs<B: Backend>(blob: &[u8], inputs: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let aligned = AlignedBytes::copy_of(blob);
    let model = Model::from_bytes(aligned.as_slice()).unwrap();
    // As planned, so that a backend falls back where a blob was planned for another target.
    let mut arena = AlignedBytes::zeros(model.arena_bytes());
    let mut session = Session::<B>::with_backend(model, arena.as_mut_slice()).unwrap();
    let run = |input: &Vec<u8>| {
        session.input_bytes(0).copy_from_slice(input);
        session.run();
        session.output_bytes(0).to_vec()
    };
    inputs.iter().map(run).collect()
}

fn opcodes(blob: &[u8]) -> Vec<u32> {
    let aligned = AlignedBytes::copy_of(blob);
    let model = Model::from_bytes(aligned.as_slice()).unwrap();
    (0..model.layers()).map(|i| model.layer_record(i).opcode).collect()
}

fn inputs(graph: &Graph, float: bool) -> Vec<Vec<u8>> {
    let count = graph[graph.inputs[0]].len();
    let mut values = Values::new(5);
    let one = |_| {
        if float {
            bytemuck::cast_slice(&values.floats(count)).to_vec()
        } else {
            bytemuck::cast_slice(&values.codes(count, -128)).to_vec()
        }
    };
    (0..SAMPLES).map(one).collect()
}

/// What is expected of the optimised blob of an architecture, for a portable target.
fn check(name: &str, expected: &[u32]) {
    for graph in graphs(name) {
        let float = graph[graph.inputs[0]].dtype == host_train::graph::DType::F32;
        let inputs = inputs(&graph, float);
        for target in [Target::Portable, Target::CortexM, Target::Native] {
            let options = Options { target, ..Options::default() };
            let plain = export(&graph, Options { passes: Passes::NONE, ..options }).unwrap();
            let fused = export(&graph, options).unwrap();
            assert!(fused.plan.bytes <= plain.plan.bytes, "{name} {target}: more memory");
            if target == Target::Portable {
                assert_eq!(opcodes(&fused.blob), expected, "{name}");
            }
            let want = outputs::<Scalar>(&plain.blob, &inputs);
            let all = [
                outputs::<Scalar>(&fused.blob, &inputs),
                outputs::<CortexM>(&fused.blob, &inputs),
                outputs::<Wide>(&fused.blob, &inputs),
            ];
            for got in all {
                assert_same(&got, &want, float, name);
            }
        }
    }
}

/// Codes equal; floats in (0, 1) but for the order of their sums.
fn assert_same(got: &[Vec<u8>], want: &[Vec<u8>], float: bool, name: &str) {
    if !float {
        assert_eq!(got, want, "{name}");
        return;
    }
    for (got, want) in got.iter().zip(want) {
        let (got, want) = (
            bytemuck::pod_collect_to_vec::<u8, f32>(got),
            bytemuck::pod_collect_to_vec::<u8, f32>(want),
        );
        let far = got.iter().zip(&want).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(far < 2e-6, "{name}: {far}");
    }
}

#[test]
fn nearest_upsampling() {
    check("upsample", &[opcode::CONV_POOL_2D, opcode::CONV_2D, opcode::UPSAMPLE_CONV_2D]);
}

#[test]
fn transposed_convolutions() {
    use opcode::{CONV_POOL_2D, TRANSPOSED_CONV_2D, UPSAMPLE_CONV_2D};
    check("transpose", &[CONV_POOL_2D, TRANSPOSED_CONV_2D, UPSAMPLE_CONV_2D]);
}

#[test]
fn remembered_maxima() {
    use opcode::{CONV_2D, MAX_POOL_2D_WITH_INDICES, UNPOOL_CONV_2D};
    check("max-unpool", &[CONV_2D, MAX_POOL_2D_WITH_INDICES, CONV_2D, CONV_2D, UNPOOL_CONV_2D]);
}

#[test]
fn beds_of_nails() {
    use opcode::{CONV_2D, CONV_POOL_2D, TRANSPOSED_CONV_2D};
    check("bed-of-nails", &[CONV_POOL_2D, CONV_2D, TRANSPOSED_CONV_2D]);
}

/// Pairs over many channels.
const WIDE_PAIRS: &str = r#"
    name = "wide-pairs"
    input = [16, 16, 8]
    [[layers]]
    type = "Conv2D"
    filters = 16
    kernel_size = 3
    padding = "same"
    activation = "relu"
    [[layers]]
    type = "MaxPooling2D"
    pool_size = 2
    [[layers]]
    type = "UpSampling2D"
    size = 2
    [[layers]]
    type = "Conv2D"
    filters = 16
    kernel_size = 3
    padding = "same"
    activation = "relu"
"#;

/// A Cortex-M4 fuses the pairs that it has kernels for and packs the convolutions of others,
/// and what it runs gives the codes of single layers.
#[test]
fn pairs_without_a_kernel_stay_apart_on_a_cortex_m4() {
    use opcode::{CONV_2D, CONV_POOL_2D, MAX_POOL_2D, RESIZE_NEAREST_2D, TRANSPOSED_CONV_2D};
    let strided = Architecture::load("strided-transpose").unwrap();
    let upsample = Architecture::load("upsample").unwrap();
    let wide = Architecture::parse(WIDE_PAIRS, "wide-pairs.toml").unwrap();
    let transposed = [TRANSPOSED_CONV_2D, TRANSPOSED_CONV_2D];
    let [up, pair] = [opcode::UPSAMPLE_CONV_2D, CONV_POOL_2D];
    let cases = [
        (&upsample, vec![pair, CONV_2D, up], vec![pair, CONV_2D, up]),
        (
            &strided,
            [&[pair, pair], &transposed[..], &[CONV_2D]].concat(),
            [&[pair, CONV_2D, MAX_POOL_2D], &transposed[..], &[CONV_2D]].concat(),
        ),
        (&wide, vec![pair, up], vec![CONV_2D, MAX_POOL_2D, RESIZE_NEAREST_2D, CONV_2D]),
    ];
    for (architecture, plain_weights, packed) in cases {
        let [_, graph] = random(architecture, 3);
        let inputs = inputs(&graph, false);
        // Constant channels stay: the kernel of convolution and pool wants them by fours.
        let passes = Passes::named(&["activation", "pool", "upsample"]);
        let with = |target| export(&graph, Options { target, passes, strip: true }).unwrap();
        let plain = Options { passes: Passes::NONE, ..Options::default() };
        let want = outputs::<Scalar>(&export(&graph, plain).unwrap().blob, &inputs);
        let all = [(Target::CortexMSmall, &plain_weights), (Target::CortexM, &packed)];
        for (target, expected) in all {
            let blob = with(target).blob;
            assert_eq!(&opcodes(&blob), expected, "{} {target}", architecture.name);
            assert_eq!(outputs::<CortexM>(&blob, &inputs), want, "{target}");
            assert_eq!(outputs::<Scalar>(&blob, &inputs), want, "{target}");
        }
    }
}

/// A depthwise and pointwise network, a third of whose filters are all zero.
fn with_dead_filters(seed: u64) -> Graph {
    let text = r#"
        name = "dead"
        input = [7, 6, 3]
        [[layers]]
        type = "Conv2D"
        filters = 9
        kernel_size = 3
        padding = "same"
        activation = "relu"
        [[layers]]
        type = "DepthwiseConv2D"
        kernel_size = 3
        padding = "same"
        activation = "relu"
        [[layers]]
        type = "Conv2D"
        filters = 7
        kernel_size = 1
        [[layers]]
        type = "MaxPooling2D"
        pool_size = 2
        [[layers]]
        type = "Conv2D"
        filters = 4
        kernel_size = 1
        [[layers]]
        type = "Conv2D"
        filters = 2
        kernel_size = 3
        padding = "same"
    "#;
    let architecture = Architecture::parse(text, "dead.toml").unwrap();
    let mut values = Values::new(seed);
    let mut weights = Weights::default();
    for (name, spec) in architecture.weights() {
        let count: usize = spec.shape.iter().product();
        let values = values.floats(count);
        weights.insert(name, WeightTensor { shape: spec.shape.clone(), values });
    }
    let mut float = architecture.lower(&weights).unwrap();
    for node in float.nodes.clone() {
        if let Op::Conv2d { .. } = node.op {
            let tensor = &mut float[node.inputs[1]];
            let filters = tensor.shape[0];
            let Some(Data::F32(data)) = &mut tensor.data else { panic!("no weights") };
            let depth = data.len() / filters;
            for (filter, weights) in data.chunks_exact_mut(depth).enumerate() {
                if values.below(3) == 0 && filter + 1 < filters {
                    weights.fill(0.0);
                }
            }
        }
    }
    let count = architecture.input.iter().product();
    let samples: Vec<Vec<f32>> = (0..4).map(|_| values.floats(count)).collect();
    quantize(&float, &calibrate(&float, &samples).unwrap()).unwrap()
}

#[test]
fn dead_filters_are_cut_out() {
    let mut smaller = 0;
    for seed in 1..40 {
        let graph = with_dead_filters(seed);
        let inputs = inputs(&graph, false);
        let plain = Options { passes: Passes::NONE, ..Options::default() };
        let plain = export(&graph, plain).unwrap();
        let cut = export(&graph, Options::default()).unwrap();
        let macs = |blob: &[u8]| {
            let aligned = AlignedBytes::copy_of(blob);
            summarize(&Model::from_bytes(aligned.as_slice()).unwrap()).macs
        };
        smaller += u32::from(macs(&cut.blob) < macs(&plain.blob));
        let want = outputs::<Scalar>(&plain.blob, &inputs);
        assert_eq!(outputs::<Scalar>(&cut.blob, &inputs), want, "{seed}");
        assert_eq!(outputs::<CortexM>(&cut.blob, &inputs), want, "{seed}");
    }
    assert!(smaller > 20, "only {smaller} got smaller");
}

#[test]
fn models_are_quantised() {
    let [float, quantized] = graphs("upsample");
    let dtype = |graph: &Graph| {
        let aligned = AlignedBytes::copy_of(&export(graph, Options::default()).unwrap().blob);
        Model::from_bytes(aligned.as_slice()).unwrap().output(0).dtype
    };
    assert_eq!([dtype(&float), dtype(&quantized)], [DType::F32, DType::I8]);
}
