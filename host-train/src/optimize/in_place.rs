//! Operators that read and write one value at a time work in the memory of their input,
//! where nothing else reads it afterwards.

use super::Pass;

pub(crate) const PASS: Pass = Pass {
    name: "in-place",
    summary: "element-wise operators write over their input",
    rewrite: None,
};
