//! An image through a layer on lanes: windows tile by tile, then all channels of them.

use super::{Lanes, Plan, TILES, Tile};
use crate::backend::cortex_m::epilogue::Finish;
use crate::backend::cortex_m::insn;

impl Plan {
    /// One image to `out`; `scratch` has [`Self::bytes`].
    pub(in crate::backend::cortex_m) fn run(
        &self,
        weights: &[i32],
        finish: &Finish<'_>,
        zero_point: i8,
        image: &[i8],
        out: &mut [i8],
        scratch: &mut [i32],
    ) {
        if self.is_window() {
            self.tiles_to(weights, finish.relu(), image, 1, out);
            return finish.end(out);
        }
        let [windows, spill, ring] = self.parts();
        let Some((windows, rest)) = scratch.split_at_mut_checked(windows) else { return };
        let Some((spill, rest)) = rest.split_at_mut_checked(spill) else { return };
        let Some(ring) = rest.get_mut(..ring) else { return };
        let spill: &mut [i8] = bytemuck::cast_slice_mut(spill);
        let code = [zero_point as u8; 4];
        for word in ring.iter_mut() {
            *word = i32::from_ne_bytes(code);
        }
        let ring: &mut [i8] = bytemuck::cast_slice_mut(ring);
        let (pixels, total) = (self.tile.pixels(), self.rows.outputs * self.columns.outputs);
        let len = self.tile.window(self.pairs()) / 4;
        let (mut done, mut next) = (0, 0);
        while done < total {
            // Whole tiles, several at a time; the last may repeat a pixel.
            let left = total - done;
            let tiles = (left / pixels).min(self.tiles());
            let (first, tiles) = if tiles == 0 { (total - pixels, 1) } else { (done, tiles) };
            if !self.side_by_side(image, [first, tiles], windows) {
                let tiled = windows.chunks_exact_mut(len).take(tiles);
                for (x, pixel) in tiled.zip((first..).step_by(pixels)) {
                    let at = [pixel, pixel + pixels - 1].map(|pixel| match self.rows.outputs {
                        1 => [0, pixel],
                        _ => [pixel / self.columns.outputs, pixel % self.columns.outputs],
                    });
                    if self.ring == 0 {
                        self.window(image, at, spill, x);
                    } else {
                        next = self.fill(image, at, next, zero_point, ring);
                        self.window(ring, at, spill, x);
                    }
                }
            }
            let out = out.get_mut(first * self.outputs..).unwrap_or(&mut []);
            self.tiles_to(weights, finish.relu(), bytemuck::cast_slice(windows), tiles, out);
            done = first + tiles * pixels;
        }
        finish.end(out);
    }

    /// The windows of `tiles` tiles from pixel `first` on, where a window is a cell and pixels
    /// neighbour each other; whether that is so, and all words lie in the image.
    fn side_by_side(&self, image: &[i8], [first, tiles]: [usize; 2], x: &mut [i32]) -> bool {
        let (rows, columns) = (&self.rows, &self.columns);
        let cells = self.ring == 0
            && matches!(self.tile, Tile::Two)
            && rows.taps * rows.outputs * columns.taps * columns.stride == 1;
        let reach = (2 * tiles - 1) * self.channels + 4 * self.words;
        let from = first * self.channels;
        match image.get(from..from + reach).filter(|_| cells) {
            Some(image) => {
                insn::pair_cells(image, [self.channels, self.words, tiles], x);
                true
            }
            None => false,
        }
    }

    /// Brings the rows that two pixels read into the ring; the first row that is not there.
    fn fill(
        &self,
        image: &[i8],
        at: [[usize; 2]; 2],
        next: usize,
        zero_point: i8,
        ring: &mut [i8],
    ) -> usize {
        let len = self.row();
        let source = self.columns.input * self.channels;
        let before = (self.columns.pad * self.channels).min(len);
        let inside = source.min(len - before);
        let [begin, last] = at.map(|[oy, _]| oy * self.rows.stride);
        let end = last + self.rows.reach() + 1;
        for v in next.max(begin)..end {
            let row = v % self.ring * len + before;
            let Some(row) = ring.get_mut(row..row + inside) else { break };
            let iy = v.checked_sub(self.rows.pad).filter(|&iy| iy < self.rows.input);
            match iy.and_then(|iy| image.get(iy * source..iy * source + inside)) {
                Some(source) => insn::copy(row, source),
                None => {
                    for code in row {
                        *code = zero_point;
                    }
                }
            }
        }
        next.max(end)
    }

    /// The windows of the pixels at `at` in `data`, the ring or the image, side by side in `x`;
    /// of a single pixel as it is.
    fn window(&self, data: &[i8], at: [[usize; 2]; 2], spill: &mut [i8], x: &mut [i32]) {
        match self.tile {
            Tile::Two => self.both(data, at, spill, x),
            Tile::One => self.alone(data, at[0], bytemuck::cast_slice_mut(x)),
        }
    }

    /// Where the runs of kernel row `ky` begin for an output at `at`.
    #[inline(always)]
    fn start(&self, [oy, ox]: [usize; 2], ky: usize) -> usize {
        let v = oy * self.rows.stride + ky * self.rows.step;
        let v = if self.ring == 0 { v } else { v % self.ring };
        v * self.row() + ox * self.columns.stride * self.channels
    }

    fn both(&self, data: &[i8], at: [[usize; 2]; 2], spill: &mut [i8], x: &mut [i32]) {
        let len = 4 * self.words;
        let mut runs = x.chunks_exact_mut(4 * self.words);
        for ky in 0..self.rows.taps {
            let mut starts = at.map(|at| self.start(at, ky));
            for out in runs.by_ref().take(self.across) {
                match starts.map(|at| data.get(at..at + len)) {
                    [Some(a), Some(b)] => insn::pair_up([a, b], out),
                    _ => self.ends(data, starts, spill, out),
                }
                starts = starts.map(|at| at + self.columns.step * self.channels);
            }
        }
    }

    fn alone(&self, data: &[i8], at: [usize; 2], x: &mut [i8]) {
        let mut runs = x.chunks_exact_mut(4 * self.words);
        for ky in 0..self.rows.taps {
            let mut start = self.start(at, ky);
            for out in runs.by_ref().take(self.across) {
                // What is beyond a run meets weights of zero.
                insn::copy(out, data.get(start..).unwrap_or(&[]));
                start += self.columns.step * self.channels;
            }
        }
    }

    /// Runs whose last word is not whole where `data` ends: what is beyond meets weights of zero.
    #[cold]
    fn ends(&self, data: &[i8], starts: [usize; 2], spill: &mut [i8], out: &mut [i32]) {
        let len = 4 * self.words;
        for (spill, start) in spill.chunks_exact_mut(len).zip(starts) {
            for (spill, &code) in spill.iter_mut().zip(data.get(start..).unwrap_or(&[])) {
                *spill = code;
            }
        }
        if let Some((a, b)) = spill.split_at_checked(len) {
            insn::pair_up([a, b], out);
        }
    }

    /// `tiles` tiles of all channels, from the first output on.
    fn tiles_to(&self, weights: &[i32], relu: bool, x: &[i8], tiles: usize, out: &mut [i8]) {
        let (tile, pairs) = (self.tile, self.pairs());
        let (groups, rest) = (self.outputs / tile.channels(), self.outputs % tile.channels());
        let step = self.outputs;
        insn::lanes(&mut Lanes { tile, x, pairs, tiles, weights, groups, out, step, relu });
        if rest == 0 {
            return;
        }
        // A group that is not whole ends elsewhere first.
        let weights = weights.get(groups * tile.group(pairs)..).unwrap_or(&[]);
        let mut spare = [0; TILES * 8];
        let step = tile.channels();
        let all = &mut spare[..];
        insn::lanes(&mut Lanes { tile, x, pairs, tiles, weights, groups: 1, out: all, step, relu });
        let pixels = out.chunks_mut(self.outputs).zip(spare.chunks_exact(step));
        for (out, spare) in pixels.take(tiles * tile.pixels()) {
            for (out, &code) in out.iter_mut().skip(groups * step).zip(&spare[..rest]) {
                *out = code;
            }
        }
    }
}
