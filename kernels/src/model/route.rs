//! Which kernel runs a layer, decided before it runs.
//!
//! A backend's operator looks at shapes, multipliers and scratch, and falls back to
//! portable code where its own loop does not serve. That decision is a constant function
//! of the layer, so it is made here: of an embedded model the compiler sees a single
//! kernel per layer, and links nothing of the others.

use crate::backend::{Backend, Kernels, Owner, cortex_m};
use crate::epilogue::Ending;
use crate::model::check::{packed, scratch_needed};
use crate::model::format::word;
use crate::model::layer::{DType, Epilogue, Layer, Linear, Op};
use crate::model::parse::Model;

/// How a layer finds its kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// The backend's operator looks at the layer when it runs.
    Ask,
    /// The backend's own kernel serves, in this of its variants.
    Own(u32),
}

impl Route {
    pub(crate) const fn is(self, other: Self) -> bool {
        match (self, other) {
            (Self::Ask, Self::Ask) => true,
            (Self::Own(a), Self::Own(b)) => a == b,
            _ => false,
        }
    }
}

/// The route of a checked layer on a backend of `owner`.
pub(crate) const fn route(owner: Owner, model: &Model<'_>, layer: &Layer) -> Route {
    if !matches!(owner, Owner::CortexM) || !layer.element.is(DType::I8) {
        return Route::Ask;
    }
    let scratch = layer.scratch.len;
    match &layer.op {
        Op::ConvPool2d(g, linear, _) => {
            let ending = ending(model, linear);
            if cortex_m::owns_conv_pool2d(g, &ending, scratch) {
                return Route::Own(cortex_m::conv_pool2d_variant(&ending, largest(model, linear)));
            }
        }
        Op::UpsampleConv2d(g, linear) => {
            let ending = ending(model, linear);
            if cortex_m::owns_upsample_conv2d(g, &ending, scratch) {
                return Route::Own(cortex_m::upsample_conv2d_variant(g, &ending, scratch));
            }
        }
        _ => {}
    }
    Route::Ask
}

/// [`route`] at compile time, where a look at all channels costs nothing: depthwise layers too,
/// whose operator at run time looks at them anyway.
pub(crate) const fn known_route(owner: Owner, model: &Model<'_>, layer: &Layer) -> Route {
    if let (Owner::CortexM, DType::I8, Op::DepthwiseConv2d(g, linear)) =
        (owner, layer.element, &layer.op)
        && let Some([least, _]) = cortex_m::own_depthwise_conv2d_scratch(g, &ending(model, linear))
        && layer.scratch.len >= least
    {
        return Route::Own(0);
    }
    route(owner, model, layer)
}

/// Bytes of scratch that the kernel of `B` for this layer asks for, at least and so that it is
/// fastest: more than the least where it then runs more channels together.
pub(crate) fn scratch_range<B: Backend>(model: &Model<'_>, layer: &Layer) -> [usize; 2] {
    if let (Owner::CortexM, DType::I8, Op::DepthwiseConv2d(g, linear)) =
        (B::OWNER, layer.element, &layer.op)
        && let Some(own) = cortex_m::own_depthwise_conv2d_scratch(g, &ending(model, linear))
    {
        return own;
    }
    [scratch_of::<B>(layer); 2]
}

/// Bytes of scratch with which the kernel of `B` for this layer is fastest.
pub(crate) fn scratch_wanted<B: Backend>(model: &Model<'_>, layer: &Layer) -> usize {
    let [_, wanted] = scratch_range::<B>(model, layer);
    wanted
}

/// Bytes of scratch of the operator of `B`.
fn scratch_of<B: Backend>(layer: &Layer) -> usize {
    let float = layer.element.is(DType::F32);
    match &layer.op {
        Op::Conv2d(g, _) if float => <B as Kernels<f32>>::conv2d_scratch(g),
        Op::Conv2d(g, _) => <B as Kernels<i8>>::conv2d_scratch(g),
        Op::DepthwiseConv2d(g, _) if float => <B as Kernels<f32>>::depthwise_conv2d_scratch(g),
        Op::DepthwiseConv2d(g, _) => <B as Kernels<i8>>::depthwise_conv2d_scratch(g),
        Op::TransposedConv2d(g, _) if float => <B as Kernels<f32>>::transposed_conv2d_scratch(g),
        Op::TransposedConv2d(g, _) => <B as Kernels<i8>>::transposed_conv2d_scratch(g),
        Op::ConvPool2d(g, ..) if float => <B as Kernels<f32>>::conv_pool2d_scratch(g),
        Op::ConvPool2d(g, ..) => <B as Kernels<i8>>::conv_pool2d_scratch(g),
        Op::UpsampleConv2d(g, _) if float => <B as Kernels<f32>>::upsample_conv2d_scratch(g),
        Op::UpsampleConv2d(g, _) => <B as Kernels<i8>>::upsample_conv2d_scratch(g),
        Op::UnpoolConv2d(g, ..) if float => <B as Kernels<f32>>::unpool_conv2d_scratch(g),
        Op::UnpoolConv2d(g, ..) => <B as Kernels<i8>>::unpool_conv2d_scratch(g),
        Op::Dense(g, _) if float => <B as Kernels<f32>>::dense_scratch(g),
        Op::Dense(g, _) => <B as Kernels<i8>>::dense_scratch(g),
        _ => 0,
    }
}

impl Model<'_> {
    /// Whether backend `B` has a kernel for the whole of the fused layer `index`, which runs in
    /// the scratch that the layer has.
    pub fn has_fused_kernel<B: Backend>(&self, index: usize) -> bool {
        self.decode(index).is_ok_and(|layer| !route(B::OWNER, self, &layer).is(Route::Ask))
    }

    /// Bytes of scratch with which backend `B` runs layer `index` in its fastest kernel, at
    /// least what every backend needs.
    pub fn scratch_for<B: Backend>(&self, index: usize) -> usize {
        let Ok(layer) = self.decode(index) else { return 0 };
        let needed = scratch_needed(&layer).unwrap_or(0);
        if packed(&layer.op).is_some() {
            needed
        } else {
            needed.max(scratch_wanted::<B>(self, &layer))
        }
    }
}

/// Largest magnitude of a weight.
const fn largest(model: &Model<'_>, linear: &Linear) -> u32 {
    let (mut at, mut largest) = (0, 0);
    while at < linear.weights.len {
        let magnitude = (model.bytes[linear.weights.at + at] as i8).unsigned_abs() as u32;
        if magnitude > largest {
            largest = magnitude;
        }
        at += 1;
    }
    largest
}

const fn ending(model: &Model<'_>, linear: &Linear) -> Ending {
    let mut ending = Ending::NOTHING;
    if let Epilogue::I8 { bias, shifts, min, max, table, zero_point, .. } = &linear.epilogue {
        let mut at = 0;
        while at < bias.len {
            ending = ending.bias(word(model.bytes, bias.at + at) as i32);
            at += 4;
        }
        let mut at = 0;
        while at < shifts.len {
            ending = ending.shift(word(model.bytes, shifts.at + at) as i32);
            at += 4;
        }
        ending.narrow = *min != i8::MIN || *max != i8::MAX;
        ending.lowest = *zero_point == i8::MIN as i32 && *min == i8::MIN;
        ending.table = table.is_some();
    }
    ending
}
