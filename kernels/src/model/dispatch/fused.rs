//! Fused layers.

use super::{Io, Typed, array};
use crate::backend::{Backend, Kernels};
use crate::model::layer::{DType, Layer, Linear, Op};
use crate::model::route::Route;
use crate::ops::fused::{conv_pool2d, unpool_conv2d, upsample_conv2d};
use crate::ops::{
    Conv2d, Conv2dGeometry, ConvPool2d, UnpoolConv2d, UnpoolConv2dGeometry, UpsampleConv2d,
    WindowIndex,
};

#[inline(always)]
fn convolution<'b, E: Typed>(
    blob: &'b [u8],
    geometry: &Conv2dGeometry,
    linear: &Linear,
) -> Conv2d<'b, E> {
    Conv2d {
        geometry: *geometry,
        weights: array::<E>(blob, linear.weights),
        padding: E::code(linear.zero_point),
        epilogue: E::epilogue(blob, &linear.epilogue),
    }
}

/// As everywhere, a backend that wants more scratch than was planned runs its portable form.
#[inline(always)]
pub(super) fn run<B: Backend + Kernels<E>, E: Typed>(layer: &Layer, io: Io<'_, E>) {
    match &layer.op {
        Op::ConvPool2d(g, linear, bounds) => {
            let convolution = convolution(io.blob, &g.convolution, linear);
            let op = ConvPool2d { geometry: *g, convolution, bounds: E::bounds(bounds) };
            let Some((x, y, scratch)) = io.views(g.input(), g.output()) else { return };
            if let Route::Own(variant) = layer.route {
                B::own_conv_pool2d(&op, x, y, scratch, variant);
            } else if scratch.len() >= <B as Kernels<E>>::conv_pool2d_scratch(g) {
                B::conv_pool2d(&op, x, y, scratch);
            } else {
                conv_pool2d::run::<E, B>(&op, x, y, scratch);
            }
        }
        Op::UpsampleConv2d(g, linear) => {
            let convolution = convolution(io.blob, &g.convolution, linear);
            let op = UpsampleConv2d { geometry: *g, convolution };
            let Some((x, y, scratch)) = io.views(g.input(), g.output()) else { return };
            if let Route::Own(variant) = layer.route {
                B::own_upsample_conv2d(&op, x, y, scratch, variant);
            } else if scratch.len() >= <B as Kernels<E>>::upsample_conv2d_scratch(g) {
                B::upsample_conv2d(&op, x, y, scratch);
            } else {
                upsample_conv2d::run::<E, B>(&op, x, y, scratch);
            }
        }
        Op::UnpoolConv2d(g, linear, DType::U8) => unpool::<B, E, u8>(g, linear, io),
        Op::UnpoolConv2d(g, linear, _) => unpool::<B, E, u16>(g, linear, io),
        _ => {}
    }
}

#[inline(always)]
fn unpool<B: Backend + Kernels<E>, E: Typed, I: WindowIndex>(
    g: &UnpoolConv2dGeometry,
    linear: &Linear,
    io: Io<'_, E>,
) {
    let indices = io.input::<I>(1);
    let convolution = convolution::<E>(io.blob, &g.convolution, linear);
    let op = UnpoolConv2d { geometry: *g, zero: convolution.padding, convolution };
    let Some((x, y, scratch)) = io.views(g.values(), g.output()) else { return };
    if scratch.len() >= <B as Kernels<E>>::unpool_conv2d_scratch(g) {
        B::unpool_conv2d(&op, x, indices, y, scratch);
    } else {
        unpool_conv2d::run::<E, B, I>(&op, x, indices, y, scratch);
    }
}
