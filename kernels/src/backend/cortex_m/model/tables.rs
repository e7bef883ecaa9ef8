//! Sums through tables.

use super::requantize;

/// `y[i] = requantize((tables[0][a[i]] + tables[1][b[i]]) / 2)` over whole words, codes read
/// as unsigned bytes and sums doubled; `[mantissa, n, zero point]` as `requantize` takes
/// them. Returns how many elements that is.
pub(in crate::backend::cortex_m) fn add_tables(
    tables: &[[i32; 256]; 2],
    a: &[i8],
    b: &[i8],
    [mantissa, n, zero_point]: [i32; 3],
    y: &mut [i8],
) -> usize {
    let count = a.len().min(b.len()).min(y.len()) / 4 * 4;
    for ((y, &a), &b) in y[..count].iter_mut().zip(a).zip(b) {
        let sum = tables[0][usize::from(a as u8)] + tables[1][usize::from(b as u8)];
        *y = requantize(sum >> 1, mantissa, n, zero_point) as i8;
    }
    count
}

/// [`add_tables`] where `y` holds the operand of the first table.
pub(in crate::backend::cortex_m) fn add_tables_in_place(
    tables: [&[i32; 256]; 2],
    other: &[i8],
    [mantissa, n, zero_point]: [i32; 3],
    y: &mut [i8],
) -> usize {
    let count = other.len().min(y.len()) / 4 * 4;
    for (y, &other) in y[..count].iter_mut().zip(other) {
        let sum = tables[0][usize::from(*y as u8)] + tables[1][usize::from(other as u8)];
        *y = requantize(sum >> 1, mantissa, n, zero_point) as i8;
    }
    count
}
