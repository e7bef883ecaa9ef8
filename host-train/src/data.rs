//! Images to train, calibrate and evaluate on.
//!
//! A data path is a folder of IDX files (MNIST's format, plain or `.gz`), of
//! `.npy` arrays (`[N, H, W, C]`, `u8` or `f32`) or of PNG and JPEG images;
//! without one, a subset of MNIST that ships with the crate is used. Bytes
//! are scaled to [0, 1].

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

pub mod idx;
mod image_files;
mod npy;

/// Part held back for validation where the data has no test set of its own.
const DEFAULT_VALIDATION_SPLIT: f32 = 0.1;

/// Decides which images are held back; a constant, so that evaluation sees
/// the same split as training.
const SPLIT_SEED: u64 = 0x5eed;

const SUBSET_TRAIN: &[u8] = include_bytes!("../data/mnist-subset/train-images-idx3-ubyte.gz");
const SUBSET_TEST: &[u8] = include_bytes!("../data/mnist-subset/t10k-images-idx3-ubyte.gz");

/// Images of one size, `[count, height, width, channels]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Images {
    shape: [usize; 3],
    pixels: Pixels,
}

#[derive(Clone, Debug, PartialEq)]
enum Pixels {
    /// Read as `x / 255`; a quarter of the memory of floats.
    Bytes(Vec<u8>),
    Floats(Vec<f32>),
}

impl Images {
    /// Images of bytes, scaled to [0, 1] when read. `shape` is height, width, channels.
    ///
    /// # Errors
    /// When `bytes` is no whole number of images.
    pub fn from_bytes(shape: [usize; 3], bytes: Vec<u8>) -> Result<Self> {
        whole(shape, bytes.len())?;
        Ok(Self { shape, pixels: Pixels::Bytes(bytes) })
    }

    /// Images of floats, read as they are. `shape` is height, width, channels.
    ///
    /// # Errors
    /// When `values` is no whole number of images.
    pub fn from_floats(shape: [usize; 3], values: Vec<f32>) -> Result<Self> {
        whole(shape, values.len())?;
        Ok(Self { shape, pixels: Pixels::Floats(values) })
    }

    /// Height, width, channels.
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// Values of one image.
    pub fn image_len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        let values = match &self.pixels {
            Pixels::Bytes(bytes) => bytes.len(),
            Pixels::Floats(values) => values.len(),
        };
        values / self.image_len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The images called by `indices`, one after the other, as floats.
    ///
    /// # Panics
    /// When an index is past the end.
    pub fn gather(&self, indices: &[usize]) -> Vec<f32> {
        let n = self.image_len();
        let mut out = Vec::with_capacity(indices.len() * n);
        for &i in indices {
            let range = i * n..(i + 1) * n;
            match &self.pixels {
                Pixels::Bytes(bytes) => {
                    out.extend(bytes[range].iter().map(|&byte| f32::from(byte) / 255.0));
                }
                Pixels::Floats(values) => out.extend_from_slice(&values[range]),
            }
        }
        out
    }

    /// Image `index` as floats.
    ///
    /// # Panics
    /// When the index is past the end.
    pub fn image(&self, index: usize) -> Vec<f32> {
        self.gather(&[index])
    }

    /// The first `count` images, or all if there are fewer.
    pub fn first(&self, count: usize) -> Self {
        self.select(&(0..count.min(self.len())).collect::<Vec<_>>())
    }

    fn select(&self, indices: &[usize]) -> Self {
        let n = self.image_len();
        let pixels = match &self.pixels {
            Pixels::Bytes(bytes) => Pixels::Bytes(
                indices.iter().flat_map(|&i| &bytes[i * n..(i + 1) * n]).copied().collect(),
            ),
            Pixels::Floats(values) => Pixels::Floats(
                indices.iter().flat_map(|&i| &values[i * n..(i + 1) * n]).copied().collect(),
            ),
        };
        Self { shape: self.shape, pixels }
    }
}

fn whole(shape: [usize; 3], values: usize) -> Result<()> {
    let image: usize = shape.iter().product();
    ensure!(
        image > 0 && values.is_multiple_of(image),
        "{values} values are no whole number of images of {shape:?}"
    );
    Ok(())
}

/// Images to train on and images to judge by.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// To train and calibrate on.
    pub train: Images,
    /// To validate and evaluate on.
    pub test: Images,
    /// Where they come from, for messages.
    pub source: String,
}

/// The MNIST subset that ships with the crate: 6,000 and 1,000 images.
///
/// # Errors
/// Only if the embedded files are damaged.
pub fn mnist_subset() -> Result<Dataset> {
    let read = |bytes, name: &str| {
        idx::parse_images(bytes).with_context(|| format!("embedded MNIST subset, {name}"))
    };
    Ok(Dataset {
        train: read(SUBSET_TRAIN, "training images")?,
        test: read(SUBSET_TEST, "test images")?,
        source: "the MNIST subset that ships with microconv".into(),
    })
}

/// Loads `path` (the shipped subset without one) for a model whose input is
/// `input`: `[height, width, channels]`, or `[values]` of any image that has
/// as many. `validation_split` holds back that part of the training images as
/// test set, in place of the data's own.
///
/// # Errors
/// Names the file, what is wrong with it and what to do.
pub fn load(
    path: Option<&Path>,
    input: &[usize],
    validation_split: Option<f32>,
) -> Result<Dataset> {
    let Some(path) = path else {
        let data = mnist_subset()?;
        check_shape(&data.source, data.train.shape, input)?;
        return split_off(data.train, Some(data.test), data.source, validation_split);
    };
    let (train, test) = read(path, input)?;
    for images in [Some(&train), test.as_ref()].into_iter().flatten() {
        check_shape(&path.display().to_string(), images.shape, input)?;
    }
    split_off(train, test, path.display().to_string(), validation_split)
}

/// What a training run needs of an image: the size of the model's input.
fn check_shape(source: &str, image: [usize; 3], input: &[usize]) -> Result<()> {
    let fits = match input {
        [values] => image.iter().product::<usize>() == *values,
        _ => image == *input,
    };
    ensure!(
        fits,
        "{source}: images are {}, the model takes {}; resize or convert the images, or change `input` of the architecture",
        extents(&image),
        extents(input)
    );
    Ok(())
}

/// `28×28×1`.
fn extents(shape: &[usize]) -> String {
    shape.iter().map(usize::to_string).collect::<Vec<_>>().join("×")
}

type TrainAndTest = (Images, Option<Images>);

fn read(path: &Path, input: &[usize]) -> Result<TrainAndTest> {
    let name = path.display();
    ensure!(path.exists(), "{name}: no such folder; give the folder that holds the images");
    if path.is_file() {
        ensure!(
            path.extension().is_some_and(|e| e == "npy"),
            "{name}: is a file; give a folder of IDX, .npy, PNG or JPEG files, or one .npy file"
        );
        return Ok((npy::read(path)?, None));
    }
    if let Some(train) = idx::find(path, "train-images-idx3-ubyte") {
        let test = idx::find(path, "t10k-images-idx3-ubyte");
        return Ok((
            idx::read_images(&train)?,
            test.map(|test| idx::read_images(&test)).transpose()?,
        ));
    }
    if idx::find(path, "t10k-images-idx3-ubyte").is_some() {
        bail!(
            "{name}: holds t10k-images-idx3-ubyte but no train-images-idx3-ubyte; add that file (plain or .gz)"
        );
    }
    if let Some(pair) = npy_folder(path)? {
        return Ok(pair);
    }
    let (train, test) = (path.join("train"), path.join("test"));
    if train.is_dir() && test.is_dir() {
        let read = |folder: &Path| image_files::read(folder, input);
        return Ok((read(&train)?, Some(read(&test)?)));
    }
    Ok((image_files::read(path, input)?, None))
}

/// `train.npy` with an optional `test.npy`, or a single `.npy` file.
fn npy_folder(path: &Path) -> Result<Option<TrainAndTest>> {
    let (train, test) = (path.join("train.npy"), path.join("test.npy"));
    if train.is_file() {
        let test = test.is_file().then(|| npy::read(&test)).transpose()?;
        return Ok(Some((npy::read(&train)?, test)));
    }
    match files(path, &["npy"])?.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some((npy::read(one)?, None))),
        _ => {
            bail!("{}: holds several .npy files; name them train.npy and test.npy", path.display())
        }
    }
}

/// Files in `folder` with one of `extensions`, by name.
fn files(folder: &Path, extensions: &[&str]) -> Result<Vec<PathBuf>> {
    let cannot = || format!("{}: cannot read the folder; check its permissions", folder.display());
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(cannot)? {
        let path = entry.with_context(cannot)?.path();
        let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase());
        if extension.is_some_and(|e| extensions.contains(&e.as_str())) && path.is_file() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn split_off(
    train: Images,
    test: Option<Images>,
    source: String,
    validation_split: Option<f32>,
) -> Result<Dataset> {
    ensure!(!train.is_empty(), "{source}: holds no image; add some");
    if let (Some(test), None) = (&test, validation_split) {
        ensure!(!test.is_empty(), "{source}: the test set is empty; add images or remove it");
        return Ok(Dataset { train, test: test.clone(), source });
    }
    let part = validation_split.unwrap_or(DEFAULT_VALIDATION_SPLIT);
    ensure!(
        train.len() >= 2,
        "{source}: holds one image only; at least two are needed, one to train and one to validate"
    );
    let held_back = ((train.len() as f32 * part).round() as usize).clamp(1, train.len() - 1);
    let mut order: Vec<usize> = (0..train.len()).collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(SPLIT_SEED));
    let (test, rest) = order.split_at(held_back);
    let (mut test, mut rest) = (test.to_vec(), rest.to_vec());
    test.sort_unstable();
    rest.sort_unstable();
    Ok(Dataset { test: train.select(&test), train: train.select(&rest), source })
}

#[cfg(test)]
mod tests;
