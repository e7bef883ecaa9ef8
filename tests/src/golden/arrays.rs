//! NumPy arrays as bytes per run.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use npyz::NpyFile;
use npyz::npz::NpzArchive;

/// An array of f32 or i8 whose axis 0 is the run.
#[derive(Clone, Debug)]
pub(super) struct Array {
    pub(super) runs: usize,
    bytes: Vec<u8>,
}

impl Array {
    /// Reads a `.npy`.
    pub(super) fn open(path: &Path) -> Self {
        let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self::read(NpyFile::new(BufReader::new(file)).expect("an array"))
    }

    fn read<R: Read>(file: NpyFile<R>) -> Self {
        let runs = file.shape().first().map_or(1, |&extent| extent as usize);
        let bytes = match file.dtype().descr() {
            kind if kind.contains("f4") => {
                bytemuck::cast_slice(&file.into_vec::<f32>().expect("floats")).to_vec()
            }
            kind if kind.contains("i1") => {
                bytemuck::cast_slice(&file.into_vec::<i8>().expect("codes")).to_vec()
            }
            kind => panic!("arrays hold f32 or int8, not {kind}"),
        };
        Self { runs, bytes }
    }

    /// The bytes of one run.
    pub(super) fn run(&self, run: usize) -> &[u8] {
        let size = self.bytes.len() / self.runs;
        &self.bytes[run * size..(run + 1) * size]
    }
}

/// A `.npz`.
pub(super) struct Archive(NpzArchive<BufReader<File>>);

impl Archive {
    pub(super) fn open(path: &Path) -> Self {
        Self(NpzArchive::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    }

    /// The arrays `name0`, `name1`, …
    pub(super) fn series(&mut self, name: &str) -> Vec<Array> {
        let mut arrays = Vec::new();
        while let Some(file) =
            self.0.by_name(&format!("{name}{}", arrays.len())).expect("an archive of arrays")
        {
            arrays.push(Array::read(file));
        }
        arrays
    }
}
