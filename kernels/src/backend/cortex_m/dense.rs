//! Fully connected layer: an input row is widened once, four rows of weights advance together.

use super::CortexM;
use super::epilogue::Finish;
use super::insn;
use crate::ops::{self, BLOCK, Dense, DenseGeometry};

/// Bytes of scratch: an input row, widened.
pub(super) const fn scratch(g: &DenseGeometry) -> usize {
    g.inputs / 4 * 8
}

/// See [`Dense`].
#[inline(never)]
pub(super) fn run(op: &Dense<'_, i8>, x: &[i8], y: &mut [i8], scratch: &mut [u8]) {
    let DenseGeometry { inputs, units, .. } = op.geometry;
    let (_, wide, _) = bytemuck::pod_align_to_mut::<u8, i16>(scratch);
    let whole = inputs / 4 * 4;
    let Some(wide) = wide.get_mut(..whole) else {
        return ops::dense::run::<i8, CortexM>(op, x, y);
    };
    let finish = Finish::new(&op.epilogue, inputs);
    for (x, y) in x.chunks_exact(inputs).zip(y.chunks_exact_mut(units)) {
        insn::widen_split(x, wide);
        for (first, out) in (0..units).step_by(BLOCK).zip(y.chunks_mut(BLOCK)) {
            let mut acc = [0i32; BLOCK];
            let acc = &mut acc[..out.len()];
            for (acc, &bias) in acc.iter_mut().zip(op.epilogue.bias.iter().skip(first)) {
                *acc = bias;
            }
            let weights = op.weights.get(first * inputs..).unwrap_or(&[]);
            let (fours, rest) = acc.as_chunks_mut::<4>();
            let quads = fours.len() * 4;
            for (acc, weights) in fours.iter_mut().zip(weights.chunks(4 * inputs)) {
                insn::dot4(acc, wide, weights, inputs);
            }
            for (acc, weights) in rest.iter_mut().zip(weights.chunks(inputs).skip(quads)) {
                *acc = insn::dot(*acc, x, weights);
            }
            if whole != inputs {
                for (acc, weights) in acc.iter_mut().zip(weights.chunks_exact(inputs)) {
                    for (&x, &w) in x[whole..].iter().zip(&weights[whole..]) {
                        *acc = acc.wrapping_add(i32::from(x) * i32::from(w));
                    }
                }
            }
            finish.run(acc, first, out);
        }
    }
}
