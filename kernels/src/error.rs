//! What can be wrong with shapes and blobs. Small, `Copy`, text only when printed.

use core::fmt;

/// Why an operator cannot be built from these parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShapeError {
    /// An extent, kernel, stride or dilation is zero.
    Zero,
    /// A product or sum of extents exceeds `i32::MAX`.
    Overflow,
    /// Input and output differ in batch or, where they must agree, in channels.
    Mismatch,
    /// Channels are not divisible by the number of groups, or do not fit the weights.
    Channels,
    /// The window does not fit the padded input.
    Window,
    /// A slice does not have the length that its shape asks for.
    Length,
    /// A multiplier is negative, or a shift outside −31…30.
    Multiplier,
    /// A clamp with its lower bound above its upper bound, or a zero point outside int8.
    Range,
    /// An axis or a permutation that the tensor does not have.
    Axis,
}

impl fmt::Display for ShapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Zero => "an extent, kernel, stride or dilation is zero",
            Self::Overflow => "the shape is too large",
            Self::Mismatch => "input and output shapes do not fit each other",
            Self::Channels => "the channel count does not fit the weights or groups",
            Self::Window => "the window does not fit the padded input",
            Self::Length => "a buffer does not have the length of its shape",
            Self::Multiplier => "a requantisation multiplier or shift is out of range",
            Self::Range => "a clamp or zero point is out of range",
            Self::Axis => "an axis is out of range",
        })
    }
}

impl core::error::Error for ShapeError {}

/// Why a blob is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FormatError {
    /// Shorter than a header, or than the header says.
    Truncated,
    /// Longer than the header says.
    TrailingBytes,
    /// Does not begin with `MCNV`.
    Magic,
    /// Written for another version of the format.
    Version(u32),
    /// The checksum does not match: some byte was changed.
    Checksum,
    /// The bytes do not start at a multiple of 16 in memory.
    Alignment,
    /// A section or an array lies outside the blob, or is misaligned in it.
    Bounds,
    /// A count is zero or larger than this build accepts.
    Count,
    /// The tensor with this index has a bad type, rank, extent or place in the arena.
    Tensor(u16),
    /// The layer with this index has an operator that this version does not know.
    Operator(u16),
    /// The layer with this index names a tensor that does not exist, or of a wrong type.
    Operand(u16),
    /// The layer with this index has parameters that do not fit its tensors.
    Layer(u16, ShapeError),
    /// The layer with this index reads and writes overlapping memory.
    Overlap(u16),
    /// The layer with this index has less scratch memory than its kernel needs.
    Scratch(u16),
    /// The layer with this index carries weights in a packing that this build does not have.
    Packing(u16),
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("the blob is cut short"),
            Self::TrailingBytes => f.write_str("there are bytes after the end of the blob"),
            Self::Magic => f.write_str("this is not a microconv blob (no `MCNV` at its start)"),
            Self::Version(found) => write!(
                f,
                "the blob has format version {found}, this build reads {}: export it again",
                crate::model::format::VERSION
            ),
            Self::Checksum => f.write_str("the checksum does not match: the blob is damaged"),
            Self::Alignment => f.write_str("the blob must lie at a multiple of 16 in memory"),
            Self::Bounds => f.write_str("an array lies outside the blob"),
            Self::Count => f.write_str("a count in the header is out of range"),
            Self::Tensor(i) => write!(f, "tensor {i} has a bad type, shape or place"),
            Self::Operator(i) => write!(f, "layer {i} has an unknown operator"),
            Self::Operand(i) => write!(f, "layer {i} has an operand of the wrong kind"),
            Self::Layer(i, why) => write!(f, "layer {i}: {why}"),
            Self::Overlap(i) => write!(f, "layer {i} reads memory that it overwrites"),
            Self::Scratch(i) => write!(f, "layer {i} has too little scratch memory"),
            Self::Packing(i) => write!(f, "layer {i} has weights packed for another core"),
        }
    }
}

impl core::error::Error for FormatError {}

/// Why a session cannot start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ArenaError {
    /// The arena has fewer bytes than the model needs (this many).
    TooSmall(usize),
    /// The arena does not start at a multiple of 16.
    Misaligned,
}

impl fmt::Display for ArenaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooSmall(needed) => {
                write!(f, "the arena is too small: {needed} bytes are needed")
            }
            Self::Misaligned => f.write_str("the arena must start at a multiple of 16"),
        }
    }
}

impl core::error::Error for ArenaError {}

/// `?` in a `const fn`.
macro_rules! tri {
    ($result:expr) => {
        match $result {
            Ok(value) => value,
            Err(error) => return Err(error),
        }
    };
}
pub(crate) use tri;

/// `?` for an [`Option`] in a `const fn`.
macro_rules! some {
    ($option:expr) => {
        match $option {
            Some(value) => value,
            None => return None,
        }
    };
}
pub(crate) use some;
