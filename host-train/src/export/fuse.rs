//! Which nodes go into one layer.
//!
//! A convolution takes in the activation that alone reads it, the max-pool after it, or
//! the upsampling or unpooling before it, as the passes of [`crate::optimize`] say.

use microconv::Shape;
use microconv::model::format::{MapRecord, PoolRecord, UpsampleRecord, opcode};
use microconv::ops::{
    ConvPool2dGeometry, Pool2dGeometry, UnpoolConv2dGeometry, UpsampleConv2dGeometry,
};

use super::lower::{Fused, Lowering};
use super::target::{Scratch, Target};
use crate::graph::{DType, Graph, Node, Op, ResizeMode, TensorId};
use crate::optimize::{activation, pool, unpool, upsample};

/// What a convolution is fused with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Neighbour {
    /// The max-pool after it.
    Pool,
    /// The nearest upsampling by whole factors before it.
    Upsample,
    /// The max-unpool before it.
    Unpool,
}

/// Nodes of one layer, by their places in the graph.
pub(super) struct Group {
    /// The node that gives the layer its name.
    pub(super) node: usize,
    pub(super) before: Option<usize>,
    pub(super) tail: Option<usize>,
    pub(super) after: Option<usize>,
}

impl Group {
    pub(super) fn fused<'g>(&self, graph: &'g Graph) -> Fused<'g> {
        let tail = self.tail.map(|tail| &graph.nodes[tail]);
        let after = self.after.map(|after| (Neighbour::Pool, &graph.nodes[after]));
        let before = self.before.map(|before| {
            let node = &graph.nodes[before];
            let unpool = matches!(node.op, Op::MaxUnpool2d { .. });
            (if unpool { Neighbour::Unpool } else { Neighbour::Upsample }, node)
        });
        Fused { node: &graph.nodes[self.node], tail, neighbour: after.or(before) }
    }
}

/// The second half of a fused layer.
pub(super) struct Pair {
    pub(super) opcode: u32,
    /// What follows the convolution's records.
    pub(super) params: Vec<u8>,
    pub(super) scratch: Scratch,
    /// Bytes of the map that is not stored.
    pub(super) unstored: usize,
    /// Multiply-accumulates of both.
    pub(super) macs: u64,
}

impl<'g> Lowering<'g> {
    /// The layer that begins with node `index`.
    pub(super) fn group(&self, index: usize) -> Group {
        let (graph, passes) = (self.graph, self.options.passes);
        let tail = |node: usize| {
            passes.has(&activation::PASS).then(|| activation::follower(graph, node)).flatten()
        };
        let alone = Group { node: index, before: None, tail: tail(index), after: None };
        let group = match &graph.nodes[index].op {
            Op::Conv2d { .. } if passes.has(&pool::PASS) => {
                let after = pool::after(graph, alone.tail.unwrap_or(index));
                Group { after, ..alone }
            }
            Op::Resize2d { .. } | Op::MaxUnpool2d { .. } => {
                let up = passes.has(&upsample::PASS).then(|| upsample::reader(graph, index));
                let un = passes.has(&unpool::PASS).then(|| unpool::reader(graph, index));
                match up.flatten().or(un.flatten()) {
                    Some(node) => {
                        Group { node, before: Some(index), tail: tail(node), after: None }
                    }
                    None => return alone,
                }
            }
            _ => return alone,
        };
        if self.is_worth_it(&group) { group } else { alone }
    }

    /// Whether a kernel serves the pair and takes less memory than the map between its parts.
    fn is_worth_it(&self, group: &Group) -> bool {
        let fused = group.fused(self.graph);
        let Some((neighbour, _)) = fused.neighbour else { return true };
        if self.apart.contains(&group.node) {
            return false;
        }
        let (Ok(x), Ok(weights)) = (self.input(fused.node, 0), self.input(fused.node, 1)) else {
            return false;
        };
        let (Ok(pair), Ok(alone)) =
            (self.pair(&fused, neighbour), self.shape_of(fused.node, x, weights))
        else {
            return false;
        };
        // Other targets unpool and convolve faster one after the other.
        if neighbour == Neighbour::Unpool && self.options.target != Target::Portable {
            return false;
        }
        let float = x.dtype == DType::F32;
        let bytes = |scratch| self.options.target.scratch(scratch, float);
        bytes(pair.scratch) <= pair.unstored + bytes(alone.scratch)
    }

    /// The records of the operator beside a convolution.
    pub(super) fn pair(&self, fused: &Fused<'g>, neighbour: Neighbour) -> Result<Pair, String> {
        let Some((_, node)) = fused.neighbour else { return Err("nothing to fuse".into()) };
        let (x, weights) = (self.input(fused.node, 0)?, self.input(fused.node, 1)?);
        let Scratch::Conv2d(convolution) = self.shape_of(fused.node, x, weights)?.scratch else {
            return Err("not a convolution".into());
        };
        let why = |error: microconv::ShapeError| error.to_string();
        self.same_scale(node)?;
        match neighbour {
            Neighbour::Pool => {
                let (map, pool) = (convolution.output, self.pool_record(node)?);
                let over = self.pool_window(node)?;
                let pooled = Pool2dGeometry::new(over, map.n, map.c).map_err(why)?;
                let geometry = ConvPool2dGeometry::new(convolution, pooled).map_err(why)?;
                let work = (Scratch::ConvPool2d(geometry), geometry.macs());
                Ok(self.with_map(opcode::CONV_POOL_2D, pool, work, map, fused.last()))
            }
            Neighbour::Unpool => {
                let (map, pool) = (convolution.input, self.pool_record(node)?);
                let over = self.pool_window(node)?;
                let pooled = Pool2dGeometry::new(over, map.n, map.c).map_err(why)?;
                let geometry = UnpoolConv2dGeometry::new(pooled, convolution).map_err(why)?;
                let work = (Scratch::UnpoolConv2d(geometry), geometry.macs());
                Ok(self.with_map(opcode::UNPOOL_CONV_2D, pool, work, map, node.outputs[0]))
            }
            Neighbour::Upsample => {
                let small = self.input(node, 0)?;
                let &[n, h, w, c] = small.shape.as_slice() else {
                    return Err("an upsampling needs four axes".into());
                };
                let factor = whole_factor(node, [h, w]).ok_or("not a whole factor")?;
                let small = Shape::new(n, h, w, c).map_err(why)?;
                let geometry =
                    UpsampleConv2dGeometry::new(small, factor, convolution).map_err(why)?;
                let stride = factor.map(|factor| factor as u32);
                let record = UpsampleRecord { stride, ..self.upsample_record(node)? };
                Ok(Pair {
                    opcode: opcode::UPSAMPLE_CONV_2D,
                    params: bytemuck::bytes_of(&record).to_vec(),
                    scratch: Scratch::UpsampleConv2d(geometry),
                    unstored: self.bytes(node.outputs[0]),
                    // Floats are not added up first: that would round otherwise.
                    macs: if x.dtype == DType::I8 { geometry.macs() } else { convolution.macs() },
                })
            }
        }
    }

    fn with_map(
        &self,
        opcode: u32,
        pool: PoolRecord,
        (scratch, macs): (Scratch, u64),
        map: Shape,
        stored: TensorId,
    ) -> Pair {
        let map = MapRecord { extent: [map.h as u32, map.w as u32] };
        let params = [bytemuck::bytes_of(&map), bytemuck::bytes_of(&pool)].concat();
        Pair { opcode, params, scratch, unstored: self.bytes(stored), macs }
    }

    /// Bytes of an activation.
    fn bytes(&self, id: TensorId) -> usize {
        let tensor = &self.graph[id];
        tensor.len() * if tensor.dtype == DType::F32 { 4 } else { 1 }
    }
}

/// The factors of a nearest resize that repeats each cell equally often: with whole factors
/// `⌊(o + h) / f⌋ = ⌊o / f⌋` for both `h = 0` and `h = ½`, aligned corners sample otherwise.
fn whole_factor(node: &Node, [h, w]: [usize; 2]) -> Option<[usize; 2]> {
    let Op::Resize2d { size, mode: ResizeMode::Nearest, align_corners: false, .. } = node.op else {
        return None;
    };
    let whole = h != 0 && w != 0 && size[0].is_multiple_of(h) && size[1].is_multiple_of(w);
    whole.then(|| [size[0] / h, size[1] / w])
}
