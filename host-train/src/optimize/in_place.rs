//! Operators that read each value for the last time just before they write in its place work
//! in the memory of an input, where nothing else reads that afterwards: functions of one
//! value, softmax, and sums, differences and products in the place of either operand. Which
//! input may be written over is the kernels' own word, and a blob that says otherwise is refused.

use super::Pass;

pub(crate) const PASS: Pass = Pass {
    name: "in-place",
    summary: "element-wise operators and softmax write over an input that nothing reads afterwards",
    rewrite: None,
};
