//! The layers of a blob before their tensors have places.

use std::collections::HashMap;

use bytemuck::Pod;
use microconv::model::DType;
use microconv::model::format::{ALIGNMENT, Header};

/// Where the bytes of a tensor are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Storage {
    /// In the arena: index of a buffer that tensors may share, and the first byte in it.
    Arena(usize, usize),
    /// In the blob, at this offset.
    Constant(u32),
}

impl Storage {
    /// First byte in its buffer.
    pub(super) fn offset(self) -> usize {
        match self {
            Self::Arena(_, at) => at,
            Self::Constant(_) => 0,
        }
    }
}

/// A tensor record to be.
#[derive(Clone, Debug)]
pub(super) struct ProgramTensor {
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    pub(super) dtype: DType,
    pub(super) scale: f32,
    pub(super) zero_point: i32,
    pub(super) storage: Storage,
}

impl ProgramTensor {
    pub(super) fn bytes(&self) -> usize {
        self.shape.iter().product::<usize>() * self.dtype.bytes()
    }
}

/// A layer record to be.
#[derive(Clone, Debug)]
pub(super) struct ProgramLayer {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) folded: Vec<String>,
    /// The place in the graph of the node that gives the layer its name.
    pub(super) node: usize,
    pub(super) opcode: u32,
    pub(super) element: DType,
    /// All tensors that it reads; the first three go into the record.
    pub(super) inputs: Vec<usize>,
    pub(super) outputs: Vec<usize>,
    pub(super) scratch: usize,
    pub(super) params_at: u32,
    /// How its weights are packed.
    pub(super) packing: u32,
    /// Whether the output may take the place of the first input, and of the second.
    pub(super) in_place: [bool; 2],
    pub(super) macs: u64,
    /// Values brought from one scale to another.
    pub(super) requantisations: u64,
    pub(super) parameters: usize,
    /// Bytes of the map inside a fused layer.
    pub(super) unstored: usize,
}

/// What the writer lays out.
#[derive(Clone, Debug, Default)]
pub(super) struct Program {
    pub(super) name: String,
    pub(super) tensors: Vec<ProgramTensor>,
    pub(super) layers: Vec<ProgramLayer>,
    pub(super) inputs: Vec<usize>,
    pub(super) outputs: Vec<usize>,
    pub(super) data: Data,
}

/// The bytes of a blob from its start: room for the header, then parameters and arrays.
#[derive(Clone, Debug)]
pub(super) struct Data {
    pub(super) bytes: Vec<u8>,
    known: HashMap<(usize, Vec<u8>), u32>,
}

impl Default for Data {
    fn default() -> Self {
        Self { bytes: vec![0; Header::SIZE], known: HashMap::new() }
    }
}

impl Data {
    /// Appends an array at a multiple of 16, unless the same bytes are there already.
    pub(super) fn array<T: Pod>(&mut self, values: &[T]) -> u32 {
        self.push(bytemuck::cast_slice(values), ALIGNMENT)
    }

    /// Appends a record at a multiple of 4.
    pub(super) fn record(&mut self, bytes: &[u8]) -> u32 {
        self.push(bytes, 4)
    }

    fn push(&mut self, bytes: &[u8], alignment: usize) -> u32 {
        let key = (alignment, bytes.to_vec());
        if let Some(&at) = self.known.get(&key) {
            return at;
        }
        self.bytes.resize(self.bytes.len().next_multiple_of(alignment), 0);
        let at = self.bytes.len() as u32;
        self.bytes.extend_from_slice(bytes);
        self.known.insert(key, at);
        at
    }
}
