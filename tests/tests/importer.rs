//! What the importer folds, drops and renames: the numbers stay TensorFlow's.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use host_train::export::{Options, Target, export};
use host_train::graph::{Graph, Op, ResizeMode};
use host_train::import::tflite;
use host_train::optimize::{Passes, optimize};
use host_train::runner::AlignedBytes;
use microconv::backend::{Backend, CortexM, Scalar, Wide};
use microconv::model::DType;
use microconv::{Model, Session};
use npyz::npz::NpzArchive;

/// Relative error of f32 models: a few ulp of short sums.
const F32_TOLERANCE: f32 = 1e-5;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/importer")
}

fn cases() -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder()).unwrap().map(|file| file.unwrap().path());
    let mut models: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|e| e == "tflite")).collect();
    models.sort();
    models
}

fn graph(name: &str) -> Graph {
    let bytes = std::fs::read(folder().join(format!("{name}.tflite"))).unwrap();
    optimize(&tflite::read(&bytes).unwrap(), Passes::named(&["padding"]))
}

/// The runs of array `name` of a case, as bytes of elements of this type.
fn runs(archive: &mut NpzArchive<Cursor<Vec<u8>>>, name: &str, dtype: DType) -> Vec<Vec<u8>> {
    let file = archive.by_name(name).unwrap().unwrap();
    let count = file.shape()[0] as usize;
    let bytes: Vec<u8> = match dtype {
        DType::F32 => bytemuck::cast_slice(&file.into_vec::<f32>().unwrap()).to_vec(),
        _ => bytemuck::cast_slice(&file.into_vec::<i8>().unwrap()).to_vec(),
    };
    bytes.chunks(bytes.len() / count).map(<[u8]>::to_vec).collect()
}

fn check<B: Backend>(case: &Path, optimize: bool, target: Target) {
    let name = format!("{} on {} (optimize {optimize})", case.display(), B::NAME);
    let bytes = std::fs::read(case).unwrap();
    let graph = tflite::read(&bytes).unwrap_or_else(|why| panic!("{name}: {why}"));
    let exported =
        export(&graph, Options { target, passes: Passes::all_if(optimize), strip: true })
            .unwrap_or_else(|why| panic!("{name}: {why}"));
    let blob = AlignedBytes::copy_of(&exported.blob);
    let model = Model::from_bytes(blob.as_slice()).unwrap();
    let mut arena = AlignedBytes::zeros(model.arena_bytes());
    let mut session = Session::<B>::with_backend(model, arena.as_mut_slice()).unwrap();
    let npz = std::fs::read(case.with_extension("npz")).unwrap();
    let mut archive = NpzArchive::new(Cursor::new(npz)).unwrap();
    let inputs: Vec<_> = (0..model.inputs())
        .map(|i| runs(&mut archive, &format!("input{i}"), model.input(i).dtype))
        .collect();
    let outputs: Vec<_> = (0..model.outputs())
        .map(|i| runs(&mut archive, &format!("expected{i}"), model.output(i).dtype))
        .collect();
    assert!(archive.by_name(&format!("input{}", inputs.len())).unwrap().is_none(), "{name}");
    assert!(archive.by_name(&format!("expected{}", outputs.len())).unwrap().is_none(), "{name}");
    // Int8 layers between float ends are exact as well; only float layers round on their own.
    let exact = !case.to_string_lossy().ends_with("_f32.tflite");
    for run in 0..inputs[0].len() {
        for (i, input) in inputs.iter().enumerate() {
            session.input_bytes(i).copy_from_slice(&input[run]);
        }
        session.run();
        for (i, expected) in outputs.iter().enumerate() {
            let (got, expected) = (session.output_bytes(i), expected[run].as_slice());
            if exact {
                assert_eq!(got, expected, "{name}, output {i}");
                continue;
            }
            let floats = |bytes: &[u8]| bytemuck::pod_collect_to_vec::<u8, f32>(bytes);
            assert_eq!(got.len(), expected.len(), "{name}, output {i}");
            for (a, b) in floats(got).into_iter().zip(floats(expected)) {
                assert!((a - b).abs() <= F32_TOLERANCE * b.abs().max(1.0), "{name}: {a} {b}");
            }
        }
    }
}

#[test]
fn folding_keeps_tensorflows_numbers() {
    let cases = cases();
    assert!(cases.len() >= 40, "the importer's vectors are missing");
    for case in &cases {
        check::<Scalar>(case, true, Target::Portable);
        check::<Scalar>(case, false, Target::Portable);
        check::<Wide>(case, true, Target::Portable);
        check::<CortexM>(case, true, Target::CortexM);
    }
}

/// Names of the operators that are left of a case.
fn kinds(name: &str) -> Vec<&'static str> {
    graph(name).nodes.iter().map(|node| node.op.name()).collect()
}

#[test]
fn what_can_be_folded_is_gone() {
    for kind in ["f32", "i8"] {
        assert_eq!(kinds(&format!("pad_conv_{kind}")), ["Conv2D"]);
        assert_eq!(kinds(&format!("pad_conv_stride_{kind}")), ["Conv2D"]);
        assert_eq!(kinds(&format!("pad_conv_same_{kind}")), ["Conv2D"]);
        assert_eq!(kinds(&format!("pad_wide_{kind}")), ["Conv2D"]);
        assert_eq!(kinds(&format!("pad_depthwise_{kind}")), ["DepthwiseConv2D"]);
        // Another layer reads the padded map.
        assert!(kinds(&format!("pad_shared_{kind}")).contains(&"Pad"));
    }
    assert_eq!(kinds("pad_conv_ends"), ["Quantize", "Conv2D", "Dequantize"]);
    assert_eq!(kinds("identities_f32"), ["Multiply"]);
    assert_eq!(kinds("broadcast_constant_f32"), ["Add"]);
    assert_eq!(kinds("fill_f32"), ["Concatenate"]);
    assert_eq!(kinds("zeros_like_f32"), ["Concatenate"]);
    assert_eq!(kinds("dequantised_weights_f32"), ["Conv2D"]);
    assert_eq!(kinds("dequantised_channels_f32"), ["Conv2D"]);
    assert_eq!(kinds("quantised_constant_i8"), ["Add"]);
    for shape_arithmetic in ["halves_f32", "prod_f32", "gather_shape_f32"] {
        assert_eq!(kinds(shape_arithmetic), ["Reshape"]);
    }
    assert_eq!(kinds("range_f32"), ["Permute"]);
}

#[test]
fn a_dynamic_batch_is_one() {
    let graph = graph("upsample_dynamic_batch_f32");
    assert_eq!(graph[graph.inputs[0]].shape, [1, 4, 5, 2]);
    let upsamplings = graph
        .nodes
        .iter()
        .filter(|node| matches!(node.op, Op::Resize2d { mode: ResizeMode::Nearest, .. }));
    assert_eq!(upsamplings.count(), 1);
    assert!(
        !graph.nodes.iter().any(|node| matches!(node.op, Op::Tile { .. } | Op::Reshape { .. }))
    );
}
