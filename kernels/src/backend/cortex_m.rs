//! Cortex-M4, M7 and M33: two 16-bit lanes a register.
//!
//! Whether the target has the instructions is found by `build.rs` (`cfg(arm_dsp)`);
//! elsewhere their plain-Rust twins run, so that this backend can be compared
//! with the portable one on any machine. Operators that are not here, and all of
//! `f32`, are the portable ones.

#[cfg(arm_dsp)]
mod asm;
#[cfg(arm_dsp)]
use asm as insn;
#[cfg(not(arm_dsp))]
mod model;
#[cfg(not(arm_dsp))]
use model as insn;

mod cells;
mod conv2d;
mod dense;
mod depthwise_conv2d;
mod elementwise;
mod epilogue;
mod expand;
mod fused_conv_pool;
mod fused_upsample;
mod lanes;
mod linear;
mod mac;
pub(crate) mod packed;
mod plan;
mod planes;
mod pool2d;
mod quads;
mod reduce;
mod resize2d;
mod sevens;
mod slide;
mod stream;
mod tile;
mod transposed_conv2d;
mod twos;
mod window;
mod winograd;

#[cfg(test)]
mod tests;

pub(crate) use depthwise_conv2d::own_scratch as own_depthwise_conv2d_scratch;
pub(crate) use fused_conv_pool::{owns as owns_conv_pool2d, variant as conv_pool2d_variant};
pub(crate) use fused_upsample::{owns as owns_upsample_conv2d, variant as upsample_conv2d_variant};

use super::{Backend, Kernels, Owner, Scalar};
use crate::epilogue::{Activate, Requantize};
use crate::ops;
use crate::ops::elementwise::Own;
use crate::shape::Shape;
use crate::view::{View, ViewMut};

/// Image by image; `shapes` are those of the views.
#[inline(always)]
fn images<'v>(
    x: View<'v, i8>,
    y: &'v mut ViewMut<'_, i8>,
    [input, output]: [Shape; 2],
) -> impl Iterator<Item = (&'v [i8], &'v mut [i8])> {
    // No shape is empty; the compiler sees no division by zero then.
    let inputs = x.data().chunks_exact(input.image().max(1));
    inputs.zip(y.data_mut().chunks_exact_mut(output.image().max(1)))
}

/// Sets every word: one loop for all that pad their buffers.
#[inline(never)]
fn fill_words(words: &mut [i32], word: i32) {
    for place in words {
        *place = word;
    }
}

/// The backend for Arm's DSP extension.
#[derive(Clone, Copy, Debug)]
pub struct CortexM;

impl Backend for CortexM {
    const NAME: &'static str = "cortex_m";
    const OWNER: Owner = Owner::CortexM;
}

impl Kernels<i8> for CortexM {
    fn mac(acc: &mut [i32], x: &[i8], weights: &[i8], stride: usize) {
        mac::i8(acc, x, weights, stride);
    }
    fn depthwise(acc: &mut [i32], x: &[i8], weights: &[i8]) {
        <Scalar as Kernels<i8>>::depthwise(acc, x, weights);
    }
    fn reduce_max(out: &mut [i8], x: &[i8]) {
        reduce::max(out, x);
    }
    fn reduce_sum(acc: &mut [i32], x: &[i8]) {
        reduce::sum(acc, x);
    }
    fn sum_cells(acc: &mut [i32], x: &[i8], pitch: usize, count: usize) {
        reduce::sum_cells(acc, x, pitch, count);
    }
    fn finish(out: &mut [i8], acc: &[i32], first: usize, how: &Requantize<'_>) {
        epilogue::requantize_all(out, acc, first, how);
    }
    fn average(out: &mut [i8], sum: &[i32], count: usize, bounds: (i8, i8)) {
        pool2d::mean(out, sum, count, bounds);
    }
    fn conv2d_scratch(op: &ops::Conv2dGeometry) -> usize {
        conv2d::scratch(op)
    }
    fn conv2d(op: &ops::Conv2d<'_, i8>, x: View<'_, i8>, y: ViewMut<'_, i8>, scratch: &mut [u8]) {
        conv2d::run(op, x, y, scratch);
    }
    fn depthwise_conv2d_scratch(op: &ops::Conv2dGeometry) -> usize {
        depthwise_conv2d::scratch(op)
    }
    fn depthwise_conv2d_least(op: &ops::Conv2dGeometry) -> usize {
        ops::depthwise_conv2d::scratch_bytes::<i8>(op)
    }
    fn depthwise_conv2d(
        op: &ops::DepthwiseConv2d<'_, i8>,
        x: View<'_, i8>,
        y: ViewMut<'_, i8>,
        scratch: &mut [u8],
    ) {
        depthwise_conv2d::run(op, x, y, scratch);
    }
    fn own_depthwise_conv2d(
        op: &ops::DepthwiseConv2d<'_, i8>,
        x: View<'_, i8>,
        y: ViewMut<'_, i8>,
        scratch: &mut [u8],
    ) {
        depthwise_conv2d::on_pairs(op, x, y, scratch);
    }
    fn transposed_conv2d_scratch(op: &ops::TransposedConv2dGeometry) -> usize {
        transposed_conv2d::scratch(op)
    }
    fn transposed_conv2d(
        op: &ops::TransposedConv2d<'_, i8>,
        x: View<'_, i8>,
        y: ViewMut<'_, i8>,
        scratch: &mut [u8],
    ) {
        transposed_conv2d::run(op, x, y, scratch);
    }
    fn dense_scratch(op: &ops::DenseGeometry) -> usize {
        dense::scratch(op)
    }
    fn dense(op: &ops::Dense<'_, i8>, x: &[i8], y: &mut [i8], scratch: &mut [u8]) {
        dense::run(op, x, y, scratch);
    }
    fn max_pool2d(op: &ops::MaxPool2d<i8>, x: View<'_, i8>, y: ViewMut<'_, i8>) {
        pool2d::max(op, x, y);
    }
    fn average_pool2d(op: &ops::AveragePool2d<i8>, x: View<'_, i8>, y: ViewMut<'_, i8>) {
        pool2d::average(op, x, y);
    }
    fn max_pool2d_with_indices<I: ops::WindowIndex>(
        op: &ops::MaxPool2dWithIndices,
        x: View<'_, i8>,
        y: ViewMut<'_, i8>,
        indices: &mut [I],
    ) {
        pool2d::max_with_indices(op, x, y, indices);
    }
    fn max_unpool2d<I: ops::WindowIndex>(
        op: &ops::MaxUnpool2d<i8>,
        x: View<'_, i8>,
        indices: &[I],
        y: ViewMut<'_, i8>,
    ) {
        pool2d::unpool(op, x, indices, y);
    }
    fn resize_nearest2d(op: &ops::ResizeNearest2d, x: View<'_, i8>, y: ViewMut<'_, i8>) {
        resize2d::nearest(op, x, y);
    }
    fn conv_pool2d_scratch(op: &ops::ConvPool2dGeometry) -> usize {
        fused_conv_pool::scratch(op)
    }
    fn conv_pool2d(
        op: &ops::ConvPool2d<'_, i8>,
        x: View<'_, i8>,
        y: ViewMut<'_, i8>,
        scratch: &mut [u8],
    ) {
        fused_conv_pool::run(op, x, y, scratch);
    }
    fn own_conv_pool2d(
        op: &ops::ConvPool2d<'_, i8>,
        x: View<'_, i8>,
        y: ViewMut<'_, i8>,
        scratch: &mut [u8],
        variant: u32,
    ) {
        fused_conv_pool::pooled(op, x, y, scratch, variant);
    }
    fn upsample_conv2d_scratch(op: &ops::UpsampleConv2dGeometry) -> usize {
        fused_upsample::scratch(op)
    }
    fn upsample_conv2d(
        op: &ops::UpsampleConv2d<'_, i8>,
        x: View<'_, i8>,
        y: ViewMut<'_, i8>,
        scratch: &mut [u8],
    ) {
        fused_upsample::run(op, x, y, scratch);
    }
    fn own_upsample_conv2d(
        op: &ops::UpsampleConv2d<'_, i8>,
        x: View<'_, i8>,
        y: ViewMut<'_, i8>,
        scratch: &mut [u8],
        variant: u32,
    ) {
        fused_upsample::own(op, x, y, scratch, variant);
    }
    fn binary(op: &ops::Binary<i8>, a: &[i8], b: &[i8], y: &mut [i8]) {
        elementwise::binary(op, a, b, y);
    }
    fn binary_in_place(op: &ops::Binary<i8>, own: Own, other: &[i8], y: &mut [i8]) {
        elementwise::binary_in_place(op, own, other, y);
    }
}

impl Kernels<f32> for CortexM {
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
