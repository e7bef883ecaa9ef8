//! What a chain would need of memory: for planners.

use super::check::remaining;
use super::{CHAIN, Chain};
use crate::backend::Backend;
use crate::model::bands::{Bands, Rows};
use crate::model::check::{packed, scratch_needed};
use crate::model::layer::{Layer, Span};
use crate::model::parse::Model;
use crate::model::route::scratch_range;

/// Memory of consecutive layers that run band by band together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainNeeds {
    /// Rows of each output that are in memory at a time; 0 for that of the last layer,
    /// which is stored whole.
    pub kept: [usize; CHAIN],
    /// Bytes of scratch of the layer that takes most: the least with which its kernel serves.
    pub scratch: usize,
    /// Bytes of scratch up to which its kernel gets faster.
    pub wanted: usize,
    /// Of the first two inputs of the first layer: bytes by which the last layer's output has
    /// to begin before the input (in reverse, behind it) so that nothing is overwritten
    /// that is still read.
    pub clearance: [usize; 2],
    /// Number of bands.
    pub bands: usize,
}

impl Model<'_> {
    /// Roughly the cycles of `rows` of the output of layer `index` on a Cortex-M4, where its
    /// weights are packed; of all rows where it cannot be cut. Beside them comes what a kernel
    /// does once.
    pub fn packed_cycles(&self, index: usize, rows: Rows) -> Option<usize> {
        let layer = self.decode(index).ok()?;
        let part = layer.band(rows).map_or(layer, |(part, _)| part);
        let (geometry, linear) = packed(&part.op)?;
        geometry.cycles(linear.packing)
    }

    /// Rows of the output of layer `index`, where it can be computed in bands.
    pub fn height(&self, index: usize) -> Option<usize> {
        let layer = self.decode(index).ok()?;
        layer.op.heights().map(|(_, output)| output)
    }

    /// What `len` layers from `index` on need when they run in `bands`, with the scratch
    /// of the kernels of `B` if given. `None` where they cannot be cut like that.
    pub fn chain_needs<B: Backend>(
        &self,
        index: usize,
        len: usize,
        bands: Bands,
        wanted: bool,
    ) -> Option<ChainNeeds> {
        if index + len > self.layers() || bands.reverse && len > 1 {
            return None;
        }
        let mut chain = self.chain(index, len).ok()?;
        if !(1..len).all(|i| chain.may_read(i)) {
            return None;
        }
        chain.layers[len - 1].bands = bands;
        let mut walk = chain.walk()?;
        let mut needs = ChainNeeds {
            kept: [0; CHAIN],
            scratch: 0,
            wanted: 0,
            clearance: [0; 2],
            bands: walk.bands(),
        };
        for layer in &chain.layers[..len] {
            let [least, most] = scratch::<B>(self, layer, wanted)?;
            // What a whole layer cannot do without says nothing about its bands.
            if most > least {
                needs.wanted = needs.wanted.max(most);
            }
        }
        while let Some((i, step)) = walk.next().ok()? {
            let [least, _] = scratch::<B>(self, &step.layer, wanted)?;
            needs.scratch = needs.scratch.max(least);
            needs.wanted = needs.wanted.max(least);
            if i + 1 < len {
                needs.kept[i] = needs.kept[i].max(walk.kept(i));
            }
            if i + 1 == len {
                let unread = if i == 0 { remaining(&chain, &step) } else { walk.unread() };
                needs.add_output(&chain, &step.layer, &unread);
            }
        }
        Some(needs)
    }
}

impl ChainNeeds {
    /// The last layer has written: the input rows that are unread must not lie there.
    fn add_output(&mut self, chain: &Chain, layer: &Layer, unread: &[Span; 2]) {
        let (first, last) = (&chain.layers[0], &chain.layers[chain.len - 1]);
        let start = layer.outputs[0].at - last.outputs[0].at;
        let end = start + layer.outputs[0].len;
        for ((clearance, input), unread) in self.clearance.iter_mut().zip(&first.inputs).zip(unread)
        {
            if unread.len != 0 {
                let from = unread.at - input.span.at;
                let more = if chain.bands().reverse {
                    (from + unread.len).saturating_sub(start)
                } else {
                    end.saturating_sub(from)
                };
                *clearance = (*clearance).max(more);
            }
        }
    }
}

/// Bytes of scratch at least, and as the kernel of `B` wants it if that is asked for.
fn scratch<B: Backend>(model: &Model<'_>, layer: &Layer, wanted: bool) -> Option<[usize; 2]> {
    let needed = scratch_needed(layer).ok()?;
    let ask = wanted && packed(&layer.op).is_none();
    let range = if ask { scratch_range::<B>(model, layer) } else { [needed; 2] };
    Some(range.map(|bytes| bytes.max(needed)))
}
