//! `microconv inspect`: what is in a model.

mod tflite;

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use crate::cli::passes::print_report;
use crate::cli::table::{Align, Table};
use crate::export::{Options, export};
use crate::inspect::{LayerSummary, Port, Slot, Summary, summarize};
use crate::optimize::Passes;
use crate::report::memory_plan;
use crate::run_folder;
use crate::runner::{AlignedBytes, parse, read_blob};

/// Width of the picture of the arena.
const PICTURE: usize = 64;

/// Shows layers, sizes and the memory plan of a model.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A blob, a TensorFlow Lite model before import, or a run folder.
    #[arg(value_name = "MODEL.mcv|MODEL.tflite")]
    model: PathBuf,

    /// One JSON object instead of tables, names in full.
    #[arg(long)]
    json: bool,

    /// Draw the memory plan, tensors over time by address: an .svg or a .png file.
    #[arg(long, value_name = "FILE.svg|FILE.png")]
    plan: Option<PathBuf>,
}

pub(super) fn run(args: Args) -> Result<()> {
    if !run_folder::is_run(&args.model) && tflite::claims(&args.model)? {
        ensure!(
            args.plan.is_none(),
            "{}: has no memory plan before it is imported; give the .mcv file",
            args.model.display()
        );
        return tflite::run(&args.model, args.json);
    }
    let bytes = if run_folder::is_run(&args.model) {
        let (_, graph) = run_folder::load(&args.model)?;
        let plain = Options { passes: Passes::NONE, ..Options::default() };
        let exported = export(&graph, plain).with_context(|| args.model.display().to_string())?;
        AlignedBytes::copy_of(&exported.blob)
    } else {
        read_blob(&args.model)?
    };
    let summary = summarize(&parse(&args.model, &bytes)?);
    if let Some(path) = &args.plan {
        let mut shown = summary.clone();
        shown.plan.iter_mut().for_each(|slot| slot.name = short(&slot.name));
        memory_plan(path, &shown)?;
    }
    if args.json {
        println!("{}", serde_json::to_string_pretty(&summary)?);
    } else {
        print(&summary);
    }
    Ok(())
}

fn extents(shape: &[usize]) -> String {
    shape.iter().map(usize::to_string).collect::<Vec<_>>().join("×")
}

/// Longest name in a table, characters.
const NAME: usize = 32;

/// A name as a table shows it: the first of names that a converter joined by semicolons,
/// without the scopes before it, cut where it is still long.
fn short(name: &str) -> String {
    let first = name.split(';').next().unwrap_or(name);
    let parts = || first.rsplit('/').filter(|part| !part.is_empty());
    // The last scope of Keras is the operator; the one before it is the layer.
    let name = match (parts().next(), parts().nth(1)) {
        (Some(last), Some(layer)) if last.chars().count() + layer.chars().count() < NAME => {
            format!("{layer}/{last}")
        }
        (Some(last), _) => last.to_string(),
        _ => first.to_string(),
    };
    if name.chars().count() <= NAME {
        return name;
    }
    name.chars().take(NAME - 1).chain(['…']).collect()
}

fn port(port: &Port) -> String {
    let shape = extents(&port.shape);
    if port.scale > 0.0 {
        format!(
            "{} {shape} {} (scale {}, zero point {})",
            short(&port.name),
            port.element,
            port.scale,
            port.zero_point
        )
    } else {
        format!("{} {shape} {}", short(&port.name), port.element)
    }
}

fn print(summary: &Summary) {
    println!("model {}", summary.name);
    summary.inputs.iter().for_each(|input| println!("input  {}", port(input)));
    summary.outputs.iter().for_each(|output| println!("output {}", port(output)));
    println!();
    let mut table = Table::new(&[
        ("", Align::Right),
        ("layer", Align::Left),
        ("operator", Align::Left),
        ("type", Align::Left),
        ("output", Align::Left),
        ("parameters", Align::Right),
        ("MACs", Align::Right),
        ("receptive field", Align::Right),
        ("scratch", Align::Right),
        ("folded in", Align::Left),
    ]);
    for layer in &summary.layers {
        table.row(vec![
            layer.index.to_string(),
            short(&layer.name),
            layer.operator.clone(),
            layer.element.to_string(),
            extents(&layer.output),
            layer.parameters.to_string(),
            layer.macs.to_string(),
            layer.receptive_field.map_or_else(|| "all".to_string(), |[h, w]| format!("{h}×{w}")),
            layer.scratch.to_string(),
            layer.folded.iter().map(|name| short(name)).collect::<Vec<_>>().join(", "),
        ]);
    }
    print!("{table}");
    for layer in summary.layers.iter().filter(|layer| layer.kept_rows > 0) {
        let LayerSummary { index, kept_rows, .. } = layer;
        println!("layer {index} runs with the next, {kept_rows} rows of its output at a time");
    }
    for layer in summary.layers.iter().filter(|layer| layer.band_rows > 0) {
        let LayerSummary { index, band_rows, .. } = layer;
        println!("layer {index} runs in bands of {band_rows} rows");
    }
    for layer in summary.layers.iter().filter(|layer| layer.unstored > 0) {
        let LayerSummary { index, operator, unstored, .. } = layer;
        println!(
            "layer {index} is fused: {operator}, {unstored} bytes between them are never stored"
        );
    }
    println!();
    println!("parameters {}", summary.parameters);
    println!("MACs       {}", summary.macs);
    println!("requantisations {}", summary.requantisations);
    println!("flash      {} bytes, {} of them notes", summary.flash_bytes, summary.notes_bytes);
    println!(
        "arena      {} bytes, {} above the {} that are in use at once at least",
        summary.arena_bytes,
        summary.arena_bytes.saturating_sub(summary.arena_bound),
        summary.arena_bound
    );
    println!();
    if !summary.passes.is_empty() {
        print_report(&summary.passes);
        println!();
    }
    print_plan(&summary.plan, summary.arena_bytes);
}

/// The plan as a table, each row with its place in the arena drawn to scale.
fn print_plan(plan: &[Slot], arena: usize) {
    let mut table = Table::new(&[
        ("buffer", Align::Left),
        ("offset", Align::Right),
        ("bytes", Align::Right),
        ("steps", Align::Left),
        ("arena", Align::Left),
    ]);
    for slot in plan {
        let at = |offset: usize| offset * PICTURE / arena.max(1);
        let (start, end) = (at(slot.offset), at(slot.offset + slot.bytes));
        let cells =
            (0..PICTURE).map(|i| if i >= start && i < end.max(start + 1) { '█' } else { '·' });
        table.row(vec![
            short(&slot.name),
            slot.offset.to_string(),
            slot.bytes.to_string(),
            format!("{}–{}", slot.first, slot.last),
            cells.collect(),
        ]);
    }
    print!("{table}");
}

#[cfg(test)]
mod tests {
    use super::short;

    #[test]
    fn long_names_are_shortened() {
        assert_eq!(short("conv2d_1"), "conv2d_1");
        assert_eq!(short("model/conv/Relu;model/bn/add;model/conv/Conv2D"), "conv/Relu");
        assert_eq!(short("StatefulPartitionedCall:0"), "StatefulPartitionedCall:0");
        assert_eq!(short(""), "");
        let long = "é".repeat(80);
        assert_eq!(short(&long).chars().count(), 32);
        assert!(short(&long).ends_with('…'));
    }
}
