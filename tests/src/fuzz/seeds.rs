//! What the fuzzers start from.

use std::path::{Path, PathBuf};

use host_train::arch::{Architecture, WeightTensor, Weights};
use host_train::export::{Options, Target, export};
use host_train::import::tflite;

/// The folder of this package.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Files of a folder with this extension, or all, sorted; none without the folder.
///
/// # Panics
/// When an entry cannot be read.
pub fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|e| e == extension) || extension.is_empty())
        .collect();
    paths.sort();
    paths
}

/// TensorFlow Lite models of these folders of the golden vectors.
pub fn models(folders: &[&str]) -> Vec<PathBuf> {
    folders.iter().flat_map(|folder| files(&root().join("golden").join(folder), "tflite")).collect()
}

const UNPOOL: &str = r#"
    [[layers]]
    type = "MaxPooling2D"
    name = "pool"
    pool_size = 2
    [[layers]]
    type = "MaxUnpooling2D"
    pool = "pool"
"#;
const NAILS: &str = r#"
    [[layers]]
    type = "BedOfNails2D"
    size = 2
"#;

/// Blobs of every kind of layer: the small golden models, and networks of
/// layers that TensorFlow Lite does not have.
///
/// # Panics
/// When a golden model cannot be read or exported.
pub fn blobs(folders: &[&str]) -> Vec<(String, Vec<u8>)> {
    let mut blobs = Vec::new();
    for path in models(folders) {
        let bytes = std::fs::read(&path).unwrap();
        let Ok(graph) = tflite::read(&bytes) else { continue };
        let target = if blobs.len() % 2 == 0 { Target::Portable } else { Target::CortexM };
        let blob =
            export(&graph, Options { target, strip: true, ..Options::default() }).unwrap().blob;
        blobs.push((path.file_stem().unwrap().to_str().unwrap().to_string(), blob));
    }
    for (name, layers) in [("unpool", UNPOOL), ("nails", NAILS)] {
        let text = format!("name = \"{name}\"\ninput = [4, 6, 2]\n{layers}");
        let architecture = Architecture::parse(&text, "small.toml").unwrap();
        let mut weights = Weights::default();
        for (name, spec) in architecture.weights() {
            let values = vec![0.25; spec.shape.iter().product()];
            weights.insert(name, WeightTensor { shape: spec.shape.clone(), values });
        }
        let graph = architecture.lower(&weights).unwrap();
        blobs.push((name.to_string(), export(&graph, Options::default()).unwrap().blob));
    }
    blobs
}
