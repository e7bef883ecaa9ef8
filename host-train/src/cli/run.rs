//! `microconv run`: arrays through a blob.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use microconv::model::TensorInfo;

use crate::cli::files::{Array, read_npy, write_npy};
use crate::cli::progress::Progress;
use crate::runner::{BackendName, Values, dequantize, parse, read_blob, run_all};

/// Runs a model on the samples of .npy files.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Blob to run.
    #[arg(value_name = "MODEL.mcv")]
    model: PathBuf,

    /// Samples `[N, …]` in NHWC, <f4 or |i1; once per input, in the model's order.
    #[arg(long, value_name = "X.npy", required = true)]
    input: Vec<PathBuf>,

    /// Where to write the outputs; once per output, in the model's order.
    #[arg(long, value_name = "Y.npy", required = true)]
    output: Vec<PathBuf>,

    /// Backend to run on; both give the same int8 bits.
    #[arg(long, value_enum, default_value_t = BackendName::Native)]
    backend: BackendName,

    /// Write reals instead of codes.
    #[arg(long)]
    dequantize: bool,
}

/// Runs that an array holds for a tensor, and whether a batch axis of its own stands before the model's.
fn samples(array: &Array, info: &TensorInfo) -> Option<(usize, bool)> {
    let (shape, dims) = (array.shape.as_slice(), info.shape());
    let (&runs, rest) = shape.split_first()?;
    if rest == dims {
        return Some((runs, true));
    }
    // `[N, …]` with the model's own batch in N, or a single sample without it.
    if shape.len() == dims.len() && rest == &dims[1..] && runs.is_multiple_of(dims[0]) {
        return Some((runs / dims[0], false));
    }
    (dims[0] == 1 && shape == &dims[1..]).then_some((1, false))
}

pub(super) fn run(args: Args) -> Result<()> {
    let bytes = read_blob(&args.model)?;
    let model = parse(&args.model, &bytes)?;
    let name = args.model.display();
    ensure!(
        args.input.len() == model.inputs() && args.output.len() == model.outputs(),
        "{name}: has {} inputs and {} outputs; give --input and --output that often",
        model.inputs(),
        model.outputs()
    );
    let mut runs = None;
    let mut nested = false;
    let mut inputs = Vec::new();
    for (i, path) in args.input.iter().enumerate() {
        let array = read_npy(path)?;
        let info = model.input(i);
        let (count, own_axis) = samples(&array, &info).with_context(|| {
            format!(
                "{}: has shape {:?}, the model's input {i} takes [N, …] of {:?}",
                path.display(),
                array.shape,
                info.shape()
            )
        })?;
        ensure!(
            *runs.get_or_insert(count) == count,
            "{}: has {count} samples, the inputs before it have {}; give as many of each",
            path.display(),
            runs.unwrap_or(count)
        );
        nested |= own_axis;
        inputs.push(array.values);
    }
    let runs = runs.unwrap_or(0);
    ensure!(runs > 0, "{}: holds no sample", args.input[0].display());
    let progress = Progress::new(runs, "samples");
    let outputs = run_all(&model, &inputs, runs, args.backend, &|| progress.tick())
        .with_context(|| name.to_string())?;
    progress.finish();
    for (i, (values, path)) in outputs.into_iter().zip(&args.output).enumerate() {
        let info = model.output(i);
        let values = if args.dequantize { Values::F32(dequantize(&info, values)?) } else { values };
        let mut shape = info.shape().to_vec();
        if nested {
            shape.insert(0, runs);
        } else {
            shape[0] *= runs;
        }
        write_npy(path, &Array { shape, values })?;
    }
    Ok(())
}
