//! Convolution.

use super::geometry::{Form, Geometry};
use crate::backend::Wide;
use crate::ops::{self, Conv2d, Conv2dGeometry};
use crate::shape::Shape;
use crate::view::{View, ViewMut};
use crate::window::{Axis, Window};

/// The geometry for the tiles: cells of a pointwise convolution become one row.
fn geometry(g: &Conv2dGeometry) -> Geometry {
    let Window { rows, columns } = g.window;
    let (mut input, mut output, mut window) = (g.input, g.output, g.window);
    let pointwise = |axis: &Axis| axis.kernel == 1 && axis.stride == 1 && axis.is_unpadded();
    if pointwise(&rows) && pointwise(&columns) && input.h == output.h && input.w == output.w {
        let cells = input.n * input.h * input.w;
        let flat = |shape: Shape| Shape { n: 1, h: 1, w: cells, c: shape.c };
        (input, output) = (flat(input), flat(output));
        window.rows = Axis { input: 1, output: 1, ..rows };
        window.columns = Axis { input: cells, output: cells, ..columns };
    }
    Geometry { input, output, window, groups: g.groups, form: Form::Forward }
}

/// Bytes of scratch; windows of very many runs take the portable form.
pub(super) fn scratch(g: &Conv2dGeometry) -> usize {
    geometry(g).scratch().unwrap_or(0).max(ops::conv2d::scratch_bytes::<f32>(g))
}

/// See [`Conv2d`].
#[inline(never)]
pub(super) fn run(
    op: &Conv2d<'_, f32>,
    x: View<'_, f32>,
    mut y: ViewMut<'_, f32>,
    scratch: &mut [u8],
) {
    let g = geometry(&op.geometry);
    if g.run(op.weights, &op.epilogue, x.data(), y.data_mut(), scratch) {
        super::activation::apply(op.epilogue.activation, y.data_mut());
    } else {
        ops::conv2d::run::<f32, Wide>(op, x, y, scratch);
    }
}
