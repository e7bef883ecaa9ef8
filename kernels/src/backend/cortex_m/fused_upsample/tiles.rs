//! Few output channels on seven pixels of one: each phase is a 2 × 2 convolution of the small map,
//! and both phases of a row read the same cells, the second of them perhaps one further on.

use super::super::epilogue::Finish;
use super::super::expand::Weights;
use super::super::insn;
use super::super::sevens::{PIXELS, Ring, Row};
use super::super::stream::two;
use super::{CHANNELS, images, takes};
use crate::ops::fused::upsample_conv2d::{UpsampleConv2d, UpsampleConv2dGeometry};
use crate::view::{View, ViewMut};

/// Rows and columns of cells that an output reads.
const TAPS: usize = 2;
/// Rows of weights: those of two rows in the ring follow each other somewhere.
const ROWS: usize = 3;
/// Most output channels.
const OUTPUTS: usize = 3;

/// Whether the shape is that of the tiles: as many outputs of either phase in a row, a tile at
/// least. Over four channels the weights in registers are faster.
pub(super) const fn serves(g: &UpsampleConv2dGeometry) -> bool {
    let output = g.output();
    takes(g)
        && g.small.c != CHANNELS
        && output.c <= OUTPUTS
        && output.w.is_multiple_of(2)
        && output.w / 2 >= PIXELS
}

const fn ring(g: &UpsampleConv2dGeometry) -> Ring {
    Ring {
        start: -(g.convolution.window.columns.pad.div_ceil(2) as isize),
        columns: g.small.w,
        channels: g.small.c,
        outputs: g.output().w / 2,
        rows: TAPS,
    }
}

/// Words of a row of weights.
const fn row(g: &UpsampleConv2dGeometry) -> usize {
    TAPS * ring(g).pairs()
}

/// Words of a phase of a channel.
const fn phase(g: &UpsampleConv2dGeometry) -> usize {
    ROWS * row(g)
}

/// Bytes of scratch: weights of four phases, and two rows.
pub(super) const fn scratch(g: &UpsampleConv2dGeometry) -> usize {
    (16 * g.output().c).saturating_mul(phase(g)).saturating_add(ring(g).bytes())
}

/// For layers that it [`serves`], with so much [`scratch`], that end in the short form.
#[inline(never)]
pub(super) fn run(
    op: &UpsampleConv2d<'_, i8>,
    x: View<'_, i8>,
    mut y: ViewMut<'_, i8>,
    scratch: &mut [u8],
) {
    let g = &op.geometry;
    let (small, output) = (g.small, g.output());
    let (_, words, _) = bytemuck::pod_align_to_mut::<u8, i32>(scratch);
    let len = 4 * output.c * phase(g);
    let Some((weights, words)) = words.split_at_mut_checked(len) else { return };
    for (index, words) in weights.chunks_exact_mut(phase(g)).enumerate() {
        sum(g, op.convolution.weights, index, words);
    }
    let how = &op.convolution.epilogue;
    let finish = Finish::new(how, g.convolution.depth());
    let (ring, step) = (ring(g), 2 * output.c);
    let window = &g.convolution.window;
    let [odd, beside] = [window.rows.pad % 2, window.columns.pad % 2];
    let above = window.rows.pad.div_ceil(2);
    for (image, out) in images(x, &mut y, [small, output]) {
        let Some(mut rows) = ring.begin(op.convolution.padding, words) else { return };
        let mut next = 0;
        for (oy, out) in out.chunks_exact_mut(output.row().max(1)).enumerate() {
            let upper = (oy + odd) / 2;
            for v in next..upper + TAPS {
                let iy = v.checked_sub(above).filter(|&iy| iy < small.h);
                rows.put(v, iy.and_then(|iy| image.get(iy * small.row()..)));
            }
            next = upper + TAPS;
            for ox in 0..2 {
                let at = (oy + odd) % 2 * 2 + (ox + beside) % 2;
                // The second output reads the next cells where the first is of phase 1.
                let x = rows.words().get(ox * beside..).unwrap_or(&[]);
                for channel in 0..output.c {
                    // The weights of the row in slot 0 come first.
                    let first = (at * output.c + channel) * phase(g) + upper % TAPS * row(g);
                    insn::sevens(&mut Row {
                        x,
                        pairs: ring.pairs(),
                        taps: TAPS,
                        weights: weights.get(first..).unwrap_or(&[]),
                        head: finish.head(channel, 0),
                        relu: finish.relu(),
                        table: finish.table(),
                        out: out.get_mut(ox * output.c + channel..).unwrap_or(&mut []),
                        step,
                        count: ring.outputs,
                    });
                }
            }
            if finish.table().is_none() {
                finish.codes([output.c; 2], out);
            }
        }
    }
}

/// The weights of `index`, in the order `[phase y][phase x][output]`: rows of cells 0, 1, 0.
#[inline(never)]
fn sum(g: &UpsampleConv2dGeometry, data: &[i8], index: usize, words: &mut [i32]) {
    let (inputs, outputs) = (g.small.c, g.output().c);
    let weights = Weights { data, bias: &[], outputs, inputs, kernel: [3, 3], depthwise: false };
    let (channel, phase) = (index % outputs, index / outputs);
    words.fill(0);
    for (ky, kx) in (0..9).map(|tap| (tap / 3, tap % 3)) {
        let [down, across] = [(phase / 2 + ky) / 2, (phase % 2 + kx) / 2];
        let taps = weights.run(channel, [ky, kx], inputs);
        let words = words.get_mut(down * row(g) + across..).unwrap_or(&mut []);
        for (pair, word) in words.iter_mut().step_by(TAPS).take(ring(g).pairs()).enumerate() {
            *word += 2 * two(taps, pair, inputs);
        }
    }
    let (both, again) = words.split_at_mut((2 * row(g)).min(words.len()));
    for word in both.iter_mut() {
        // The low half borrowed one from the high half when it is negative.
        *word = word.wrapping_add((*word & 0x8000) << 1);
    }
    for (again, word) in again.iter_mut().zip(both) {
        *again = *word;
    }
}
