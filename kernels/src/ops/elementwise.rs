//! Element by element: activations, and two operands with broadcasting.
//!
//! A function of one int8 is a [`crate::quant::lookup`] table. Two operands are
//! combined over up to six axes; an operand that repeats along an axis has
//! stride 0 there. int8 ADD and SUB follow TFLite's `ArithmeticParams` (both
//! operands shifted left by 20 and brought to a common scale), MUL and PRELU
//! multiply centred codes and requantise.

use crate::backend::Kernels;
use crate::element::Element;
use crate::epilogue::{Activation, clamp};
use crate::error::{ShapeError, tri};
use crate::ops::arrange::{AXES, span};
use crate::ops::resize2d::{self, Resize2dGeometry};
use crate::ops::softmax::{self, Softmax};
use crate::quant::{Multiplier, lookup, multiply_by_quantized, requantize};
use crate::shape::product;

/// What the element-wise operators need to know of a type.
pub trait ElementOps: Element {
    /// A function of one element.
    type Unary<'a>: Copy + core::fmt::Debug;
    /// A function of two elements.
    type Combine: Copy + core::fmt::Debug;
    /// Parameters of a softmax.
    type SoftmaxTable<'a>: Copy + core::fmt::Debug;

    /// Applies a function in place.
    fn unary(op: &Self::Unary<'_>, y: &mut [Self]);
    /// Combines two elements.
    fn combine(how: &Self::Combine, a: Self, b: Self) -> Self;
    /// Softmax over rows, in place.
    fn softmax(op: &Softmax<'_, Self>, y: &mut [Self]);
    /// Bilinear resize.
    fn bilinear(geometry: &Resize2dGeometry, x: &[Self], y: &mut [Self]);
}

/// A float activation between two bounds: `activation(clamp(x))`.
#[derive(Clone, Copy, Debug)]
pub struct FloatUnary {
    /// Lower bound.
    pub min: f32,
    /// Upper bound.
    pub max: f32,
    /// The function.
    pub activation: Activation,
}

/// How two int8 operands combine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Combine8 {
    /// The operation.
    pub kind: Kind8,
    /// Zero points of both operands.
    pub zero_points: [i32; 2],
    /// Sum: multiplier of each operand. PReLU: of positive inputs, and of
    /// products with a slope. Product: the first is that of the product.
    pub multipliers: [Multiplier; 2],
    /// Sum: multiplier of the scaled sum.
    pub output: Multiplier,
    /// Zero point of the output.
    pub zero_point: i32,
    /// Lowest code.
    pub min: i8,
    /// Highest code.
    pub max: i8,
}

/// An int8 operation of two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind8 {
    /// `a + b`.
    Add,
    /// `a − b`.
    Sub,
    /// `a · b`.
    Mul,
    /// `a`, or `a · b` below zero.
    Prelu,
}

/// Extra bits that ADD and SUB carry.
pub const ADD_SHIFT: u32 = 20;

impl Combine8 {
    /// Checks multipliers, zero points and bounds.
    ///
    /// # Errors
    /// [`ShapeError::Multiplier`] or [`ShapeError::Range`].
    pub const fn check(&self) -> Result<(), ShapeError> {
        let [a, b] = self.multipliers;
        if !a.is_valid() || !b.is_valid() || !self.output.is_valid() {
            return Err(ShapeError::Multiplier);
        }
        let [za, zb] = self.zero_points;
        let zero = self.zero_point;
        let in_range =
            za >= -128 && za <= 127 && zb >= -128 && zb <= 127 && zero >= -128 && zero <= 127;
        if self.min > self.max || !in_range { Err(ShapeError::Range) } else { Ok(()) }
    }

    /// The output code.
    #[inline]
    pub const fn apply(&self, a: i8, b: i8) -> i8 {
        let [by_a, by_b] = self.multipliers;
        let a = a as i32 - self.zero_points[0];
        let b = b as i32 - self.zero_points[1];
        match self.kind {
            Kind8::Add | Kind8::Sub => {
                let a = multiply_by_quantized(a << ADD_SHIFT, by_a.mantissa, by_a.shift);
                let b = multiply_by_quantized(b << ADD_SHIFT, by_b.mantissa, by_b.shift);
                let sum = match self.kind {
                    Kind8::Add => a.wrapping_add(b),
                    _ => a.wrapping_sub(b),
                };
                requantize(sum, self.output, self.zero_point, self.min, self.max)
            }
            Kind8::Mul => requantize(a * b, by_a, self.zero_point, self.min, self.max),
            Kind8::Prelu if a >= 0 => requantize(a, by_a, self.zero_point, self.min, self.max),
            Kind8::Prelu => requantize(a * b, by_b, self.zero_point, self.min, self.max),
        }
    }
}

/// How two floats combine: `clamp(a ∘ b)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CombineF32 {
    /// The operation.
    pub kind: Kind8,
    /// Lower bound.
    pub min: f32,
    /// Upper bound.
    pub max: f32,
}

impl ElementOps for i8 {
    type Unary<'a> = &'a lookup::Table;
    type Combine = Combine8;
    type SoftmaxTable<'a> = &'a [f32; 256];

    fn unary(table: &&lookup::Table, y: &mut [i8]) {
        for code in y {
            *code = table[(i32::from(*code) + 128) as usize & 255];
        }
    }

    #[inline(always)]
    fn combine(how: &Combine8, a: i8, b: i8) -> i8 {
        how.apply(a, b)
    }

    fn softmax(op: &Softmax<'_, i8>, y: &mut [i8]) {
        softmax::run_i8(op, y);
    }

    fn bilinear(geometry: &Resize2dGeometry, x: &[i8], y: &mut [i8]) {
        resize2d::bilinear_i8(geometry, x, y);
    }
}

impl ElementOps for f32 {
    type Unary<'a> = FloatUnary;
    type Combine = CombineF32;
    type SoftmaxTable<'a> = f32;

    fn unary(op: &FloatUnary, y: &mut [f32]) {
        for value in y {
            *value = op.activation.apply(clamp(*value, op.min, op.max));
        }
    }

    #[inline(always)]
    fn combine(how: &CombineF32, a: f32, b: f32) -> f32 {
        let value = match how.kind {
            Kind8::Add => a + b,
            Kind8::Sub => a - b,
            Kind8::Mul => a * b,
            Kind8::Prelu if a >= 0.0 => a,
            Kind8::Prelu => a * b,
        };
        clamp(value, how.min, how.max)
    }

    fn softmax(op: &Softmax<'_, f32>, y: &mut [f32]) {
        softmax::run_f32(op, y);
    }

    fn bilinear(geometry: &Resize2dGeometry, x: &[f32], y: &mut [f32]) {
        resize2d::bilinear_f32(geometry, x, y);
    }
}

/// How two operands lie over the axes of an output: strides in elements, 0 where one repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broadcast {
    /// Extents of the output, outermost first; unused axes are 1.
    pub dims: [usize; AXES],
    /// Strides of the first operand.
    pub a: [usize; AXES],
    /// Strides of the second operand.
    pub b: [usize; AXES],
}

impl Broadcast {
    /// Elements of output, first and second operand that are touched.
    ///
    /// # Errors
    /// [`ShapeError::Zero`] or [`ShapeError::Overflow`].
    pub const fn lengths(&self) -> Result<[usize; 3], ShapeError> {
        let (mut count, mut axis) = (1, 0);
        while axis < AXES {
            if self.dims[axis] == 0 {
                return Err(ShapeError::Zero);
            }
            count = tri!(product(count, self.dims[axis]));
            axis += 1;
        }
        Ok([count, tri!(span(&self.dims, &self.a)), tri!(span(&self.dims, &self.b))])
    }
}

/// Which operand of two the output takes the place of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Own {
    /// The first.
    A,
    /// The second.
    B,
}

impl Broadcast {
    /// Whether element `i` of the output is made of element `i` of the operand `own`, so that
    /// the output may take its place: each element is read for the last time where, and just
    /// before, it is written.
    pub const fn in_place(&self, own: Own) -> bool {
        let strides = match own {
            Own::A => &self.a,
            Own::B => &self.b,
        };
        let (mut run, mut axis) = (1, AXES);
        while axis > 0 {
            axis -= 1;
            if self.dims[axis] != 1 && strides[axis] != run {
                return false;
            }
            run *= self.dims[axis];
        }
        true
    }
}

/// Two operands combined element by element.
#[derive(Clone, Copy, Debug)]
pub struct Binary<E: ElementOps> {
    pub(crate) broadcast: Broadcast,
    pub(crate) how: E::Combine,
}

impl<E: ElementOps> Binary<E> {
    /// Combines operands that lie as `broadcast` says. For int8, call
    /// [`Combine8::check`] on parameters that are not your own.
    ///
    /// # Errors
    /// [`ShapeError`] for empty or too large extents.
    pub fn new(broadcast: Broadcast, how: E::Combine) -> Result<Self, ShapeError> {
        broadcast.lengths()?;
        Ok(Self { broadcast, how })
    }

    /// Runs on the backend `B`.
    ///
    /// # Errors
    /// [`ShapeError::Length`] for slices of other lengths.
    pub fn run_on<B: Kernels<E>>(&self, a: &[E], b: &[E], y: &mut [E]) -> Result<(), ShapeError> {
        let [count, in_a, in_b] = self.broadcast.lengths()?;
        if y.len() != count || a.len() < in_a || b.len() < in_b {
            return Err(ShapeError::Length);
        }
        B::binary(self, a, b, y);
        Ok(())
    }

    /// Runs on the backend `B` where `y` holds the operand `own`; the result takes its place.
    ///
    /// # Errors
    /// [`ShapeError::Length`] for slices of other lengths, or where [`Broadcast::in_place`] does
    /// not hold.
    pub fn run_in_place_on<B: Kernels<E>>(
        &self,
        own: Own,
        other: &[E],
        y: &mut [E],
    ) -> Result<(), ShapeError> {
        let [count, in_a, in_b] = self.broadcast.lengths()?;
        let in_other = if own == Own::A { in_b } else { in_a };
        if y.len() != count || other.len() < in_other || !self.broadcast.in_place(own) {
            return Err(ShapeError::Length);
        }
        B::binary_in_place(self, own, other, y);
        Ok(())
    }
}

/// Goes through the output row by row: the first element of each row, and of both operands.
#[inline(always)]
fn rows(broadcast: &Broadcast, mut row: impl FnMut(usize, [usize; 2])) {
    let Broadcast { dims, a: stride_a, b: stride_b } = broadcast;
    let inner = AXES - 1;
    let count: usize = dims[..inner].iter().product();
    let mut index = [0usize; AXES];
    let (mut at_a, mut at_b) = (0, 0);
    for i in 0..count {
        row(i * dims[inner], [at_a, at_b]);
        for axis in (0..inner).rev() {
            index[axis] += 1;
            at_a += stride_a[axis];
            at_b += stride_b[axis];
            if index[axis] < dims[axis] {
                break;
            }
            index[axis] = 0;
            at_a -= stride_a[axis] * dims[axis];
            at_b -= stride_b[axis] * dims[axis];
        }
    }
}

/// The portable combination of two operands.
pub(crate) fn binary<E: ElementOps>(op: &Binary<E>, a: &[E], b: &[E], y: &mut [E]) {
    let inner = AXES - 1;
    let (length, steps) =
        (op.broadcast.dims[inner], [op.broadcast.a[inner], op.broadcast.b[inner]]);
    rows(&op.broadcast, |at, [at_a, at_b]| {
        let row = &mut y[at..at + length];
        if steps == [1, 1] {
            let (a, b) = (&a[at_a..at_a + length], &b[at_b..at_b + length]);
            for ((y, &a), &b) in row.iter_mut().zip(a).zip(b) {
                *y = E::combine(&op.how, a, b);
            }
        } else {
            for (i, y) in row.iter_mut().enumerate() {
                *y = E::combine(&op.how, a[at_a + i * steps[0]], b[at_b + i * steps[1]]);
            }
        }
    });
}

/// The portable combination in the place of the operand `own`.
pub(crate) fn binary_in_place<E: ElementOps>(op: &Binary<E>, own: Own, other: &[E], y: &mut [E]) {
    let inner = AXES - 1;
    let length = op.broadcast.dims[inner];
    let step = if own == Own::A { op.broadcast.b[inner] } else { op.broadcast.a[inner] };
    rows(&op.broadcast, |at, [at_a, at_b]| {
        let from = if own == Own::A { at_b } else { at_a };
        for (i, y) in y[at..at + length].iter_mut().enumerate() {
            let other = other[from + i * step];
            *y = match own {
                Own::A => E::combine(&op.how, *y, other),
                Own::B => E::combine(&op.how, other, *y),
            };
        }
    });
}

/// The same through `B`'s kernel for operands that lie alike, which reads a copy of a few
/// elements at a time.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "wasm32"))]
pub(crate) fn binary_in_blocks<E: ElementOps, B: Kernels<E>>(
    op: &Binary<E>,
    own: Own,
    other: &[E],
    y: &mut [E],
) {
    const BLOCK: usize = 256;
    if !op.broadcast.in_place(Own::A) || !op.broadcast.in_place(Own::B) {
        return binary_in_place(op, own, other, y);
    }
    let mut copy = [E::ZERO; BLOCK];
    for (y, other) in y.chunks_mut(BLOCK).zip(other.chunks(BLOCK)) {
        let own_part = &mut copy[..y.len()];
        own_part.copy_from_slice(y);
        let mut broadcast = Broadcast { dims: [1; AXES], a: [0; AXES], b: [0; AXES] };
        let inner = AXES - 1;
        (broadcast.dims[inner], broadcast.a[inner], broadcast.b[inner]) = (y.len(), 1, 1);
        let block = Binary { broadcast, how: op.how };
        match own {
            Own::A => B::binary(&block, own_part, other, y),
            Own::B => B::binary(&block, other, own_part, y),
        }
    }
}
