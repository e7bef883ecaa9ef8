//! The tile of the planes in plain Rust.

use super::{dual, requantize};
use crate::backend::cortex_m::slide::{CELL, HEAD, PIXELS, Run, Slide, Style, Then};

type Sums = [[i32; PIXELS]; 2];

/// Runs the program of each tile and group; nothing where [`Slide::fits`] says no.
pub(in crate::backend::cortex_m) fn slide(tiles: &mut Slide<'_>) {
    if !tiles.fits() {
        return;
    }
    for tile in 0..tiles.count.div_ceil(PIXELS) {
        for group in 0..tiles.groups {
            one(tiles, tile, group);
        }
    }
}

fn one(tiles: &mut Slide<'_>, tile: usize, group: usize) {
    let words = &tiles.weights[group * tiles.group..];
    let (head, mut weights) = words.split_at(HEAD);
    let mut sums: Sums = [[head[0]; PIXELS], [head[1]; PIXELS]];
    let (mut aside, mut second) = (sums, sums);
    let first = (tile * PIXELS).min(tiles.count - PIXELS);
    let mut out = first * tiles.step + 2 * group;
    for step in tiles.program.steps() {
        let (run, rest) = weights.split_at(step.weights as usize / 4);
        weights = rest;
        let x = step.x as usize + first * tiles.pixel;
        multiply(&mut sums, tiles, x, step.run, run);
        let (then, style) = step.then();
        match then {
            Then::Next => {}
            Then::Stash => (aside, sums) = (sums, [[0; PIXELS]; 2]),
            Then::Combine => {
                for (channel, sums) in sums.iter_mut().enumerate() {
                    for (pixel, sum) in sums.iter_mut().enumerate() {
                        let aside = aside[channel][pixel];
                        second[channel][pixel] = aside.wrapping_sub(*sum);
                        *sum = aside.wrapping_add(*sum);
                    }
                }
            }
            Then::Last | Then::First => {
                finish(&sums, head, style, [tiles.step, tiles.other], &mut tiles.out[out..]);
                sums = second;
                out += tiles.second;
            }
        }
    }
}

fn multiply(sums: &mut Sums, tiles: &Slide<'_>, x: usize, run: Run, weights: &[i32]) {
    // Columns may begin at any element.
    let elements: &[i16] = bytemuck::cast_slice(tiles.x);
    for (pass, words) in weights.chunks_exact(2 * run.taps()).enumerate() {
        for (back, pair) in words.chunks_exact(2).enumerate() {
            let tap = run.taps() - 1 - back;
            for (sums, &weight) in sums.iter_mut().zip(pair) {
                for (pixel, sum) in sums.iter_mut().enumerate() {
                    let at = match run {
                        Run::Column => x + pixel * tiles.pitch + 4 * pass,
                        _ => x + pass * tiles.pitch + (pixel + tap) * CELL,
                    };
                    *sum = dual(*sum, [elements[at / 2], elements[at / 2 + 1]], weight);
                }
            }
        }
    }
}

fn finish(sums: &Sums, head: &[i32], style: Style, [step, other]: [usize; 2], out: &mut [i8]) {
    let channels = if style.one { 1 } else { 2 };
    for (channel, by) in head[2..].chunks_exact(3).take(channels).enumerate() {
        let [mantissa, offset, n] = [by[0], by[1], by[2]];
        for (pixel, &sum) in sums[channel].iter().enumerate() {
            let code = if style.relu {
                relu_code(sum, mantissa, offset, n)
            } else {
                // Sums are even.
                requantize(sum >> 1, mantissa, n, offset)
            };
            out[pixel * step + channel * other] = code as i8;
        }
    }
}

/// `ssat8((round(doubled · mantissa / 2^32) + offset) >> n)`.
pub(super) fn relu_code(doubled: i32, mantissa: i32, offset: i32, n: i32) -> i32 {
    let product = i64::from(doubled) * i64::from(mantissa) + (1 << 31);
    ((product >> 32) as i32).wrapping_add(offset).wrapping_shr(n as u32).clamp(-128, 127)
}
