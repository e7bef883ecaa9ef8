//! `f32`.

use super::Wide;
use crate::backend::{Kernels, Scalar};
use crate::epilogue::Activate;

impl Kernels<f32> for Wide {
    fn mac(acc: &mut [f32], x: &[f32], weights: &[f32], stride: usize) {
        <Scalar as Kernels<f32>>::mac(acc, x, weights, stride);
    }
    fn depthwise(acc: &mut [f32], x: &[f32], weights: &[f32]) {
        <Scalar as Kernels<f32>>::depthwise(acc, x, weights);
    }
    fn reduce_max(out: &mut [f32], x: &[f32]) {
        <Scalar as Kernels<f32>>::reduce_max(out, x);
    }
    fn reduce_sum(acc: &mut [f32], x: &[f32]) {
        <Scalar as Kernels<f32>>::reduce_sum(acc, x);
    }
    fn finish(out: &mut [f32], acc: &[f32], first: usize, how: &Activate<'_>) {
        <Scalar as Kernels<f32>>::finish(out, acc, first, how);
    }
    fn average(out: &mut [f32], sum: &[f32], count: usize, bounds: (f32, f32)) {
        <Scalar as Kernels<f32>>::average(out, sum, count, bounds);
    }
}
