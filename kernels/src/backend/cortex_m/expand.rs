//! Plain int8 weights to the order of the tile.

use super::epilogue::Finish;
use super::insn;
use super::linear::Linear;
use super::window::{FEW_PAIRS, FEW_WORDS, Layout};

/// Weights and biases of a layer, `[output][ky][kx][input]`.
pub(super) struct Weights<'a> {
    pub(super) data: &'a [i8],
    pub(super) bias: &'a [i32],
    pub(super) outputs: usize,
    pub(super) inputs: usize,
    /// Rows and columns of the kernel.
    pub(super) kernel: [usize; 2],
    /// Weights are `[ky][kx][output]`, each output sees its own input.
    pub(super) depthwise: bool,
}

impl Weights<'_> {
    /// `len` weights of `output` from tap (`ky`, `kx`) on; nothing beyond the last output.
    pub(super) fn run(&self, output: usize, [ky, kx]: [usize; 2], len: usize) -> &[i8] {
        let taps = self.kernel[0] * self.kernel[1];
        let at = ((output * taps) + ky * self.kernel[1] + kx) * self.inputs;
        self.data.get(at..at + len).unwrap_or(&[])
    }
}

/// Biases and weights of channels `channel` and `channel + 1` (zeros where there is
/// no such channel) in `words`.
pub(super) fn group(
    weights: &Weights<'_>,
    window: &Linear<'_>,
    layout: &Layout,
    channel: usize,
    words: &mut [i32],
) {
    let Some((biases, words)) = words.split_at_mut_checked(2) else { return };
    for (bias, output) in biases.iter_mut().zip(channel..) {
        *bias = weights.bias.get(output).copied().unwrap_or(0);
    }
    for word in words.iter_mut() {
        *word = 0;
    }
    let (rows, columns) = (&window.rows, &window.columns);
    if rows.empty || columns.empty {
        return;
    }
    let out: &mut [i16] = bytemuck::cast_slice_mut(words);
    if weights.depthwise {
        let pairs = 2.min(weights.outputs - channel);
        let taps = weights.data.chunks_exact(weights.outputs);
        for (out, tap) in out.chunks_exact_mut(2).zip(taps) {
            for (out, &weight) in out.iter_mut().zip(&tap[channel..channel + pairs]) {
                *out = i16::from(weight);
            }
        }
        return;
    }
    // Runs of weights that are contiguous both in the layer and in the tile.
    let joined = columns.ascending() && (layout.columns || columns.step == 1);
    let (runs, len) =
        if joined { (1, columns.taps * weights.inputs) } else { (columns.taps, weights.inputs) };
    for ky in 0..rows.taps {
        for run in 0..runs {
            let tap = [rows.weight_of(ky), columns.weight_of(run)];
            let even = weights.run(channel, tap, len);
            let odd = weights.run(channel + 1, tap, len);
            // Element of the two-channel stream at which this run begins.
            let begin = if layout.columns {
                (ky * runs + run) * len
            } else if layout.segments == rows.taps {
                ky * layout.pairs * 2 + run * len
            } else {
                (ky * runs + run) * layout.pairs * 2
            };
            place(even, odd, begin, out);
        }
    }
}

/// Two channels for windows that stay in registers: of each the doubled bias, the
/// doubled weights in pairs, mantissa and right shift.
pub(super) fn few(weights: &Weights<'_>, finish: &Finish<'_>, channel: usize, words: &mut [i32]) {
    let len = weights.kernel[0] * weights.kernel[1] * weights.inputs;
    for (words, channel) in words.chunks_exact_mut(FEW_WORDS / 2).zip(channel..) {
        let [bias, mantissa, shift] = finish.parts(channel);
        let Some((head, rest)) = words.split_first_mut() else { return };
        let Some((pairs, tail)) = rest.split_at_mut_checked(FEW_PAIRS) else { return };
        *head = bias;
        tail.copy_from_slice(&[mantissa, shift]);
        let pairs: &mut [i16] = bytemuck::cast_slice_mut(pairs);
        let run = weights.run(channel, [0, 0], len);
        for (k, pair) in pairs.iter_mut().enumerate() {
            *pair = 2 * i16::from(run.get(k).copied().unwrap_or(0));
        }
    }
}

/// Puts two runs at element `begin` of each channel's half of the stream.
fn place(even: &[i8], odd: &[i8], begin: usize, out: &mut [i16]) {
    let mut done = 0;
    if begin.is_multiple_of(2)
        && even.len() == odd.len()
        && let Some(out) = out.get_mut(begin * 2..)
    {
        insn::interleave(even, odd, out);
        done = even.len() / 4 * 4;
    }
    for (channel, run) in [even, odd].into_iter().enumerate() {
        for (k, &weight) in (begin..).zip(run).skip(done) {
            if let Some(cell) = out.get_mut(k / 2 * 4 + channel * 2 + k % 2) {
                *cell = i16::from(weight);
            }
        }
    }
}
