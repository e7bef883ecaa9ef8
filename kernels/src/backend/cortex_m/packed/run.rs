//! Packed layers run by the kernel of their packing.

use super::{
    FORMS, LANES, QUADS, QUADS_SHORT, channels, depth, lanes as lanes_of, sevens as sevens_of,
    winograd as winograd_of,
};
use crate::backend::cortex_m::epilogue::Finish;
use crate::backend::cortex_m::expand::Weights;
use crate::backend::cortex_m::linear::Input;
use crate::backend::cortex_m::plan::{Form, Phase, Plan};
use crate::backend::cortex_m::planes::{Planes, twos::serves};
use crate::backend::cortex_m::{images, lanes, quads, sevens, winograd};
use crate::backend::line::Line;
use crate::pack::{Geometry, Packed, SEVENS, WINOGRAD};
use crate::view::{View, ViewMut};

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
            if layer.packing == LANES {
                let Some(plan) = lanes_of(&layer.geometry) else { return };
                return by_image(layer, &plan, x, y, scratch);
            }
            if layer.packing == QUADS || layer.packing == QUADS_SHORT {
                return on_quads(layer, x, y, scratch);
            }
            if layer.packing == WINOGRAD {
                let Some(plan) = winograd_of(&layer.geometry) else { return };
                return by_image(layer, &plan, x, y, scratch);
            }
            if layer.packing == SEVENS {
                let Some(plan) = sevens_of(&layer.geometry) else { return };
                return by_image(layer, &plan, x, y, scratch);
            }
            let Some(&form) = FORMS.get((layer.packing as usize).wrapping_sub(1)) else { return };
            // Of an embedded model phases and plan are constants.
            match &layer.geometry {
                Geometry::Conv2d(g) => {
                    let (rows, columns) = (&g.window.rows, &g.window.columns);
                    let (rows, columns) = (Line::forward(rows), Line::forward(columns));
                    formed(layer, form, &[Phase { rows, columns, bias: 0 }], x, y, scratch);
                }
                Geometry::TransposedConv2d(g) => {
                    if let Some((list, count)) = Phase::transposed(&g.window, g.output.c) {
                        formed(layer, form, list.get(..count).unwrap_or(&[]), x, y, scratch);
                    }
                }
                Geometry::Dense(_) => {}
            }
        }

        // No closure, which a second call would keep from being inlined.
        #[inline(always)]
        fn formed(
            layer: &Packed<'_>,
            form: Form,
            phases: &[Phase],
            x: View<'_, i8>,
            y: ViewMut<'_, i8>,
            scratch: &mut [u8],
        ) {
            let Some(plan) = Plan::folded(form, phases, channels(&layer.geometry), true) else {
                return;
            };
            // What is left over is not to be filled.
            let Some(scratch) = scratch.get_mut(..plan.bytes(true)) else { return };
            let whole = layer.geometry.input().c.is_multiple_of(4);
            if let (Form::Twice, [phase]) = (form, phases)
                && serves(&plan, phase, layer.geometry.output().c)
            {
                return twos(layer, &plan, phases, x, y, scratch, whole);
            }
            match form {
                $(Form::$form => $name(layer, &plan, phases, x, y, scratch, whole),)*
            }
        }

        $(
            #[inline(never)]
            fn $name(
                layer: &Packed<'_>,
                plan: &Plan,
                phases: &[Phase],
                x: View<'_, i8>,
                y: ViewMut<'_, i8>,
                scratch: &mut [u8],
                whole: bool,
            ) {
                all::<false>(layer, Form::$form, plan, phases, x, y, scratch, whole);
            }
        )*
    };
}
forms! { Rows rows Twice twice Segments segments Columns columns Patch patch Double double }

/// [`Form::Twice`] where [`serves`] says so.
#[inline(never)]
fn twos(
    layer: &Packed<'_>,
    plan: &Plan,
    phases: &[Phase],
    x: View<'_, i8>,
    y: ViewMut<'_, i8>,
    scratch: &mut [u8],
    whole: bool,
) {
    all::<true>(layer, Form::Twice, plan, phases, x, y, scratch, whole);
}

/// `whole`: whether channels come in fours; `TWOS`: whether [`Planes::twos`] runs the form.
#[expect(clippy::too_many_arguments, reason = "what the compiler may know, one by one")]
#[inline(always)]
fn all<const TWOS: bool>(
    layer: &Packed<'_>,
    form: Form,
    plan: &Plan,
    phases: &[Phase],
    x: View<'_, i8>,
    mut y: ViewMut<'_, i8>,
    scratch: &mut [u8],
    whole: bool,
) {
    let (_, scratch, _) = bytemuck::pod_align_to_mut::<u8, i32>(scratch);
    let (input, output) = (x.shape(), y.shape());
    let planes = Planes {
        plan,
        phases,
        weights: Weights {
            data: &[],
            bias: &[],
            outputs: output.c,
            inputs: input.c,
            kernel: [0, 0],
            depthwise: false,
        },
        finish: Finish::new(&layer.epilogue, depth(&layer.geometry)),
        width: output.w,
    };
    for (image, out) in images(x, &mut y, [input, output]) {
        let input = Input { image, channels: input.c, zero_point: layer.zero_point };
        if TWOS {
            planes.twos(layer.words, &input, out, scratch, whole);
        } else {
            planes.packed(form, whole, layer.words, &input, out, scratch);
        }
    }
}

#[inline(never)]
fn on_quads(layer: &Packed<'_>, x: View<'_, i8>, mut y: ViewMut<'_, i8>, scratch: &mut [u8]) {
    let Geometry::TransposedConv2d(g) = &layer.geometry else { return };
    let Some((list, count)) = Phase::transposed(&g.window, g.output.c) else { return };
    let phases = list.get(..count).unwrap_or(&[]);
    let Some(plan) = quads::Plan::new(phases, channels(&layer.geometry)) else { return };
    let (_, scratch, _) = bytemuck::pod_align_to_mut::<u8, i32>(scratch);
    let (input, output) = (x.shape(), y.shape());
    let on_quads = quads::Layer {
        plan: &plan,
        phases,
        weights: layer.words,
        finish: Finish::new(&layer.epilogue, depth(&layer.geometry)),
        short: layer.packing == QUADS_SHORT,
        width: output.w,
    };
    for (image, out) in images(x, &mut y, [input, output]) {
        let input = Input { image, channels: input.c, zero_point: layer.zero_point };
        on_quads.run(&input, out, scratch);
    }
}

/// A plan that runs an image at a time.
trait Images {
    /// Elements of an image and of its output.
    fn image(&self) -> (usize, usize);

    fn run(
        &self,
        layer: &Packed<'_>,
        finish: &Finish<'_>,
        image: &[i8],
        out: &mut [i8],
        scratch: &mut [i32],
    );
}

macro_rules! images {
    ($($plan:ty)*) => {$(
        impl Images for $plan {
            fn image(&self) -> (usize, usize) {
                self.image()
            }

            #[inline(always)]
            fn run(
                &self,
                layer: &Packed<'_>,
                finish: &Finish<'_>,
                image: &[i8],
                out: &mut [i8],
                scratch: &mut [i32],
            ) {
                self.run(layer.words, finish, layer.zero_point, image, out, scratch);
            }
        }
    )*};
}
images! { lanes::Plan winograd::Plan sevens::Plan }

#[inline(never)]
fn by_image(
    layer: &Packed<'_>,
    plan: &impl Images,
    x: View<'_, i8>,
    mut y: ViewMut<'_, i8>,
    scratch: &mut [u8],
) {
    let (_, scratch, _) = bytemuck::pod_align_to_mut::<u8, i32>(scratch);
    let finish = Finish::new(&layer.epilogue, depth(&layer.geometry));
    let (image, out) = plan.image();
    let images = x.data().chunks_exact(image);
    for (image, out) in images.zip(y.data_mut().chunks_exact_mut(out)) {
        plan.run(layer, &finish, image, out, scratch);
    }
}
