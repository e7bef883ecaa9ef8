//! Two operands that lie side by side, sixteen codes at a time.

use bytemuck::cast;
use wide::{i8x16, i16x8, i16x16, i32x8};

use super::finish::{Params, Scaling, Store};
use crate::epilogue::Requantize;
use crate::ops::arrange::AXES;
use crate::ops::elementwise::{self, ADD_SHIFT, Binary, Kind8};
use crate::quant::Multiplier;

/// Multipliers of both operands and of the result.
struct Combine<'a> {
    kind: Kind8,
    zero_points: [i32x8; 2],
    operands: [Params; 2],
    output: Params,
    store: Store<'a>,
}

/// Whether both operands and the output are one run of memory.
fn side_by_side(op: &Binary<i8>) -> bool {
    [&op.broadcast.a, &op.broadcast.b].into_iter().all(|strides| {
        let mut run = 1;
        (0..AXES).rev().all(|axis| {
            let dim = op.broadcast.dims[axis];
            let fits = dim == 1 || strides[axis] == run;
            run *= dim;
            fits
        })
    })
}

/// See [`Binary`].
pub(super) fn run(op: &Binary<i8>, a: &[i8], b: &[i8], y: &mut [i8]) {
    let how = &op.how;
    if how.kind == Kind8::Prelu || !side_by_side(op) {
        return elementwise::binary::<i8>(op, a, b, y);
    }
    let output = if how.kind == Kind8::Mul { how.multipliers[0] } else { how.output };
    let end = Requantize {
        bias: &[],
        mantissas: &[output.mantissa],
        shifts: &[output.shift],
        zero_point: how.zero_point,
        min: how.min,
        max: how.max,
        table: None,
    };
    let combine = Combine {
        kind: how.kind,
        zero_points: how.zero_points.map(i32x8::splat),
        operands: how.multipliers.map(Params::of),
        output: Params::of(output),
        store: Store::new(&end),
    };
    let (a, b) = (&a[..y.len()], &b[..y.len()]);
    let (chunks, rest) = y.as_chunks_mut::<16>();
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<16>(), b.as_chunks::<16>());
    for ((y, &a), &b) in chunks.iter_mut().zip(a).zip(b) {
        combine.run(a, b, y);
    }
    let padded = |x: &[i8]| core::array::from_fn(|i| x.get(i).copied().unwrap_or(0));
    combine.run(padded(a_rest), padded(b_rest), rest);
}

impl Combine<'_> {
    /// As many codes as `y` has room for.
    #[inline(always)]
    fn run(&self, a: [i8; 16], b: [i8; 16], y: &mut [i8]) {
        let [a, b] = [a, b].map(|x| -> [i16x8; 2] { cast(i16x16::from_i8x16(i8x16::new(x))) });
        let low = self.sum(a[0], b[0]);
        let high = self.sum(a[1], b[1]);
        self.store.store2([&self.output, &self.output], [low, high], y);
    }

    /// What is requantised.
    #[inline(always)]
    fn sum(&self, a: i16x8, b: i16x8) -> i32x8 {
        let a = i32x8::from_i16x8(a) - self.zero_points[0];
        let b = i32x8::from_i16x8(b) - self.zero_points[1];
        if self.kind == Kind8::Mul {
            return a * b;
        }
        let a = self.operands[0].scale(a << ADD_SHIFT, Scaling::General);
        let b = self.operands[1].scale(b << ADD_SHIFT, Scaling::General);
        if self.kind == Kind8::Add { a + b } else { a - b }
    }
}

impl Params {
    /// One multiplier in all lanes, no bias.
    fn of(by: Multiplier) -> Self {
        let how = Requantize {
            bias: &[],
            mantissas: &[by.mantissa],
            shifts: &[by.shift],
            zero_point: 0,
            min: i8::MIN,
            max: i8::MAX,
            table: None,
        };
        Self::channels(&how, &[0; 8], 0)
    }
}
