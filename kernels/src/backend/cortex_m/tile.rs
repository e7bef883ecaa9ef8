//! The tile that all convolutions are made of: three pixels × two channels.
//!
//! Inputs are widened to i16; a pixel's window is a list of *segments*, runs of
//! pairs that start at the same offset from each pixel. Weights of two channels
//! stand in the order of use, `[bias a, bias b]` and then, per segment and pair,
//! `[a, a, b, b]`. One input word serves two channels, one weight word three pixels:
//! five loads for twelve multiplications.

/// Pixels of a tile.
pub(super) const PIXELS: usize = 3;
/// Sums of a tile: two channels of [`PIXELS`].
pub(super) const SUMS: usize = 2 * PIXELS;
/// Pairs per turn of the loop.
#[cfg_attr(not(arm_dsp), expect(dead_code, reason = "the shape of the code in `asm.rs`"))]
pub(super) const UNROLL: usize = 24;
/// Taps per turn of the depthwise loop.
#[cfg_attr(not(arm_dsp), expect(dead_code, reason = "the shape of the code in `asm.rs`"))]
pub(super) const DEPTHWISE_UNROLL: usize = 9;
/// Bytes of code per tap of the depthwise loop.
#[cfg_attr(not(arm_dsp), expect(dead_code, reason = "the shape of the code in `asm.rs`"))]
pub(super) const DEPTHWISE_BYTES: usize = 48;
/// Bytes of code per pair.
#[cfg_attr(not(arm_dsp), expect(dead_code, reason = "the shape of the code in `asm.rs`"))]
pub(super) const BLOCK_BYTES: usize = 44;

/// Groups of two channels over three pixels, for several tiles of a row.
pub(super) struct Descriptor<'a> {
    /// [`SUMS`] sums per group, `[tile][channel][pixel]`.
    pub(super) acc: &'a mut [i32],
    /// Inputs, from the first element of the first pixel on.
    pub(super) x: &'a [i16],
    /// Starts of the segments, in bytes from `x`.
    pub(super) segments: &'a [u32],
    /// Pairs per segment.
    pub(super) pairs: usize,
    /// Bytes between pixels.
    pub(super) pitch: usize,
    /// `[bias; 2]` and the pairs of all segments, per group.
    pub(super) weights: &'a [i32],
    /// Groups of two channels.
    pub(super) groups: usize,
    /// Tiles, three pixels apart.
    pub(super) tiles: usize,
}

/// What a window reads: the segments, checked against a buffer once for many tiles.
#[derive(Clone, Copy)]
pub(super) struct Segments<'a> {
    /// Starts in bytes.
    starts: &'a [u32],
    /// Pairs per segment.
    pairs: usize,
    /// Bytes between pixels.
    pitch: usize,
    /// Bytes from the first element of a tile to the last that it reads, plus one.
    reach: usize,
}

impl<'a> Segments<'a> {
    /// `None` without segments or pairs.
    pub(super) fn new(starts: &'a [u32], pairs: usize, pitch: usize) -> Option<Self> {
        let last = *starts.iter().max()? as usize;
        let reach = last + (PIXELS - 1) * pitch + pairs * 4;
        let even = starts.iter().all(|start| start.is_multiple_of(2)) && pitch.is_multiple_of(2);
        (pairs != 0 && even).then_some(Self { starts, pairs, pitch, reach })
    }

    /// The operands of a depthwise tile, whose segments are single pairs of channels;
    /// `None` where one is too short.
    #[inline]
    pub(super) fn depthwise_tile<'b>(
        &self,
        acc: &'b mut [i32],
        x: &'b [i16],
        weights: &'b [i32],
        [groups, tiles]: [usize; 2],
    ) -> Option<Descriptor<'b>>
    where
        'a: 'b,
    {
        let words = 2 + self.starts.len();
        let fits = groups != 0
            && tiles != 0
            && self.pairs == 1
            && acc.len() >= tiles * groups * SUMS
            && x.len() * 2 >= self.reach + (groups - 1) * 4 + (tiles - 1) * PIXELS * self.pitch
            && weights.len() >= groups * words;
        fits.then_some(Descriptor {
            acc,
            x,
            segments: self.starts,
            pairs: 1,
            pitch: self.pitch,
            weights,
            groups,
            tiles,
        })
    }

    /// Words of weights per group.
    pub(super) const fn weight_words(segments: usize, pairs: usize) -> usize {
        2 + segments * pairs * 2
    }

    /// The operands of a tile; `None` where one is too short.
    #[inline]
    pub(super) fn tile<'b>(
        &self,
        acc: &'b mut [i32],
        x: &'b [i16],
        weights: &'b [i32],
        [groups, tiles]: [usize; 2],
    ) -> Option<Descriptor<'b>>
    where
        'a: 'b,
    {
        let words = Self::weight_words(self.starts.len(), self.pairs);
        let fits = groups != 0
            && tiles != 0
            && acc.len() >= tiles * groups * SUMS
            && x.len() * 2 >= self.reach + (tiles - 1) * PIXELS * self.pitch
            && weights.len() >= groups * words;
        fits.then_some(Descriptor {
            acc,
            x,
            segments: self.starts,
            pairs: self.pairs,
            pitch: self.pitch,
            weights,
            groups,
            tiles,
        })
    }
}
