//! Convolutions of every form as phases: outputs that read alike.

use super::{flat, linear};
use crate::backend::line::Line;
use crate::epilogue::Activate;
use crate::shape::Shape;
use crate::window::{Axis, Window};

/// How outputs follow from the window.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A convolution: one phase.
    Forward,
    /// A transposed one: a phase for each remainder by the stride.
    Transposed,
    /// A convolution over a map whose cells are each seen so many times along rows and
    /// columns: a phase for each remainder by that, its weights sums of those in memory.
    Upsampled([usize; 2]),
}

/// A convolution of one of the forms.
#[derive(Clone, Copy)]
pub(super) struct Geometry {
    /// The map in memory.
    pub(super) input: Shape,
    pub(super) output: Shape,
    pub(super) window: Window,
    pub(super) groups: usize,
    pub(super) form: Form,
}

/// Outputs that read alike.
#[derive(Clone, Copy)]
pub(super) struct Phase {
    /// Which one, along rows and columns.
    at: [usize; 2],
    /// The first of its biases is this number of output channels into them.
    pub(super) bias: usize,
    pub(super) rows: Line,
    pub(super) columns: Line,
}

impl Geometry {
    pub(super) const fn inputs(&self) -> usize {
        self.input.c / self.groups
    }

    pub(super) const fn outputs(&self) -> usize {
        self.output.c / self.groups
    }

    /// The phases that have outputs.
    pub(super) fn phases(&self) -> impl Iterator<Item = Phase> {
        let (form, channels, Window { rows, columns }) = (self.form, self.output.c, self.window);
        let [height, width] = match form {
            Form::Forward => [1, 1],
            Form::Transposed => [rows.stride, columns.stride],
            Form::Upsampled(factor) => factor,
        };
        let line = move |axis: &Axis, factor, phase| match form {
            Form::Forward => Some(Line::forward(axis)),
            Form::Transposed => Line::phase(axis, phase),
            Form::Upsampled(_) => Line::upsampled(axis, factor, phase),
        };
        (0..height * width).filter_map(move |index| {
            let at = [index / width, index % width];
            let bias = if form == Form::Transposed { index * channels } else { 0 };
            let rows = line(&rows, height, at[0])?;
            Some(Phase { at, bias, rows, columns: line(&columns, width, at[1])? })
        })
    }

    /// Whether the weights of a phase are made first, by [`Geometry::sum`].
    pub(super) const fn is_summed(&self) -> bool {
        matches!(self.form, Form::Upsampled(_))
    }

    /// Weights of one output of a phase, in memory or summed.
    pub(super) const fn depth(&self, phase: &Phase) -> usize {
        let taps = if self.is_summed() { phase.taps() } else { self.window.taps() };
        taps * self.inputs()
    }

    /// Places of a phase's taps among the weights of one output, in the order of the inputs
    /// that they read.
    pub(super) fn taps(&self, phase: &Phase) -> impl Iterator<Item = usize> {
        let (rows, columns) = (phase.rows, phase.columns);
        let width = if self.is_summed() { columns.taps } else { self.window.columns.kernel };
        (0..rows.taps).flat_map(move |ky| {
            (0..columns.taps).map(move |kx| rows.weight_of(ky) * width + columns.weight_of(kx))
        })
    }

    /// The weights of a phase of an upsampled form, `[output][row][column][input]`: those of
    /// the taps that fall on the same cell, added up.
    pub(super) fn sum(&self, phase: &Phase, weights: &[f32], out: &mut [f32]) {
        let Form::Upsampled([fy, fx]) = self.form else { return };
        let ([py, px], inputs) = (phase.at, self.inputs());
        let [height, width] = [self.window.rows.kernel, self.window.columns.kernel];
        out.fill(0.0);
        let outs = out.chunks_exact_mut(self.depth(phase));
        for (out, weights) in outs.zip(weights.chunks_exact(self.window.taps() * inputs)) {
            for (tap, weights) in weights.chunks_exact(inputs).enumerate().take(height * width) {
                let row = (py + tap / width) / fy;
                let cell = row * phase.columns.taps + (px + tap % width) / fx;
                let out = out.get_mut(cell * inputs..).unwrap_or(&mut []);
                for (sum, weight) in out.iter_mut().zip(weights) {
                    *sum += weight;
                }
            }
        }
    }

    /// Bytes of scratch; `None` where only the portable form fits.
    pub(super) fn scratch(&self) -> Option<usize> {
        match flat::Layout::new(self) {
            Some(layout) => Some(layout.bytes(self)),
            None => linear::Layout::new(self).map(|layout| layout.bytes()),
        }
    }

    /// Runs the layer up to the clamp; the caller applies the activation. False, with nothing
    /// written, where only the portable form fits.
    pub(super) fn run(
        &self,
        weights: &[f32],
        how: &Activate<'_>,
        x: &[f32],
        y: &mut [f32],
        scratch: &mut [u8],
    ) -> bool {
        match flat::Layout::new(self) {
            Some(layout) => flat::run(self, &layout, weights, how, x, y, scratch),
            None => linear::run(self, weights, how, x, y, scratch),
        }
    }
}

impl Phase {
    /// Cells that an output reads.
    pub(super) const fn taps(&self) -> usize {
        self.rows.taps * self.columns.taps
    }
}

/// How far windows reach.
#[derive(Clone, Copy)]
pub(super) struct Reach {
    left: isize,
    right: isize,
    top: isize,
    bottom: isize,
}

impl Reach {
    /// Of no phase.
    pub(super) const NOTHING: Self =
        Self { left: 0, right: 0, top: isize::MAX, bottom: isize::MIN };

    /// Of all phases; at least one.
    pub(super) fn of(g: &Geometry) -> Self {
        let mut reach = Self::NOTHING;
        g.phases().for_each(|phase| reach.add(&phase));
        reach
    }

    /// Takes in a phase.
    pub(super) fn add(&mut self, Phase { rows, columns, .. }: &Phase) {
        if columns.taps > 0 {
            self.left = self.left.max(-columns.start);
            let beyond = columns.last(columns.outputs - 1) - columns.input as isize + 1;
            self.right = self.right.max(beyond);
        }
        self.top = self.top.min(rows.start);
        self.bottom = self.bottom.max(rows.last(0));
    }

    /// Cells of padding that windows touch before a row of the map.
    pub(super) const fn left(&self) -> usize {
        self.left as usize
    }

    /// Cells of padding that windows touch after it.
    pub(super) const fn right(&self) -> usize {
        self.right as usize
    }

    /// First input row of output row 0.
    pub(super) const fn top(&self) -> isize {
        self.top
    }

    /// Input rows from it to the last that output row 0 reads.
    pub(super) const fn span(&self) -> usize {
        (self.bottom - self.top + 1) as usize
    }
}
