//! Networks cut into bands of rows and chained at random, against the same networks run
//! layer by layer: int8 bit for bit, on every backend and for every target, nothing written
//! beside the arena.

use std::fmt::Write as _;

use conformance::generate::Values;
use host_train::arch::{Architecture, WeightTensor, Weights};
use host_train::calibrate::calibrate;
use host_train::export::{Cut, Options, Target, export, export_cut};
use host_train::graph::Graph;
use host_train::optimize::{PASSES, Passes};
use host_train::quantize::quantize;
use host_train::runner::AlignedBytes;
use microconv::backend::{Backend, CortexM, Scalar, Wide};
use microconv::model::{Bands, CHAIN};
use microconv::{Model, Session};
use proptest::prelude::*;

/// Bytes behind the arena that must stay as they are.
const CANARY: usize = 256;

/// A sequence of layers that slide over rows, in Keras' names.
fn architecture(values: &mut Values) -> Option<Architecture> {
    let side = |values: &mut Values| 3 + values.below(12);
    let [h, w, c] = [side(values), side(values), 1 + values.below(6)];
    let mut text = format!("name = \"bands\"\ninput = [{h}, {w}, {c}]\n");
    for _ in 0..2 + values.below(4) {
        let (filters, kernel, stride) =
            (1 + values.below(9), 1 + values.below(4), 1 + values.below(3));
        let padding = ["same", "valid"][usize::from(values.once_in(4))];
        let activation = ["linear", "relu", "sigmoid"][values.below(3) as usize];
        let window =
            format!("kernel_size = {kernel}\nstrides = {stride}\npadding = \"{padding}\"\n");
        let layer = match values.below(8) {
            0..3 => format!(
                "type = \"Conv2D\"\nfilters = {filters}\nactivation = \"{activation}\"\n{window}"
            ),
            3 => format!("type = \"DepthwiseConv2D\"\nactivation = \"{activation}\"\n{window}"),
            4 => format!("type = \"Conv2DTranspose\"\nfilters = {filters}\n{window}"),
            5 => format!(
                "type = \"MaxPooling2D\"\npool_size = {kernel}\nstrides = {stride}\npadding = \"same\"\n"
            ),
            6 => format!(
                "type = \"AveragePooling2D\"\npool_size = {kernel}\nstrides = {stride}\npadding = \"same\"\n"
            ),
            _ => "type = \"UpSampling2D\"\nsize = 2\n".to_string(),
        };
        let _ = write!(text, "[[layers]]\n{layer}");
    }
    // A valid window that does not fit is no network.
    Architecture::parse(&text, "bands.toml").ok()
}

fn quantized(architecture: &Architecture, values: &mut Values) -> Option<Graph> {
    let mut weights = Weights::default();
    for (name, spec) in architecture.weights() {
        let floats = values.floats(spec.shape.iter().product());
        weights.insert(name, WeightTensor { shape: spec.shape.clone(), values: floats });
    }
    let float = architecture.lower(&weights).ok()?;
    let count = architecture.input.iter().product();
    let samples: Vec<Vec<f32>> = (0..2).map(|_| values.floats(count)).collect();
    Some(quantize(&float, &calibrate(&float, &samples).unwrap()).unwrap())
}

fn outputs<B: Backend>(blob: &[u8], input: &[i8]) -> Vec<i8> {
    let aligned = AlignedBytes::copy_of(blob);
    let model = Model::from_bytes(aligned.as_slice()).unwrap();
    let needed = model.arena_bytes();
    let mut memory = AlignedBytes::zeros(needed + CANARY);
    memory.as_mut_slice().fill(0xA5);
    let (arena, after) = memory.as_mut_slice().split_at_mut(needed);
    let mut session = Session::<B>::with_backend(model, arena).unwrap();
    session.input_i8(0).copy_from_slice(input);
    session.run();
    let output = session.output_i8(0).to_vec();
    assert!(after.iter().all(|&byte| byte == 0xA5), "wrote beside the arena");
    output
}

/// Bands of every layer at random, some of them chained.
fn cuts(layers: usize, values: &mut Values) -> Vec<Cut> {
    let mut cuts = Vec::new();
    let mut first = 0;
    while first < layers {
        let len = 1 + values.below(CHAIN.min(layers - first) as u64) as usize;
        let rows = 1 + values.below(6) as usize;
        let head = values.below(4) as usize;
        let reverse = len == 1 && values.once_in(2);
        cuts.push(Cut { first, len, bands: Bands { head, rows, reverse } });
        first += len;
    }
    cuts
}

/// Runs the network in bands; how many layers were cut, how many of them in chains, and how
/// many bytes of arena that saved.
fn check(seed: u64) -> [usize; 3] {
    let mut values = Values::new(seed);
    let Some(architecture) = architecture(&mut values) else { return [0; 3] };
    let Some(graph) = quantized(&architecture, &mut values) else { return [0; 3] };
    let input = values.codes(architecture.input.iter().product(), 0);
    let mut done = [0; 3];
    for target in [Target::Portable, Target::CortexM, Target::CortexMSmall, Target::Native] {
        let fused: Vec<&str> =
            PASSES.iter().map(|pass| pass.name).filter(|&n| n != "bands").collect();
        let passes = if values.once_in(2) { Passes::named(&fused) } else { Passes::NONE };
        let options = Options { target, passes, strip: true };
        let whole = export(&graph, options).unwrap();
        let want = outputs::<Scalar>(&whole.blob, &input);
        let aligned = AlignedBytes::copy_of(&whole.blob);
        let layers = Model::from_bytes(aligned.as_slice()).unwrap().layers();
        let mut wanted = cuts(layers, &mut values);
        // Cuts that their layers cannot have are left out.
        wanted.retain(|cut| export_cut(&graph, options, &[*cut]).unwrap().is_some());
        let cut = export_cut(&graph, options, &wanted).unwrap().unwrap();
        let names: Vec<&str> = PASSES
            .iter()
            .filter(|pass| passes.has(pass))
            .map(|pass| pass.name)
            .chain(["bands"])
            .collect();
        let planned = export(&graph, Options { passes: Passes::named(&names), ..options }).unwrap();
        assert!(planned.plan.bytes <= whole.plan.bytes, "{seed} {target}: more memory");
        for (blob, cuts) in [(&cut.blob, &wanted[..]), (&planned.blob, &[])] {
            for got in [
                outputs::<Scalar>(blob, &input),
                outputs::<CortexM>(blob, &input),
                outputs::<Wide>(blob, &input),
            ] {
                assert_eq!(got, want, "{seed} {target} {cuts:?}");
            }
        }
        let chained = wanted.iter().filter(|cut| cut.len > 1).map(|cut| cut.len).sum::<usize>();
        let all = wanted.iter().map(|cut| cut.len).sum::<usize>();
        done = [done[0] + all, done[1] + chained, done[2] + whole.plan.bytes - planned.plan.bytes];
    }
    done
}

#[test]
fn bands_and_chains_change_nothing() {
    let mut all = [0; 3];
    for seed in 1..700 {
        all.iter_mut().zip(check(seed)).for_each(|(sum, more)| *sum += more);
    }
    let [cut, chained, saved] = all;
    assert!(cut > 3000 && chained > 500 && saved > 100_000, "{all:?}: too few were cut");
}

/// Two pairs of a depthwise and a pointwise convolution, as in MobileNet.
const PAIRS: &str = r#"
name = "pairs"
input = [25, 5, 64]
[[layers]]
type = "DepthwiseConv2D"
kernel_size = 3
padding = "same"
activation = "relu"
[[layers]]
type = "Conv2D"
filters = 64
kernel_size = 1
activation = "relu"
[[layers]]
type = "DepthwiseConv2D"
kernel_size = 3
padding = "same"
activation = "relu"
[[layers]]
type = "Conv2D"
filters = 64
kernel_size = 1
activation = "relu"
"#;

/// Without being asked, a microcontroller's layers run in bands where that pays, others' never.
#[test]
fn bands_by_default_where_they_pay() {
    let mut values = Values::new(7);
    let architecture = Architecture::parse(PAIRS, "pairs.toml").unwrap();
    let graph = quantized(&architecture, &mut values).unwrap();
    let input = values.codes(architecture.input.iter().product(), 0);
    let default = Passes::DEFAULT;
    let arena = |target, passes| {
        let exported = export(&graph, Options { target, passes, strip: true }).unwrap();
        (exported.plan.bytes, outputs::<CortexM>(&exported.blob, &input))
    };
    let (whole, want) = arena(Target::CortexM, default.with_bands(false));
    let (banded, got) = arena(Target::CortexM, default);
    assert!(banded * 100 <= whole * 85, "{whole} → {banded}");
    assert_eq!(got, want);
    let (whole, want) = arena(Target::Portable, default.with_bands(false));
    let (still, got) = arena(Target::Portable, default);
    let (forced, also) = arena(Target::Portable, default.with_bands(true));
    assert!(still == whole && forced < whole, "{whole} {still} {forced}");
    assert!(got == want && also == want);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn any_network(seed in any::<u64>()) {
        check(seed);
    }
}
