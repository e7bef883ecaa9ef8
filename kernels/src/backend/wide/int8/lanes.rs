//! Sixteen 16-bit factors, eight 32-bit sums.
//!
//! A *word* is two i16 factors that lie side by side: one lane of a product.

use bytemuck::cast;
use wide::{i8x16, i16x16, i32x8};

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

/// Rows to columns.
#[inline(always)]
pub(super) fn transpose(rows: [Words; 8]) -> [Words; 8] {
    // Shuffles move bits, whatever number they would be.
    cast(wide::f32x8::transpose(cast(rows)))
}

/// `x` widened to i16.
#[inline]
pub(super) fn widen(x: &[i8], out: &mut [i16]) {
    let (chunks, rest) = x.as_chunks::<16>();
    let (out_chunks, out_rest) = out.as_chunks_mut::<16>();
    for (out, &x) in out_chunks.iter_mut().zip(chunks) {
        *out = i16x16::from_i8x16(i8x16::new(x)).to_array();
    }
    for (out, &x) in out_rest.iter_mut().zip(rest) {
        *out = i16::from(x);
    }
}
