//! One axis of a convolution, or of a stride phase of a transposed one.

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
    pub(super) taps: usize,
    pub(super) outputs: usize,
    pub(super) first: usize,
    pub(super) every: usize,
    /// Kernel index of tap 0, and from one tap to the next; no tap has a weight when `empty`.
    pub(super) weight: usize,
    pub(super) descend: usize,
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
            descend: 0,
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
        let empty = taps == 0;
        let taps = if empty { 1 } else { taps };
        let newest = (first + axis.pad) / axis.stride;
        Some(Self {
            input: axis.output,
            start: newest as isize - (taps as isize - 1),
            stride: 1,
            step: 1,
            taps,
            outputs: (axis.input - first).div_ceil(axis.stride),
            first,
            every: axis.stride,
            weight: phase + (taps - 1) * axis.stride,
            descend: axis.stride,
            empty,
        })
    }

    /// Kernel index of tap `t`.
    pub(super) const fn weight_of(&self, t: usize) -> usize {
        if self.descend == 0 { t } else { self.weight - t * self.descend }
    }

    /// Input cells from the first that output 0 reads to the last that the last output reads.
    pub(super) const fn span(&self) -> usize {
        (self.outputs - 1) * self.stride + (self.taps - 1) * self.step + 1
    }

    /// Input rows between the first and the last tap, both included.
    pub(super) const fn reach(&self) -> usize {
        (self.taps - 1) * self.step + 1
    }
}
