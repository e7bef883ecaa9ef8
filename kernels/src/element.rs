//! The two element types, and what each accumulates in.

use core::fmt::Debug;

mod sealed {
    pub trait Sealed {}
    impl Sealed for i8 {}
    impl Sealed for f32 {}
}

/// `i8` (quantised) or `f32`.
pub trait Element: sealed::Sealed + bytemuck::Pod + PartialOrd + Debug + Send + Sync {
    /// What sums are kept in: `i32`, wrapping, or `f32`.
    type Acc: bytemuck::Pod + Debug + Send + Sync;
    /// What turns a sum into an element.
    type Epilogue<'a>: Copy + Debug;
    /// Neutral element of addition.
    const ZERO: Self;
    /// Neutral element of addition among sums.
    const ACC_ZERO: Self::Acc;
    /// Less than or equal to every element.
    const LOWEST: Self;

    /// The larger one, `b` only when it is greater than `a`.
    fn larger(a: Self, b: Self) -> Self;
    /// `epilogue` with `channels` of its biases, from `first` on.
    fn with_bias<'a>(
        epilogue: &Self::Epilogue<'a>,
        first: usize,
        channels: usize,
    ) -> Self::Epilogue<'a>;
}

impl Element for i8 {
    type Acc = i32;
    type Epilogue<'a> = crate::epilogue::Requantize<'a>;
    const ZERO: Self = 0;
    const ACC_ZERO: i32 = 0;
    const LOWEST: Self = i8::MIN;

    #[inline(always)]
    fn larger(a: Self, b: Self) -> Self {
        if b > a { b } else { a }
    }

    fn with_bias<'a>(
        epilogue: &Self::Epilogue<'a>,
        first: usize,
        channels: usize,
    ) -> Self::Epilogue<'a> {
        epilogue.with_bias(first, channels)
    }
}

impl Element for f32 {
    type Acc = f32;
    type Epilogue<'a> = crate::epilogue::Activate<'a>;
    const ZERO: Self = 0.0;
    const ACC_ZERO: f32 = 0.0;
    const LOWEST: Self = f32::NEG_INFINITY;

    #[inline(always)]
    fn larger(a: Self, b: Self) -> Self {
        if b > a { b } else { a }
    }

    fn with_bias<'a>(
        epilogue: &Self::Epilogue<'a>,
        first: usize,
        channels: usize,
    ) -> Self::Epilogue<'a> {
        epilogue.with_bias(first, channels)
    }
}
