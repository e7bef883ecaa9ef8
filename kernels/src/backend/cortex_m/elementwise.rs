//! Two operands.

use super::insn;
use crate::ops::arrange::AXES;
use crate::ops::elementwise::{self, ADD_SHIFT, Binary, Combine8, Kind8, Own};
use crate::quant::{Multiplier, multiply_by_quantized};

/// Elements for which two tables are worth making.
const TABULATED: usize = 1024;

/// See [`Binary`]: sums of operands that lie alike take the short form where the
/// shifts allow it.
pub(super) fn binary(op: &Binary<i8>, a: &[i8], b: &[i8], y: &mut [i8]) {
    let how = &op.how;
    let [by_a, by_b] = how.multipliers;
    if !short_sums(op, y.len()) {
        return elementwise::binary(op, a, b, y);
    }
    if y.len() >= TABULATED {
        return through_tables(op, a, b, y);
    }
    if how.kind != Kind8::Add {
        return elementwise::binary(op, a, b, y);
    }
    let [za, zb] = how.zero_points;
    let half = Multiplier { mantissa: 1 << 30, shift: 0 };
    // TFLite scales by twice the larger scale, so one multiplier is exactly one half.
    let (a, za, b, zb, by) = if by_a == half { (a, za, b, zb, by_b) } else { (b, zb, a, za, by_a) };
    if (by_a != half && by_b != half) || by.shift == 0 {
        return short_sum(op, a, b, y, [za, zb], by_a == half);
    }
    let add = AddHalves {
        mantissa: by.mantissa,
        shift: -by.shift,
        offset: -(za << (ADD_SHIFT - 1)),
        zero: zb << (ADD_SHIFT + 1),
        out_mantissa: how.output.mantissa,
        out_shift: -how.output.shift,
        out_zero: how.zero_point,
    };
    insn::add_halves(a, b, &add, y);
    clamp(y, how.min, how.max);
}

/// [`binary`] where `y` holds one of the operands.
pub(super) fn binary_in_place(op: &Binary<i8>, own: Own, other: &[i8], y: &mut [i8]) {
    if y.len() < TABULATED || !short_sums(op, y.len()) {
        return elementwise::binary_in_place(op, own, other, y);
    }
    through_tables_in_place(op, own, other, y);
}

/// Whether it is a sum or a difference of operands that lie alike which 32 bits hold.
fn short_sums(op: &Binary<i8>, count: usize) -> bool {
    let (how, broadcast) = (&op.how, &op.broadcast);
    // |code − zero point| < 2^8, so operands are below 2^28, and with shifts that
    // never go left their sum is below 2^30.
    broadcast.dims[..AXES].iter().product::<usize>() == count
        && broadcast.in_place(Own::A)
        && broadcast.in_place(Own::B)
        && matches!(how.kind, Kind8::Add | Kind8::Sub)
        && how.multipliers.iter().all(|by| by.shift <= 0)
        && (-31..=-1).contains(&how.output.shift)
}

/// The operands of a sum or a difference by their codes, and how it ends.
#[inline(never)]
fn tabulate(how: &Combine8, tables: &mut [[i32; 256]; 2]) -> [i32; 3] {
    let signs = [1, if how.kind == Kind8::Sub { -1 } else { 1 }];
    let operands = how.multipliers.iter().zip(how.zero_points).zip(signs);
    for (table, ((by, zero), sign)) in tables.iter_mut().zip(operands) {
        for (byte, entry) in table.iter_mut().enumerate() {
            let code = i32::from(byte as u8 as i8) - zero;
            // Doubled, as the requantisation wants it; sums stay below 2^31.
            *entry = 2 * sign * multiply_by_quantized(code << ADD_SHIFT, by.mantissa, by.shift);
        }
    }
    [how.output.mantissa, -how.output.shift, how.zero_point]
}

/// The sum, or the difference, of two tabulated operands.
#[inline(never)]
fn through_tables(op: &Binary<i8>, a: &[i8], b: &[i8], y: &mut [i8]) {
    let how = &op.how;
    let mut tables = [[0; 256]; 2];
    let by = tabulate(how, &mut tables);
    let done = insn::add_tables(&tables, a, b, by, y);
    for ((y, &a), &b) in y.iter_mut().zip(a).zip(b).skip(done) {
        *y = how.apply(a, b);
    }
    clamp(y, how.min, how.max);
}

/// The same in the place of the operand `own`.
#[inline(never)]
fn through_tables_in_place(op: &Binary<i8>, own: Own, other: &[i8], y: &mut [i8]) {
    let how = &op.how;
    let mut tables = [[0; 256]; 2];
    let by = tabulate(how, &mut tables);
    let [first, second] = &tables;
    let tables = if own == Own::A { [first, second] } else { [second, first] };
    let done = insn::add_tables_in_place(tables, other, by, y);
    for (y, &other) in y.iter_mut().zip(other).skip(done) {
        *y = if own == Own::A { how.apply(*y, other) } else { how.apply(other, *y) };
    }
    clamp(y, how.min, how.max);
}

/// The sum where neither multiplier is one half, or both are.
fn short_sum(op: &Binary<i8>, a: &[i8], b: &[i8], y: &mut [i8], [za, zb]: [i32; 2], same: bool) {
    let how = &op.how;
    let [first, second] = how.multipliers;
    let (by_a, by_b) = if same { (first, second) } else { (second, first) };
    let scale = |code: i8, zero: i32, by: Multiplier| {
        multiply_by_quantized((i32::from(code) - zero) << ADD_SHIFT, by.mantissa, by.shift)
    };
    for ((y, &a), &b) in y.iter_mut().zip(a).zip(b) {
        let sum = scale(a, za, by_a).wrapping_add(scale(b, zb, by_b));
        let n = -how.output.shift;
        *y = insn::requantize(sum, how.output.mantissa, n, how.zero_point) as i8;
    }
    clamp(y, how.min, how.max);
}

fn clamp(y: &mut [i8], min: i8, max: i8) {
    if (min, max) != (i8::MIN, i8::MAX) {
        for code in y {
            *code = (*code).min(max).max(min);
        }
    }
}

/// A sum of `a` with multiplier one half and of `b`, everything doubled or shifted beforehand.
#[derive(Clone, Copy, Debug)]
pub(super) struct AddHalves {
    /// Multiplier of `b`: its mantissa and right shift, 1…31.
    pub(super) mantissa: i32,
    pub(super) shift: i32,
    /// `−(zero point of a) · 2^19`.
    pub(super) offset: i32,
    /// `(zero point of b) · 2^21`.
    pub(super) zero: i32,
    /// Multiplier of the sum, shift 1…31, and the zero point of the output.
    pub(super) out_mantissa: i32,
    pub(super) out_shift: i32,
    pub(super) out_zero: i32,
}
