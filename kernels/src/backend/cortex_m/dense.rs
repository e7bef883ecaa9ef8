//! Fully connected layer: an input row is widened once, four rows of weights advance together.

use super::CortexM;
use super::epilogue::Finish;
use super::insn;
use crate::ops::{self, Dense, DenseGeometry};

/// Bytes of scratch: an input row, widened.
pub(super) const fn scratch(g: &DenseGeometry) -> usize {
    g.inputs / 4 * 8
}

/// See [`Dense`].
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
        for (first, out) in (0..units).step_by(4).zip(y.chunks_mut(4)) {
            let weights = op.weights.get(first * inputs..).unwrap_or(&[]);
            let mut acc = [0i32; 4];
            for (acc, bias) in acc.iter_mut().zip(op.epilogue.bias.iter().skip(first)) {
                *acc = *bias;
            }
            if out.len() == 4 {
                insn::dot4(&mut acc, wide, weights, inputs);
            }
            for (row, (out, mut acc)) in out.iter_mut().zip(acc).enumerate() {
                let weights = weights.get(row * inputs..(row + 1) * inputs).unwrap_or(&[]);
                if first + 4 > units {
                    acc = insn::dot(acc, x, weights);
                }
                for (&x, &w) in x.iter().zip(weights).skip(whole) {
                    acc = acc.wrapping_add(i32::from(x) * i32::from(w));
                }
                *out = finish.one(acc, first + row);
            }
        }
    }
}
