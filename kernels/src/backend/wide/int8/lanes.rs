//! Sixteen 16-bit factors, eight 32-bit sums.
//!
//! A *word* is two i16 factors that lie side by side: one lane of a product.

use bytemuck::cast;
use wide::{i8x16, i16x16, i32x8, u8x16};

/// One factor pair in each of eight lanes.
pub(super) type Words = [u32; 8];

/// `acc + a · b`, both products of every lane.
#[inline(always)]
pub(super) fn madd(acc: i32x8, a: i16x16, b: i16x16) -> i32x8 {
    acc + a.dot(b)
}

/// The word of bytes `word` in every lane.
#[inline(always)]
pub(super) fn splat(word: [u8; 4]) -> i16x16 {
    cast(i32x8::splat(i32::from_ne_bytes(word)))
}

/// Eight words.
#[inline(always)]
pub(super) fn load(words: &Words) -> i16x16 {
    cast(i32x8::new(cast(*words)))
}

/// Two factors as a word.
#[inline(always)]
pub(super) fn word(low: i8, high: i8) -> u32 {
    u32::from(i16::from(low) as u16) | u32::from(i16::from(high) as u16) << 16
}

/// Sixteen factors as eight words; what is missing is zero.
#[inline(always)]
pub(super) fn words(x: &[i8]) -> Words {
    if let Some(x) = x.first_chunk::<16>() {
        return cast(i16x16::from_i8x16(i8x16::new(*x)));
    }
    let mut all = [0; 16];
    for (to, &from) in all.iter_mut().zip(x) {
        *to = from;
    }
    cast(i16x16::from_i8x16(i8x16::new(all)))
}

/// The words of eight factors each: `low` in the low halves, `high` in the high ones.
#[inline(always)]
pub(super) fn joined(low: [i8; 8], high: [i8; 8]) -> i16x16 {
    let [low, high] = [low, high].map(|x| -> u8x16 { cast([cast::<_, u64>(x), 0]) });
    i16x16::from_i8x16(cast(u8x16::unpack_low(low, high)))
}

/// Rows to columns.
#[inline(always)]
pub(super) fn transpose(rows: [Words; 8]) -> [Words; 8] {
    // Shuffles move bits, whatever number they would be.
    cast(wide::f32x8::transpose(cast(rows)))
}

/// `[Σ sums[0], …, Σ sums[7]]`.
#[cfg(all(target_arch = "x86_64", target_feature = "avx2"))]
#[inline(always)]
pub(super) fn add_up(sums: [i32x8; 8]) -> i32x8 {
    use safe_arch::{add_horizontal_i32_m256i as pairs, add_i32_m256i, m256i, permute2z_m256i};
    let s: [m256i; 8] = sums.map(cast);
    let low = pairs(pairs(s[0], s[1]), pairs(s[2], s[3]));
    let high = pairs(pairs(s[4], s[5]), pairs(s[6], s[7]));
    // Halves of 128 bits: what came from the low ones of the sums, and from the high ones.
    let halves = [permute2z_m256i::<0x20>(low, high), permute2z_m256i::<0x31>(low, high)];
    cast(add_i32_m256i(halves[0], halves[1]))
}

#[cfg(not(all(target_arch = "x86_64", target_feature = "avx2")))]
#[inline(always)]
pub(super) fn add_up(sums: [i32x8; 8]) -> i32x8 {
    let columns = transpose(sums.map(cast)).map(|words| -> i32x8 { cast(words) });
    columns.iter().fold(i32x8::ZERO, |sum, &column| sum + column)
}

/// Neighbours added: `[a0 + a1, …, a6 + a7, b0 + b1, …]`.
#[cfg(all(target_arch = "x86_64", target_feature = "avx2"))]
#[inline(always)]
pub(super) fn add_pairs([a, b]: [i32x8; 2]) -> i32x8 {
    use safe_arch::{add_horizontal_i32_m256i, shuffle_ai_i64_all_m256i};
    // a01 a23 b01 b23 | a45 a67 b45 b67, by pairs.
    let sums = add_horizontal_i32_m256i(cast(a), cast(b));
    cast(shuffle_ai_i64_all_m256i::<0b11_01_10_00>(sums))
}

#[cfg(not(all(target_arch = "x86_64", target_feature = "avx2")))]
#[inline(always)]
pub(super) fn add_pairs(ab: [i32x8; 2]) -> i32x8 {
    let lanes: [[i32; 2]; 8] = cast(ab);
    i32x8::new(lanes.map(|[even, odd]| even.wrapping_add(odd)))
}

/// `x` widened to i16; `out` is as long.
#[inline]
pub(super) fn widen(x: &[i8], out: &mut [i16]) {
    let (chunks, rest) = x.as_chunks::<16>();
    for (out, &x) in out.as_chunks_mut::<16>().0.iter_mut().zip(chunks) {
        *out = i16x16::from_i8x16(i8x16::new(x)).to_array();
    }
    if rest.is_empty() {
        return;
    }
    if let (Some(&x), Some(out)) = (x.last_chunk::<16>(), out.last_chunk_mut::<16>()) {
        // Some of them once more.
        *out = i16x16::from_i8x16(i8x16::new(x)).to_array();
        return;
    }
    for (out, &x) in out.iter_mut().zip(x) {
        *out = i16::from(x);
    }
}
