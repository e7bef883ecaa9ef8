//! Where each tensor and each scratch buffer lies in the arena.
//!
//! Buffers that are alive at the same step must not overlap. They are placed
//! largest first, each at the lowest free offset (greedy by size, the method
//! that TFLite Micro's planner uses too); the result is compared with the
//! largest sum of live bytes, which no plan can beat.

use microconv::model::format::ALIGNMENT;

/// A buffer and the steps during which it is alive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Buffer {
    /// Name, for the table and the picture.
    pub name: String,
    /// Bytes.
    pub bytes: usize,
    /// First step that uses it.
    pub first: usize,
    /// Last step that uses it.
    pub last: usize,
}

/// Offsets for a list of buffers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The buffers, as given.
    pub buffers: Vec<Buffer>,
    /// Offset of each, a multiple of [`ALIGNMENT`].
    pub offsets: Vec<usize>,
    /// Bytes of arena, a multiple of [`ALIGNMENT`].
    pub bytes: usize,
    /// Largest sum of live bytes over the steps: a lower bound of `bytes`.
    pub bound: usize,
}

fn aligned(bytes: usize) -> usize {
    bytes.next_multiple_of(ALIGNMENT)
}

/// Places the buffers.
pub fn plan(buffers: Vec<Buffer>) -> Plan {
    let mut order: Vec<usize> = (0..buffers.len()).collect();
    order.sort_by_key(|&i| (std::cmp::Reverse(buffers[i].bytes), buffers[i].first, i));
    let mut offsets = vec![0; buffers.len()];
    let mut placed: Vec<usize> = Vec::new();
    for &i in &order {
        let mut taken: Vec<(usize, usize)> = placed
            .iter()
            .filter(|&&j| alive_together(&buffers[i], &buffers[j]))
            .map(|&j| (offsets[j], offsets[j] + aligned(buffers[j].bytes)))
            .collect();
        taken.sort_unstable();
        let mut offset = 0;
        for (start, end) in taken {
            if offset + aligned(buffers[i].bytes) <= start {
                break;
            }
            offset = offset.max(end);
        }
        offsets[i] = offset;
        placed.push(i);
    }
    let bytes = (0..buffers.len()).map(|i| offsets[i] + aligned(buffers[i].bytes)).max();
    let steps = buffers.iter().map(|b| b.last + 1).max().unwrap_or(0);
    let live = |step: usize| {
        let alive = buffers.iter().filter(|b| (b.first..=b.last).contains(&step));
        alive.map(|b| aligned(b.bytes)).sum::<usize>()
    };
    let bound = (0..steps).map(live).max().unwrap_or(0);
    Plan { offsets, bytes: bytes.unwrap_or(0), bound, buffers }
}

fn alive_together(a: &Buffer, b: &Buffer) -> bool {
    a.first <= b.last && b.first <= a.last
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn live_buffers_never_overlap(sizes in prop::collection::vec((1usize..500, 0usize..9, 0usize..9), 1..20)) {
            let buffers: Vec<Buffer> = sizes
                .iter()
                .map(|&(bytes, a, b)| Buffer { name: String::new(), bytes, first: a.min(b), last: a.max(b) })
                .collect();
            let plan = plan(buffers);
            for i in 0..plan.buffers.len() {
                prop_assert!(plan.offsets[i].is_multiple_of(ALIGNMENT));
                prop_assert!(plan.offsets[i] + plan.buffers[i].bytes <= plan.bytes);
                for j in 0..i {
                    let apart = plan.offsets[i] + plan.buffers[i].bytes <= plan.offsets[j]
                        || plan.offsets[j] + plan.buffers[j].bytes <= plan.offsets[i];
                    prop_assert!(apart || !alive_together(&plan.buffers[i], &plan.buffers[j]));
                }
            }
            prop_assert!(plan.bytes >= plan.bound);
        }
    }
}
