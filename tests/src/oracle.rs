//! What is the right answer? Nested loops in wide arithmetic: sums in `f64`, which is
//! exact for int8, or in `i64`.
//!
//! Nothing here is taken from the kernels: padding, rounding and strides are
//! worked out again from TensorFlow's definitions.

pub mod activation;
pub mod arrange;
pub mod conv;
pub mod elementwise;
pub mod pool;
pub mod quant;
pub mod reduce;
pub mod resize;

/// Extents of a map: batch, rows, columns, channels.
pub type Nhwc = [usize; 4];

/// Element `[n, y, x, c]` of a map.
pub fn at([_, h, w, c]: Nhwc, [n, y, x, ch]: [usize; 4]) -> usize {
    ((n * h + y) * w + x) * c + ch
}

/// Every index of a tensor of this shape, in row-major order.
pub fn indices(shape: &[usize]) -> Vec<Vec<usize>> {
    let mut result = vec![Vec::new()];
    for &extent in shape {
        let extend = |index: &Vec<usize>| {
            let index = index.clone();
            (0..extent).map(move |i| [index.as_slice(), &[i]].concat())
        };
        result = result.iter().flat_map(extend).collect();
    }
    result
}

/// Place of an index in memory.
pub fn place(shape: &[usize], index: &[usize]) -> usize {
    shape.iter().zip(index).fold(0, |at, (&extent, &i)| at * extent + i)
}

/// Output extent and padding before, of TensorFlow's SAME: `ceil(input / stride)`
/// outputs, the smaller half of the missing cells in front.
pub fn same(input: usize, kernel: usize, stride: usize, dilation: usize) -> (usize, usize) {
    let output = input.div_ceil(stride);
    let covered = (output - 1) * stride + (kernel - 1) * dilation + 1;
    (output, if covered > input { (covered - input) / 2 } else { 0 })
}

/// Output extent of VALID, if a window fits.
pub fn valid(input: usize, kernel: usize, stride: usize, dilation: usize) -> Option<usize> {
    let covered = (kernel - 1) * dilation + 1;
    (covered <= input).then(|| (input - covered) / stride + 1)
}
