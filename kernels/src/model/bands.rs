//! Layers cut into bands of output rows.
//!
//! A layer that slides over rows needs, for some rows of its output, only some of
//! its input. Computed band by band, its output may grow over input rows that no
//! later band reads, and the memory of kernels follows the height of a band, not of
//! the map. Each band is the same operator over fewer rows ([`Layer::band`]), so
//! every kernel serves, and results do not change.
//!
//! Rows of element-wise operators are single elements.

use crate::error::some;
use crate::model::check::packed;
use crate::model::layer::{Layer, Op, Slot, Span};
use crate::ops::fused::{ConvPool2dGeometry, UpsampleConv2dGeometry, touches};
use crate::ops::{
    Conv2dGeometry, Pool2dGeometry, Resize2dGeometry, TransposedConv2dGeometry,
    elementwise::Broadcast,
};
use crate::shape::Shape;
use crate::window::{Axis, Window};

/// Some rows of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rows {
    /// The first of them.
    pub first: usize,
    /// How many.
    pub count: usize,
}

impl Rows {
    /// One past the last.
    pub const fn end(&self) -> usize {
        self.first + self.count
    }
}

/// How the rows of a layer's output are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bands {
    /// Rows of the first band; 0 for as many as the others.
    pub head: usize,
    /// Rows of the others; 0 when the layer is not cut.
    pub rows: usize,
    /// Whether the last band is computed first.
    pub reverse: bool,
}

impl Bands {
    /// All rows at once.
    pub const WHOLE: Self = Self { head: 0, rows: 0, reverse: false };

    /// Whether there is but one band.
    pub const fn is_whole(&self) -> bool {
        self.rows == 0
    }

    const fn first(&self) -> usize {
        if self.head == 0 { self.rows } else { self.head }
    }

    /// Bands of an output of `height` rows.
    pub const fn count(&self, height: usize) -> usize {
        let first = self.first();
        if self.rows == 0 || height <= first { 1 } else { 1 + (height - first).div_ceil(self.rows) }
    }

    /// The band that is computed at step `i`, below [`Self::count`], of an output of `height` rows.
    pub const fn at(&self, i: usize, height: usize) -> Rows {
        if self.rows == 0 {
            return Rows { first: 0, count: height };
        }
        let i = if self.reverse { self.count(height) - 1 - i } else { i };
        let first = if i == 0 { 0 } else { self.first() + (i - 1) * self.rows };
        let end = self.first() + i * self.rows;
        let end = if end < height { end } else { height };
        Rows { first, count: end - first }
    }
}

/// An operator over some rows of its output, and the input rows that it reads.
type Part<T> = Option<(T, Rows)>;

const fn over(window: &Window, rows: Rows) -> Option<(Window, Rows)> {
    if !touches(&window.rows) {
        return None;
    }
    let (axis, first) = window.rows.band(rows.first, rows.count);
    Some((Window { rows: axis, columns: window.columns }, Rows { first, count: axis.input }))
}

/// `Result::ok` in a `const fn`, with the input rows beside it.
macro_rules! part {
    ($geometry:expr, $rows:expr) => {
        match $geometry {
            Ok(geometry) => Some((geometry, $rows)),
            Err(_) => None,
        }
    };
}

const fn conv2d(g: &Conv2dGeometry, rows: Rows) -> Part<Conv2dGeometry> {
    let (window, read) = some!(over(&g.window, rows));
    part!(Conv2dGeometry::new(window, 1, g.input.c, g.output.c, g.groups), read)
}

const fn pool2d(g: &Pool2dGeometry, rows: Rows) -> Part<Pool2dGeometry> {
    let (window, read) = some!(over(&g.window, rows));
    part!(Pool2dGeometry::new(window, 1, g.input.c), read)
}

/// Output row `o` gathers the inputs `i` with `o = i · stride + tap − pad`.
const fn transposed(g: &TransposedConv2dGeometry, rows: Rows) -> Part<TransposedConv2dGeometry> {
    let Axis { kernel, stride, dilation, pad, .. } = g.window.rows;
    let lowest = (rows.first + pad + 1).saturating_sub(kernel).div_ceil(stride);
    let highest = (rows.end() - 1 + pad) / stride;
    let highest = if highest < g.input.h { highest } else { g.input.h - 1 };
    let shift = rows.first + pad;
    if lowest > highest || lowest * stride > shift {
        return None;
    }
    let read = Rows { first: lowest, count: highest + 1 - lowest };
    let axis = Axis::new(rows.count, read.count, kernel, stride, dilation, shift - lowest * stride);
    let (axis, _) = some!(part!(axis, read));
    let window = Window { rows: axis, columns: g.window.columns };
    part!(TransposedConv2dGeometry::new(window, 1, g.input.c, g.output.c), read)
}

const fn conv_pool(g: &ConvPool2dGeometry, rows: Rows) -> Part<ConvPool2dGeometry> {
    let (pool, convolved) = some!(pool2d(&g.pool, rows));
    let (convolution, read) = some!(conv2d(&g.convolution, convolved));
    part!(ConvPool2dGeometry::new(convolution, pool), read)
}

/// Bands begin where a window begins with a cell of the small map.
const fn upsample_conv(g: &UpsampleConv2dGeometry, rows: Rows) -> Part<UpsampleConv2dGeometry> {
    let (window, upsampled) = some!(over(&g.convolution.window, rows));
    let factor = g.factor[0];
    let first = upsampled.first / factor;
    let end = upsampled.end().div_ceil(factor);
    if upsampled.first != first * factor {
        return None;
    }
    let read = Rows { first, count: end - first };
    let (small, _) = some!(part!(Shape::new(1, read.count, g.small.w, g.small.c), read));
    let axis = Axis { input: read.count * factor, ..window.rows };
    let window = Window { rows: axis, columns: window.columns };
    let (inputs, outputs) = (g.small.c, g.convolution.output.c);
    let convolution = Conv2dGeometry::new(window, 1, inputs, outputs, g.convolution.groups);
    let (convolution, _) = some!(part!(convolution, read));
    part!(UpsampleConv2dGeometry::new(small, g.factor, convolution), read)
}

/// By whole cells, and by a power of two: the sampling of other factors is rounded in f32.
const fn nearest(g: &Resize2dGeometry, rows: Rows) -> Part<Resize2dGeometry> {
    let factor = g.output.h / g.input.h;
    let whole = !g.align_corners && factor * g.input.h == g.output.h && factor.is_power_of_two();
    if !whole || !rows.first.is_multiple_of(factor) || !rows.count.is_multiple_of(factor) {
        return None;
    }
    let read = Rows { first: rows.first / factor, count: rows.count / factor };
    let (input, _) = some!(part!(Shape::new(1, read.count, g.input.w, g.input.c), read));
    let geometry =
        Resize2dGeometry::new(input, rows.count, g.output.w, false, g.half_pixel_centers);
    part!(geometry, read)
}

/// Operands of the shape of the output, element by element.
const fn alike(broadcast: &Broadcast) -> Option<usize> {
    let axes = broadcast.dims.len();
    let (mut axis, mut count) = (axes, 1);
    while axis > 0 {
        axis -= 1;
        let one = broadcast.dims[axis] == 1;
        if !one && (broadcast.a[axis] != count || broadcast.b[axis] != count) {
            return None;
        }
        count *= broadcast.dims[axis];
    }
    Some(count)
}

const fn elements(broadcast: &Broadcast, rows: Rows) -> Part<Broadcast> {
    some!(alike(broadcast));
    let mut part = Broadcast { dims: [1; 6], a: [0; 6], b: [0; 6] };
    (part.dims[5], part.a[5], part.b[5]) = (rows.count, 1, 1);
    Some((part, rows))
}

/// Rows of a map as bytes of it.
const fn cut(span: Span, height: usize, rows: Rows) -> Span {
    let row = span.len / height;
    Span { at: span.at + rows.first * row, len: rows.count * row }
}

impl Op {
    /// Rows of the input and of the output, where the operator slides over them; one image only.
    pub(crate) const fn heights(&self) -> Option<(usize, usize)> {
        let (input, output) = match self {
            Self::Conv2d(g, _) | Self::DepthwiseConv2d(g, _) => (g.input, g.output),
            Self::TransposedConv2d(g, _) => (g.input, g.output),
            Self::ConvPool2d(g, ..) => (g.input(), g.output()),
            Self::UpsampleConv2d(g, _) => (g.input(), g.output()),
            Self::MaxPool2d(g, _) | Self::AveragePool2d(g, _) => (g.input, g.output),
            Self::ResizeNearest2d(g) => (g.input, g.output),
            Self::BinaryI8(broadcast, _) | Self::BinaryF32(broadcast, _) => {
                let count = some!(alike(broadcast));
                return Some((count, count));
            }
            _ => return None,
        };
        if input.n == 1 { Some((input.h, output.h)) } else { None }
    }

    /// Extents and padding of its rows: what [`Self::part`] changes.
    pub(crate) const fn rows(&self) -> [usize; 6] {
        let (first, second) = match self {
            Self::Conv2d(g, _) | Self::DepthwiseConv2d(g, _) => (g.window.rows, None),
            Self::TransposedConv2d(g, _) => (g.window.rows, None),
            Self::ConvPool2d(g, ..) => (g.convolution.window.rows, Some(g.pool.window.rows)),
            Self::UpsampleConv2d(g, _) => (g.convolution.window.rows, None),
            Self::MaxPool2d(g, _) | Self::AveragePool2d(g, _) => (g.window.rows, None),
            Self::ResizeNearest2d(g) => return [g.input.h, g.output.h, 0, 0, 0, 0],
            Self::BinaryI8(broadcast, _) | Self::BinaryF32(broadcast, _) => {
                return [broadcast.dims[5], 0, 0, 0, 0, 0];
            }
            _ => return [0; 6],
        };
        let [a, b, c] = [first.input, first.output, first.pad];
        match second {
            Some(Axis { input, output, pad, .. }) => [a, b, c, input, output, pad],
            None => [a, b, c, 0, 0, 0],
        }
    }

    /// The operator for `rows` of its output, and the rows of its input that they read.
    pub(crate) const fn part(&self, rows: Rows) -> Part<Self> {
        Some(match self {
            Self::Conv2d(g, linear) => {
                let (g, read) = some!(conv2d(g, rows));
                (Self::Conv2d(g, *linear), read)
            }
            Self::DepthwiseConv2d(g, linear) => {
                let (g, read) = some!(conv2d(g, rows));
                (Self::DepthwiseConv2d(g, *linear), read)
            }
            Self::TransposedConv2d(g, linear) => {
                let (g, read) = some!(transposed(g, rows));
                (Self::TransposedConv2d(g, *linear), read)
            }
            Self::ConvPool2d(g, linear, bounds) => {
                let (g, read) = some!(conv_pool(g, rows));
                (Self::ConvPool2d(g, *linear, *bounds), read)
            }
            Self::UpsampleConv2d(g, linear) => {
                let (g, read) = some!(upsample_conv(g, rows));
                (Self::UpsampleConv2d(g, *linear), read)
            }
            Self::MaxPool2d(g, bounds) => {
                let (g, read) = some!(pool2d(g, rows));
                (Self::MaxPool2d(g, *bounds), read)
            }
            Self::AveragePool2d(g, bounds) => {
                let (g, read) = some!(pool2d(g, rows));
                (Self::AveragePool2d(g, *bounds), read)
            }
            Self::ResizeNearest2d(g) => {
                let (g, read) = some!(nearest(g, rows));
                (Self::ResizeNearest2d(g), read)
            }
            Self::BinaryI8(broadcast, how) => {
                let (part, read) = some!(elements(broadcast, rows));
                (Self::BinaryI8(part, *how), read)
            }
            Self::BinaryF32(broadcast, how) => {
                let (part, read) = some!(elements(broadcast, rows));
                (Self::BinaryF32(part, *how), read)
            }
            _ => return None,
        })
    }
}

impl Layer {
    /// The layer for `rows` of its output alone: same memory, fewer rows. The second part of
    /// the result are the rows of the inputs that it reads. `None` where the operator cannot be
    /// cut there.
    pub(crate) const fn band(&self, rows: Rows) -> Option<(Self, Rows)> {
        let (input, output) = some!(self.op.heights());
        if rows.count == 0 || rows.first >= output || rows.count > output - rows.first {
            return None;
        }
        let (op, read) = some!(self.op.part(rows));
        if let Some((whole, linear)) = packed(&self.op)
            && let Some((band, _)) = packed(&op)
            && !whole.same_words(&band, linear.packing)
        {
            return None;
        }
        let mut layer = *self;
        layer.op = op;
        layer.outputs[0] = cut(self.outputs[0], output, rows);
        let mut i = 0;
        while i < self.inputs.len() {
            let Slot { constant, span } = self.inputs[i];
            // Element by element, an operand has as many elements as there are outputs; a broadcast
            // alone would also do with a part of a larger tensor.
            let alike = matches!(self.op, Op::BinaryI8(..) | Op::BinaryF32(..));
            if alike && span.len != self.outputs[0].len {
                return None;
            }
            if span.len != 0 {
                layer.inputs[i] = Slot { constant, span: cut(span, input, read) };
            }
            i += 1;
        }
        Some((layer, read))
    }
}
