//! Windows that break kernels, tried before any other.

use super::Case;
use crate::oracle::conv::Geometry;
use crate::oracle::{same, valid};

/// Rows, columns and channels of the input, output channels per group, kernel, stride, dilation.
type Odd = ([usize; 3], usize, [usize; 2], [usize; 2], [usize; 2]);

const ODD: &[Odd] = &[
    // The smallest of all, and a kernel larger than it.
    ([1, 1, 1], 1, [1, 1], [1, 1], [1, 1]),
    ([1, 1, 3], 2, [5, 5], [1, 1], [1, 1]),
    ([2, 2, 7], 5, [3, 3], [2, 2], [1, 1]),
    // Where the far padding leaves no window that sees the map.
    ([1, 1, 8], 3, [1, 1], [1, 2], [1, 1]),
    ([3, 1, 5], 2, [3, 1], [1, 3], [1, 1]),
    // Strides beyond the kernel, and unequal ones.
    ([9, 7, 2], 3, [2, 1], [3, 4], [1, 1]),
    ([10, 15, 3], 4, [5, 5], [5, 5], [1, 1]),
    ([5, 8, 1], 13, [1, 1], [2, 3], [1, 1]),
    // One row or one column: convolution in one dimension.
    ([1, 17, 3], 4, [1, 7], [1, 2], [1, 1]),
    ([1, 9, 5], 2, [1, 3], [1, 1], [1, 3]),
    ([13, 1, 1], 1, [4, 1], [1, 1], [1, 1]),
    // Keyword spotting's 10 × 4, and padding that does not divide.
    ([12, 10, 1], 8, [10, 4], [2, 2], [1, 1]),
    ([8, 5, 11], 17, [4, 2], [3, 3], [1, 1]),
    // Dilation, so far that only one tap is inside.
    ([7, 7, 2], 3, [3, 3], [1, 1], [2, 3]),
    ([3, 3, 1], 2, [3, 3], [1, 1], [5, 5]),
    // Channels beside every tile size.
    ([4, 4, 31], 33, [1, 1], [1, 1], [1, 1]),
    ([3, 5, 37], 8, [3, 3], [1, 1], [1, 1]),
    ([4, 3, 16], 16, [3, 3], [1, 1], [1, 1]),
    ([5, 6, 64], 65, [1, 1], [1, 1], [1, 1]),
];

/// Each odd window, same, valid where it fits and far into the padding, with one or two images, alone and in
/// groups if `grouped`; without those that dilate unless `dilated`.
pub fn odd_windows(dilated: bool, grouped: bool) -> Vec<Case> {
    let mut cases = Vec::new();
    for &([h, w, c], o, kernel, stride, dilation) in ODD {
        if !dilated && dilation != [1, 1] {
            continue;
        }
        for (n, groups) in [(1, 1), (2, 1), (1, 3)] {
            let fit = |axis: usize, input: usize| {
                let (k, s, d) = (kernel[axis], stride[axis], dilation[axis]);
                // So much padding before that the first window sees nothing of the map.
                let before = (k - 1) * d + 1;
                [
                    Some(same(input, k, s, d)),
                    valid(input, k, s, d).map(|output| (output, 0)),
                    valid(input + before, k, s, d).map(|output| (output, before)),
                ]
            };
            for (rows, columns) in fit(0, h).into_iter().zip(fit(1, w)) {
                let (Some((rows, top)), Some((columns, left))) = (rows, columns) else { continue };
                if groups > 1 && !grouped {
                    continue;
                }
                for seed in 0..4 {
                    cases.push(Case {
                        input: [n, h, w, c * groups],
                        output: [n, rows, columns, o * groups],
                        geometry: Geometry { kernel, stride, dilation, pad: [top, left] },
                        groups,
                        seed,
                    });
                }
            }
        }
    }
    cases
}
