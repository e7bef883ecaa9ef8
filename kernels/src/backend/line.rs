//! One axis of a convolution, or of a stride phase of a transposed one: what the
//! backends with kernels of their own run over.

use crate::window::Axis;

/// Output `i` reads inputs `start + i · stride + t · step` for the taps `t`, and is
/// stored at `first + i · every`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    pub(super) input: usize,
    /// Input of the first tap of output 0; may lie outside.
    pub(super) start: isize,
    pub(super) stride: usize,
    pub(super) step: usize,
    /// None in a phase that is bias only, unless it [reads one all the same](Self::reading).
    pub(super) taps: usize,
    pub(super) outputs: usize,
    pub(super) first: usize,
    pub(super) every: usize,
    /// Tap `t` has the weight `weight + t · weight_step`.
    weight: isize,
    weight_step: isize,
    /// Whether no tap has a weight.
    pub(super) empty: bool,
}

impl Line {
    /// An axis of a convolution.
    pub(super) const fn forward(axis: &Axis) -> Self {
        Self {
            input: axis.input,
            start: -(axis.pad as isize),
            stride: axis.stride,
            step: axis.dilation,
            taps: axis.kernel,
            outputs: axis.output,
            first: 0,
            every: 1,
            weight: 0,
            weight_step: 1,
            empty: false,
        }
    }

    /// Phase `phase` of an axis of a transposed convolution: the outputs `o` with
    /// `(o + pad) mod stride = phase` and the taps `phase, phase + stride, …`, last
    /// first, so that the inputs ascend. `None` when there is no such output.
    pub(super) const fn phase(axis: &Axis, phase: usize) -> Option<Self> {
        let first = (phase + axis.stride - axis.pad % axis.stride) % axis.stride;
        if first >= axis.input {
            return None;
        }
        let taps = axis.kernel.saturating_sub(phase).div_ceil(axis.stride);
        let newest = (first + axis.pad) / axis.stride;
        Some(Self {
            input: axis.output,
            start: newest as isize + 1 - taps as isize,
            stride: 1,
            step: 1,
            taps,
            outputs: (axis.input - first).div_ceil(axis.stride),
            first,
            every: axis.stride,
            weight: phase as isize + (taps as isize - 1) * axis.stride as isize,
            weight_step: -(axis.stride as isize),
            empty: taps == 0,
        })
    }

    /// Phase `phase` of an axis of a convolution, of stride 1 without dilation, over a map of
    /// `cells` cells that are each seen `factor` times: the outputs `o` with
    /// `(o − pad) mod factor = phase`. Its weights are sums of those in memory. `None` when
    /// there is no such output.
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "wasm32"))]
    pub(super) const fn upsampled(axis: &Axis, factor: usize, phase: usize) -> Option<Self> {
        let first = (phase + axis.pad) % factor;
        if first >= axis.output {
            return None;
        }
        Some(Self {
            input: axis.input / factor,
            start: (first as isize - axis.pad as isize).div_euclid(factor as isize),
            stride: 1,
            step: 1,
            taps: (phase + axis.kernel - 1) / factor + 1,
            outputs: (axis.output - first).div_ceil(factor),
            first,
            every: factor,
            weight: 0,
            weight_step: 1,
            empty: false,
        })
    }

    /// The same for kernels that always read a tap: one without a weight if there is none.
    pub(super) const fn reading(mut self) -> Self {
        if self.taps == 0 {
            self.taps = 1;
            self.start -= 1;
        }
        self
    }

    /// The weight of tap `t`.
    pub(super) const fn weight_of(&self, t: usize) -> usize {
        (self.weight + t as isize * self.weight_step) as usize
    }

    /// Whether the weights of the taps lie in memory as the taps do.
    pub(super) const fn ascending(&self) -> bool {
        self.weight_step == 1
    }

    /// Input cells from the first tap of output 0 to the last of output `last`, both included.
    pub(super) const fn span(&self, last: usize) -> usize {
        last * self.stride + self.taps.saturating_sub(1) * self.step + 1
    }

    /// Input of the last tap of output `i`.
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "wasm32"))]
    pub(super) const fn last(&self, i: usize) -> isize {
        let reach = self.taps.saturating_sub(1) * self.step;
        self.start + (i * self.stride + reach) as isize
    }

    /// Input of tap `t` of output `i`, when inside.
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "wasm32"))]
    pub(super) fn tap(&self, i: usize, t: usize) -> Option<usize> {
        let at = self.start + (i * self.stride + t * self.step) as isize;
        usize::try_from(at).ok().filter(|&at| at < self.input)
    }
}
