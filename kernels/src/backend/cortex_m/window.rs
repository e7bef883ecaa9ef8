//! What a convolution and each phase of a transposed one have in common.

use super::linear::GROUPS;
use super::tile::{PIXELS, Segments};
use crate::backend::line::Line;

/// Most runs of a window; a window of more takes the portable form.
pub(super) const SEGMENTS: usize = 64;
/// Pairs of a window that stays in registers.
pub(super) const FEW_PAIRS: usize = 5;
/// Words of two channels beside such a window: bias, pairs, mantissa and shift of each.
pub(super) const FEW_WORDS: usize = 2 * (FEW_PAIRS + 3);
/// Bytes of expanded weights that are kept at once, unless two channels take more.
const WEIGHT_BYTES: usize = 9728;

/// Buffers and segments of a convolution; everything follows from the shapes.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    /// Rows kept, widened.
    pub(super) ring: usize,
    /// Cells of a widened row, padding included.
    pub(super) cells: usize,
    /// Elements of a widened row, even.
    pub(super) row: usize,
    /// Whether windows are copied to columns.
    pub(super) columns: bool,
    /// Whether a window fits five registers, and channels may stream past it.
    pub(super) few: bool,
    /// Segments of a window, and pairs of a segment.
    pub(super) segments: usize,
    pub(super) pairs: usize,
    /// Groups of two channels whose weights are expanded at once.
    pub(super) groups: usize,
    /// Words of weights per group.
    words: usize,
}

impl Layout {
    /// For windows over `inputs` channels, `outputs` of them. `None` where a window
    /// falls into too many runs.
    pub(super) const fn new(
        rows: &Line,
        columns: &Line,
        inputs: usize,
        outputs: usize,
    ) -> Option<Self> {
        let last = columns.outputs.div_ceil(PIXELS) * PIXELS - 1;
        let cells = columns.span(last);
        // One element of slack: an odd run reads the next one, with weight zero.
        let row = (cells * inputs + 2) & !1;
        let depth = rows.taps * columns.taps * inputs;
        let joined = columns.step == 1 || columns.taps == 1;
        let (segments, run) = if joined {
            (rows.taps, columns.taps * inputs)
        } else {
            (rows.taps * columns.taps, inputs)
        };
        // Cycles: fifteen a segment, twelve a pair; copying is about a load and a store.
        let all = outputs.div_ceil(2);
        let apart = segments * (15 + 12 * run.div_ceil(2)) * all;
        let copied = (15 + 12 * depth.div_ceil(2)) * all
            + PIXELS * (20 + segments * (10 + 4 * run.div_ceil(2)));
        if segments > SEGMENTS {
            return None;
        }
        let ascending = rows.ascending() && columns.ascending();
        let few = depth <= 2 * FEW_PAIRS && outputs >= 4 && ascending;
        let columns = few || copied < apart;
        let (segments, pairs) = if few {
            (1, FEW_PAIRS)
        } else if columns {
            (1, depth.div_ceil(2))
        } else {
            (segments, run.div_ceil(2))
        };
        let fit = WEIGHT_BYTES / (4 * Segments::weight_words(segments, pairs));
        // As many in each pass as in the others.
        let passes = all.div_ceil(if fit == 0 { 1 } else { fit });
        let groups = all.div_ceil(passes);
        let ring = (rows.taps - 1) * rows.step + 1;
        let words = Segments::weight_words(segments, pairs);
        Some(Self { ring, cells, row, columns, few, segments, pairs, groups, words })
    }

    /// For depthwise windows: every tap is a segment of one pair of channels.
    /// `None` where there are too many.
    pub(super) const fn depthwise(rows: &Line, columns: &Line, channels: usize) -> Option<Self> {
        let segments = rows.taps * columns.taps;
        if segments > SEGMENTS {
            return None;
        }
        let last = columns.outputs.div_ceil(PIXELS) * PIXELS - 1;
        let cells = columns.span(last);
        let row = (cells * channels + 2) & !1;
        let groups = channels.div_ceil(2);
        let ring = (rows.taps - 1) * rows.step + 1;
        let words = 2 + segments;
        Some(Self {
            ring,
            cells,
            row,
            columns: false,
            few: false,
            segments,
            pairs: 1,
            groups,
            words,
        })
    }

    /// Words of weights per group.
    pub(super) const fn weight_words(&self) -> usize {
        self.words
    }

    /// Tiles whose sums are kept at once.
    pub(super) const fn tiles(&self) -> usize {
        if self.groups >= GROUPS { 1 } else { GROUPS / self.groups }
    }

    /// Words of the ring of rows.
    pub(super) const fn ring_words(&self) -> usize {
        self.ring * self.row / 2
    }

    /// Words of the columns; an odd run writes one element more.
    pub(super) const fn column_words(&self) -> usize {
        if self.columns { self.tiles() * PIXELS * self.pairs + 1 } else { 0 }
    }

    /// Bytes of scratch.
    pub(super) const fn bytes(&self) -> usize {
        let group = if self.few { FEW_WORDS } else { self.words };
        let words = self.groups * group + self.ring_words() + self.column_words();
        4 * words
    }
}
