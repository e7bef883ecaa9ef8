//! Plain int8 weights to the order of the tiles: a pure function of the layer.

use super::epilogue::Finish;
use super::expand::Weights;
use super::plan::{Form, PATCH, Phase, Plan, SLOTS, lanes};
use super::slide::HEAD;

/// The rows of [`Form::Twice`] in the order of use.
pub(super) const TWICE: [usize; SLOTS] = [1, 2, 0, 3];

/// Channels `channel` and `channel + 1` (zeros where there is no such channel) of all
/// `phases` in `words`, of which there are [`Plan::group`].
pub(super) fn group(
    weights: &Weights<'_>,
    finish: &Finish<'_>,
    plan: &Plan,
    phases: &[Phase],
    channel: usize,
    words: &mut [i32],
) {
    let mut rest = words;
    for phase in phases {
        let both = if plan.form == Form::Double { [channel; 2] } else { [channel, channel + 1] };
        let heads = both.map(|output| {
            let exists = output < weights.outputs;
            if exists { finish.head(output, phase.bias) } else { [0, 0, 0, 1] }
        });
        if plan.form == Form::Patch {
            return patch(weights, phase, channel, heads, rest);
        }
        let taps = match plan.form {
            Form::Columns => 1,
            Form::Segments => phase.rows.taps,
            Form::Twice => SLOTS * phase.columns.taps,
            Form::Double => (phase.rows.taps + phase.rows.stride) * phase.columns.taps,
            Form::Rows | Form::Patch => phase.rows.taps * phase.columns.taps,
        };
        let Some((words, more)) = rest.split_at_mut_checked(HEAD + taps * plan.pairs * 2) else {
            return;
        };
        rest = more;
        let Some((head, words)) = words.split_at_mut_checked(HEAD) else { return };
        let [[a, a_by @ ..], [b, b_by @ ..]] = heads;
        head[..2].copy_from_slice(&[a, b]);
        head[2..5].copy_from_slice(&a_by);
        head[5..].copy_from_slice(&b_by);
        if phase.rows.empty || phase.columns.empty {
            for word in words.iter_mut() {
                *word = 0;
            }
        } else if matches!(plan.form, Form::Columns | Form::Segments) {
            columns(weights, plan, phase, channel, words);
        } else {
            planes(weights, plan, phase, channel, words);
        }
    }
}

fn planes(weights: &Weights<'_>, plan: &Plan, phase: &Phase, channel: usize, words: &mut [i32]) {
    let (rows, columns, inputs) = (&phase.rows, &phase.columns, weights.inputs);
    let per_row = columns.taps * plan.pairs * 2;
    let Some(runs) = plan.runs(phase) else { return };
    let mut at = 0;
    for run in runs.list() {
        let len = run.run.taps();
        for back in 0..len {
            let kx = columns.weight_of(run.tap + (len - 1 - back) * run.every);
            for output in 0..2 {
                let taps = |ky| weights.run(channel + output, [rows.weight_of(ky), kx], inputs);
                let place = at + back * 2 + output;
                if plan.form == Form::Twice {
                    let rows = [taps(0), taps(1), taps(2)];
                    for pair in 0..plan.pairs {
                        let [g0, g1, g2] = rows.map(|taps| two(taps, pair, inputs));
                        let all = [g0 + g1 + g2, g0 - g1 + g2, 2 * g0, 2 * g2];
                        for (row, value) in all.into_iter().enumerate() {
                            put(words, place + pair * len * 2 + row * per_row, value);
                        }
                    }
                    continue;
                }
                if plan.form == Form::Double {
                    // Rows of the input that the second row of outputs reads.
                    let skip = output * rows.stride;
                    for row in 0..rows.taps + rows.stride {
                        let taps = match row.checked_sub(skip) {
                            Some(ky) if ky < rows.taps => {
                                weights.run(channel, [rows.weight_of(ky), kx], inputs)
                            }
                            _ => &[],
                        };
                        for pair in 0..plan.pairs {
                            let value = 2 * two(taps, pair, inputs);
                            put(words, place + pair * len * 2 + row * per_row, value);
                        }
                    }
                    continue;
                }
                for ky in 0..rows.taps {
                    let taps = taps(ky);
                    for pair in 0..plan.pairs {
                        let value = 2 * two(taps, pair, inputs);
                        put(words, place + pair * len * 2 + ky * per_row, value);
                    }
                }
            }
        }
        at += len * plan.pairs * 2;
    }
}

/// Of either channel its doubled bias, the pairs `[w0, w1]` and `[w1, w2]` of each of three
/// columns of weights, mantissa, offset and shift.
fn patch(
    weights: &Weights<'_>,
    phase: &Phase,
    channel: usize,
    heads: [[i32; 4]; 2],
    words: &mut [i32],
) {
    let (rows, columns) = (&phase.rows, &phase.columns);
    for ((words, head), output) in words.chunks_exact_mut(PATCH).zip(heads).zip(channel..) {
        let [bias, by @ ..] = head;
        words[0] = bias;
        words[PATCH - 3..].copy_from_slice(&by);
        for kx in 0..3 {
            let [w0, w1, w2] = [0, 1, 2].map(|ky| {
                let tap = [rows.weight_of(ky), columns.weight_of(kx)];
                weights.run(output, tap, 1).first().map_or(0, |&w| 2 * i32::from(w))
            });
            words[1 + 2 * kx] = w0 & 0xffff | w1 << 16;
            words[2 + 2 * kx] = w1 & 0xffff | w2 << 16;
        }
    }
}

/// Writes a pair that [`two`] made.
#[inline(always)]
pub(super) fn put(words: &mut [i32], at: usize, value: i32) {
    if let Some(word) = words.get_mut(at) {
        // The low half borrowed one from the high half when it is negative.
        *word = value.wrapping_add((value & 0x8000) << 1);
    }
}

/// The weights of pair `pair`: low + 65536 · high.
#[inline(always)]
pub(super) fn two(taps: &[i8], pair: usize, inputs: usize) -> i32 {
    let four = pair / 2 * 4;
    if let Some(&[a, b, c, d]) = taps.get(four..four + 4) {
        let [low, high] = if pair.is_multiple_of(2) { [a, c] } else { [b, d] };
        return i32::from(low) + (i32::from(high) << 16);
    }
    let of = |lane: Option<usize>| lane.and_then(|c| taps.get(c)).map_or(0, |&w| i32::from(w));
    let [low, high] = lanes(pair, inputs).map(of);
    low + (high << 16)
}

/// The windows of two channels: row after row, or each row from a pair of its own on.
fn columns(weights: &Weights<'_>, plan: &Plan, phase: &Phase, channel: usize, words: &mut [i32]) {
    let (rows, columns) = (&phase.rows, &phase.columns);
    let whole = plan.form == Form::Columns;
    let row = columns.taps * weights.inputs;
    // Runs of weights that are contiguous in the layer.
    let joined = columns.ascending();
    let straight = joined && whole && rows.ascending();
    let (down, across, len) = match (straight, joined) {
        (true, _) => (1, 1, rows.taps * row),
        (_, true) => (rows.taps, 1, row),
        _ => (rows.taps, columns.taps, weights.inputs),
    };
    for word in words.iter_mut() {
        *word = 0;
    }
    for ky in 0..down {
        let first = if whole { ky * row } else { ky * plan.pairs * 2 };
        for kx in 0..across {
            let tap = [rows.weight_of(ky), columns.weight_of(kx)];
            let tap = if straight {
                [0, 0]
            } else if joined {
                [tap[0], 0]
            } else {
                tap
            };
            for output in 0..2 {
                let run = weights.run(channel + output, tap, len);
                elements(run, first + kx * len, words.get_mut(output..).unwrap_or(&mut []));
            }
        }
    }
}

/// Puts doubled weights from element `first` on; pairs stand in every other word.
fn elements(run: &[i8], first: usize, words: &mut [i32]) {
    let (head, rest) = run.split_at(first % 2 * run.len().min(1));
    if let (Some(&weight), Some(word)) = (head.first(), words.get_mut(first / 2 * 2)) {
        *word |= i32::from(weight) << 17;
    }
    let words = words.get_mut(first.div_ceil(2) * 2..).unwrap_or(&mut []);
    let pairs = rest.chunks_exact(2);
    let last = pairs.remainder();
    let mut places = words.iter_mut().step_by(2);
    for (pair, word) in pairs.zip(places.by_ref()) {
        *word = (2 * i32::from(pair[0])) & 0xffff | i32::from(pair[1]) << 17;
    }
    if let (Some(&weight), Some(word)) = (last.first(), places.next()) {
        *word |= (2 * i32::from(weight)) & 0xffff;
    }
}
