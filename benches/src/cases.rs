//! The layers, operator by operator.

use microconv::backend::Kernels;
use microconv::ops::arrange::AXES;
use microconv::ops::{
    AveragePool2d, BedOfNails2d, Binary, Broadcast, Conv2dGeometry, ConvPool2d, DenseGeometry,
    MaxPool2d, MaxPool2dWithIndices, Pool2dGeometry, Resize2dGeometry, ResizeNearest2d,
    TransposedConv2dGeometry, UpsampleConv2d,
};
use microconv::window::Window;
use microconv::{Backend, Padding, Shape, ShapeError, View, ViewMut, Window2d};

use crate::{Job, Sample, Visit, Work};

/// A job of two closures' worth: `scratch` and `run` of an operator over views.
macro_rules! job {
    ($name:ident, $op:ty, $scratch:ident) => {
        struct $name<'a, E: Sample> {
            op: $op,
            x: Vec<E>,
            input: Shape,
            output: Shape,
        }

        impl<E: Sample> Job<E> for $name<'_, E> {
            fn outputs(&self) -> usize {
                self.output.count()
            }
            fn scratch<B: Backend + Kernels<E>>(&self) -> usize {
                <B as Kernels<E>>::$scratch(self.op.geometry())
            }
            fn run<B: Backend + Kernels<E>>(&self, y: &mut [E], scratch: &mut [u8]) {
                let (x, y) = (View::new(self.input, &self.x), ViewMut::new(self.output, y));
                let done = x.and_then(|x| self.op.run_on::<B>(x, y?, scratch));
                debug_assert!(done.is_ok());
            }
        }
    };
}

job!(Convolution, microconv::ops::Conv2d<'a, E>, conv2d_scratch);
job!(Depthwise, microconv::ops::DepthwiseConv2d<'a, E>, depthwise_conv2d_scratch);
job!(Transposed, microconv::ops::TransposedConv2d<'a, E>, transposed_conv2d_scratch);
job!(Pooled, ConvPool2d<'a, E>, conv_pool2d_scratch);
job!(Upsampled, UpsampleConv2d<'a, E>, upsample_conv2d_scratch);

/// A job without scratch or weights: `run` is a closure over a backend, in effect.
struct Plain<E, O> {
    op: O,
    x: Vec<E>,
    input: Shape,
    output: Shape,
}

macro_rules! plain {
    ($op:ty, |$job:ident, $x:ident, $y:ident| $run:expr) => {
        impl<E: Sample> Job<E> for Plain<E, $op> {
            fn outputs(&self) -> usize {
                self.output.count()
            }
            fn scratch<B: Backend + Kernels<E>>(&self) -> usize {
                0
            }
            fn run<B: Backend + Kernels<E>>(&self, y: &mut [E], _: &mut [u8]) {
                let $job = self;
                let (x, y) = (View::new(self.input, &self.x), ViewMut::new(self.output, y));
                let done: Result<(), ShapeError> = x.and_then(|$x| {
                    let $y = y?;
                    $run
                });
                debug_assert!(done.is_ok());
            }
        }
    };
}

plain!(MaxPool2d<E>, |job, x, y| job.op.run_on::<B>(x, y));
plain!(AveragePool2d<E>, |job, x, y| job.op.run_on::<B>(x, y));
plain!(ResizeNearest2d, |job, x, y| job.op.run_on::<B, E>(x, y));
plain!(BedOfNails2d<E>, |job, x, y| job.op.run_on::<B>(x, y));
plain!(Binary<E>, |job, x, y| job.op.run_on::<B>(x.data(), x.data(), y.into_data()));

/// A max-pool that remembers, and its indices.
struct Remembered<E>(Plain<E, MaxPool2dWithIndices>);

impl<E: Sample> Job<E> for Remembered<E> {
    fn outputs(&self) -> usize {
        self.0.output.count()
    }
    fn scratch<B: Backend + Kernels<E>>(&self) -> usize {
        self.0.output.count()
    }
    fn run<B: Backend + Kernels<E>>(&self, y: &mut [E], scratch: &mut [u8]) {
        let (x, y) = (View::new(self.0.input, &self.0.x), ViewMut::new(self.0.output, y));
        let indices = &mut scratch[..self.0.output.count()];
        let done = x.and_then(|x| self.0.op.run_on::<B, E, u8>(x, y?, indices));
        debug_assert!(done.is_ok());
    }
}

struct Fully<'a, E: Sample> {
    op: microconv::ops::Dense<'a, E>,
    x: Vec<E>,
}

impl<E: Sample> Job<E> for Fully<'_, E> {
    fn outputs(&self) -> usize {
        self.op.geometry().batch * self.op.geometry().units
    }
    fn scratch<B: Backend + Kernels<E>>(&self) -> usize {
        <B as Kernels<E>>::dense_scratch(self.op.geometry())
    }
    fn run<B: Backend + Kernels<E>>(&self, y: &mut [E], scratch: &mut [u8]) {
        let done = self.op.run_on::<B>(&self.x, y, scratch);
        debug_assert!(done.is_ok());
    }
}

/// `[rows, columns, input channels, output channels]`, kernel and stride.
type Extents = ([usize; 4], usize, usize);

fn name([h, w, c, o]: [usize; 4], kernel: usize, stride: usize) -> String {
    let stride = if stride == 1 { String::new() } else { format!("s{stride}") };
    format!("{h}x{w}x{c}-{o} {kernel}x{kernel}{stride}")
}

fn window(h: usize, w: usize, kernel: usize, stride: usize) -> Result<Window, ShapeError> {
    Window2d::new(kernel, kernel).stride(stride, stride).padding(Padding::Same).over(h, w)
}

/// Ordinary convolutions, SAME padding but for the notes' image.
const CONVOLUTIONS: [Extents; 12] = [
    ([28, 28, 1, 16], 3, 1),
    ([14, 14, 16, 4], 3, 1),
    ([28, 28, 4, 1], 3, 1),
    ([28, 28, 16, 1], 3, 1),
    ([32, 32, 3, 16], 3, 1),
    ([96, 96, 3, 8], 3, 2),
    ([32, 32, 16, 16], 3, 1),
    ([16, 16, 32, 32], 3, 1),
    ([8, 8, 64, 64], 3, 1),
    ([56, 56, 64, 64], 3, 1),
    ([25, 5, 64, 64], 1, 1),
    ([1080, 1920, 3, 16], 5, 5),
];

/// Convolutions.
///
/// # Errors
/// None: the shapes fit; so below.
pub fn conv2d<E: Sample>(visit: &mut impl Visit) -> Result<(), ShapeError> {
    for ([h, w, c, o], kernel, stride) in CONVOLUTIONS {
        let g = Conv2dGeometry::new(window(h, w, kernel, stride)?, 1, c, o, 1)?;
        let (weights, parts) = (E::weights(2, g.weights()), E::parts(o, o, g.depth()));
        let job = Convolution {
            op: E::conv2d(g, &weights, E::epilogue(&parts))?,
            x: E::values(1, g.input.count()),
            input: g.input,
            output: g.output,
        };
        visit.case("conv2d", &name([h, w, c, o], kernel, stride), Work::Macs(g.macs()), &job);
    }
    Ok(())
}

/// Depthwise convolutions.
///
/// # Errors
/// See [`conv2d`].
pub fn depthwise_conv2d<E: Sample>(visit: &mut impl Visit) -> Result<(), ShapeError> {
    let cases: [Extents; 5] = [
        ([25, 5, 64, 64], 3, 1),
        ([112, 112, 32, 32], 3, 1),
        ([48, 48, 8, 8], 3, 1),
        ([48, 48, 16, 16], 3, 2),
        ([28, 28, 1, 16], 3, 1),
    ];
    for ([h, w, c, o], kernel, stride) in cases {
        let g = Conv2dGeometry::new(window(h, w, kernel, stride)?, 1, c, o, c)?;
        let weights = E::weights(2, g.window.taps() * o);
        let parts = E::parts(o, o, g.window.taps());
        let job = Depthwise {
            op: E::depthwise(g, &weights, E::epilogue(&parts))?,
            x: E::values(1, g.input.count()),
            input: g.input,
            output: g.output,
        };
        let name = name([h, w, c, o], kernel, stride);
        visit.case("depthwise_conv2d", &name, Work::Macs(g.macs()), &job);
    }
    Ok(())
}

/// Transposed convolutions; the extents are those of the small map.
///
/// # Errors
/// See [`conv2d`].
pub fn transposed_conv2d<E: Sample>(visit: &mut impl Visit) -> Result<(), ShapeError> {
    let cases: [Extents; 6] = [
        ([14, 14, 16, 8], 3, 2),
        ([7, 7, 8, 8], 3, 2),
        ([14, 14, 8, 16], 3, 2),
        ([14, 14, 16, 4], 3, 1),
        ([28, 28, 4, 1], 3, 1),
        ([56, 56, 64, 32], 3, 2),
    ];
    for ([h, w, c, o], kernel, stride) in cases {
        let window = window(h * stride, w * stride, kernel, stride)?;
        let g = TransposedConv2dGeometry::new(window, 1, c, o)?;
        let weights = E::weights(2, g.weights());
        let parts = E::parts(g.biases(), o, (g.window.taps() * c).div_ceil(stride * stride));
        let job = Transposed {
            op: E::transposed(g, &weights, E::epilogue(&parts))?,
            x: E::values(1, g.input.count()),
            input: g.input,
            output: g.output,
        };
        let name = name([h, w, c, o], kernel, stride);
        visit.case("transposed_conv2d", &name, Work::Macs(g.macs()), &job);
    }
    Ok(())
}

/// Dense layers.
///
/// # Errors
/// See [`conv2d`].
pub fn dense<E: Sample>(visit: &mut impl Visit) -> Result<(), ShapeError> {
    for [batch, inputs, units] in
        [[1, 640, 128], [1, 128, 128], [1, 128, 8], [1, 64, 12], [16, 640, 128]]
    {
        let g = DenseGeometry::new(batch, inputs, units)?;
        let (weights, parts) = (E::weights(2, inputs * units), E::parts(units, units, inputs));
        let job = Fully {
            op: E::dense(g, &weights, E::epilogue(&parts))?,
            x: E::values(1, batch * inputs),
        };
        let name = format!("{batch}x{inputs}-{units}");
        visit.case("dense", &name, Work::Macs(g.macs()), &job);
    }
    Ok(())
}

fn bytes<E>(input: Shape, output: Shape) -> Work {
    Work::Bytes(((input.count() + output.count()) * size_of::<E>()) as u64)
}

/// Max and average pools, 2×2 with stride 2.
///
/// # Errors
/// See [`conv2d`].
pub fn pool2d<E: Sample>(visit: &mut impl Visit) -> Result<(), ShapeError> {
    let (min, max) = E::bounds();
    for [h, w, c] in [[112, 112, 64], [28, 28, 16], [14, 14, 4]] {
        let g = Pool2dGeometry::new(window(h, w, 2, 2)?, 1, c)?;
        let (input, output) = (g.input, g.output);
        let (x, work) = (E::values(1, input.count()), bytes::<E>(input, output));
        let name = format!("{h}x{w}x{c} 2x2s2");
        let job = Plain { op: MaxPool2d::new(g, min, max)?, x: x.clone(), input, output };
        visit.case("max_pool2d", &name, work, &job);
        let job = Plain { op: AveragePool2d::new(g, min, max)?, x: x.clone(), input, output };
        visit.case("average_pool2d", &name, work, &job);
        let job = Remembered(Plain { op: MaxPool2dWithIndices::new(g)?, x, input, output });
        visit.case("max_pool2d_with_indices", &name, work, &job);
    }
    Ok(())
}

/// Nearest resize and bed of nails, ×2.
///
/// # Errors
/// See [`conv2d`].
pub fn upsample2d<E: Sample>(visit: &mut impl Visit) -> Result<(), ShapeError> {
    for [h, w, c] in [[56, 56, 64], [14, 14, 4], [7, 7, 8]] {
        let input = Shape::new(1, h, w, c)?;
        let g = Resize2dGeometry::new(input, 2 * h, 2 * w, false, false)?;
        let (x, work) = (E::values(1, input.count()), bytes::<E>(input, g.output));
        let name = format!("{h}x{w}x{c} x2");
        let job = Plain { op: ResizeNearest2d::new(g), x: x.clone(), input, output: g.output };
        visit.case("resize_nearest2d", &name, work, &job);
        let op = BedOfNails2d::new(input, 2, 2, E::ZERO)?;
        visit.case("bed_of_nails2d", &name, work, &Plain { op, x, input, output: g.output });
    }
    Ok(())
}

/// Additions of two maps.
///
/// # Errors
/// See [`conv2d`].
pub fn elementwise<E: Sample>(visit: &mut impl Visit) -> Result<(), ShapeError> {
    for [h, w, c] in [[32, 32, 16], [8, 8, 64]] {
        let shape = Shape::new(1, h, w, c)?;
        let mut dims = [1; AXES];
        dims[AXES - 1] = shape.count();
        let mut strides = [0; AXES];
        strides[AXES - 1] = 1;
        let broadcast = Broadcast { dims, a: strides, b: strides };
        let op = Binary::new(broadcast, E::addition())?;
        let x = E::values(1, shape.count());
        let work = Work::Bytes((3 * shape.count() * size_of::<E>()) as u64);
        let job = Plain { op, x, input: shape, output: shape };
        visit.case("add", &format!("{h}x{w}x{c}"), work, &job);
    }
    Ok(())
}

/// Convolutions with the pool behind or the upsampling before them, as in the autoencoders.
///
/// # Errors
/// See [`conv2d`].
pub fn fused<E: Sample>(visit: &mut impl Visit) -> Result<(), ShapeError> {
    let (min, max) = E::bounds();
    for [size, c, o] in [[28, 1, 16], [32, 3, 16], [32, 16, 16]] {
        let g = Conv2dGeometry::new(window(size, size, 3, 1)?, 1, c, o, 1)?;
        let (weights, parts) = (E::weights(2, g.weights()), E::parts(o, o, g.depth()));
        let pool = Pool2dGeometry::new(window(size, size, 2, 2)?, 1, o)?;
        let convolution = E::conv2d(g, &weights, E::epilogue(&parts))?;
        let op = ConvPool2d::new(convolution, MaxPool2d::new(pool, min, max)?)?;
        let (x, input, output) = (E::values(1, g.input.count()), g.input, pool.output);
        let name = format!("{size}x{size}x{c}-{o} 3x3, 2x2s2");
        let job = Pooled { op, x, input, output };
        visit.case("conv_pool2d", &name, Work::Macs(g.macs()), &job);
    }
    for [size, c, o] in [[14, 4, 1], [14, 16, 16]] {
        let g = Conv2dGeometry::new(window(2 * size, 2 * size, 3, 1)?, 1, c, o, 1)?;
        let (weights, parts) = (E::weights(2, g.weights()), E::parts(o, o, g.depth()));
        let input = Shape::new(1, size, size, c)?;
        let convolution = E::conv2d(g, &weights, E::epilogue(&parts))?;
        let op = UpsampleConv2d::new(input, [2, 2], convolution)?;
        let job = Upsampled { op, x: E::values(1, input.count()), input, output: g.output };
        let name = format!("{size}x{size}x{c} x2, 3x3-{o}");
        visit.case("upsample_conv2d", &name, Work::Macs(g.macs()), &job);
    }
    Ok(())
}

/// Every case of an element type.
///
/// # Errors
/// See [`conv2d`].
pub fn all<E: Sample>(visit: &mut impl Visit) -> Result<(), ShapeError> {
    conv2d::<E>(visit)?;
    depthwise_conv2d::<E>(visit)?;
    transposed_conv2d::<E>(visit)?;
    dense::<E>(visit)?;
    pool2d::<E>(visit)?;
    upsample2d::<E>(visit)?;
    elementwise::<E>(visit)?;
    fused::<E>(visit)
}
