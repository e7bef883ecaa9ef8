//! The file of the self-test: vectors one after the other, read as a stream.
//!
//! All numbers are little-endian. A file is [`MAGIC`], the number of vectors
//! (u32), and per vector a [`Head`], the blob, then per run the bytes of all
//! inputs in the model's order and those of all expected outputs.

/// First bytes of a file; the last one is the version of this layout.
pub const MAGIC: [u8; 4] = *b"MCS\x01";

/// Longest name of a vector, bytes.
pub const NAME_BYTES: usize = 60;

/// What stands before a vector.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Head {
    /// UTF-8, filled with zeros.
    pub name: [u8; NAME_BYTES],
    /// Bytes of the blob.
    pub blob: u32,
    /// Number of runs.
    pub runs: u32,
    /// Bytes of all inputs of a run.
    pub inputs: u32,
    /// Bytes of all expected outputs of a run.
    pub outputs: u32,
    /// Error that a float output may have, relative above one; zero where every bit counts.
    pub tolerance: f32,
}

impl Head {
    /// Bytes in the file.
    pub const BYTES: usize = NAME_BYTES + 20;

    /// As it stands in the file.
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let (name, numbers) = bytes.split_at_mut(NAME_BYTES);
        name.copy_from_slice(&self.name);
        let values = [self.blob, self.runs, self.inputs, self.outputs, self.tolerance.to_bits()];
        for (bytes, value) in numbers.as_chunks_mut::<4>().0.iter_mut().zip(values) {
            *bytes = value.to_le_bytes();
        }
        bytes
    }

    /// Reads it back.
    pub fn from_bytes(bytes: &[u8; Self::BYTES]) -> Self {
        let mut name = [0; NAME_BYTES];
        let (text, numbers) = bytes.split_at(NAME_BYTES);
        name.copy_from_slice(text);
        let number =
            |i: usize| numbers.as_chunks::<4>().0.get(i).map_or(0, |b| u32::from_le_bytes(*b));
        Self {
            name,
            blob: number(0),
            runs: number(1),
            inputs: number(2),
            outputs: number(3),
            tolerance: f32::from_bits(number(4)),
        }
    }

    /// The name without the zeros.
    pub fn name(&self) -> &str {
        let end = self.name.iter().position(|&byte| byte == 0).unwrap_or(NAME_BYTES);
        core::str::from_utf8(&self.name[..end]).unwrap_or("?")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_survive_the_file() {
        let mut name = [0; NAME_BYTES];
        name[..4].copy_from_slice(b"conv");
        let head = Head { name, blob: 1, runs: 2, inputs: 1 << 20, outputs: 4, tolerance: 1e-5 };
        let back = Head::from_bytes(&head.to_bytes());
        assert_eq!(back, head);
        assert_eq!(back.name(), "conv");
    }
}
