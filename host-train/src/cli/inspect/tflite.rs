//! `microconv inspect model.tflite`: the graph of the file, before import.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result};

use crate::cli::table::{Align, Table};
use crate::export::{Options, export};
use crate::import::tflite::{self, Description, OperatorSummary, TensorSummary};

/// Whether a file is to be shown as a TensorFlow Lite model.
pub(super) fn claims(path: &Path) -> Result<bool> {
    if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("tflite")) {
        return Ok(true);
    }
    let mut start = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(8).read_to_end(&mut start));
    read.with_context(|| format!("{}: cannot be read", path.display()))?;
    Ok(tflite::is_tflite(&start))
}

pub(super) fn run(path: &Path, json: bool) -> Result<()> {
    let name = || path.display().to_string();
    let bytes = std::fs::read(path).with_context(|| format!("{}: cannot be read", name()))?;
    let mut description = tflite::describe(&bytes).with_context(name)?;
    if description.problems.is_empty() {
        let imported = tflite::read(&bytes).and_then(|graph| {
            export(&graph, Options::default()).map_err(|why| tflite::locate(&bytes, &why))
        });
        description.problems.extend(imported.err().map(|why| why.to_string()));
    }
    if json {
        println!("{}", serde_json::to_string_pretty(&description)?);
    } else {
        print(&description);
    }
    Ok(())
}

fn shape(tensor: &TensorSummary) -> String {
    let extent = |&extent: &i32| if extent == -1 { "?".to_string() } else { extent.to_string() };
    match tensor.shape.as_slice() {
        [] => "scalar".to_string(),
        extents => extents.iter().map(extent).collect::<Vec<_>>().join("×"),
    }
}

fn quantization(tensor: &TensorSummary) -> String {
    match &tensor.quantization {
        None => String::new(),
        Some(q) if q.scales == 1 => format!("scale {}, zero point {}", q.scale, q.zero_point),
        Some(q) => format!("{} scales along axis {}", q.scales, q.axis),
    }
}

fn port(tensor: &TensorSummary) -> String {
    let how = match quantization(tensor) {
        none if none.is_empty() => none,
        some => format!(" ({some})"),
    };
    format!("{} {} {}{how}", tensor.name, shape(tensor), tensor.kind)
}

fn print(description: &Description) {
    println!("model {} (TensorFlow Lite)", description.name);
    if description.subgraphs > 1 {
        println!("the first of {} subgraphs", description.subgraphs);
    }
    if description.signatures.len() > 1 {
        println!("signatures {}", description.signatures.join(", "));
    }
    description.inputs.iter().for_each(|tensor| println!("input  {}", port(tensor)));
    description.outputs.iter().for_each(|tensor| println!("output {}", port(tensor)));
    println!();
    let mut table = Table::new(&[
        ("", Align::Right),
        ("operator", Align::Left),
        ("version", Align::Right),
        ("", Align::Left),
        ("tensor", Align::Left),
        ("shape", Align::Left),
        ("type", Align::Left),
        ("quantisation", Align::Left),
        ("parameters", Align::Right),
        ("MACs", Align::Right),
        ("options", Align::Left),
    ]);
    description.operators.iter().for_each(|operator| rows(&mut table, operator));
    print!("{table}");
    println!();
    println!("operators  {}", description.operators.len());
    println!("parameters {}", description.parameters);
    let inner = |tensor: &TensorSummary| tensor.shape.iter().skip(1).any(|&extent| extent == -1);
    let guessed = description.operators.iter().flat_map(|o| &o.outputs).any(inner);
    let note =
        if guessed { " or more: extents that are not known before import count as 1" } else { "" };
    println!("MACs       {}{note}", description.macs);
    println!("file       {} bytes", description.bytes);
    println!();
    if description.problems.is_empty() {
        println!("can be imported");
    }
    description.problems.iter().for_each(|problem| println!("cannot be imported: {problem}"));
}

/// A row for each tensor of an operator; the first one names the operator.
fn rows(table: &mut Table, operator: &OperatorSummary) {
    let inputs = operator.inputs.iter().map(|tensor| match tensor {
        Some(tensor) if tensor.constant => ("const", Some(tensor)),
        Some(tensor) => ("in", Some(tensor)),
        None => ("in", None),
    });
    let outputs = operator.outputs.iter().map(|tensor| ("out", Some(tensor)));
    for (row, (role, tensor)) in inputs.chain(outputs).enumerate() {
        let first = |text: String| if row == 0 { text } else { String::new() };
        let options: Vec<String> =
            operator.options.iter().map(|(name, value)| format!("{name}={value}")).collect();
        table.row(vec![
            first(operator.index.to_string()),
            first(operator.name.clone()),
            first(operator.version.to_string()),
            role.to_string(),
            tensor.map_or_else(|| "(absent)".to_string(), |tensor| tensor.name.clone()),
            tensor.map_or_else(String::new, shape),
            tensor.map_or_else(String::new, |tensor| tensor.kind.to_string()),
            tensor.map_or_else(String::new, quantization),
            first(operator.parameters.to_string()),
            first(operator.macs.to_string()),
            first(options.join(", ")),
        ]);
    }
}
