//! Layers whose weights the host has brought into order.

use super::epilogue::Finish;
use super::expand::Weights;
use super::images;
use super::linear::Input;
use super::plan::{Form, PHASES, Phase, Plan};
use super::planes::Planes;
use super::stream;
use crate::backend::line::Line;
use crate::epilogue::Requantize;
use crate::pack::{Geometry, Packed};
use crate::view::{View, ViewMut};

/// Forms by their number, from 1 on.
const FORMS: [Form; crate::pack::LAST as usize] =
    [Form::Rows, Form::Twice, Form::Segments, Form::Columns, Form::Patch, Form::Double];

/// The phases of a layer; `None` for groups, single taps and too many phases.
#[inline(always)]
const fn phases(geometry: &Geometry) -> Option<([Phase; PHASES], usize)> {
    match geometry {
        Geometry::Conv2d(g) => {
            if g.groups != 1 || g.window.taps() == 1 {
                return None;
            }
            let rows = Line::forward(&g.window.rows);
            let columns = Line::forward(&g.window.columns);
            Some(([Phase { rows, columns, bias: 0 }; PHASES], 1))
        }
        Geometry::TransposedConv2d(g) => Phase::transposed(&g.window, g.output.c),
    }
}

const fn channels(geometry: &Geometry) -> [usize; 2] {
    [geometry.input().c, geometry.output().c]
}

/// The plan of a packing.
pub(crate) const fn plan(geometry: &Geometry, packing: u32) -> Option<Plan> {
    if packing == 0 || packing > crate::pack::LAST {
        return None;
    }
    let Some((list, count)) = phases(geometry) else { return None };
    let (phases, _) = list.split_at(count);
    Plan::of(FORMS[packing as usize - 1], phases, channels(geometry), true)
}

/// Everything that follows from the shapes.
struct Prepared {
    plan: Plan,
    list: [Phase; PHASES],
    count: usize,
    depth: usize,
}

/// Of an embedded model all of it is constants.
#[inline(always)]
fn prepare(geometry: &Geometry, form: Form) -> Option<Prepared> {
    let (list, count) = phases(geometry)?;
    let plan = Plan::folded(form, list.get(..count)?, channels(geometry), true)?;
    Some(Prepared { plan, list, count, depth: depth(geometry) })
}

/// Words of weights of a plan.
pub(crate) const fn words(plan: &Plan) -> usize {
    plan.groups * plan.group
}

/// Bytes of scratch of a plan.
pub(crate) const fn scratch(plan: &Plan) -> usize {
    plan.bytes(true)
}

/// See [`Geometry::choose`].
pub(crate) fn choose(geometry: &Geometry, epilogue: &Requantize<'_>) -> Option<u32> {
    let (list, count) = phases(geometry)?;
    let plan = Plan::new(list.get(..count)?, channels(geometry), true)?;
    let form = FORMS.iter().position(|&form| form == plan.form)?;
    Finish::new(epilogue, depth(geometry)).short.then_some(form as u32 + 1)
}

/// Products of a sum, at most.
const fn depth(geometry: &Geometry) -> usize {
    match geometry {
        Geometry::Conv2d(g) => g.depth(),
        Geometry::TransposedConv2d(g) => g.window.taps() * g.input.c,
    }
}

fn weights<'a>(geometry: &Geometry, data: &'a [i8]) -> Weights<'a> {
    let window = match geometry {
        Geometry::Conv2d(g) => &g.window,
        Geometry::TransposedConv2d(g) => &g.window,
    };
    let [inputs, outputs] = channels(geometry);
    let kernel = [window.rows.kernel, window.columns.kernel];
    Weights { data, bias: &[], outputs, inputs, kernel, depthwise: false }
}

/// See [`Geometry::pack`]; lengths are right.
pub(crate) fn pack(
    geometry: &Geometry,
    packing: u32,
    data: &[i8],
    epilogue: &Requantize<'_>,
    out: &mut [i32],
) {
    let (Some(plan), Some((list, count))) = (plan(geometry, packing), phases(geometry)) else {
        return;
    };
    let finish = Finish::new(epilogue, depth(geometry));
    let weights = weights(geometry, data);
    for (group, words) in out.chunks_exact_mut(plan.group).enumerate() {
        stream::group(&weights, &finish, &plan, &list[..count], 2 * group, words);
    }
}

/// A function per form, so that one which a program does not use is not linked.
macro_rules! forms {
    ($($form:ident $name:ident)*) => {
        /// See [`Packed::run`]; shapes and scratch are right.
        #[inline(always)]
        pub(crate) fn run(
            layer: &Packed<'_>,
            x: View<'_, i8>,
            y: ViewMut<'_, i8>,
            scratch: &mut [u8],
        ) {
            let Some(&form) = FORMS.get((layer.packing as usize).wrapping_sub(1)) else { return };
            let Some(prepared) = prepare(&layer.geometry, form) else { return };
            match form {
                $(Form::$form => $name(layer, &prepared, x, y, scratch),)*
            }
        }

        $(
            #[inline(never)]
            fn $name(
                layer: &Packed<'_>,
                prepared: &Prepared,
                x: View<'_, i8>,
                y: ViewMut<'_, i8>,
                scratch: &mut [u8],
            ) {
                all(layer, Form::$form, prepared, x, y, scratch);
            }
        )*
    };
}
forms! { Rows rows Twice twice Segments segments Columns columns Patch patch Double double }

#[inline(always)]
fn all(
    layer: &Packed<'_>,
    form: Form,
    prepared: &Prepared,
    x: View<'_, i8>,
    mut y: ViewMut<'_, i8>,
    scratch: &mut [u8],
) {
    let (_, scratch, _) = bytemuck::pod_align_to_mut::<u8, i32>(scratch);
    let (input, output) = (x.shape(), y.shape());
    let Some(phases) = prepared.list.get(..prepared.count) else { return };
    let planes = Planes {
        plan: &prepared.plan,
        phases,
        weights: Weights {
            data: &[],
            bias: &[],
            outputs: output.c,
            inputs: input.c,
            kernel: [0, 0],
            depthwise: false,
        },
        finish: Finish::new(&layer.epilogue, prepared.depth),
        width: output.w,
    };
    for (image, out) in images(x, &mut y, [input, output]) {
        let input = Input { image, channels: input.c, zero_point: layer.zero_point };
        planes.packed(form, layer.words, &input, out, scratch);
    }
}
