//! A rectangle of neighbouring cells, reduced to one: the windows of pools and means.

/// Windows side by side, each with all channels of its cells.
#[derive(Clone, Copy)]
pub(super) struct Cells<'a> {
    /// From the first cell of the first window on.
    pub(super) x: &'a [i8],
    pub(super) channels: usize,
    /// Bytes between neighbours of a row.
    pub(super) pitch: usize,
    /// Bytes between rows.
    pub(super) row: usize,
    /// Cells of a column of a window, and of a row.
    pub(super) size: [usize; 2],
    /// Windows, and bytes between them.
    pub(super) windows: usize,
    pub(super) step: usize,
}

impl Cells<'_> {
    /// Channels that a window must have at least: they advance by words.
    pub(super) const LEAST: usize = 4;
    /// Cells whose sums fit a lane of 16 bits.
    pub(super) const MOST: usize = 256;

    /// Whether all cells lie in the slice, and there are `outputs` outputs.
    pub(super) fn fits(&self, outputs: usize) -> bool {
        let [rows, columns] = self.size;
        let reach = |count: usize, step: usize| count.saturating_sub(1).saturating_mul(step);
        let reach = reach(rows, self.row)
            .saturating_add(reach(columns, self.pitch))
            .saturating_add(reach(self.windows, self.step))
            .saturating_add(self.channels);
        self.channels >= Self::LEAST
            && rows != 0
            && columns != 0
            && self.windows != 0
            && reach <= self.x.len()
            && self.windows.saturating_mul(self.channels) == outputs
    }
}

/// Division of a sum by a count, to nearest, ties away from zero.
///
/// `⌊(s + h) / count⌋` with `h = count / 2` for sums from zero on and `count − 1 − count / 2`
/// below is that. The quotient comes from a product with `2³² / count`, of which the upper
/// 32 of 48 bits are kept, plus half of one `count`th; for up to [`Cells::MOST`] bytes the
/// error stays below that half.
#[derive(Clone, Copy)]
pub(super) struct Division {
    /// What is added to sums from zero on and below, in both lanes.
    pub(super) halves: [i32; 2],
    /// `2³² / count`, and `2¹⁵ / count`.
    pub(super) by: [i32; 2],
}

impl Division {
    /// `None` for counts that a lane cannot hold, and for one.
    pub(super) const fn by(count: usize) -> Option<Self> {
        if count < 2 || count > Cells::MOST {
            return None;
        }
        let (half, count) = (count as u32 / 2, count as u32);
        Some(Self {
            halves: [(half * 0x1_0001) as i32, ((count - 1 - half) * 0x1_0001) as i32],
            by: [(u32::MAX / count) as i32, ((1 << 15) / count) as i32],
        })
    }

    /// The quotient of a sum of `count` bytes.
    #[cfg_attr(arm_dsp, expect(dead_code, reason = "the shape of the code in `asm.rs`"))]
    pub(super) const fn of(&self, sum: i32) -> i32 {
        let [positive, negative] = self.halves;
        let sum = sum + (if sum < 0 { negative } else { positive }) as i16 as i32;
        let high = (self.by[0] as i64 * sum as i64) >> 16;
        (high as i32 + self.by[1]) >> 16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn divisions_are_exact() {
        for count in 2..=Cells::MOST {
            let division = Division::by(count).unwrap();
            for sum in -128 * count as i32..=127 * count as i32 {
                let n = count as i32;
                let half = if sum < 0 { -(n / 2) } else { n / 2 };
                assert_eq!(division.of(sum), (sum + half) / n, "{sum} / {n}");
            }
        }
    }
}
