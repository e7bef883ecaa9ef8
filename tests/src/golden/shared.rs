//! Samples of the folder `shared` beside the workspace, which not every checkout has.

use std::fs;
use std::path::{Path, PathBuf};

use host_train::import::tflite;

use super::arrays::Array;
use super::{Case, Source, decoder, files};

/// `shared` beside the workspace, where it exists.
pub fn shared_folder() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    folder.is_dir().then_some(folder)
}

/// Every sample of `golden`, and the models of `models` with inputs in `golden/mlperf`.
///
/// # Panics
/// When a file of a sample cannot be read.
pub fn shared_cases(shared: &Path) -> Vec<Case> {
    let entries = fs::read_dir(shared.join("golden")).expect("samples");
    let folders = entries.map(|entry| entry.expect("a readable folder").path());
    let mut folders: Vec<_> = folders.filter(|path| path.is_dir()).collect();
    folders.sort();
    let mut cases: Vec<Case> = folders.iter().flat_map(|folder| samples(folder)).collect();
    let unpool = fs::read_dir(shared.join("golden/unpool")).into_iter().flatten().flatten();
    cases.extend(unpool.map(|entry| decoder::shared(&entry.path())));
    for model in files(&shared.join("models"), "tflite") {
        let arrays = shared.join("golden/mlperf").join(model.file_stem().unwrap_or_default());
        if arrays.is_dir() {
            let inputs = [Array::open(&arrays.join("inputs.npy"))];
            cases.push(case(&model, &inputs, &arrays, ""));
        }
    }
    cases
}

/// The models of one sample, `f32*.tflite` and `int8*.tflite`.
fn samples(folder: &Path) -> Vec<Case> {
    let models = files(folder, "tflite").into_iter().filter_map(|model| {
        let name = model.file_stem()?.to_string_lossy().into_owned();
        let form = if name.starts_with("int8") { "int8" } else { "f32" };
        let numbered =
            (0..).map(|i| folder.join(format!("input{i}_{form}.npy"))).take_while(|p| p.is_file());
        let mut inputs: Vec<Array> = numbered.map(|path| Array::open(&path)).collect();
        if inputs.is_empty() {
            inputs.push(Array::open(&folder.join(format!("input_{form}.npy"))));
        }
        Some(case(&model, &inputs, folder, &format!("_{form}")))
    });
    models.collect()
}

fn case(model: &Path, inputs: &[Array], arrays: &Path, form: &str) -> Case {
    let bytes = fs::read(model).expect("a model that was listed");
    // TensorFlow Lite Micro's integer arithmetic is promised for dense layers,
    // TFLite's reference kernels for everything else.
    let micro = arrays.join(format!("expected{form}_tflm.npy"));
    let plain = arrays.join(format!("expected{form}.npy"));
    let dense = tflite::describe(&bytes)
        .is_ok_and(|model| model.operators.iter().any(|o| o.name == "FULLY_CONNECTED"));
    let expected = if dense && micro.is_file() { micro } else { plain };
    let folder = arrays.file_name().unwrap_or_default().to_string_lossy();
    let name = format!("{folder}/{}", model.file_stem().unwrap_or_default().to_string_lossy());
    Case::new(&name, Source::Tflite(bytes), inputs, &[Array::open(&expected)])
}
