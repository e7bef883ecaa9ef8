//! Reductions over windows.

use super::insn;

/// `acc[c] += x[c]`.
pub(super) fn sum(acc: &mut [i32], x: &[i8]) {
    let len = acc.len().min(x.len());
    let whole = len / 4 * 4;
    let (words, rest) = acc[..len].split_at_mut(whole);
    insn::add_into(words, &x[..whole]);
    for (sum, &x) in rest.iter_mut().zip(&x[whole..]) {
        *sum = sum.wrapping_add(i32::from(x));
    }
}

/// `out[c] = max(out[c], x[c])`.
pub(super) fn max(out: &mut [i8], x: &[i8]) {
    let len = out.len().min(x.len());
    let whole = len / 4 * 4;
    let (words, rest) = out[..len].split_at_mut(whole);
    insn::max_into(words, x);
    for (out, &x) in rest.iter_mut().zip(&x[whole..]) {
        *out = (*out).max(x);
    }
}
