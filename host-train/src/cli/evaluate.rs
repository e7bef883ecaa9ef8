//! `microconv evaluate`: float and int8 side by side on test images.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::cli::progress::Progress;
use crate::cli::quantize::{float_twin, print_errors};
use crate::cli::table::{Align, Table};
use crate::data;
use crate::evaluate::{Quality, layer_errors, psnr, restore};
use crate::report;
use crate::runner::{BackendName, parse, read_blob};

/// Images that the table of errors is computed from.
const ERROR_SAMPLES: usize = 16;
/// Images drawn.
const SHOWN: usize = 10;

/// Measures how a model restores test images.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Blob to measure.
    #[arg(value_name = "MODEL.mcv")]
    model: PathBuf,

    /// Folder of IDX files, .npy files or images; a small MNIST subset without it.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// Part of the images held back where the data has no test set.
    #[arg(long, value_name = "FRACTION")]
    validation_split: Option<f32>,

    /// Float blob to compare with; `MODEL.float.mcv` beside the model without it.
    #[arg(long, value_name = "MODEL.mcv")]
    float: Option<PathBuf>,

    /// Backend to run on.
    #[arg(long, value_enum, default_value_t = BackendName::Native)]
    backend: BackendName,

    /// Use the first N test images only.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,

    /// Draw ten originals above what the model makes of them.
    #[arg(long, value_name = "FILE.png")]
    picture: Option<PathBuf>,
}

pub(super) fn run(args: Args) -> Result<()> {
    let bytes = read_blob(&args.model)?;
    let model = parse(&args.model, &bytes)?;
    let input = model.input(0);
    let dataset = data::load(args.data.as_deref(), &input.shape()[1..], args.validation_split)?;
    let images = match args.limit {
        Some(limit) => dataset.test.first((limit as usize).min(dataset.test.len())),
        None => dataset.test,
    };
    let twin = args.float.clone().or_else(|| {
        let twin = float_twin(&args.model);
        twin.exists().then_some(twin)
    });
    let indices: Vec<usize> = (0..images.len()).collect();
    let originals = images.gather(&indices);
    let mut restored = Vec::new();
    let kind = if model.output(0).scale > 0.0 { "int8" } else { "f32" };
    let mut columns = vec![(kind, &args.model)];
    if let Some(twin) = &twin {
        columns.insert(0, ("float", twin));
    }
    for (_, path) in &columns {
        let bytes = read_blob(path)?;
        let model = parse(path, &bytes)?;
        let progress = Progress::new(images.len(), "images");
        let values = restore(&model, &images, args.backend, &|| progress.tick())
            .with_context(|| path.display().to_string())?;
        progress.finish();
        anyhow::ensure!(
            values.len() == originals.len(),
            "{}: writes {} values for {} of the images; only autoencoders can be evaluated",
            path.display(),
            values.len(),
            originals.len()
        );
        restored.push(values);
    }
    println!("{} images of {}", images.len(), dataset.source);
    let qualities: Vec<Quality> = restored.iter().map(|r| Quality::of(&originals, r)).collect();
    print_qualities(&columns.iter().map(|(name, _)| *name).collect::<Vec<_>>(), &qualities);
    if let Some(twin) = &twin {
        let difference = Quality::of(&restored[0], &restored[1]);
        println!("int8 against float: PSNR {:.2} dB", psnr(difference.mse));
        let float_bytes = read_blob(twin)?;
        let float = parse(twin, &float_bytes)?;
        let count = images.len().min(ERROR_SAMPLES);
        let samples: Vec<Vec<f32>> = (0..count).map(|i| images.image(i)).collect();
        let errors = layer_errors(&float, &model, &samples)?;
        if !errors.is_empty() {
            println!();
            print_errors(&errors);
        }
    } else {
        println!("no float model to compare with; `microconv quantize` writes one beside its blob");
    }
    if let Some(path) = &args.picture {
        let count = images.len().min(SHOWN) * images.image_len();
        let [h, w, c] = images.shape();
        let last = restored.last().map_or(&[][..], Vec::as_slice);
        report::reconstructions(path, &originals[..count], &last[..count], (h, w, c))?;
        println!("wrote {}", path.display());
    }
    Ok(())
}

fn print_qualities(names: &[&str], qualities: &[Quality]) {
    let mut heading = vec![("", Align::Left)];
    heading.extend(names.iter().map(|name| (*name, Align::Right)));
    let mut table = Table::new(&heading);
    let mut row = |name: &str, value: &dyn Fn(&Quality) -> String| {
        let mut cells = vec![name.to_string()];
        cells.extend(qualities.iter().map(value));
        table.row(cells);
    };
    row("loss (binary cross-entropy)", &|q| format!("{:.6}", q.loss));
    row("MSE", &|q| format!("{:.6}", q.mse));
    row("PSNR dB", &|q| format!("{:.2}", q.psnr));
    print!("{table}");
}
