//! Which layers run in bands, and which of them as chains, so that the arena gets small.
//!
//! Steepest descent, once from whole layers and from the smallest cuts of each: of all ways
//! to cut the layers that are alive where the plan is highest, the one with the lowest plan
//! is taken, until none is lower. Then some of the arena is given back for less work, since
//! each band costs the set-up of its kernel, and kernels compute rows in pairs: a sixteenth,
//! or as much as brings the work within a limit.

use std::collections::HashMap;

use microconv::model::{Bands, CHAIN, ChainNeeds};

/// Sizes of scratch beyond the least that are tried.
const SCRATCHES: usize = 8;

/// Consecutive layers that run together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unit {
    pub(crate) first: usize,
    pub(crate) len: usize,
    pub(crate) bands: Bands,
    /// `None` for a layer on its own that is not cut.
    pub(crate) needs: Option<ChainNeeds>,
    /// Bytes of scratch of layers that are cut: from what they need to what they want.
    pub(crate) scratch: usize,
}

impl Unit {
    pub(crate) const fn whole(first: usize) -> Self {
        Self { first, len: 1, bands: Bands::WHOLE, needs: None, scratch: 0 }
    }

    pub(crate) fn bands(&self) -> usize {
        self.needs.map_or(1, |needs| needs.bands)
    }

    /// The unit with scratch from what it needs up to what it wants.
    fn with_more_scratch(&self) -> impl Iterator<Item = Self> + use<> {
        let unit = *self;
        let range = self.needs.map(|needs| [needs.scratch, needs.wanted]);
        let [least, wanted] = range.unwrap_or_default();
        let steps = if wanted > least { SCRATCHES } else { 0 };
        (0..=steps).map(move |step| {
            let scratch = least + (wanted - least) * step / SCRATCHES;
            Self { scratch, ..unit }
        })
    }
}

/// What is known of the layers.
pub(crate) trait Layers {
    /// Number of layers.
    fn count(&self) -> usize;
    /// Rows of the output of a layer that can be cut.
    fn height(&self, layer: usize) -> Option<usize>;
    /// Whether the output of a layer is read by the next alone, once, as its first input.
    fn feeds_next(&self, layer: usize) -> bool;
    /// What `len` layers need in these bands; `None` where they cannot be cut like that.
    fn needs(&self, first: usize, len: usize, bands: Bands) -> Option<ChainNeeds>;
    /// Bytes of a layer's operands and scratch.
    fn alone(&self, unit: &Unit) -> usize;
    /// Roughly the cycles that a unit takes on the target.
    fn cost(&self, unit: &Unit) -> u64;
    /// Bytes of arena with these units, and the layers at its top, as steps `first..=last`.
    fn estimate(&self, units: &[Unit]) -> (usize, Vec<[usize; 2]>);
}

/// Heights of bands that are tried, of an output of `height` rows.
fn heights(height: usize) -> impl Iterator<Item = usize> {
    let small = [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32];
    let large = (6..20).map(|bits| 1usize << bits);
    // Elements of an element-wise layer count as rows.
    small.into_iter().chain(large).filter(move |&rows| rows < height && height / rows <= 1024)
}

/// Cycles of all units.
pub(crate) fn work(layers: &impl Layers, units: &[Unit]) -> u64 {
    units.iter().map(|unit| layers.cost(unit)).sum()
}

/// Chooses units for all layers: a small arena, of those with at most this much work if there
/// is a limit and it can be kept.
pub(crate) fn choose(layers: &impl Layers, limit: Option<u64>) -> Vec<Unit> {
    let mut search = Search { layers, known: HashMap::new() };
    // Where many steps are equally high, cutting one of them alone lowers nothing. A row of
    // layers that all work in place wanders to one side of the arena, unless each second one
    // goes backwards.
    let directions: [fn(usize) -> bool; 3] = [|_| false, |i| i % 2 == 1, |i| i % 2 == 0];
    let mut starts: Vec<Vec<Unit>> = vec![(0..layers.count()).map(Unit::whole).collect()];
    for reverse in directions {
        starts.push((0..layers.count()).map(|i| search.smallest(i, reverse(i))).collect());
    }
    let plans: Vec<(Vec<Unit>, usize)> =
        starts.into_iter().map(|start| search.descend(start)).collect();
    let lowest = plans.into_iter().min_by_key(|(_, bytes)| *bytes);
    let Some((lowest, bytes)) = lowest else { return Vec::new() };
    let mut more = GIVEN_BACK[0];
    loop {
        let units = search.relax(lowest.clone(), bytes + bytes * more / PARTS);
        if limit.is_none_or(|limit| work(layers, &units) <= limit) || more == GIVEN_BACK[1] {
            return units;
        }
        more += 1;
    }
}

/// How much larger than the smallest arena the chosen one may be, at least and at most.
const GIVEN_BACK: [usize; 2] = [2, PARTS];
const PARTS: usize = 32;

/// `units` with the layers of `unit` taken together; `None` where it would cut one in two.
fn replace(units: &[Unit], unit: Unit) -> Option<Vec<Unit>> {
    let end = unit.first + unit.len;
    let mut result = Vec::with_capacity(units.len());
    for old in units {
        let inside = old.first >= unit.first && old.first + old.len <= end;
        let outside = old.first >= end || old.first + old.len <= unit.first;
        if !inside && !outside {
            return None;
        }
        if old.first == unit.first {
            result.push(unit);
        }
        if outside {
            result.push(*old);
        }
    }
    (result.iter().any(|u| u.first == unit.first)).then_some(result)
}

struct Search<'l, L> {
    layers: &'l L,
    known: HashMap<(usize, usize, usize, usize, bool), Option<ChainNeeds>>,
}

impl<L: Layers> Search<'_, L> {
    fn unit(&mut self, first: usize, len: usize, bands: Bands) -> Option<Unit> {
        let key = (first, len, bands.head, bands.rows, bands.reverse);
        let layers = self.layers;
        let needs = self.known.entry(key).or_insert_with(|| layers.needs(first, len, bands));
        let needs = (*needs)?;
        Some(Unit { first, len, bands, needs: Some(needs), scratch: needs.scratch })
    }

    /// All ways to cut `len` layers from `first` on, each with the least scratch.
    fn cuts(&mut self, first: usize, len: usize) -> Vec<Unit> {
        let Some(height) = self.layers.height(first + len - 1) else { return Vec::new() };
        let mut cuts = Vec::new();
        for rows in heights(height) {
            for reverse in [false, true] {
                if reverse && len > 1 {
                    continue;
                }
                // A head of another height lets windows begin with a cell of an upsampled map.
                let heads = [0, rows + 1, rows.saturating_sub(1)];
                let mut found = heads
                    .into_iter()
                    .filter_map(|head| self.unit(first, len, Bands { head, rows, reverse }));
                cuts.extend(found.next());
            }
        }
        cuts
    }

    /// The cut of a layer on its own that takes the least memory by itself, in this direction
    /// if both take the same.
    fn smallest(&mut self, layer: usize, reverse: bool) -> Unit {
        let mut options = vec![Unit::whole(layer)];
        options.extend(self.cuts(layer, 1));
        let bytes =
            |unit: &Unit| (self.layers.alone(unit), unit.bands.reverse != reverse, unit.bands());
        options.into_iter().min_by_key(bytes).unwrap_or(Unit::whole(layer))
    }

    /// Steepest descent from `units`: the lowest plan, and its bytes.
    fn descend(&mut self, mut units: Vec<Unit>) -> (Vec<Unit>, usize) {
        let layers = self.layers;
        loop {
            let (bytes, top) = layers.estimate(&units);
            let mut best: Option<(usize, usize, Vec<Unit>)> = None;
            for unit in self.candidates(&top) {
                let Some(tried) = replace(&units, unit) else { continue };
                let (tried_bytes, _) = layers.estimate(&tried);
                let bands = tried.iter().map(Unit::bands).sum();
                let better = match &best {
                    Some((bytes, count, _)) => (tried_bytes, bands) < (*bytes, *count),
                    None => tried_bytes < bytes,
                };
                if better {
                    best = Some((tried_bytes, bands, tried));
                }
            }
            match best {
                Some((_, _, tried)) => units = tried,
                None => return (units, bytes),
            }
        }
    }

    fn candidates(&mut self, top: &[[usize; 2]]) -> Vec<Unit> {
        let count = self.layers.count();
        let mut candidates = Vec::new();
        for first in 0..count {
            for len in 1..=CHAIN.min(count - first) {
                if len > 1 && !self.layers.feeds_next(first + len - 2) {
                    break;
                }
                // Step `i + 1` runs layer `i`.
                let near = |[a, b]: &[usize; 2]| first < *b && first + len >= *a;
                if top.iter().any(near) {
                    if len == 1 {
                        candidates.push(Unit::whole(first));
                    }
                    candidates.extend(self.cuts(first, len));
                }
            }
        }
        candidates
    }

    /// Cuts of less work, whole layers among them, in an arena of at most `limit` bytes.
    fn relax(&mut self, mut units: Vec<Unit>, limit: usize) -> Vec<Unit> {
        let layers = self.layers;
        for first in 0..layers.count() {
            let Some(&old) = units.iter().find(|unit| unit.first == first) else { continue };
            if old.needs.is_none() {
                continue;
            }
            let cuts = self.cuts(first, old.len);
            let mut options: Vec<Unit> = cuts.iter().flat_map(Unit::with_more_scratch).collect();
            if old.len == 1 {
                options.push(Unit::whole(first));
            }
            options.retain(|option| layers.cost(option) < layers.cost(&old));
            options.sort_by_key(|option| layers.cost(option));
            for option in options {
                let Some(tried) = replace(&units, option) else { continue };
                if layers.estimate(&tried).0 <= limit {
                    units = tried;
                    break;
                }
            }
        }
        units
    }
}
