//! Requantisation, eight sums at a time.
//!
//! With `h = ⌊(a · 2^left · m + 2^30) / 2^31⌋` and a right shift `n ≥ 1`, TFLite's
//! second rounding (to nearest, ties away from zero) is
//! `⌊(h − [h < 0] + 2^(n−1)) / 2^n⌋ = (((h − [h < 0]) >> (n − 1)) + 1) >> 1`.
//! Mantissas are below 2^31, so `|h| < 2^31 − 1` and neither step overflows.
//!
//! Where the clamp begins at the zero point, sums below zero give what zero gives, and for
//! the others both roundings are one: `⌊(a · m + 2^30 + 2^(30+n)) / 2^(31+n)⌋`.

use bytemuck::cast;
use wide::{i8x16, i16x16, i32x8, u32x8};

use crate::epilogue::Requantize;
use crate::quant::lookup;

/// What eight channels (or eight pixels of one) need.
#[derive(Clone, Copy, Debug, Default, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub(super) struct Params {
    bias: [i32; 8],
    /// Mantissas of the lanes 0, 2, 4 and 6, each in the low half of a u64, and of the others.
    mantissas: [[i32; 8]; 2],
    left: [u32; 8],
    /// Right shift less one; 0 where there is none.
    right: [u32; 8],
    /// All ones in the lanes without a right shift.
    unshifted: [i32; 8],
    /// Both roundings of the lanes 0, 2, 4 and 6, as u64: `2^30 + 2^(30+n)`, and those of the others.
    halves: [[u32; 8]; 2],
    /// The shifts that bring those lanes' results to their halves of a u64: `31 + n`, and `n − 1`.
    shifts: [[u32; 8]; 2],
}

/// How sums are scaled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scaling {
    /// Some lane has no right shift, or a left one.
    General,
    /// Every lane has a right shift.
    Right,
    /// Every lane has a right shift, and results below zero are clamped to it.
    Rectified,
}

/// Words of [`Params`].
pub(super) const PARAM_WORDS: usize = size_of::<Params>() / 4;

impl Params {
    /// Of eight biases, mantissas and shifts.
    #[inline(always)]
    fn new(bias: [i32; 8], mantissa: [i32; 8], shift: [i32; 8]) -> Self {
        let by = shift.map(|shift| (-shift).clamp(1, 31) as u32);
        let half = |lane: usize| (1u64 << 30) + (1 << (30 + by[lane]));
        let shifts = |odd: usize| -> [u64; 4] {
            core::array::from_fn(|i| {
                let by = by[2 * i + odd];
                u64::from(if odd == 0 { 31 + by } else { by - 1 })
            })
        };
        Self {
            bias,
            mantissas: [0, 1].map(|odd| core::array::from_fn(|lane| mantissa[lane & !1 | odd])),
            left: shift.map(|shift| shift.max(0) as u32),
            right: shift.map(|shift| (-shift - 1).max(0) as u32),
            unshifted: shift.map(|shift| if shift >= 0 { -1 } else { 0 }),
            halves: [0, 1]
                .map(|odd| cast::<[u64; 4], _>(core::array::from_fn(|i| half(2 * i + odd)))),
            shifts: [0, 1].map(|odd| cast(shifts(odd))),
        }
    }

    /// For the channels `first..first + 8`, those that exist.
    pub(super) fn channels(how: &Requantize<'_>, bias: &[i32], first: usize) -> Self {
        let eight = |all: &[i32]| -> [i32; 8] {
            match (all, all.get(first..).and_then(<[i32]>::first_chunk)) {
                (&[one], _) => [one; 8],
                (_, Some(&eight)) => eight,
                _ => core::array::from_fn(|lane| all.get(first + lane).copied().unwrap_or(0)),
            }
        };
        let biases = core::array::from_fn(|lane| bias.get(first + lane).copied().unwrap_or(0));
        Self::new(biases, eight(how.mantissas), eight(how.shifts))
    }

    /// For the `count` channels from `first` on, those that exist, over and over; `count` is a
    /// power of two.
    pub(super) fn repeated(how: &Requantize<'_>, bias: &[i32], first: usize, count: usize) -> Self {
        // For as many channels as there are, not for every lane.
        let mut parts = [[0; 8]; 3];
        for channel in 0..count.min(8) {
            if let Some(&bias) = bias.get(first + channel) {
                let by = how.multiplier(first + channel);
                for (part, value) in parts.iter_mut().zip([bias, by.mantissa, by.shift]) {
                    part[channel] = value;
                }
            }
        }
        let [bias, mantissa, shift] =
            parts.map(|part| core::array::from_fn(|lane| part[lane & (count - 1) & 7]));
        Self::new(bias, mantissa, shift)
    }

    /// What sums start from.
    #[inline(always)]
    pub(super) fn start(&self) -> i32x8 {
        i32x8::new(self.bias)
    }

    /// Sums multiplied and doubly rounded.
    #[inline(always)]
    pub(super) fn scale(&self, sum: i32x8, how: Scaling) -> i32x8 {
        match how {
            Scaling::Rectified => self.rectified(sum),
            Scaling::Right => round(doubling_high(sum, &self.mantissas), self.right),
            Scaling::General => {
                let sum = shift_left(sum, self.left);
                let high = doubling_high(sum, &self.mantissas);
                let shifted = round(high, self.right);
                let unshifted = i32x8::new(self.unshifted);
                (high & unshifted) | (shifted & !unshifted)
            }
        }
    }

    /// What is below zero is zero.
    #[cfg(all(target_arch = "x86_64", target_feature = "avx2"))]
    #[inline(always)]
    fn rectified(&self, sum: i32x8) -> i32x8 {
        use safe_arch::{
            add_i64_m256i, blend_imm_i32_m256i, m256i, mul_i64_low_bits_m256i, shr_each_u64_m256i,
            shr_imm_u64_m256i,
        };
        let x: m256i = cast(sum.max(i32x8::splat(0)));
        let [even, odd] = [
            mul_i64_low_bits_m256i(x, cast(self.mantissas[0])),
            mul_i64_low_bits_m256i(shr_imm_u64_m256i::<32>(x), cast(self.mantissas[1])),
        ];
        let even =
            shr_each_u64_m256i(add_i64_m256i(even, cast(self.halves[0])), cast(self.shifts[0]));
        let odd =
            shr_each_u64_m256i(add_i64_m256i(odd, cast(self.halves[1])), cast(self.shifts[1]));
        cast(blend_imm_i32_m256i::<0b1010_1010>(even, odd))
    }

    #[cfg(not(all(target_arch = "x86_64", target_feature = "avx2")))]
    #[inline(always)]
    fn rectified(&self, sum: i32x8) -> i32x8 {
        round(doubling_high(sum, &self.mantissas), self.right)
    }
}

#[inline(always)]
fn round(high: i32x8, right: [u32; 8]) -> i32x8 {
    let down: i32x8 = high + (high >> 31u32);
    (down.unbounded_shr(u32x8::new(right)) + i32x8::splat(1)) >> 1u32
}

#[inline(always)]
fn shift_left(x: i32x8, by: [u32; 8]) -> i32x8 {
    let x = x.to_array();
    i32x8::new(core::array::from_fn(|lane| x[lane].wrapping_shl(by[lane])))
}

/// `⌊(x · m + 2^30) / 2^31⌋` in each lane, its low 32 bits.
#[cfg(all(target_arch = "x86_64", target_feature = "avx2"))]
#[inline(always)]
fn doubling_high(x: i32x8, mantissas: &[[i32; 8]; 2]) -> i32x8 {
    use safe_arch::{
        add_i64_m256i, blend_imm_i32_m256i, m256i, mul_i64_low_bits_m256i, shl_imm_u64_m256i,
        shr_imm_u64_m256i,
    };
    let x: m256i = cast(x);
    let half: m256i = cast([1i64 << 30; 4]);
    let even = mul_i64_low_bits_m256i(x, cast(mantissas[0]));
    let odd = mul_i64_low_bits_m256i(shr_imm_u64_m256i::<32>(x), cast(mantissas[1]));
    let even = shr_imm_u64_m256i::<31>(add_i64_m256i(even, half));
    let odd = shl_imm_u64_m256i::<1>(add_i64_m256i(odd, half));
    cast(blend_imm_i32_m256i::<0b1010_1010>(even, odd))
}

#[cfg(not(all(target_arch = "x86_64", target_feature = "avx2")))]
#[inline(always)]
fn doubling_high(x: i32x8, mantissas: &[[i32; 8]; 2]) -> i32x8 {
    let x = x.to_array();
    i32x8::new(core::array::from_fn(|lane| {
        ((i64::from(x[lane]) * i64::from(mantissas[lane % 2][lane]) + (1 << 30)) >> 31) as i32
    }))
}

/// The sign bits of eight codes: what lies between a code and its place in a table.
const SIGNS: u64 = 0x8080_8080_8080_8080;

/// From sums, biases included, to codes.
#[derive(Clone, Copy)]
pub(super) struct Store<'a> {
    zero_point: i32x8,
    /// Added after the sums are narrowed instead, where that is the same.
    late: i16x16,
    min: i8x16,
    max: i8x16,
    table: Option<&'a lookup::Table>,
    pub(super) scaling: Scaling,
}

impl<'a> Store<'a> {
    pub(super) fn new(how: &Requantize<'a>) -> Self {
        let scaling = if !how.shifts.iter().all(|shift| (-31..0).contains(shift)) {
            Scaling::General
        } else if i32::from(how.min) >= how.zero_point {
            Scaling::Rectified
        } else {
            Scaling::Right
        };
        Self {
            zero_point: i32x8::splat(how.zero_point),
            late: i16x16::splat(if scaling == Scaling::Rectified {
                how.zero_point as i16
            } else {
                0
            }),
            min: i8x16::splat(how.min),
            max: i8x16::splat(how.max),
            table: how.table,
            scaling,
        }
    }

    /// Eight scaled sums, before they are narrowed.
    #[inline(always)]
    fn scaled(&self, how: Scaling, params: &Params, acc: i32x8) -> i32x8 {
        let scaled = params.scale(acc, how);
        // A scaled sum near the ends of i32 wraps when the zero point is added, as in
        // the portable kernel.
        if how == Scaling::Rectified { scaled } else { scaled + self.zero_point }
    }

    /// Sixteen sums to codes before the table.
    #[inline(always)]
    fn codes(&self, params: [&Params; 2], acc: [i32x8; 2]) -> i8x16 {
        self.codes_as(self.scaling, params, acc)
    }

    /// The same with a scaling that the caller has looked up.
    #[inline(always)]
    pub(super) fn codes_as(&self, how: Scaling, params: [&Params; 2], acc: [i32x8; 2]) -> i8x16 {
        let scaled = [self.scaled(how, params[0], acc[0]), self.scaled(how, params[1], acc[1])];
        self.narrowed(scaled).max(self.min).min(self.max)
    }

    #[cfg(all(target_arch = "x86_64", target_feature = "avx2"))]
    #[inline(always)]
    fn narrowed(&self, [a, b]: [i32x8; 2]) -> i8x16 {
        use safe_arch::{
            m128i, m256i, pack_i16_to_i8_m256i, pack_i32_to_i16_m256i, shuffle_av_i32_all_m256i,
        };
        // a0…a3 b0…b3 in the low half, a4…a7 b4…b7 in the high one.
        let codes: i16x16 = cast(pack_i32_to_i16_m256i(cast(a), cast(b)));
        let codes: m256i = cast(codes.saturating_add(self.late));
        let order: m256i = cast([0u32, 4, 1, 5, 0, 4, 1, 5]);
        let codes = shuffle_av_i32_all_m256i(pack_i16_to_i8_m256i(codes, codes), order);
        let [codes, _]: [m128i; 2] = cast(codes);
        cast(codes)
    }

    #[cfg(not(all(target_arch = "x86_64", target_feature = "avx2")))]
    #[inline(always)]
    fn narrowed(&self, sums: [i32x8; 2]) -> i8x16 {
        let codes: i16x16 = cast(sums.map(wide::i16x8::from_i32x8_saturate));
        i8x16::from_i16x16_saturate(codes.saturating_add(self.late))
    }

    /// Whether codes go through a table.
    #[inline(always)]
    pub(super) const fn has_table(&self) -> bool {
        self.table.is_some()
    }

    /// Codes through the table, if there is one.
    #[inline(always)]
    pub(super) fn look_up(&self, out: &mut [i8]) {
        if let Some(table) = self.table {
            for code in out {
                *code = table[usize::from((*code as u8) ^ 0x80)];
            }
        }
    }

    /// Eight sums to codes before the table, twice.
    #[inline(always)]
    fn single(&self, params: &Params, acc: i32x8) -> i8x16 {
        let scaled = self.scaled(self.scaling, params, acc);
        self.narrowed([scaled; 2]).max(self.min).min(self.max)
    }

    /// Eight sums, biases not included, to codes before the table.
    #[inline(always)]
    pub(super) fn eight(&self, params: &Params, sums: i32x8) -> [i8; 8] {
        let [codes, _]: [[i8; 8]; 2] = cast(self.single(params, sums + params.start()));
        codes
    }

    /// Eight codes through the table, if there is one.
    #[inline(always)]
    pub(super) fn looked_up(&self, codes: [i8; 8]) -> [i8; 8] {
        match self.table {
            Some(table) => {
                let indices: [u8; 8] = cast(cast::<_, u64>(codes) ^ SIGNS);
                indices.map(|index| table[usize::from(index)])
            }
            None => codes,
        }
    }

    /// Stores `count` of eight codes, through the table, `every` bytes apart.
    #[inline(always)]
    pub(super) fn spread(&self, codes: [i8; 8], every: usize, count: usize, out: &mut [i8]) {
        match (every, self.table, out.first_chunk_mut::<15>()) {
            (2, Some(table), Some(out)) if count == 8 => {
                let indices: [u8; 8] = cast(cast::<_, u64>(codes) ^ SIGNS);
                for (lane, index) in indices.into_iter().enumerate() {
                    out[2 * lane] = table[usize::from(index)];
                }
            }
            (2, None, Some(out)) if count == 8 => {
                for (lane, code) in codes.into_iter().enumerate() {
                    out[2 * lane] = code;
                }
            }
            _ if every == 1 && count == 8 => {
                if let Some(out) = out.first_chunk_mut() {
                    *out = self.looked_up(codes);
                }
            }
            _ => {
                let codes = self.looked_up(codes);
                for (out, &code) in out.iter_mut().step_by(every).zip(&codes[..count]) {
                    *out = code;
                }
            }
        }
    }

    /// Up to eight codes, as many as `out` has room for.
    #[inline(always)]
    pub(super) fn store(&self, params: &Params, acc: i32x8, out: &mut [i8]) {
        let [codes, _]: [u64; 2] = cast(self.single(params, acc));
        if let Some(out) = out.first_chunk_mut::<8>() {
            *out = cast(codes);
        } else {
            let codes: [i8; 8] = cast(codes);
            for (out, code) in out.iter_mut().zip(codes) {
                *out = code;
            }
        }
        let len = out.len().min(8);
        self.look_up(&mut out[..len]);
    }

    /// Up to sixteen codes, as many as `out` has room for.
    #[inline(always)]
    pub(super) fn store2(&self, params: [&Params; 2], acc: [i32x8; 2], out: &mut [i8]) {
        if let Some(out) = out.first_chunk_mut::<16>() {
            *out = cast(self.codes(params, acc));
            self.look_up(out);
            return;
        }
        let (low, high) = out.split_at_mut(out.len().min(8));
        self.store(params[0], acc[0], low);
        self.store(params[1], acc[1], high);
    }

    /// The same eight channels of two pixels, as many of each as `out` has room for.
    #[inline(always)]
    pub(super) fn store_both(&self, params: &Params, acc: [i32x8; 2], out: [&mut [i8]; 2]) {
        let codes: [[i8; 8]; 2] = cast(self.codes([params, params], acc));
        for (out, codes) in out.into_iter().zip(codes) {
            if let Some(out) = out.first_chunk_mut::<8>() {
                *out = codes;
                self.look_up(out);
                continue;
            }
            for (out, code) in out.iter_mut().zip(codes) {
                *out = code;
            }
            self.look_up(out);
        }
    }
}
