//! The records of a blob: what the exporter writes and the loader reads.
//!
//! All fields are four little-endian bytes, so records have no padding and may
//! be read in a `const fn`. Offsets count from the start of the blob.

use bytemuck::{Pod, Zeroable};

pub mod opcode;

/// `MCNV`, little-endian.
pub const MAGIC: u32 = u32::from_le_bytes(*b"MCNV");
/// Version of the format that this build reads and writes.
pub const VERSION: u32 = 2;
/// Alignment of the blob in memory, of weights in it, and of tensors in the arena.
pub const ALIGNMENT: usize = 16;
/// An operand that is not there.
pub const NONE: u32 = u32::MAX;
/// Largest number of tensors or layers.
pub const MAX_COUNT: u32 = 4096;
/// Largest arena, bytes.
pub const MAX_ARENA: u32 = 1 << 30;

/// The checksum at the end of a blob: CRC-32 (ISO-HDLC) of all bytes before it.
pub const CRC: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);

/// The little-endian word at `at`; 0 outside, where a checked blob never reads.
#[inline(always)]
pub(crate) const fn word(bytes: &[u8], at: usize) -> u32 {
    if at < bytes.len() && bytes.len() - at >= 4 {
        u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
    } else {
        0
    }
}

macro_rules! read_field {
    (u32, $bytes:expr, $at:expr) => {
        word($bytes, $at)
    };
    (i32, $bytes:expr, $at:expr) => {
        word($bytes, $at) as i32
    };
    (f32, $bytes:expr, $at:expr) => {
        f32::from_bits(word($bytes, $at))
    };
    (WindowRecord, $bytes:expr, $at:expr) => {
        WindowRecord::read($bytes, $at)
    };
    ([$kind:tt; $n:literal], $bytes:expr, $at:expr) => {{
        let mut values = [read_field!($kind, $bytes, $at); $n];
        let mut i = 1;
        while i < $n {
            values[i] = read_field!($kind, $bytes, $at + 4 * i);
            i += 1;
        }
        values
    }};
}

macro_rules! record {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $kind:tt,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
        #[repr(C)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $kind,)*
        }

        impl $name {
            /// Bytes of the record.
            pub const SIZE: usize = size_of::<Self>();

            /// The record at `at`; zeros where it does not lie in the blob.
            pub(crate) const fn read(bytes: &[u8], at: usize) -> Self {
                const SIZE: usize = $name::SIZE;
                // Checked once: every field then lies at a constant place of an array.
                let bytes = match bytes.split_at_checked(at) {
                    Some((_, rest)) => rest.first_chunk::<SIZE>(),
                    None => None,
                };
                let bytes = match bytes {
                    Some(bytes) => bytes,
                    None => &[0; SIZE],
                };
                Self {
                    $($field: read_field!($kind, bytes, core::mem::offset_of!($name, $field)),)*
                }
            }
        }
    };
}

record! {
    /// The first bytes of a blob.
    Header {
        /// [`MAGIC`].
        magic: u32,
        /// [`VERSION`].
        version: u32,
        /// Bytes of the whole blob, a multiple of 16; the last four are the [`CRC`].
        bytes: u32,
        /// Bytes of arena that the model needs, a multiple of 16.
        arena: u32,
        /// Number of tensors.
        tensors: u32,
        /// Offset of the [`TensorRecord`]s.
        tensors_at: u32,
        /// Number of layers.
        layers: u32,
        /// Offset of the [`LayerRecord`]s, in the order of execution.
        layers_at: u32,
        /// Number of inputs.
        inputs: u32,
        /// Offset of their tensor indices, a word each.
        inputs_at: u32,
        /// Number of outputs.
        outputs: u32,
        /// Offset of their tensor indices, a word each.
        outputs_at: u32,
        /// Offset of the notes for people (UTF-8 JSON), 0 when stripped.
        notes_at: u32,
        /// Bytes of the notes.
        notes_bytes: u32,
        /// The core that the weights are packed for: 0 portable, see `docs/model-format.md`.
        target: u32,
        /// Zero.
        reserved: u32,
    }
}

record! {
    /// A tensor in the arena or in the blob.
    TensorRecord {
        /// 0: `at` counts from the start of the arena. 1: a constant, `at` counts from the start of the blob.
        place: u32,
        /// Offset of the first byte, a multiple of 16.
        at: u32,
        /// 1 i8, 2 f32, 3 u8, 4 u16.
        dtype: u32,
        /// Number of axes, 1 to 6.
        rank: u32,
        /// Extents, batch first; 1 beyond the rank.
        dims: [u32; 6],
        /// Real step of a code; 0 when not quantised.
        scale: f32,
        /// Code of zero.
        zero_point: i32,
        /// Rows (extents of axis 1) that lie in the arena at a time, between a layer and
        /// the next of its chain; 0 for all.
        kept: u32,
    }
}

record! {
    /// A layer: operator, operands, scratch, parameters.
    LayerRecord {
        /// See [`opcode`].
        opcode: u32,
        /// Element type of the operator: 1 i8, 2 f32.
        element: u32,
        /// Tensors that it reads, [`NONE`] beyond.
        inputs: [u32; 3],
        /// Tensors that it writes, [`NONE`] beyond.
        outputs: [u32; 2],
        /// Offset of its scratch memory in the arena, a multiple of 16.
        scratch_at: u32,
        /// Bytes of scratch.
        scratch_bytes: u32,
        /// Offset of its parameters.
        params_at: u32,
        /// How its weights are packed: 0 plain, see [`crate::pack`].
        packing: u32,
        /// Output rows of the first band; 0 for as many as the others.
        band_head: u32,
        /// Output rows that are computed at a time; 0 for all.
        band_rows: u32,
        /// 1 to compute the last band first.
        band_reverse: u32,
    }
}

record! {
    /// A window, resolved: output extents follow from the tensors.
    WindowRecord {
        /// Rows, columns.
        kernel: [u32; 2],
        /// Rows, columns.
        stride: [u32; 2],
        /// Rows, columns.
        dilation: [u32; 2],
        /// Padding cells above, before.
        pad: [u32; 2],
    }
}

record! {
    /// Parameters of a layer with weights: window, weights; an epilogue record follows.
    LinearRecord {
        /// Kernel, stride, dilation, padding; all 1 and 0 for a dense layer.
        window: WindowRecord,
        /// Channel groups.
        groups: u32,
        /// Offset of the weights.
        weights_at: u32,
        /// Bytes of the weights.
        weights_bytes: u32,
        /// Zero point of the input; 0 for floats.
        zero_point: i32,
    }
}

record! {
    /// The end of an int8 accumulation, see [`crate::epilogue::Requantize`].
    RequantizeRecord {
        /// Offset of the biases (i32).
        bias_at: u32,
        /// Number of biases.
        biases: u32,
        /// Offset of the mantissas (i32).
        mantissas_at: u32,
        /// Offset of the shifts (i32).
        shifts_at: u32,
        /// Number of mantissas and shifts: one, or one per channel.
        multipliers: u32,
        /// Zero point of the output.
        zero_point: i32,
        /// Lowest code.
        min: i32,
        /// Highest code.
        max: i32,
        /// Offset of a 256-byte table applied last, 0 for none.
        table_at: u32,
    }
}

record! {
    /// The end of a float accumulation, or a float activation; see [`crate::epilogue::Activate`].
    ActivateRecord {
        /// Offset of the biases (f32).
        bias_at: u32,
        /// Number of biases.
        biases: u32,
        /// Lower bound.
        min: f32,
        /// Upper bound.
        max: f32,
        /// 0 linear, 1 sigmoid, 2 tanh, 3 leaky relu, 4 elu, 5 hard-swish.
        activation: u32,
        /// Parameter of leaky relu and elu.
        alpha: f32,
    }
}

record! {
    /// A pool or an unpool.
    PoolRecord {
        /// The window of the pool.
        window: WindowRecord,
        /// Bounds of a fused activation: codes for i8.
        min: i32,
        /// Upper bound.
        max: i32,
        /// The same for f32.
        min_f32: f32,
        /// Upper bound.
        max_f32: f32,
        /// Code of zero, for unpooling.
        zero_point: i32,
    }
}

record! {
    /// Extents of the map between two fused operators that no tensor has.
    MapRecord {
        /// Rows, columns.
        extent: [u32; 2],
    }
}

record! {
    /// Bed of nails or a resize.
    UpsampleRecord {
        /// Rows and columns of a cell of nails.
        stride: [u32; 2],
        /// Code of zero.
        zero_point: i32,
        /// 1 for aligned corners.
        align_corners: u32,
        /// 1 for half-pixel centres.
        half_pixel_centers: u32,
    }
}

record! {
    /// An int8 table.
    TableRecord {
        /// Offset of the table: 256 i8, or 256 f32 for a softmax.
        table_at: u32,
        /// Factor on the logits of a float softmax.
        beta: f32,
    }
}

record! {
    /// Two operands combined.
    BinaryRecord {
        /// 0 add, 1 sub, 2 mul, 3 prelu.
        kind: u32,
        /// Extents of the output, outermost first.
        dims: [u32; 6],
        /// Strides of the first operand.
        a: [u32; 6],
        /// Strides of the second operand.
        b: [u32; 6],
        /// Zero points of the operands.
        zero_points: [i32; 2],
        /// Mantissas of the operands' multipliers.
        mantissas: [i32; 2],
        /// Shifts of the operands' multipliers.
        shifts: [i32; 2],
        /// Mantissa of the output's multiplier.
        output_mantissa: i32,
        /// Shift of the output's multiplier.
        output_shift: i32,
        /// Zero point of the output.
        zero_point: i32,
        /// Lowest code.
        min: i32,
        /// Highest code.
        max: i32,
        /// Bounds for f32.
        min_f32: f32,
        /// Upper bound.
        max_f32: f32,
    }
}

record! {
    /// Mean or maximum over axes; for an int8 mean a [`RequantizeRecord`] without biases follows.
    ReduceRecord {
        /// Extents of the kept axes.
        kept: [u32; 3],
        /// Their strides.
        kept_strides: [u32; 3],
        /// Extents of the reduced axes.
        reduced: [u32; 3],
        /// Their strides.
        reduced_strides: [u32; 3],
        /// What an int8 sum starts from.
        initial: i32,
    }
}

record! {
    /// Strided copies into one output; that many [`CopyRecord`]s follow.
    ArrangeRecord {
        /// Number of copies.
        copies: u32,
        /// 1 to fill the output first.
        fill: u32,
        /// With what, int8.
        code: i32,
        /// With what, f32.
        value: f32,
    }
}

record! {
    /// One copy, see [`crate::ops::StridedCopy`].
    CopyRecord {
        /// The tensor that it reads.
        source: u32,
        /// Extents, outermost first.
        dims: [u32; 6],
        /// First element read.
        input_offset: u32,
        /// Strides in the input.
        input_strides: [i32; 6],
        /// First element written.
        output_offset: u32,
        /// Strides in the output.
        output_strides: [u32; 6],
    }
}

record! {
    /// Between floats and codes.
    AffineRecord {
        /// Step of a code.
        scale: f32,
        /// Code of zero.
        zero_point: i32,
    }
}

// Offsets are part of the format: a change of size is a change of version.
const _: () = assert!(
    Header::SIZE == 64
        && TensorRecord::SIZE == 52
        && LayerRecord::SIZE == 56
        && WindowRecord::SIZE == 32
        && LinearRecord::SIZE == 48
        && RequantizeRecord::SIZE == 36
        && ActivateRecord::SIZE == 24
        && PoolRecord::SIZE == 52
        && CopyRecord::SIZE == 84
);
