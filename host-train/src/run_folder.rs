//! A finished training run on disk.
//!
//! | file | holds |
//! |---|---|
//! | `architecture.toml` | the network ([`Architecture`]) |
//! | `weights.safetensors` | its weights, `<layer>/kernel` and so on, in the graph's layouts |
//! | `history.json` | loss and validation loss of every epoch |
//! | `training.json` | the settings that led here |
//! | `loss.png` | the history as a picture |
//! | `reconstructions.png` | ten test images above what the network makes of them |
//!
//! A folder is written beside its destination and renamed, so that it is
//! there as a whole or not at all.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use crate::arch::{Architecture, WeightTensor, Weights};
use crate::data::Images;
use crate::graph::Graph;
use crate::report;

const ARCHITECTURE: &str = "architecture.toml";
const WEIGHTS: &str = "weights.safetensors";
const HISTORY: &str = "history.json";
const TRAINING: &str = "training.json";

/// What one pass over the training images came to.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct Epoch {
    /// Mean over the batches, as training went.
    pub loss: f32,
    /// Over the test images, after the pass.
    pub val_loss: f32,
    /// Wall-clock time, validation included.
    pub seconds: f64,
}

/// `history.json`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct History {
    /// In order.
    pub epochs: Vec<Epoch>,
    /// Validation loss of the initial weights.
    pub initial_val_loss: f32,
}

/// What a training run leaves behind.
pub struct Run<'a> {
    /// The network.
    pub architecture: &'a Architecture,
    /// After the last epoch.
    pub weights: &'a Weights,
    /// One entry per epoch.
    pub history: &'a History,
    /// The settings, as a JSON object.
    pub training: serde_json::Value,
    /// Test images to show.
    pub originals: &'a Images,
    /// What the network makes of them, as many values.
    pub restored: &'a [f32],
}

/// A place to put a run, found writable.
#[derive(Debug)]
pub struct Destination {
    path: PathBuf,
}

impl Destination {
    /// Checks, before hours of training, that a run can be written to `path`:
    /// what stands there is a run or empty, and what is above it is writable.
    /// Leaves nothing behind.
    ///
    /// # Errors
    /// Names the folder and what to do.
    pub fn prepare(path: &Path) -> Result<Self> {
        let name = path.display();
        if path.exists() {
            ensure!(path.is_dir(), "{name}: is a file; choose another folder for --output");
            let empty = fs::read_dir(path)
                .with_context(|| format!("{name}: cannot read the folder; choose another"))?
                .next()
                .is_none();
            ensure!(
                empty || path.join(WEIGHTS).is_file() && path.join(ARCHITECTURE).is_file(),
                "{name}: holds other files and no earlier run, and is left alone; choose another folder for --output"
            );
        }
        let path = std::path::absolute(path)
            .with_context(|| format!("{name}: is no usable path; choose another for --output"))?;
        ensure!(
            path.parent().is_some(),
            "{name}: is the root; choose a folder below it for --output"
        );
        let above = path.ancestors().skip(1).find(|above| above.exists()).unwrap_or(&path);
        scratch(above).with_context(|| {
            format!("{name}: cannot write there; choose another folder for --output")
        })?;
        Ok(Self { path })
    }

    /// Writes the run and puts it in place, whole.
    ///
    /// # Errors
    /// Names the file that could not be written.
    pub fn write(self, run: &Run<'_>) -> Result<()> {
        let cannot = || format!("{}: cannot write the run", self.path.display());
        let above = self.path.parent().unwrap_or(&self.path);
        fs::create_dir_all(above).with_context(cannot)?;
        // Beside the destination, so that a rename moves it; removed when dropped.
        let scratch = scratch(above).with_context(cannot)?;
        let folder = scratch.path().join("run");
        fs::create_dir(&folder).with_context(cannot)?;
        let write = |name: &str, bytes: &[u8]| {
            fs::write(folder.join(name), bytes).with_context(|| {
                format!("{}: cannot write {name}; free some space", self.path.display())
            })
        };
        write(ARCHITECTURE, run.architecture.text.as_bytes())?;
        write(WEIGHTS, &serialize(run.weights)?)?;
        write(HISTORY, &json(run.history)?)?;
        write(TRAINING, &json(&run.training)?)?;
        report::loss_curve(&folder.join("loss.png"), run.history)?;
        let originals = run.originals.gather(&(0..run.originals.len()).collect::<Vec<_>>());
        let [h, w, c] = run.originals.shape();
        report::reconstructions(
            &folder.join("reconstructions.png"),
            &originals,
            run.restored,
            (h, w, c),
        )?;
        self.replace(&folder, &scratch.path().join("earlier"))
    }

    /// Moves `folder` to the destination, and a run that stands there to `earlier`.
    fn replace(&self, folder: &Path, earlier: &Path) -> Result<()> {
        let cannot = || format!("{}: cannot put the run there", self.path.display());
        let replaced = self.path.exists();
        if replaced {
            fs::rename(&self.path, earlier).with_context(cannot)?;
        }
        if let Err(error) = fs::rename(folder, &self.path) {
            if replaced {
                fs::rename(earlier, &self.path).with_context(cannot)?;
            }
            return Err(error).with_context(cannot);
        }
        Ok(())
    }
}

fn scratch(above: &Path) -> std::io::Result<tempfile::TempDir> {
    // The kind alone: the path of a scratch folder says nothing to a user.
    let scratch = tempfile::Builder::new().prefix(".microconv-").tempdir_in(above);
    scratch.map_err(|error| error.kind().into())
}

fn json(value: &impl Serialize) -> Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(value)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// `weights` as safetensors.
fn serialize(weights: &Weights) -> Result<Vec<u8>> {
    let bytes: Vec<(&String, &WeightTensor, Vec<u8>)> = weights
        .iter()
        .map(|(name, weight)| {
            (name, weight, weight.values.iter().flat_map(|v| v.to_le_bytes()).collect())
        })
        .collect();
    let views: Vec<_> = bytes
        .iter()
        .map(|(name, weight, bytes)| {
            Ok((*name, TensorView::new(Dtype::F32, weight.shape.clone(), bytes)?))
        })
        .collect::<Result<_>>()?;
    Ok(safetensors::serialize(views, None::<HashMap<String, String>>)?)
}

/// Whether `path` looks like a run folder.
pub fn is_run(path: &Path) -> bool {
    path.join(ARCHITECTURE).is_file()
}

/// The network of a run and its float graph.
///
/// # Errors
/// Names the file, what is wrong with it and what to do.
pub fn load(path: &Path) -> Result<(Architecture, Graph)> {
    let architecture = load_architecture(path)?;
    let weights = load_weights(path, &architecture)?;
    let file = path.join(WEIGHTS);
    let graph = architecture.lower(&weights).with_context(|| file.display().to_string())?;
    Ok((architecture, graph))
}

fn load_architecture(path: &Path) -> Result<Architecture> {
    let name = path.display();
    ensure!(
        path.is_dir(),
        "{name}: no such run folder; make one with `microconv train --output {name}`"
    );
    let file = path.join(ARCHITECTURE);
    ensure!(
        file.is_file(),
        "{name}: is no run folder ({ARCHITECTURE} is missing); make one with `microconv train --output`"
    );
    Architecture::load(&file.to_string_lossy())
}

/// The weights of a run, each of the shape that `architecture` asks for and finite.
///
/// # Errors
/// Names the file, the weight and what to do.
pub fn load_weights(path: &Path, architecture: &Architecture) -> Result<Weights> {
    let file = path.join(WEIGHTS);
    let name = file.display();
    let again = "train again";
    let bytes = fs::read(&file)
        .with_context(|| format!("{name}: cannot read the weights; {again} or restore the file"))?;
    let tensors = SafeTensors::deserialize(&bytes)
        .with_context(|| format!("{name}: is damaged; {again} or restore the file"))?;
    let mut weights = Weights::new();
    for (weight, spec) in architecture.weights() {
        let Ok(view) = tensors.tensor(&weight) else {
            bail!(
                "{name}: weight `{weight}` is missing; it belongs to another architecture; {again}"
            );
        };
        ensure!(
            view.dtype() == Dtype::F32 && view.shape() == spec.shape,
            "{name}: weight `{weight}` is {:?} {:?}, {ARCHITECTURE} asks for F32 {:?}; {again}",
            view.dtype(),
            view.shape(),
            spec.shape
        );
        let (words, _) = view.data().as_chunks::<4>();
        let values: Vec<f32> = words.iter().map(|&word| f32::from_le_bytes(word)).collect();
        ensure!(
            values.iter().all(|v| v.is_finite()),
            "{name}: weight `{weight}` holds NaN or infinite values; {again} with a smaller --learning-rate"
        );
        weights.insert(weight, WeightTensor { shape: spec.shape.clone(), values });
    }
    if let Some(other) = tensors.names().into_iter().find(|n| !weights.contains_key(*n)) {
        bail!("{name}: weight `{other}` is not in {ARCHITECTURE}; {again}");
    }
    Ok(weights)
}

/// The history of a run.
///
/// # Errors
/// Names the file and what to do.
pub fn load_history(path: &Path) -> Result<History> {
    let file = path.join(HISTORY);
    let name = file.display();
    let text = fs::read(&file).with_context(|| format!("{name}: cannot read the history"))?;
    serde_json::from_slice(&text).with_context(|| format!("{name}: is damaged; train again"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights(architecture: &Architecture) -> Weights {
        architecture
            .weights()
            .map(|(name, spec)| {
                let values = (0..spec.len()).map(|i| i as f32 / 7.0).collect();
                (name, WeightTensor { shape: spec.shape.clone(), values })
            })
            .collect()
    }

    fn write(path: &Path, weights: &Weights) -> Result<()> {
        let architecture = Architecture::load("upsample").unwrap();
        let originals = Images::from_bytes([28, 28, 1], vec![9; 28 * 28 * 2]).unwrap();
        let epoch = Epoch { loss: 0.5, val_loss: 0.25, seconds: 1.0 };
        Destination::prepare(path)?.write(&Run {
            architecture: &architecture,
            weights,
            history: &History { epochs: vec![epoch; 3], initial_val_loss: 0.7 },
            training: serde_json::json!({ "seed": 1 }),
            originals: &originals,
            restored: &vec![0.5; 28 * 28 * 2],
        })
    }

    #[test]
    fn a_run_is_written_whole_and_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("runs/first");
        let architecture = Architecture::load("upsample").unwrap();
        let weights = weights(&architecture);
        write(&path, &weights).unwrap();
        write(&path, &weights).unwrap(); // replaces the earlier run
        let (read, graph) = load(&path).unwrap();
        assert_eq!(read.name, "upsample");
        assert_eq!(graph.nodes.len(), 6);
        assert_eq!(load_weights(&path, &read).unwrap(), weights);
        assert_eq!(load_history(&path).unwrap().epochs.len(), 3);
        let mut left: Vec<_> =
            fs::read_dir(&path).unwrap().map(|e| e.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(
            left,
            [ARCHITECTURE, HISTORY, "loss.png", "reconstructions.png", TRAINING, WEIGHTS]
        );
        let beside = fs::read_dir(path.parent().unwrap()).unwrap().count();
        assert_eq!(beside, 1, "no scratch folder is left behind");
    }

    #[test]
    fn other_folders_and_files_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("thesis.tex"), "precious").unwrap();
        let message = Destination::prepare(dir.path()).unwrap_err().to_string();
        assert!(message.contains("left alone"), "{message}");
        let file = dir.path().join("thesis.tex");
        let message = Destination::prepare(&file).unwrap_err().to_string();
        assert!(message.contains("is a file"), "{message}");
        let below = Destination::prepare(&file.join("run")).unwrap_err().to_string();
        assert!(below.contains("cannot write there"), "{below}");
    }

    #[test]
    fn damaged_runs_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run");
        let error = || format!("{:#}", load(&path).map(|_| ()).unwrap_err());
        assert!(error().contains("no such run folder"));
        let architecture = Architecture::load("upsample").unwrap();
        let mut weights = weights(&architecture);
        weights.get_mut("conv2d/bias").unwrap().values[0] = f32::NAN;
        write(&path, &weights).unwrap();
        assert!(error().contains("`conv2d/bias` holds NaN"), "{}", error());
        weights.insert("conv2d/bias".into(), WeightTensor { shape: vec![2], values: vec![0.0; 2] });
        write(&path, &weights).unwrap();
        assert!(error().contains("`conv2d/bias` is F32 [2]"), "{}", error());
        weights.remove("conv2d/bias");
        write(&path, &weights).unwrap();
        assert!(error().contains("`conv2d/bias` is missing"), "{}", error());
        let file = path.join(WEIGHTS);
        let bytes = fs::read(&file).unwrap();
        for cut in [0, 7, 8, 40, bytes.len() - 1] {
            fs::write(&file, &bytes[..cut]).unwrap();
            assert!(error().contains("weights.safetensors: is damaged"), "{}", error());
        }
        fs::remove_file(path.join(ARCHITECTURE)).unwrap();
        assert!(error().contains("is no run folder"), "{}", error());
    }
}
