//! Golden vectors: models of TensorFlow with inputs and the outputs that it computes.
//!
//! The committed ones are made by `tests/golden/generate.py`; the samples of a
//! folder `shared` beside the workspace are read when it is there.

use std::fs;
use std::path::{Path, PathBuf};

use host_train::export::{Options, Target, export};
use host_train::graph::Graph;
use host_train::import::{blob, tflite};
use host_train::optimize::Passes;
use host_train::runner::AlignedBytes;
use microconv::backend::Backend;
use microconv::{Model, Session};

use crate::tolerance::MODEL_F32;

mod arrays;
mod decoder;
mod pack;
mod random;
mod shared;

use arrays::{Archive, Array};
pub use decoder::Decoder;
pub use pack::Pack;
pub use shared::{shared_cases, shared_folder};

/// A model with what goes in and what has to come out.
#[derive(Clone, Debug)]
pub struct Case {
    /// Name for messages.
    pub name: String,
    /// The model.
    pub source: Source,
    /// Whether every bit has to be right: also of floats around an int8 model.
    pub exact: bool,
    /// Inputs and expected outputs, in the model's order.
    pub runs: Vec<Run>,
}

/// Where a model comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A `.tflite`.
    Tflite(Vec<u8>),
    /// A graph of operators that TensorFlow Lite does not have.
    Decoder(Decoder),
}

impl Source {
    fn graph(&self) -> Result<Graph, String> {
        match self {
            Self::Tflite(bytes) => tflite::read(bytes).map_err(|error| format!("import: {error}")),
            Self::Decoder(decoder) => decoder.graph().map_err(|error| format!("graph: {error}")),
        }
    }
}

/// One inference.
#[derive(Clone, Debug)]
pub struct Run {
    /// Bytes of each input.
    pub inputs: Vec<Vec<u8>>,
    /// Bytes of each output.
    pub expected: Vec<Vec<u8>>,
}

impl Case {
    fn new(name: &str, source: Source, inputs: &[Array], expected: &[Array]) -> Self {
        let runs = inputs.first().map_or(0, |input| input.runs);
        let part = |arrays: &[Array], run| arrays.iter().map(|a| a.run(run).to_vec()).collect();
        let runs =
            (0..runs).map(|run| Run { inputs: part(inputs, run), expected: part(expected, run) });
        let exact = !name.ends_with("f32") && !name.contains("/f32") && !name.ends_with("fp32");
        Self { name: name.to_owned(), source, exact, runs: runs.collect() }
    }

    /// Exports the model and runs it on backend `B`.
    ///
    /// # Errors
    /// Names the step that failed, or the first output that is not as expected.
    pub fn check<B: Backend>(&self, options: Options) -> Result<(), String> {
        let what = format!(
            "{} on {} ({}, optimize {})",
            self.name,
            B::NAME,
            options.target,
            options.passes != Passes::NONE
        );
        self.compare::<B>(options).map_err(|why| format!("{what}: {why}"))
    }

    /// Exports the model with the passes of `first`, reads the blob back into a graph, and
    /// exports and runs that as [`Case::check`] does.
    ///
    /// # Errors
    /// As [`Case::check`], or when the blob cannot be read back.
    pub fn check_read_back<B: Backend>(
        &self,
        first: Passes,
        options: Options,
    ) -> Result<(), String> {
        let plain = Options { passes: first, target: Target::Portable, strip: false };
        let exported = export(&self.source.graph()?, plain).map_err(|why| why.to_string())?;
        let blob = AlignedBytes::copy_of(&exported.blob);
        let model = Model::from_bytes(blob.as_slice()).map_err(|why| format!("load: {why}"))?;
        let graph = blob::read(&model).map_err(|why| format!("read back: {why}"))?;
        self.compare_graph::<B>(&graph, options)
    }

    fn compare<B: Backend>(&self, options: Options) -> Result<(), String> {
        self.compare_graph::<B>(&self.source.graph()?, options)
    }

    fn compare_graph<B: Backend>(&self, graph: &Graph, options: Options) -> Result<(), String> {
        let exported = export(graph, options).map_err(|error| format!("export: {error}"))?;
        let blob = AlignedBytes::copy_of(&exported.blob);
        let model = Model::from_bytes(blob.as_slice()).map_err(|error| format!("load: {error}"))?;
        if self.runs.is_empty() {
            return Err("there is no run".into());
        }
        for (index, run) in self.runs.iter().enumerate() {
            if run.expected.len() != model.outputs() {
                return Err(format!("the model has {} outputs", model.outputs()));
            }
            let got = session_outputs::<B>(&model, &run.inputs)?;
            for (output, (got, expected)) in got.iter().zip(&run.expected).enumerate() {
                same(got, expected, self.exact)
                    .map_err(|why| format!("run {index}, output {output}: {why}"))?;
            }
        }
        Ok(())
    }
}

/// The bytes of every output of an inference in an arena that is full of garbage.
fn session_outputs<B: Backend>(
    model: &Model<'_>,
    inputs: &[Vec<u8>],
) -> Result<Vec<Vec<u8>>, String> {
    let mut arena = AlignedBytes::zeros(model.arena_bytes());
    arena.as_mut_slice().fill(0xa5);
    let mut session = Session::<B>::with_backend(*model, arena.as_mut_slice())
        .map_err(|error| format!("arena: {error}"))?;
    if inputs.len() != model.inputs() {
        return Err(format!("the model has {} inputs", model.inputs()));
    }
    for (i, bytes) in inputs.iter().enumerate() {
        let input = session.input_bytes(i);
        if input.len() != bytes.len() {
            return Err(format!("input {i} takes {} bytes, not {}", input.len(), bytes.len()));
        }
        input.copy_from_slice(bytes);
    }
    session.run();
    Ok((0..model.outputs()).map(|i| session.output_bytes(i).to_vec()).collect())
}

/// Compares bytes exactly, or as floats within [`MODEL_F32`].
///
/// # Errors
/// Says where the first difference is.
pub fn same(got: &[u8], expected: &[u8], exact: bool) -> Result<(), String> {
    if got.len() != expected.len() {
        return Err(format!("{} bytes, expected {}", got.len(), expected.len()));
    }
    if exact {
        let differ = got.iter().zip(expected).filter(|(a, b)| a != b).count();
        return match got.iter().zip(expected).position(|(a, b)| a != b) {
            None => Ok(()),
            Some(at) => Err(format!(
                "{differ} of {} differ, first at {at}: {} instead of {}",
                got.len(),
                got[at].cast_signed(),
                expected[at].cast_signed()
            )),
        };
    }
    let floats = |bytes: &[u8]| bytemuck::pod_collect_to_vec::<u8, f32>(bytes);
    for (at, (a, b)) in floats(got).into_iter().zip(floats(expected)).enumerate() {
        let bound = MODEL_F32 * b.abs().max(1.0);
        // A NaN is within no bound, and an infinite bound is none.
        let near = bound.is_finite() && (a - b).abs() <= bound;
        if !near && a != b {
            return Err(format!("value {at} is {a} instead of {b}"));
        }
    }
    Ok(())
}

/// The committed vectors, by name: those of `tests/golden/generate.py`, and
/// those of the rewrites that the importer does (`importer.py`), and the
/// decoder's own operators (`decoder.py`).
///
/// # Panics
/// When a file of the folder cannot be read: the tree is not whole.
pub fn committed_cases() -> Vec<Case> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    let decoders = decoder::committed(&golden.join("decoder"));
    let models = ["vectors", "importer"].map(|folder| files(&golden.join(folder), "tflite"));
    models.iter().flatten().map(|path| committed(path)).chain(decoders).collect()
}

fn committed(path: &Path) -> Case {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let mut archive = Archive::open(&path.with_extension("npz"));
    let (inputs, expected) = (archive.series("input"), archive.series("expected"));
    let source = Source::Tflite(fs::read(path).expect("a model that was listed"));
    Case::new(&name, source, &inputs, &expected)
}

/// Files of a folder with this extension, sorted.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder of vectors");
    let paths = entries.map(|entry| entry.expect("a readable folder").path());
    let mut paths: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|e| e == extension)).collect();
    paths.sort();
    paths
}
