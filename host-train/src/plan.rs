//! Where each tensor and each scratch buffer lies in the arena.
//!
//! Buffers that are alive at the same step must not overlap, but for a pair whose layer
//! runs in bands: its output may begin some bytes before (or behind) its input and grow
//! over what has been read. Buffers are placed largest first, each at the lowest free
//! offset (greedy by size, the method that TFLite Micro's planner uses too), then the
//! order is improved by exchanges; the result is compared with the largest sum of live
//! bytes, which no plan without overlaps can beat.

pub(crate) mod bands;

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

/// Two buffers that may overlap although both are alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overlap {
    /// The buffer that is read.
    pub read: usize,
    /// The buffer that is written.
    pub written: usize,
    /// Bytes that `written` has to begin before `read`, or behind it in `reverse`.
    pub clearance: usize,
    /// Whether rows are written from the last to the first.
    pub reverse: bool,
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
    /// Largest sum of live bytes over the steps: a lower bound of `bytes` where nothing overlaps.
    pub bound: usize,
}

fn aligned(bytes: usize) -> usize {
    bytes.next_multiple_of(ALIGNMENT)
}

/// Places the buffers.
pub fn plan(buffers: Vec<Buffer>, overlaps: &[Overlap]) -> Plan {
    let placer = Placer::new(&buffers, overlaps);
    let mut order = placer.by_size();
    let mut offsets = placer.place(&order);
    let mut bytes = placer.end(&offsets);
    let bound = bound(&buffers);
    // Exchanges of two buffers in the order, as long as one helps.
    let mut improved = bytes > bound && buffers.len() <= 96;
    while improved {
        improved = false;
        for i in 1..order.len() {
            for j in 0..i {
                order.swap(i, j);
                let tried = placer.place(&order);
                let end = placer.end(&tried);
                if end < bytes {
                    (offsets, bytes, improved) = (tried, end, true);
                } else {
                    order.swap(i, j);
                }
            }
        }
    }
    Plan { offsets, bytes, bound, buffers }
}

/// Largest sum of live bytes over the steps.
fn bound(buffers: &[Buffer]) -> usize {
    let steps = buffers.iter().map(|b| b.last + 1).max().unwrap_or(0);
    let live = |step: usize| {
        let alive = buffers.iter().filter(|b| (b.first..=b.last).contains(&step));
        alive.map(|b| aligned(b.bytes)).sum::<usize>()
    };
    (0..steps).map(live).max().unwrap_or(0)
}

/// Bytes of arena of the greedy plan alone, and the steps at which its top is in use.
pub(crate) fn estimate(buffers: &[Buffer], overlaps: &[Overlap]) -> (usize, Vec<[usize; 2]>) {
    let placer = Placer::new(buffers, overlaps);
    let offsets = placer.place(&placer.by_size());
    let end = placer.end(&offsets);
    let top = buffers.iter().zip(&offsets).filter(|(b, at)| *at + aligned(b.bytes) == end);
    (end, top.map(|(b, _)| [b.first, b.last]).collect())
}

/// What keeps buffers apart.
struct Placer {
    sizes: Vec<usize>,
    lives: Vec<[usize; 2]>,
    /// For each buffer the others that are alive with it, and how far it has to begin before
    /// or behind each of them.
    apart: Vec<Vec<(usize, [usize; 2])>>,
}

impl Placer {
    fn new(buffers: &[Buffer], overlaps: &[Overlap]) -> Self {
        let sizes: Vec<usize> = buffers.iter().map(|b| aligned(b.bytes)).collect();
        let lives: Vec<[usize; 2]> = buffers.iter().map(|b| [b.first, b.last]).collect();
        let apart = (0..buffers.len()).map(|i| {
            let others = (0..buffers.len())
                .filter(|&j| j != i && lives[i][0] <= lives[j][1] && lives[j][0] <= lives[i][1]);
            others.map(|j| (j, clearance(&sizes, overlaps, i, j))).collect()
        });
        let apart = apart.collect();
        Self { sizes, lives, apart }
    }

    fn by_size(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.sizes.len()).collect();
        order.sort_by_key(|&i| (std::cmp::Reverse(self.sizes[i]), self.lives[i][0], i));
        order
    }

    /// Each buffer in turn at the lowest offset that those before it leave.
    fn place(&self, order: &[usize]) -> Vec<usize> {
        let mut offsets = vec![usize::MAX; self.sizes.len()];
        let mut taken: Vec<(usize, usize)> = Vec::new();
        for &i in order {
            taken.clear();
            for &(j, [before, behind]) in &self.apart[i] {
                if offsets[j] != usize::MAX {
                    // Offsets between the two are not possible.
                    taken.push(((offsets[j] + 1).saturating_sub(before), offsets[j] + behind));
                }
            }
            taken.sort_unstable();
            let mut offset = 0;
            for &(start, end) in &taken {
                if offset >= start && offset < end {
                    offset = end;
                }
            }
            offsets[i] = offset;
        }
        offsets
    }

    fn end(&self, offsets: &[usize]) -> usize {
        offsets.iter().zip(&self.sizes).map(|(at, size)| at + size).max().unwrap_or(0)
    }
}

/// How far buffer `i` has to begin before buffer `j`, or behind it.
fn clearance(sizes: &[usize], overlaps: &[Overlap], i: usize, j: usize) -> [usize; 2] {
    let mut apart = [sizes[i], sizes[j]];
    for overlap in overlaps {
        let Overlap { read, written, clearance, reverse } = *overlap;
        if [read, written] != [i, j] && [read, written] != [j, i] {
            continue;
        }
        // The written buffer begins before the one that is read, and the other way round in reverse.
        let side = usize::from((i == written) == reverse);
        apart[side] = apart[side].min(aligned(clearance));
    }
    apart
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn live_buffers_never_overlap(
            sizes in prop::collection::vec((1usize..500, 0usize..9, 0usize..9), 2..20),
            pairs in prop::collection::vec((0usize..20, 0usize..20, 0usize..300, any::<bool>()), 0..4),
        ) {
            let buffers: Vec<Buffer> = sizes
                .iter()
                .map(|&(bytes, a, b)| Buffer { name: String::new(), bytes, first: a.min(b), last: a.max(b) })
                .collect();
            let mut overlaps: Vec<Overlap> = Vec::new();
            for (read, written, clearance, reverse) in pairs {
                let (read, written) = (read % buffers.len(), written % buffers.len());
                let known = |o: &Overlap| [o.read, o.written].iter().all(|b| [read, written].contains(b));
                if read != written && !overlaps.iter().any(known) {
                    overlaps.push(Overlap { read, written, clearance, reverse });
                }
            }
            let (estimate, _) = estimate(&buffers, &overlaps);
            let plan = plan(buffers, &overlaps);
            prop_assert!(plan.bytes <= estimate);
            let (at, size) = (|i: usize| plan.offsets[i], |i: usize| aligned(plan.buffers[i].bytes));
            for i in 0..plan.buffers.len() {
                prop_assert!(at(i).is_multiple_of(ALIGNMENT));
                prop_assert!(at(i) + plan.buffers[i].bytes <= plan.bytes);
                for j in 0..i {
                    let (a, b) = (&plan.buffers[i], &plan.buffers[j]);
                    let together = a.first <= b.last && b.first <= a.last;
                    let apart = at(i) + size(i) <= at(j) || at(j) + size(j) <= at(i);
                    let allowed = overlaps.iter().any(|o| {
                        let [read, written] = [at(o.read), at(o.written)];
                        let clear = if o.reverse { read + o.clearance <= written } else { written + o.clearance <= read };
                        [o.read, o.written].iter().all(|b| [i, j].contains(b)) && clear
                    });
                    prop_assert!(apart || allowed || !together);
                }
            }
            if overlaps.is_empty() {
                prop_assert!(plan.bytes >= plan.bound);
            }
        }
    }
}
