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
    /// Of one run.
    pub(super) shape: Vec<usize>,
    pub(super) int8: bool,
    bytes: Vec<u8>,
}

impl Array {
    /// Reads a `.npy`.
    pub(super) fn open(path: &Path) -> Self {
        let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self::read(NpyFile::new(BufReader::new(file)).expect("an array"))
    }

    fn read<R: Read>(file: NpyFile<R>) -> Self {
        let extents: Vec<usize> = file.shape().iter().map(|&extent| extent as usize).collect();
        let (runs, shape) = extents.split_first().map_or((1, vec![]), |(r, s)| (*r, s.to_vec()));
        let kind = file.dtype().descr();
        let int8 = kind.contains("i1");
        let bytes = if int8 {
            bytemuck::cast_slice(&file.into_vec::<i8>().expect("codes")).to_vec()
        } else if kind.contains("f4") {
            bytemuck::cast_slice(&file.into_vec::<f32>().expect("floats")).to_vec()
        } else {
            panic!("arrays hold f32 or int8, not {kind}")
        };
        Self { runs, shape, int8, bytes }
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

    /// The values of an int8 vector.
    pub(super) fn numbers(&mut self, name: &str) -> Vec<i8> {
        let file = self.0.by_name(name).expect("an archive of arrays");
        file.expect("an array of this name").into_vec().expect("codes")
    }
}
