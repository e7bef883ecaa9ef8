//! `i8`: pairs of 16-bit products in 32-bit lanes, exact.

mod binary;
mod channels;
mod conv;
mod conv_pool;
mod dense;
mod depthwise;
mod few;
mod finish;
mod join;
mod lanes;
mod layer;
mod pool2d;
mod upsample;

use super::Wide;
use crate::backend::{Kernels, Scalar};
use crate::epilogue::Requantize;
use crate::ops;
use crate::ops::elementwise::Own;
use crate::view::{View, ViewMut};

impl Kernels<i8> for Wide {
    fn mac(acc: &mut [i32], x: &[i8], weights: &[i8], stride: usize) {
        <Scalar as Kernels<i8>>::mac(acc, x, weights, stride);
    }
    fn depthwise(acc: &mut [i32], x: &[i8], weights: &[i8]) {
        <Scalar as Kernels<i8>>::depthwise(acc, x, weights);
    }
    fn reduce_max(out: &mut [i8], x: &[i8]) {
        pool2d::max_into(out, x);
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
    fn conv2d_scratch(op: &ops::Conv2dGeometry) -> usize {
        conv::scratch(op)
    }
    fn conv2d(op: &ops::Conv2d<'_, i8>, x: View<'_, i8>, y: ViewMut<'_, i8>, scratch: &mut [u8]) {
        conv::conv2d(op, x, y, scratch);
    }
    fn depthwise_conv2d_scratch(op: &ops::Conv2dGeometry) -> usize {
        depthwise::scratch(op)
    }
    fn depthwise_conv2d(
        op: &ops::DepthwiseConv2d<'_, i8>,
        x: View<'_, i8>,
        y: ViewMut<'_, i8>,
        scratch: &mut [u8],
    ) {
        depthwise::run(op, x, y, scratch);
    }
    fn transposed_conv2d_scratch(op: &ops::TransposedConv2dGeometry) -> usize {
        conv::transposed_scratch(op)
    }
    fn transposed_conv2d(
        op: &ops::TransposedConv2d<'_, i8>,
        x: View<'_, i8>,
        y: ViewMut<'_, i8>,
        scratch: &mut [u8],
    ) {
        conv::transposed_conv2d(op, x, y, scratch);
    }
    fn conv_pool2d_scratch(op: &ops::ConvPool2dGeometry) -> usize {
        conv_pool::scratch(op)
    }
    fn conv_pool2d(
        op: &ops::ConvPool2d<'_, i8>,
        x: View<'_, i8>,
        y: ViewMut<'_, i8>,
        scratch: &mut [u8],
    ) {
        conv_pool::run(op, x, y, scratch);
    }
    fn upsample_conv2d_scratch(op: &ops::UpsampleConv2dGeometry) -> usize {
        upsample::scratch(op)
    }
    fn upsample_conv2d(
        op: &ops::UpsampleConv2d<'_, i8>,
        x: View<'_, i8>,
        y: ViewMut<'_, i8>,
        scratch: &mut [u8],
    ) {
        upsample::run(op, x, y, scratch);
    }
    fn dense_scratch(op: &ops::DenseGeometry) -> usize {
        dense::scratch(op)
    }
    fn dense(op: &ops::Dense<'_, i8>, x: &[i8], y: &mut [i8], scratch: &mut [u8]) {
        dense::run(op, x, y, scratch);
    }
    fn binary(op: &ops::Binary<i8>, a: &[i8], b: &[i8], y: &mut [i8]) {
        binary::run(op, a, b, y);
    }
    fn binary_in_place(op: &ops::Binary<i8>, own: Own, other: &[i8], y: &mut [i8]) {
        ops::elementwise::binary_in_blocks::<i8, Self>(op, own, other, y);
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
}
