//! A blob checked: everything that the executor relies on.

use crate::error::{FormatError, tri};
use crate::model::format::{
    ALIGNMENT, CRC, Header, LayerRecord, MAGIC, MAX_ARENA, MAX_COUNT, TensorRecord, VERSION, word,
};
use crate::model::layer::{DType, Layer, Span, TensorInfo};
use crate::shape::{MAX_ELEMENTS, product};

/// A blob that has been checked.
#[derive(Clone, Copy, Debug)]
pub struct Model<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) header: Header,
}

impl<'a> Model<'a> {
    /// Checks a blob: sizes, checksum, alignment, tensors, and every layer with its parameters.
    ///
    /// # Errors
    /// [`FormatError`] says what is wrong, and with which layer or tensor.
    pub fn from_bytes(bytes: &'a [u8]) -> Result<Self, FormatError> {
        if bytes.as_ptr().align_offset(ALIGNMENT) != 0 {
            return Err(FormatError::Alignment);
        }
        Self::parse(bytes)
    }

    /// [`Model::from_bytes`] in a `const fn`, without the check of the address
    /// (f32 and i32 arrays at a misaligned address read as empty).
    ///
    /// # Errors
    /// As [`Model::from_bytes`].
    pub const fn parse(bytes: &'a [u8]) -> Result<Self, FormatError> {
        let model = tri!(Self::parse_header(bytes));
        let mut i = 0;
        while i < model.header.tensors {
            tri!(model.check_tensor(i));
            i += 1;
        }
        tri!(model.check_ids(model.header.inputs_at, model.header.inputs));
        tri!(model.check_ids(model.header.outputs_at, model.header.outputs));
        let mut i = 0;
        while i < model.header.layers {
            tri!(model.check_layer(i as usize));
            i += 1;
        }
        Ok(model)
    }

    const fn parse_header(bytes: &'a [u8]) -> Result<Self, FormatError> {
        if bytes.len() >= 4 && word(bytes, 0) != MAGIC {
            return Err(FormatError::Magic);
        }
        if bytes.len() < Header::SIZE + 4 {
            return Err(FormatError::Truncated);
        }
        let header = Header::read(bytes, 0);
        if header.version != VERSION {
            return Err(FormatError::Version(header.version));
        }
        let total = header.bytes as usize;
        if total > bytes.len() || total < Header::SIZE + 4 {
            return Err(FormatError::Truncated);
        }
        if total < bytes.len() {
            return Err(FormatError::TrailingBytes);
        }
        let (covered, _) = bytes.split_at(total - 4);
        if CRC.checksum(covered) != word(bytes, total - 4) {
            return Err(FormatError::Checksum);
        }
        let counts = header.tensors == 0
            || header.tensors > MAX_COUNT
            || header.layers > MAX_COUNT
            || header.inputs == 0
            || header.inputs > MAX_COUNT
            || header.outputs == 0
            || header.outputs > MAX_COUNT
            || header.arena > MAX_ARENA
            || !(header.arena as usize).is_multiple_of(ALIGNMENT);
        if counts {
            return Err(FormatError::Count);
        }
        let model = Self { bytes, header };
        tri!(model.span(header.tensors_at, header.tensors as usize, TensorRecord::SIZE, 4));
        tri!(model.span(header.layers_at, header.layers as usize, LayerRecord::SIZE, 4));
        tri!(model.span(header.inputs_at, header.inputs as usize, 4, 4));
        tri!(model.span(header.outputs_at, header.outputs as usize, 4, 4));
        tri!(model.span(header.notes_at, header.notes_bytes as usize, 1, 1));
        Ok(model)
    }

    /// `count` elements of `size` bytes at `at`, inside the blob and aligned.
    pub(crate) const fn span(
        &self,
        at: u32,
        count: usize,
        size: usize,
        alignment: usize,
    ) -> Result<Span, FormatError> {
        let at = at as usize;
        let Ok(len) = product(count, size) else { return Err(FormatError::Bounds) };
        let inside = at <= self.bytes.len() && len <= self.bytes.len() - at;
        if inside && at.is_multiple_of(alignment) {
            Ok(Span { at, len })
        } else {
            Err(FormatError::Bounds)
        }
    }

    const fn check_ids(&self, at: u32, count: u32) -> Result<(), FormatError> {
        let mut i = 0;
        while i < count as usize {
            let id = word(self.bytes, at as usize + 4 * i);
            // What the caller fills and reads is in memory as a whole.
            if id >= self.header.tensors || self.tensor(id as usize).kept != 0 {
                return Err(FormatError::Bounds);
            }
            i += 1;
        }
        Ok(())
    }

    const fn check_tensor(&self, index: u32) -> Result<(), FormatError> {
        let bad = FormatError::Tensor(index as u16);
        let at = self.header.tensors_at as usize + index as usize * TensorRecord::SIZE;
        let record = TensorRecord::read(self.bytes, at);
        let Some(dtype) = DType::decode(record.dtype) else { return Err(bad) };
        if record.rank == 0 || record.rank > 6 || record.place > 1 {
            return Err(bad);
        }
        let (mut count, mut axis) = (1usize, 0);
        while axis < 6 {
            let extent = record.dims[axis] as usize;
            if extent == 0 || (axis >= record.rank as usize && extent != 1) {
                return Err(bad);
            }
            let Ok(next) = product(count, extent) else { return Err(bad) };
            count = next;
            axis += 1;
        }
        if count > MAX_ELEMENTS / 4 {
            return Err(bad);
        }
        let room = if record.place == 1 { self.bytes.len() } else { self.header.arena as usize };
        let at = record.at as usize;
        let rows = record.kept as usize;
        let windowed = record.rank == 4 && record.place == 0 && rows <= record.dims[1] as usize;
        if rows != 0 && !windowed {
            return Err(bad);
        }
        let stored = if rows == 0 { count } else { count / record.dims[1] as usize * rows };
        let fits = at <= room && stored * dtype.bytes() <= room - at;
        let zero_point = record.zero_point < -128 || record.zero_point > 127;
        // NaN compares false and is refused.
        let scale = record.scale >= 0.0 && record.scale < f32::INFINITY;
        if !fits || !at.is_multiple_of(ALIGNMENT) || zero_point || !scale {
            return Err(bad);
        }
        Ok(())
    }

    /// What the blob says of tensor `index`; of the first one when there are fewer.
    pub const fn tensor(&self, index: usize) -> TensorInfo {
        let index = if index < self.header.tensors as usize { index } else { 0 };
        let at = self.header.tensors_at as usize + index * TensorRecord::SIZE;
        let record = TensorRecord::read(self.bytes, at);
        let mut dims = [1usize; 6];
        let mut axis = 0;
        while axis < 6 {
            dims[axis] = record.dims[axis] as usize;
            axis += 1;
        }
        let dtype = match DType::decode(record.dtype) {
            Some(dtype) => dtype,
            None => DType::I8,
        };
        TensorInfo {
            dtype,
            constant: record.place == 1,
            at: record.at as usize,
            rank: record.rank as usize,
            dims,
            scale: record.scale,
            zero_point: record.zero_point,
            kept: record.kept as usize,
        }
    }

    /// Number of tensors.
    pub const fn tensors(&self) -> usize {
        self.header.tensors as usize
    }

    /// Number of layers.
    pub const fn layers(&self) -> usize {
        self.header.layers as usize
    }

    /// Number of inputs.
    pub const fn inputs(&self) -> usize {
        self.header.inputs as usize
    }

    /// Number of outputs.
    pub const fn outputs(&self) -> usize {
        self.header.outputs as usize
    }

    /// Index of the tensor of input `i`.
    pub const fn input_id(&self, i: usize) -> usize {
        word(self.bytes, self.header.inputs_at as usize + 4 * i) as usize
    }

    /// Index of the tensor of output `i`.
    pub const fn output_id(&self, i: usize) -> usize {
        word(self.bytes, self.header.outputs_at as usize + 4 * i) as usize
    }

    /// The tensor of input `i`.
    pub const fn input(&self, i: usize) -> TensorInfo {
        self.tensor(self.input_id(i))
    }

    /// The tensor of output `i`.
    pub const fn output(&self, i: usize) -> TensorInfo {
        self.tensor(self.output_id(i))
    }

    /// Bytes of arena that a session needs.
    pub const fn arena_bytes(&self) -> usize {
        self.header.arena as usize
    }

    /// The whole blob.
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The core that the weights are packed for; 0 is portable.
    pub const fn target(&self) -> u32 {
        self.header.target
    }

    /// The notes for people, empty when stripped.
    pub fn notes(&self) -> &'a [u8] {
        let at = self.header.notes_at as usize;
        self.bytes.get(at..at + self.header.notes_bytes as usize).unwrap_or(&[])
    }

    /// The record of layer `index`.
    pub const fn layer_record(&self, index: usize) -> LayerRecord {
        LayerRecord::read(self.bytes, self.header.layers_at as usize + index * LayerRecord::SIZE)
    }

    const fn check_layer(&self, index: usize) -> Result<(), FormatError> {
        let layer = tri!(self.decode(index));
        tri!(self.check_data(index, &layer));
        tri!(self.check_kept(index));
        if layer.bands.is_whole() && !self.is_chained(index) {
            tri!(self.check_scratch(index, &layer));
            tri!(self.check_overlap(index, &layer));
            return self.check_sources(index, &layer);
        }
        if index != 0 && self.keeps(index - 1) {
            return Ok(());
        }
        self.check_chain(index)
    }

    /// A tensor that is kept in part is read by the layer after the one that writes it, as its
    /// first input, and is nobody's second output.
    const fn check_kept(&self, index: usize) -> Result<(), FormatError> {
        let record = self.layer_record(index);
        let mut i = 0;
        while i < record.inputs.len() {
            let id = record.inputs[i];
            let chained = i == 0 && index != 0 && self.layer_record(index - 1).outputs[0] == id;
            if self.is_kept(id) && !chained {
                return Err(FormatError::Operand(index as u16));
            }
            i += 1;
        }
        if self.is_kept(record.outputs[1]) {
            return Err(FormatError::Operand(index as u16));
        }
        Ok(())
    }

    const fn is_kept(&self, id: u32) -> bool {
        id < self.header.tensors && self.tensor(id as usize).kept != 0
    }

    /// Nothing that is written may overlap anything else that the layer uses, but for an output
    /// in the place of one input.
    pub(crate) const fn check_overlap(
        &self,
        index: usize,
        layer: &Layer,
    ) -> Result<(), FormatError> {
        let overlap = Err(FormatError::Overlap(index as u16));
        let writes = [layer.outputs[0], layer.outputs[1], layer.scratch];
        let mut i = 0;
        while i < writes.len() {
            let mut j = i + 1;
            while j < writes.len() {
                if writes[i].overlaps(&writes[j]) {
                    return overlap;
                }
                j += 1;
            }
            let (mut j, mut taken) = (0, false);
            while j < layer.inputs.len() {
                let input = &layer.inputs[j];
                if !input.constant && writes[i].overlaps(&input.span) {
                    let in_place = layer.op.in_place(j) && i == 0 && writes[i].is(&input.span);
                    if !in_place || taken {
                        return overlap;
                    }
                    taken = true;
                }
                j += 1;
            }
            i += 1;
        }
        Ok(())
    }
}
