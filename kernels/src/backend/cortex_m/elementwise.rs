//! Two operands.

use super::insn;
use crate::ops::arrange::AXES;
use crate::ops::elementwise::{self, ADD_SHIFT, Binary, Kind8};
use crate::quant::multiply_by_quantized;

/// See [`Binary`]: sums of operands that lie alike take the short form where the
/// shifts allow it.
pub(super) fn binary(op: &Binary<i8>, a: &[i8], b: &[i8], y: &mut [i8]) {
    let how = &op.how;
    let [by_a, by_b] = how.multipliers;
    // |code − zero point| < 2^8, so operands are below 2^28, and with shifts that
    // never go left their sum is below 2^30.
    let alike = op.broadcast.dims[..AXES].iter().product::<usize>() == y.len()
        && op.broadcast.a == op.broadcast.b
        && dense(&op.broadcast.dims, &op.broadcast.a);
    let short = how.kind == Kind8::Add
        && by_a.shift <= 0
        && by_b.shift <= 0
        && (-31..=-1).contains(&how.output.shift);
    if !alike || !short {
        return elementwise::binary(op, a, b, y);
    }
    let [za, zb] = how.zero_points;
    let scale = |code: i8, zero: i32, by: crate::quant::Multiplier| {
        multiply_by_quantized((i32::from(code) - zero) << ADD_SHIFT, by.mantissa, by.shift)
    };
    let n = -how.output.shift;
    for ((y, &a), &b) in y.iter_mut().zip(a).zip(b) {
        let sum = scale(a, za, by_a).wrapping_add(scale(b, zb, by_b));
        let code = insn::requantize(sum, how.output.mantissa, n, how.zero_point) as i8;
        *y = code.min(how.max).max(how.min);
    }
}

/// Whether strides are those of a row-major array.
fn dense(dims: &[usize; AXES], strides: &[usize; AXES]) -> bool {
    let mut run = 1;
    for (&dim, &stride) in dims.iter().zip(strides).rev() {
        if dim != 1 && stride != run {
            return false;
        }
        run *= dim;
    }
    true
}
