//! Weights in the order in which a core's kernel reads them, made once on the host.
//!
//! Plain weights are `[output][ky][kx][input]`, one byte each, and run on every backend; the
//! Cortex-M kernels bring them into another order before each run. A *packed* layer has
//! that done already: its words hold, for two output channels at a time, the doubled
//! biases, mantissas and shifts, then the doubled weights in pairs of 16 bits. It is faster,
//! needs no scratch memory for weights, and takes two to three times the flash.
//! `docs/model-format.md` gives the order of each packing.
//!
//! Results are those of the plain layer, bit for bit. Every build for a machine with an
//! operating system runs packed layers, through the plain-Rust twins of the instructions; a
//! microcontroller's build runs them if it has the instructions ([`is_supported`]).

use crate::backend::cortex_m::packed;
use crate::epilogue::Requantize;
use crate::error::ShapeError;
use crate::ops::{
    Conv2dGeometry, DenseGeometry, TransposedConv2dGeometry, check_scratch, check_views,
};
use crate::shape::Shape;
use crate::view::{View, ViewMut};

/// Plain weights.
pub const PLAIN: u32 = 0;
/// Weights transformed for Winograd's F(2 × 2, 3 × 3): 3.6 times the flash of plain ones.
pub const WINOGRAD: u32 = 9;
/// Weights of 3 × 3 convolutions to few channels, for seven pixels of one channel at a time.
pub const SEVENS: u32 = 10;
/// The largest number of a packing; the others are 1 to this.
pub const LAST: u32 = SEVENS + 1;

/// Whether this build runs packed layers.
pub const fn is_supported() -> bool {
    cfg!(any(arm_dsp, not(target_os = "none")))
}

/// A layer that can be packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Geometry {
    /// A convolution.
    Conv2d(Conv2dGeometry),
    /// A transposed convolution.
    TransposedConv2d(TransposedConv2dGeometry),
    /// A dense layer; its rows are images of one cell.
    Dense(DenseGeometry),
}

impl Geometry {
    /// Shape of the input.
    pub const fn input(&self) -> Shape {
        match self {
            Self::Conv2d(g) => g.input,
            Self::TransposedConv2d(g) => g.input,
            Self::Dense(g) => Shape { n: g.batch, h: 1, w: 1, c: g.inputs },
        }
    }

    /// Shape of the output.
    pub const fn output(&self) -> Shape {
        match self {
            Self::Conv2d(g) => g.output,
            Self::TransposedConv2d(g) => g.output,
            Self::Dense(g) => Shape { n: g.batch, h: 1, w: 1, c: g.units },
        }
    }

    const fn weights(&self) -> usize {
        match self {
            Self::Conv2d(g) => g.weights(),
            Self::TransposedConv2d(g) => g.weights(),
            Self::Dense(g) => g.inputs * g.units,
        }
    }

    const fn biases(&self) -> usize {
        match self {
            Self::Conv2d(g) => g.output.c,
            Self::TransposedConv2d(g) => g.biases(),
            Self::Dense(g) => g.units,
        }
    }

    /// Words of weights in `packing`; `None` where it does not serve this layer.
    pub const fn words(&self, packing: u32) -> Option<usize> {
        packed::words(self, packing)
    }

    /// Whether `packing` has the same words, in the same order, for some rows of this layer.
    pub(crate) const fn same_words(&self, band: &Self, packing: u32) -> bool {
        let (Some(whole), Some(part)) = (self.words(packing), band.words(packing)) else {
            return false;
        };
        whole == part && packed::order(self, packing) == packed::order(band, packing)
    }

    /// Bytes of scratch in `packing`, aligned as words; `None` where it does not serve this layer.
    pub const fn scratch(&self, packing: u32) -> Option<usize> {
        packed::scratch(self, packing)
    }

    /// Roughly the cycles of an image in `packing` on a Cortex-M4.
    pub(crate) fn cycles(&self, packing: u32) -> Option<usize> {
        packed::cycles(self, packing)
    }

    /// The fastest packing of a layer with these plain weights that ends in `epilogue`; `None` where
    /// they stay plain: groups, and multipliers or sums beyond the short rounding.
    pub fn choose(&self, weights: &[i8], epilogue: &Requantize<'_>) -> Option<u32> {
        packed::choose(self, weights, epilogue)
    }

    /// Writes plain weights in `packing` to `out`, which has [`Self::words`].
    ///
    /// # Errors
    /// [`ShapeError::Length`] for slices of other lengths or a packing that does not serve this
    /// layer; [`ShapeError::Range`] for weights that it cannot hold.
    pub fn pack(
        &self,
        packing: u32,
        weights: &[i8],
        epilogue: &Requantize<'_>,
        out: &mut [i32],
    ) -> Result<(), ShapeError> {
        epilogue.check(self.biases(), self.output().c)?;
        if weights.len() != self.weights() || self.words(packing) != Some(out.len()) {
            return Err(ShapeError::Length);
        }
        if !packed::holds(self, packing, weights, epilogue) {
            return Err(ShapeError::Range);
        }
        packed::pack(self, packing, weights, epilogue, out);
        Ok(())
    }
}

/// A layer with packed weights, ready to run.
#[derive(Clone, Copy, Debug)]
pub struct Packed<'a> {
    pub(crate) geometry: Geometry,
    pub(crate) packing: u32,
    pub(crate) words: &'a [i32],
    pub(crate) zero_point: i8,
    pub(crate) epilogue: Requantize<'a>,
}

impl<'a> Packed<'a> {
    /// A layer with the words that [`Geometry::pack`] wrote; `zero_point` is that of the input.
    ///
    /// # Errors
    /// [`ShapeError`] when words or epilogue do not fit the geometry.
    pub fn new(
        geometry: Geometry,
        packing: u32,
        words: &'a [i32],
        zero_point: i8,
        epilogue: Requantize<'a>,
    ) -> Result<Self, ShapeError> {
        epilogue.check(geometry.biases(), geometry.output().c)?;
        if geometry.words(packing) != Some(words.len()) {
            return Err(ShapeError::Length);
        }
        Ok(Self { geometry, packing, words, zero_point, epilogue })
    }

    /// Runs; `scratch` has [`Geometry::scratch`] bytes.
    ///
    /// # Errors
    /// [`ShapeError::Mismatch`] for views of other shapes, [`ShapeError::Length`] for too little scratch.
    pub fn run(
        &self,
        x: View<'_, i8>,
        y: ViewMut<'_, i8>,
        scratch: &mut [u8],
    ) -> Result<(), ShapeError> {
        check_views(&x, self.geometry.input(), &y, self.geometry.output())?;
        check_scratch(scratch, self.geometry.scratch(self.packing).unwrap_or(0))?;
        self.run_checked(x, y, scratch);
        Ok(())
    }

    /// The same where everything is known to fit.
    #[inline(always)]
    pub(crate) fn run_checked(&self, x: View<'_, i8>, y: ViewMut<'_, i8>, scratch: &mut [u8]) {
        packed::run(self, x, y, scratch);
    }
}
