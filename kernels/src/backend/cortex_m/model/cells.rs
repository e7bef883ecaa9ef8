//! `asm/cells_asm.rs` in plain Rust.

use crate::backend::cortex_m::cells::{Cells, Division};

/// Writes what `reduce` makes of the cells of every output; nothing where cells are missing.
fn each<T>(cells: &Cells<'_>, out: &mut [T], reduce: impl Fn(&mut dyn Iterator<Item = i8>) -> T) {
    if !cells.fits(out.len()) {
        return;
    }
    let Cells { x, channels, pitch, row, size: [rows, columns], step, .. } = *cells;
    for (index, out) in out.iter_mut().enumerate() {
        let first = index / channels * step + index % channels;
        let at = |r: usize, c: usize| x[first + r * row + c * pitch];
        *out = reduce(&mut (0..rows).flat_map(|r| (0..columns).map(move |c| at(r, c))));
    }
}

/// The largest code of each channel; nothing is done where cells are missing.
pub(in crate::backend::cortex_m) fn max_cells(cells: &Cells<'_>, out: &mut [i8]) {
    each(cells, out, |codes| codes.max().unwrap_or(i8::MIN));
}

/// The mean of each channel; nothing is done where cells are missing.
pub(in crate::backend::cortex_m) fn mean_cells(
    cells: &Cells<'_>,
    division: &Division,
    out: &mut [i8],
) {
    each(cells, out, |codes| division.of(codes.map(i32::from).sum()) as i8);
}

/// The sum of each channel, of at most [`Cells::MOST`] cells; nothing is done where cells are
/// missing.
pub(in crate::backend::cortex_m) fn sum_cells(cells: &Cells<'_>, out: &mut [i32]) {
    // The lanes have 16 bits.
    let add = |sum: i16, code| sum.wrapping_add(i16::from(code));
    each(cells, out, |codes| i32::from(codes.fold(0, add)));
}
