//! Operators that only move elements: each output index says where it comes from.

use super::{indices, place};

/// A copy of the input element that each output index names.
fn gather<T: Copy>(
    x: &[T],
    shape: &[usize],
    output: &[usize],
    from: impl Fn(&[usize]) -> Vec<usize>,
) -> Vec<T> {
    indices(output).iter().map(|index| x[place(shape, &from(index))]).collect()
}

/// `y[i] = x[perm⁻¹(i)]`: output axis `a` is input axis `perm[a]`.
pub fn transpose<T: Copy>(x: &[T], shape: &[usize], perm: &[usize]) -> Vec<T> {
    let output: Vec<usize> = perm.iter().map(|&axis| shape[axis]).collect();
    gather(x, shape, &output, |index| {
        let axis_of = |input: usize| perm.iter().position(|&p| p == input).unwrap_or(0);
        (0..shape.len()).map(|input| index[axis_of(input)]).collect()
    })
}

/// `y[i] = x[begin + i · stride]`; strides may be negative.
pub fn slice<T: Copy>(
    x: &[T],
    shape: &[usize],
    begin: &[usize],
    size: &[usize],
    strides: &[isize],
) -> Vec<T> {
    gather(x, shape, size, |index| {
        (0..shape.len())
            .map(|a| (begin[a] as isize + index[a] as isize * strides[a]) as usize)
            .collect()
    })
}

/// `y[i] = x[i mod extent]`.
pub fn tile<T: Copy>(x: &[T], shape: &[usize], multiples: &[usize]) -> Vec<T> {
    let output: Vec<usize> = shape.iter().zip(multiples).map(|(s, m)| s * m).collect();
    gather(x, shape, &output, |index| index.iter().zip(shape).map(|(i, s)| i % s).collect())
}

/// Parts one behind the other along `axis`; each is its shape and its values.
pub fn concat<T: Copy>(parts: &[(Vec<usize>, Vec<T>)], axis: usize) -> Vec<T> {
    let mut output = parts[0].0.clone();
    output[axis] = parts.iter().map(|(shape, _)| shape[axis]).sum();
    let of = |index: &Vec<usize>| {
        let mut index = index.clone();
        for (shape, values) in parts {
            if index[axis] < shape[axis] {
                return values[place(shape, &index)];
            }
            index[axis] -= shape[axis];
        }
        unreachable!("the extents of the parts add up to that of the output")
    };
    indices(&output).iter().map(of).collect()
}

/// What lies outside of a padded tensor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Border<T> {
    /// A value.
    Constant(T),
    /// TensorFlow's REFLECT: a mirror in the middle of the edge cell.
    Reflect,
    /// TensorFlow's SYMMETRIC: a mirror behind the edge cell.
    Symmetric,
}

/// `before` and `after` cells around each axis.
pub fn pad<T: Copy>(
    x: &[T],
    shape: &[usize],
    before: &[usize],
    after: &[usize],
    border: Border<T>,
) -> Vec<T> {
    let output: Vec<usize> = (0..shape.len()).map(|a| before[a] + shape[a] + after[a]).collect();
    let of = |index: &Vec<usize>| {
        let mut source = Vec::new();
        for (axis, &extent) in shape.iter().enumerate() {
            let (i, extent) = (index[axis] as isize - before[axis] as isize, extent as isize);
            let inside = (0..extent).contains(&i);
            source.push(match border {
                _ if inside => i as usize,
                Border::Constant(value) => return value,
                Border::Reflect if i < 0 => -i as usize,
                Border::Reflect => (2 * (extent - 1) - i) as usize,
                Border::Symmetric if i < 0 => (-i - 1) as usize,
                Border::Symmetric => (2 * extent - 1 - i) as usize,
            });
        }
        x[place(shape, &source)]
    };
    indices(&output).iter().map(of).collect()
}
