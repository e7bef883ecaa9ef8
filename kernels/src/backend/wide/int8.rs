//! `i8`.

use super::Wide;
use crate::backend::{Kernels, Scalar};
use crate::epilogue::Requantize;

impl Kernels<i8> for Wide {
    fn mac(acc: &mut [i32], x: &[i8], weights: &[i8], stride: usize) {
        <Scalar as Kernels<i8>>::mac(acc, x, weights, stride);
    }
    fn depthwise(acc: &mut [i32], x: &[i8], weights: &[i8]) {
        <Scalar as Kernels<i8>>::depthwise(acc, x, weights);
    }
    fn reduce_max(out: &mut [i8], x: &[i8]) {
        <Scalar as Kernels<i8>>::reduce_max(out, x);
    }
    fn reduce_sum(acc: &mut [i32], x: &[i8]) {
        <Scalar as Kernels<i8>>::reduce_sum(acc, x);
    }
    fn finish(out: &mut [i8], acc: &[i32], first: usize, how: &Requantize<'_>) {
        <Scalar as Kernels<i8>>::finish(out, acc, first, how);
    }
    fn average(out: &mut [i8], sum: &[i32], count: usize, bounds: (i8, i8)) {
        <Scalar as Kernels<i8>>::average(out, sum, count, bounds);
    }
}
