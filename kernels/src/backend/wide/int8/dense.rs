//! Fully connected layer: lanes run along the input, eight rows of weights advance together.

use bytemuck::cast;
use wide::{i8x16, i16x16, i32x8};

use super::finish::{Params, Store};
use super::lanes;
use crate::backend::Wide;
use crate::ops::{self, Dense, DenseGeometry};

/// Rows of weights that share an input.
const ROWS: usize = 8;

/// Bytes of scratch: an input row, widened and filled up with zeros.
pub(super) const fn scratch(g: &DenseGeometry) -> usize {
    2 * g.inputs.next_multiple_of(16)
}

/// See [`Dense`].
pub(super) fn run(op: &Dense<'_, i8>, x: &[i8], y: &mut [i8], scratch: &mut [u8]) {
    let DenseGeometry { inputs, units, .. } = op.geometry;
    let (_, wide, _) = bytemuck::pod_align_to_mut::<u8, i16>(scratch);
    let Some(wide) = wide.get_mut(..inputs.next_multiple_of(16)) else {
        return ops::dense::run::<i8, Wide>(op, x, y);
    };
    let store = Store::new(&op.epilogue);
    for (x, y) in x.chunks_exact(inputs).zip(y.chunks_exact_mut(units)) {
        let (whole, rest) = wide.split_at_mut(inputs);
        lanes::widen(x, whole);
        rest.fill(0);
        let (wide, _) = wide.as_chunks::<16>();
        for (block, out) in y.chunks_mut(ROWS).enumerate() {
            let first = block * ROWS;
            let params = Params::channels(&op.epilogue, op.epilogue.bias, first);
            let rows = core::array::from_fn(|row| {
                // Rows beyond the last repeat it; their sums are not stored.
                let row = (first + row).min(units - 1);
                &op.weights[row * inputs..(row + 1) * inputs]
            });
            store.store(&params, params.start() + dots(wide, rows), out);
        }
    }
}

/// Each row times `x`.
#[inline(always)]
fn dots(x: &[[i16; 16]], rows: [&[i8]; ROWS]) -> i32x8 {
    let mut acc = [i32x8::default(); ROWS];
    let (chunks, tails) = (rows.map(|row| row.as_chunks::<16>().0), rows);
    let whole = chunks[0].len().min(x.len());
    for (k, &x) in x[..whole].iter().enumerate() {
        let x = i16x16::new(x);
        for (acc, chunks) in acc.iter_mut().zip(chunks) {
            *acc = lanes::madd(*acc, x, i16x16::from_i8x16(i8x16::new(chunks[k])));
        }
    }
    if let Some(&x) = x.get(whole) {
        for (acc, row) in acc.iter_mut().zip(tails) {
            let weights = lanes::words(&row[16 * whole..]);
            *acc = lanes::madd(*acc, i16x16::new(x), lanes::load(&weights));
        }
    }
    // The sum of each row's lanes, in that row's lane.
    let columns = lanes::transpose(cast(acc));
    columns.iter().fold(i32x8::default(), |sum, column| sum + i32x8::new(cast(*column)))
}
