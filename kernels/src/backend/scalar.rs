//! Portable Rust: what every core can run, and what the others are compared with.

mod depthwise;
mod epilogue;
mod mac;
mod reduce;

use super::{Backend, Kernels};
use crate::epilogue::{Activate, Requantize};
use crate::ops;
use crate::view::{View, ViewMut};

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
    fn conv_pool2d_scratch(op: &ops::ConvPool2dGeometry) -> usize {
        ops::fused::conv_pool2d::scratch_bytes::<i8>(op)
    }
    fn conv_pool2d(
        op: &ops::ConvPool2d<'_, i8>,
        x: View<'_, i8>,
        y: ViewMut<'_, i8>,
        scratch: &mut [u8],
    ) {
        ops::fused::conv_pool2d::run::<i8, Self>(op, x, y, scratch);
    }
    fn upsample_conv2d_scratch(op: &ops::UpsampleConv2dGeometry) -> usize {
        ops::fused::upsample_conv2d::scratch_bytes::<i8>(op)
    }
    fn upsample_conv2d(
        op: &ops::UpsampleConv2d<'_, i8>,
        x: View<'_, i8>,
        y: ViewMut<'_, i8>,
        scratch: &mut [u8],
    ) {
        ops::fused::upsample_conv2d::run::<i8, Self>(op, x, y, scratch);
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
    fn conv_pool2d_scratch(op: &ops::ConvPool2dGeometry) -> usize {
        ops::fused::conv_pool2d::scratch_bytes::<f32>(op)
    }
    fn conv_pool2d(
        op: &ops::ConvPool2d<'_, f32>,
        x: View<'_, f32>,
        y: ViewMut<'_, f32>,
        scratch: &mut [u8],
    ) {
        ops::fused::conv_pool2d::run::<f32, Self>(op, x, y, scratch);
    }
    fn upsample_conv2d_scratch(op: &ops::UpsampleConv2dGeometry) -> usize {
        ops::fused::upsample_conv2d::scratch_bytes::<f32>(op)
    }
    fn upsample_conv2d(
        op: &ops::UpsampleConv2d<'_, f32>,
        x: View<'_, f32>,
        y: ViewMut<'_, f32>,
        scratch: &mut [u8],
    ) {
        ops::fused::upsample_conv2d::run::<f32, Self>(op, x, y, scratch);
    }
}
