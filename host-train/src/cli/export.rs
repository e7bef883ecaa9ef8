//! `microconv export`: sources that put a blob into firmware.

mod c;
mod rust;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use microconv::Model;
use microconv::model::embed::MAX_LAYERS;
use microconv::model::{DType, TensorInfo};

use crate::cli::files::write_atomically;
use crate::runner::{parse, read_blob};

/// Writes sources that put a blob into firmware: a Rust crate, or C with a static library.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("language").required(true).multiple(true))]
pub(super) struct Args {
    /// Blob to export.
    #[arg(value_name = "MODEL.mcv")]
    model: PathBuf,

    /// Folder for a no_std crate with the model and its arena as types.
    #[arg(long, value_name = "DIR", group = "language")]
    rust: Option<PathBuf>,

    /// Folder for a C array of the blob, a header, and a crate that builds a static library to call.
    #[arg(long, value_name = "DIR", group = "language")]
    c: Option<PathBuf>,
}

/// What the sources are made of.
struct Sources<'a> {
    /// The name of the file as an identifier: `[a-z][a-z0-9_]*`.
    name: String,
    /// The name of the file.
    file: String,
    model: &'a Model<'a>,
}

pub(super) fn run(args: Args) -> Result<()> {
    let bytes = read_blob(&args.model)?;
    let model = parse(&args.model, &bytes)?;
    let shown = args.model.display();
    ensure!(
        model.layers() <= MAX_LAYERS,
        "{shown}: has {} layers, an embedded model at most {MAX_LAYERS}; load it with Model::from_bytes",
        model.layers()
    );
    let file = args.model.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let stem = args.model.file_stem().unwrap_or_default().to_string_lossy();
    let sources = Sources { name: identifier(&stem), file, model: &model };
    let wanted = [(&args.rust, rust::files as fn(&Sources<'_>) -> Files), (&args.c, c::files)];
    for (folder, files) in wanted.into_iter().filter_map(|(f, files)| Some((f.as_ref()?, files))) {
        for (path, bytes) in files(&sources) {
            write(folder, &path, &bytes)?;
        }
    }
    Ok(())
}

/// Paths below the folder, and what goes there.
type Files = Vec<(String, Vec<u8>)>;

fn write(folder: &Path, path: &str, bytes: &[u8]) -> Result<()> {
    let path = folder.join(path);
    let parent = path.parent().unwrap_or(folder);
    std::fs::create_dir_all(parent)
        .with_context(|| format!("{}: cannot be made; give a writable folder", parent.display()))?;
    write_atomically(&path, bytes)?;
    println!("wrote {}: {} bytes", path.display(), bytes.len());
    Ok(())
}

/// A name that Rust, C and Cargo take.
fn identifier(name: &str) -> String {
    let word = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    let name: String = name.chars().map(word).collect();
    if name.starts_with(|c: char| c.is_ascii_lowercase()) { name } else { format!("model_{name}") }
}

/// The first characters in upper case, for constants of C.
fn upper(name: &str) -> String {
    name.to_ascii_uppercase()
}

/// Inputs and outputs in order, with their names in the sources.
fn ports(model: &Model<'_>) -> Vec<(String, TensorInfo)> {
    let inputs = (0..model.inputs()).map(|i| (format!("input{i}"), model.input(i)));
    let outputs = (0..model.outputs()).map(|i| (format!("output{i}"), model.output(i)));
    inputs.chain(outputs).collect()
}

/// Element type as a person writes it.
fn element(info: &TensorInfo) -> &'static str {
    if info.dtype == DType::F32 { "f32" } else { "i8" }
}

fn extents(info: &TensorInfo) -> String {
    info.shape().iter().map(usize::to_string).collect::<Vec<_>>().join("×")
}

#[cfg(test)]
mod tests {
    use super::identifier;

    #[test]
    fn names_become_identifiers() {
        assert_eq!(identifier("Auto-Encoder 2"), "auto_encoder_2");
        assert_eq!(identifier("2nd"), "model_2nd");
        assert_eq!(identifier(""), "model_");
        assert_eq!(identifier("é"), "model__");
    }
}
