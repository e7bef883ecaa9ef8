//! microconv kernels.
#![no_std]
