//! The tile of the planes: three neighbouring pixels × two channels, the taps sliding.
//!
//! Inputs lie in *planes*: a word holds two channels of one cell, and cells that are
//! neighbours along a row are [`CELL`] bytes apart, so that the taps of three pixels are
//! loads at fixed places: `t + 2` words serve `3 · t` products of each weight.
//! A [`Program`] says what the window of a tile consists of: runs of `t` taps (or of a column
//! of pairs per pixel) that pass `pairs` times, and what happens after each.
//! The sums, doubled, end as codes in the same call.

/// Pixels of a tile.
pub(super) const PIXELS: usize = 3;
/// Bytes between neighbouring cells of a plane.
pub(super) const CELL: usize = 16;
/// Words before the weights of a group: `[bias; 2]`, then mantissa, offset and right shift
/// of either channel.
pub(super) const HEAD: usize = 8;
/// Most runs of a program.
pub(super) const STEPS: usize = 52;
/// Passes of a run per turn of its loop.
#[cfg_attr(not(arm_dsp), expect(dead_code, reason = "the shape of the code in `asm.rs`"))]
pub(super) const UNROLL: usize = 8;

/// What a run multiplies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Run {
    /// One tap of each pixel; planes.
    One = 80,
    /// Two neighbouring taps.
    Two = 84,
    /// Three.
    Three = 88,
    /// Columns: pixel `p` reads its pairs from `p · pitch` on.
    Column = 92,
}

impl Run {
    /// Taps per pass.
    pub(super) const fn taps(self) -> usize {
        match self {
            Self::One | Self::Column => 1,
            Self::Two => 2,
            Self::Three => 3,
        }
    }

    /// Of this many taps, 1 to 3.
    pub(super) const fn of(taps: usize) -> Self {
        match taps {
            1 => Self::One,
            2 => Self::Two,
            _ => Self::Three,
        }
    }
}

/// What happens after a run. Values are places in the frame of the assembly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Then {
    /// The next run adds to the same sums.
    Next = 96,
    /// Sums are put aside and begin anew from zero.
    Stash = 100,
    /// `sums = aside + sums`, `second = aside − sums`.
    Combine = 104,
    /// Sums end as codes, and so does the group.
    Last = 108,
    /// Sums end as codes; the next run adds to `second`, of the second row.
    First = 124,
}

/// How sums end as codes: added to [`Then::Last`] and [`Then::First`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Style {
    /// Whether the lowest code is the zero point.
    pub(super) relu: bool,
    /// Whether there is one channel instead of two.
    pub(super) one: bool,
}

impl Style {
    const fn place(self) -> u32 {
        8 * self.relu as u32 + 4 * self.one as u32
    }
}

/// A run and its place.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct Step {
    /// First input of the first pixel, bytes.
    pub(super) x: u32,
    /// Bytes of weights.
    pub(super) weights: u32,
    pub(super) run: Run,
    /// A [`Then`] and the program's [`Style`].
    then: u32,
}

impl Step {
    /// What follows, and in which style.
    #[cfg_attr(arm_dsp, expect(dead_code, reason = "the assembly jumps by the number"))]
    pub(super) const fn then(&self) -> (Then, Style) {
        let then = match self.then {
            96 => Then::Next,
            100 => Then::Stash,
            104 => Then::Combine,
            108..124 => Then::Last,
            _ => Then::First,
        };
        let style = self.then - then as u32;
        (then, Style { relu: style & 8 != 0, one: style & 4 != 0 })
    }
}

/// What a tile consists of.
pub(super) struct Program {
    steps: [Step; STEPS],
    len: usize,
}

impl Program {
    #[inline(never)]
    pub(super) const fn new() -> Self {
        let nothing = Step { x: 0, weights: 0, run: Run::One, then: Then::Next as u32 };
        Self { steps: [nothing; STEPS], len: 0 }
    }

    /// Forgets all steps.
    pub(super) fn clear(&mut self) {
        self.len = 0;
    }

    /// Appends a run of `pairs` passes; ignored where there is no room, which
    /// [`Slide::fits`] notices by the end that is missing.
    #[inline(never)]
    pub(super) fn push(&mut self, x: usize, pairs: usize, run: Run, then: Then) {
        if let Some(step) = self.steps.get_mut(self.len) {
            let weights = (run.taps() * pairs * 8) as u32;
            *step = Step { x: x as u32, weights, run, then: then as u32 };
            self.len += 1;
        }
    }

    /// The steps.
    pub(super) fn steps(&self) -> &[Step] {
        self.steps.get(..self.len).unwrap_or(&[])
    }

    /// Words of weights of a group, its head included.
    pub(super) fn words(&self) -> usize {
        self.steps().iter().fold(HEAD, |words, step| words + step.weights as usize / 4)
    }

    /// Ends the last run with `then`.
    pub(super) fn end(&mut self, then: Then) {
        if let Some(step) = self.len.checked_sub(1).and_then(|last| self.steps.get_mut(last)) {
            step.then = then as u32;
        }
    }

    /// The same program in another style.
    pub(super) fn style(&mut self, style: Style) {
        for step in self.steps.iter_mut().take(self.len) {
            if step.then >= Then::First as u32 {
                step.then = Then::First as u32 + style.place();
            } else if step.then >= Then::Last as u32 {
                step.then = Then::Last as u32 + style.place();
            }
        }
    }
}

/// Tiles of one row, or of two rows, of all groups.
pub(super) struct Slide<'a> {
    pub(super) program: &'a Program,
    /// Planes or columns.
    pub(super) x: &'a [i32],
    /// Groups of [`HEAD`] words and the weights in the order of the program:
    /// per pass the taps, last first, a word of each channel.
    pub(super) weights: &'a [i32],
    /// From the first channel of the first pixel on.
    pub(super) out: &'a mut [i8],
    /// Passes of every run.
    pub(super) pairs: usize,
    /// Bytes between pairs of a plane, or between columns.
    pub(super) pitch: usize,
    /// Words per group.
    pub(super) group: usize,
    /// Groups of two channels.
    pub(super) groups: usize,
    /// Pixels, [`PIXELS`] at least: the last tile may repeat some of its neighbour.
    pub(super) count: usize,
    /// Bytes of `x` between pixels.
    pub(super) pixel: usize,
    /// Outputs between pixels, and between the two rows: 0 where there is one.
    pub(super) step: usize,
    pub(super) second: usize,
    /// Outputs between the two channels of a group; other than 1 for a single group only.
    pub(super) other: usize,
}

impl Slide<'_> {
    /// Whether everything that the tiles read and write lies in its slice.
    #[inline(never)]
    pub(super) fn fits(&self) -> bool {
        if self.pairs == 0 || self.groups == 0 || self.count < PIXELS {
            return false;
        }
        let (mut weights, mut reach, mut firsts) = (HEAD * 4, 0, 0);
        let column = 2 * self.pitch + self.pairs * 4;
        let plane = (self.pairs - 1) * self.pitch + CELL + 4;
        let (last, steps) = match self.program.steps() {
            [steps @ .., last] => (last, steps),
            [] => return false,
        };
        for step in steps {
            firsts += usize::from(step.then >= Then::First as u32);
            if (Then::Last as u32..Then::First as u32).contains(&step.then) {
                return false;
            }
        }
        for step in self.program.steps() {
            weights += step.weights as usize;
            let far = match step.run {
                Run::Column => column,
                run => plane + run.taps() * CELL,
            };
            reach = reach.max(step.x as usize + far);
        }
        let one = usize::from(last.then.wrapping_sub(Then::Last as u32) & 4 != 0);
        let last_group = 2 * (self.groups - 1) + if one == 0 { self.other } else { 0 };
        let written = self.second + (self.count - 1) * self.step + last_group + 1;
        (Then::Last as u32..Then::First as u32).contains(&last.then)
            && (firsts == 1 || firsts == 0 && self.second == 0)
            && (one == 0 && self.other == 1 || self.groups == 1)
            && self.group * 4 >= weights
            && self.weights.len() * 4 >= (self.groups - 1) * self.group * 4 + weights
            && reach + (self.count - PIXELS) * self.pixel <= self.x.len() * 4
            && written <= self.out.len()
    }
}
