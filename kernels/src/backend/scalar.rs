//! Portable Rust: what every core can run, and what the others are compared with.

mod depthwise;
mod epilogue;
mod mac;
mod reduce;

use super::{Backend, Kernels};
use crate::epilogue::{Activate, Requantize};

/// The portable backend.
#[derive(Clone, Copy, Debug)]
pub struct Scalar;

impl Backend for Scalar {
    const NAME: &'static str = "scalar";
}

impl Kernels<i8> for Scalar {
    #[inline]
    fn mac(acc: &mut [i32], x: &[i8], weights: &[i8], stride: usize) {
        mac::i8(acc, x, weights, stride);
    }
    #[inline]
    fn depthwise(acc: &mut [i32], x: &[i8], weights: &[i8]) {
        depthwise::i8(acc, x, weights);
    }
    #[inline]
    fn reduce_max(out: &mut [i8], x: &[i8]) {
        reduce::max(out, x);
    }
    #[inline]
    fn reduce_sum(acc: &mut [i32], x: &[i8]) {
        reduce::sum_i8(acc, x);
    }
    #[inline]
    fn finish(out: &mut [i8], acc: &[i32], first: usize, how: &Requantize<'_>) {
        epilogue::requantize(out, acc, first, how);
    }
    #[inline]
    fn average(out: &mut [i8], sum: &[i32], count: usize, bounds: (i8, i8)) {
        epilogue::average_i8(out, sum, count, bounds);
    }
}

impl Kernels<f32> for Scalar {
    #[inline]
    fn mac(acc: &mut [f32], x: &[f32], weights: &[f32], stride: usize) {
        mac::f32(acc, x, weights, stride);
    }
    #[inline]
    fn depthwise(acc: &mut [f32], x: &[f32], weights: &[f32]) {
        depthwise::f32(acc, x, weights);
    }
    #[inline]
    fn reduce_max(out: &mut [f32], x: &[f32]) {
        reduce::max(out, x);
    }
    #[inline]
    fn reduce_sum(acc: &mut [f32], x: &[f32]) {
        reduce::sum_f32(acc, x);
    }
    #[inline]
    fn finish(out: &mut [f32], acc: &[f32], first: usize, how: &Activate<'_>) {
        epilogue::activate(out, acc, first, how);
    }
    #[inline]
    fn average(out: &mut [f32], sum: &[f32], count: usize, bounds: (f32, f32)) {
        epilogue::average_f32(out, sum, count, bounds);
    }
}
