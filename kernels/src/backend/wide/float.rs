//! `f32`.

mod activation;
mod conv2d;
mod conv_pool;
mod dense;
mod depthwise_conv2d;
mod dot;
mod elementwise;
mod flat;
mod geometry;
mod linear;
mod mac;
mod pack;
mod pool2d;
mod resize2d;
mod softmax;
mod tile;
mod transposed_conv2d;
mod upsample;
mod vector;

use super::Wide;
use crate::backend::{Kernels, Scalar};
use crate::epilogue::Activate;
use crate::ops;
use crate::ops::elementwise::Own;
use crate::view::{View, ViewMut};

impl Kernels<f32> for Wide {
    fn mac(acc: &mut [f32], x: &[f32], weights: &[f32], stride: usize) {
        mac::f32(acc, x, weights, stride);
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
    fn conv2d_scratch(op: &ops::Conv2dGeometry) -> usize {
        conv2d::scratch(op)
    }
    fn conv2d(
        op: &ops::Conv2d<'_, f32>,
        x: View<'_, f32>,
        y: ViewMut<'_, f32>,
        scratch: &mut [u8],
    ) {
        conv2d::run(op, x, y, scratch);
    }
    fn transposed_conv2d_scratch(op: &ops::TransposedConv2dGeometry) -> usize {
        transposed_conv2d::scratch(op)
    }
    fn transposed_conv2d(
        op: &ops::TransposedConv2d<'_, f32>,
        x: View<'_, f32>,
        y: ViewMut<'_, f32>,
        scratch: &mut [u8],
    ) {
        transposed_conv2d::run(op, x, y, scratch);
    }
    fn depthwise_conv2d(
        op: &ops::DepthwiseConv2d<'_, f32>,
        x: View<'_, f32>,
        y: ViewMut<'_, f32>,
        scratch: &mut [u8],
    ) {
        depthwise_conv2d::run(op, x, y, scratch);
    }
    fn dense_scratch(op: &ops::DenseGeometry) -> usize {
        dense::scratch(op)
    }
    fn dense(op: &ops::Dense<'_, f32>, x: &[f32], y: &mut [f32], scratch: &mut [u8]) {
        dense::run(op, x, y, scratch);
    }
    fn max_pool2d(op: &ops::MaxPool2d<f32>, x: View<'_, f32>, y: ViewMut<'_, f32>) {
        pool2d::max(op, x, y);
    }
    fn average_pool2d(op: &ops::AveragePool2d<f32>, x: View<'_, f32>, y: ViewMut<'_, f32>) {
        pool2d::average(op, x, y);
    }
    fn max_pool2d_with_indices<I: ops::WindowIndex>(
        op: &ops::MaxPool2dWithIndices,
        x: View<'_, f32>,
        y: ViewMut<'_, f32>,
        indices: &mut [I],
    ) {
        pool2d::max_with_indices(op, x, y, indices);
    }
    fn conv_pool2d_scratch(op: &ops::ConvPool2dGeometry) -> usize {
        conv_pool::scratch(op)
    }
    fn conv_pool2d(
        op: &ops::ConvPool2d<'_, f32>,
        x: View<'_, f32>,
        y: ViewMut<'_, f32>,
        scratch: &mut [u8],
    ) {
        conv_pool::run(op, x, y, scratch);
    }
    fn upsample_conv2d_scratch(op: &ops::UpsampleConv2dGeometry) -> usize {
        upsample::scratch(op)
    }
    fn upsample_conv2d(
        op: &ops::UpsampleConv2d<'_, f32>,
        x: View<'_, f32>,
        y: ViewMut<'_, f32>,
        scratch: &mut [u8],
    ) {
        upsample::run(op, x, y, scratch);
    }
    fn resize_nearest2d(op: &ops::ResizeNearest2d, x: View<'_, f32>, y: ViewMut<'_, f32>) {
        resize2d::nearest(op, x, y);
    }
    fn unary(op: &ops::elementwise::FloatUnary, y: &mut [f32]) {
        activation::unary(op, y);
    }
    fn binary(op: &ops::Binary<f32>, a: &[f32], b: &[f32], y: &mut [f32]) {
        elementwise::binary(op, a, b, y);
    }
    fn binary_in_place(op: &ops::Binary<f32>, own: Own, other: &[f32], y: &mut [f32]) {
        ops::elementwise::binary_in_blocks::<f32, Self>(op, own, other, y);
    }
    fn softmax(op: &ops::Softmax<'_, f32>, y: &mut [f32]) {
        softmax::run(op, y);
    }
}
