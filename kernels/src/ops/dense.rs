//! Fully connected layer: `y[b, u] = epilogue( Σ_k x[b, k] · w[u, k] )`.
//!
//! Source: Keras' `Dense` (weights transposed), TFLite's `FULLY_CONNECTED` with
//! double rounding.

use crate::backend::{Backend, Kernels, Native};
use crate::element::Element;
use crate::error::{ShapeError, tri};
use crate::ops::{BLOCK, check_scratch};
use crate::shape::product;

/// Extents of a dense layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DenseGeometry {
    /// Rows of the input, each mapped alone.
    pub batch: usize,
    /// Elements of an input row.
    pub inputs: usize,
    /// Elements of an output row.
    pub units: usize,
}

impl DenseGeometry {
    /// A layer from `inputs` to `units`, for `batch` rows.
    ///
    /// # Errors
    /// [`ShapeError::Zero`] or [`ShapeError::Overflow`].
    pub const fn new(batch: usize, inputs: usize, units: usize) -> Result<Self, ShapeError> {
        if batch == 0 || inputs == 0 || units == 0 {
            return Err(ShapeError::Zero);
        }
        tri!(product(batch, inputs));
        tri!(product(batch, units));
        tri!(product(inputs, units));
        Ok(Self { batch, inputs, units })
    }

    /// Multiply-accumulates.
    pub const fn macs(&self) -> u64 {
        self.batch as u64 * self.inputs as u64 * self.units as u64
    }
}

/// A dense layer ready to run.
#[derive(Clone, Copy, Debug)]
pub struct Dense<'a, E: Element> {
    pub(crate) geometry: DenseGeometry,
    pub(crate) weights: &'a [E],
    pub(crate) epilogue: E::Epilogue<'a>,
}

impl<'a> Dense<'a, i8> {
    /// An int8 layer, weights `[units, inputs]`, the zero point folded into the bias.
    ///
    /// # Errors
    /// [`ShapeError`] when weights or epilogue do not fit the geometry.
    pub fn new(
        geometry: DenseGeometry,
        weights: &'a [i8],
        epilogue: crate::epilogue::Requantize<'a>,
    ) -> Result<Self, ShapeError> {
        epilogue.check(geometry.units, geometry.units)?;
        if weights.len() != geometry.inputs * geometry.units {
            return Err(ShapeError::Length);
        }
        Ok(Self { geometry, weights, epilogue })
    }
}

impl<'a> Dense<'a, f32> {
    /// A float layer, weights `[units, inputs]`.
    ///
    /// # Errors
    /// [`ShapeError`] when weights or epilogue do not fit the geometry.
    pub fn new(
        geometry: DenseGeometry,
        weights: &'a [f32],
        epilogue: crate::epilogue::Activate<'a>,
    ) -> Result<Self, ShapeError> {
        epilogue.check(geometry.units)?;
        if weights.len() != geometry.inputs * geometry.units {
            return Err(ShapeError::Length);
        }
        Ok(Self { geometry, weights, epilogue })
    }
}

impl<E: Element> Dense<'_, E> {
    /// Extents.
    pub const fn geometry(&self) -> &DenseGeometry {
        &self.geometry
    }

    /// Runs on the native backend; `scratch` has [`Kernels::dense_scratch`] bytes.
    ///
    /// # Errors
    /// [`ShapeError::Length`] for slices of other lengths or too little scratch.
    pub fn run(&self, x: &[E], y: &mut [E], scratch: &mut [u8]) -> Result<(), ShapeError>
    where
        Native: Kernels<E>,
    {
        self.run_on::<Native>(x, y, scratch)
    }

    /// Runs on the backend `B`.
    ///
    /// # Errors
    /// As [`Dense::run`].
    pub fn run_on<B: Backend + Kernels<E>>(
        &self,
        x: &[E],
        y: &mut [E],
        scratch: &mut [u8],
    ) -> Result<(), ShapeError> {
        let DenseGeometry { batch, inputs, units } = self.geometry;
        if x.len() != batch * inputs || y.len() != batch * units {
            return Err(ShapeError::Length);
        }
        check_scratch(scratch, <B as Kernels<E>>::dense_scratch(&self.geometry))?;
        B::dense(self, x, y, scratch);
        Ok(())
    }
}

/// The portable dense layer.
pub(crate) fn run<E: Element, B: Kernels<E>>(op: &Dense<'_, E>, x: &[E], y: &mut [E]) {
    let DenseGeometry { inputs, units, .. } = op.geometry;
    for (x, y) in x.chunks_exact(inputs).zip(y.chunks_exact_mut(units)) {
        for (block, out) in y.chunks_mut(BLOCK).enumerate() {
            let mut acc = [E::ACC_ZERO; BLOCK];
            let acc = &mut acc[..out.len()];
            let first = block * BLOCK;
            B::mac(acc, x, &op.weights[first * inputs..], inputs);
            B::finish(out, acc, first, &op.epilogue);
        }
    }
}
