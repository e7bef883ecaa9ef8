//! 3×3 windows of stride 1 or 2, two rows of outputs at a time: eight channels go down
//! the columns of the map, whose words stay in registers for the three taps that read them.
//!
//! With a stride of 1 both rows of outputs read the input rows 1 and 2 of four: they are
//! one word, and rows 0 and 3, of which each is read by one of them, are the other. With
//! a stride of 2 the words are rows 0 and 1, rows 2 and 3, and row 4.

use bytemuck::cast_slice_mut;
use wide::i16x16;

use crate::backend::wide::int8::finish::{PARAM_WORDS, Params, Store};
use crate::backend::wide::int8::lanes::{self, Words};
use crate::ops::{Conv2dGeometry, DepthwiseConv2d};

/// Columns of a window.
const TAPS: usize = 3;
/// Words of weights: two for each column and row of outputs.
const WORDS: usize = 2 * 2 * TAPS;
/// Input rows of two rows of outputs, the last of them unused with a stride of 1.
const ROWS: usize = 5;

/// `[column][row of outputs][word]`.
type Weights = [[[Words; 2]; 2]; TAPS];

/// Whether this is how to run a layer.
pub(super) const fn suits(g: &Conv2dGeometry) -> bool {
    let (rows, columns) = (&g.window.rows, &g.window.columns);
    rows.kernel == TAPS
        && columns.kernel == TAPS
        && rows.dilation == 1
        && columns.dilation == 1
        && rows.stride == columns.stride
        && (rows.stride == 1 || rows.stride == 2)
        && g.output.c == g.input.c
        && g.input.c >= 8
}

/// Words of scratch: parameters, weights, a row of padding.
pub(super) const fn words(g: &Conv2dGeometry) -> usize {
    g.output.c.div_ceil(8) * (PARAM_WORDS + 8 * WORDS) + g.input.row().div_ceil(4)
}

/// First channel of a block: the last block reaches back over channels that are there already.
const fn first_of(block: usize, channels: usize) -> usize {
    if 8 * block + 8 > channels { channels - 8 } else { 8 * block }
}

/// All images; `scratch` has as many words as [`words`] says.
pub(super) fn run(
    op: &DepthwiseConv2d<'_, i8>,
    images: core::slice::ChunksExact<'_, i8>,
    y: core::slice::ChunksExactMut<'_, i8>,
    scratch: &mut [u32],
) {
    let g = &op.geometry;
    let (channels, blocks) = (g.output.c, g.output.c.div_ceil(8));
    let (params, rest) = scratch.split_at_mut(blocks * PARAM_WORDS);
    let (weights, rest) = rest.split_at_mut(blocks * 8 * WORDS);
    let params: &mut [Params] = cast_slice_mut(params);
    let weights: &mut [Weights] = cast_slice_mut(weights);
    for (block, (params, weights)) in params.iter_mut().zip(weights.iter_mut()).enumerate() {
        let first = first_of(block, channels);
        *params = Params::channels(&op.epilogue, op.epilogue.bias, first);
        *weights = pack(op, first);
    }
    let padding: &mut [i8] = cast_slice_mut(rest);
    padding.fill(op.padding);
    let padding = &padding[..g.input.row()];
    let layer = Layer {
        channels,
        before: g.window.columns.pad,
        padding: op.padding,
        store: Store::new(&op.epilogue),
    };
    let window = &g.window.rows;
    for (image, y) in images.zip(y) {
        for (pair, out) in y.chunks_mut(2 * g.output.row()).enumerate() {
            let begin = 2 * pair * window.stride;
            let rows = core::array::from_fn(|r| match (begin + r).checked_sub(window.pad) {
                Some(iy) if iy < window.input => {
                    &image[iy * g.input.row()..(iy + 1) * g.input.row()]
                }
                _ => padding,
            });
            let (above, below) = out.split_at_mut(g.output.row());
            for (block, (params, weights)) in params.iter().zip(&*weights).enumerate() {
                let first = first_of(block, channels);
                let out = [&mut *above, &mut *below];
                if window.stride == 1 {
                    layer.down::<1, 2>(first, params, weights, rows, out);
                } else {
                    layer.down::<2, 3>(first, params, weights, rows, out);
                }
            }
        }
    }
}

/// The weights of eight channels.
fn pack(op: &DepthwiseConv2d<'_, i8>, first: usize) -> Weights {
    let channels = op.geometry.output.c;
    core::array::from_fn(|kx| {
        let tap = |ky: usize| {
            let at = (ky * TAPS + kx) * channels + first;
            op.weights.get(at..).and_then(<[i8]>::first_chunk).copied().unwrap_or_default()
        };
        let (top, middle, bottom, none) = (tap(0), tap(1), tap(2), [0; 8]);
        let pairs = if op.geometry.window.rows.stride == 1 {
            [[(middle, bottom), (top, none)], [(top, middle), (none, bottom)]]
        } else {
            [[(top, middle), (bottom, none)]; 2]
        };
        pairs.map(|row| row.map(|(low, high)| bytemuck::cast(lanes::joined(low, high))))
    })
}

/// What all rows share.
struct Layer<'a> {
    channels: usize,
    /// Cells of padding before a row.
    before: usize,
    padding: i8,
    store: Store<'a>,
}

impl Layer<'_> {
    /// Eight channels of two rows of outputs (the second may be missing), with a stride of
    /// `S`, from `N` words a column.
    #[inline(never)]
    fn down<const S: usize, const N: usize>(
        &self,
        first: usize,
        params: &Params,
        weights: &Weights,
        rows: [&[i8]; ROWS],
        [above, below]: [&mut [i8]; 2],
    ) {
        let channels = self.channels;
        let padding = lanes::joined([self.padding; 8], [self.padding; 8]);
        // As long as each other: one test of bounds for all.
        let [a, b, c, d, e] = rows;
        let (b, c, d, e) = (&b[..a.len()], &c[..a.len()], &d[..a.len()], &e[..a.len()]);
        let column = |x: usize| -> [i16x16; N] {
            // Before the row this wraps to far behind it: the same test for both ends.
            let at = x.wrapping_sub(self.before).wrapping_mul(channels).wrapping_add(first);
            let Some(a) = eight(a, at) else { return [padding; N] };
            let (Some(b), Some(c), Some(d), Some(e)) =
                (eight(b, at), eight(c, at), eight(d, at), eight(e, at))
            else {
                return [padding; N];
            };
            let pairs = if S == 1 { [(b, c), (a, d), (e, e)] } else { [(a, b), (c, d), (e, e)] };
            core::array::from_fn(|n| lanes::joined(pairs[n].0, pairs[n].1))
        };
        let mut last = [column(0), column(1)];
        let mut at = first;
        for ox in 0..above.len() / channels {
            let next = column(S * ox + 2);
            let columns =
                if S == 1 { [last[0], last[1], next] } else { [last[0], column(S * ox + 1), next] };
            last = if S == 1 { [last[1], next] } else { [next; 2] };
            let mut acc = [params.start(); 2];
            for (words, weights) in columns.iter().zip(weights) {
                for (row, (acc, weights)) in acc.iter_mut().zip(weights).enumerate() {
                    let skipped = if S == 1 { 0 } else { row };
                    for (word, weights) in words[skipped..].iter().zip(weights) {
                        *acc = lanes::madd(*acc, *word, lanes::load(weights));
                    }
                }
            }
            let out = [above.get_mut(at..at + 8), below.get_mut(at..at + 8)];
            self.store.store_both(params, acc, out.map(Option::unwrap_or_default));
            at += channels;
        }
    }
}

/// Eight codes of a row.
#[inline(always)]
fn eight(row: &[i8], at: usize) -> Option<[i8; 8]> {
    row.get(at..at.wrapping_add(8)).and_then(<[i8]>::first_chunk).copied()
}
