//! Tensors of any rank.

use proptest::prelude::*;

/// A shape and a seed for everything else.
#[derive(Clone, Debug)]
pub struct Tensor {
    /// Extents, batch first.
    pub shape: Vec<usize>,
    /// Of values and parameters.
    pub seed: u64,
}

/// Tensors of rank `least..=most` with at most a few hundred elements: extents of one
/// often, of primes, and one long axis now and then.
pub fn tensors(least: usize, most: usize) -> impl Strategy<Value = Tensor> {
    let extent = prop_oneof![3 => Just(1usize), 5 => 2usize..6, 1 => Just(7usize)];
    let shape = prop::collection::vec(extent, least..=most);
    let long = prop_oneof![3 => Just(None), 1 => (0usize..6, 8usize..70).prop_map(Some)];
    (shape, long, any::<u64>()).prop_filter_map("too large", |(mut shape, long, seed)| {
        if let Some((axis, extent)) = long {
            let rank = shape.len();
            shape[axis % rank] = extent;
        }
        (shape.iter().product::<usize>() <= 600).then_some(Tensor { shape, seed })
    })
}
