//! Reductions over windows.

use super::insn;

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
