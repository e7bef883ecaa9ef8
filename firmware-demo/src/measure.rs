//! Executed instructions between two points, exactly, on an emulated board.
//!
//! QEMU with `-icount shift=0` lets one instruction take one nanosecond of the
//! board's time. SysTick counts that time, but one tick is 40 instructions on an
//! MPS2 board. So [`measure_start`] and [`measure_stop`] read SysTick 90 times in
//! a row, one instruction apart: where the value changes, a tick begins, and
//! `ticks × 40` minus the distance to it is the time of the first reading to the
//! instruction. Each call takes a constant number of instructions, which
//! [`Counts`] subtracts, also for the calls inside a region.
//!
//! The functions are also the markers that a cycle estimator looks for by their
//! names, so they call nothing. A region that takes more than 2^24 ticks
//! (671 million instructions on an MPS2 board) is reported modulo that. A board whose
//! `board.toml` names no `instructions-per-tick` has markers that record nothing.
//!
//! On a host the clock of the standard library is read instead, and the unit is
//! the nanosecond.

#[cfg(counts_instructions)]
mod asm;
#[cfg(counts_instructions)]
mod chip;
#[cfg(not(target_os = "none"))]
mod host;
#[cfg(all(target_os = "none", not(counts_instructions)))]
mod idle;

#[cfg(counts_instructions)]
pub use asm::{measure_start, measure_stop};
#[cfg(counts_instructions)]
pub use chip::{Counts, UNIT};
#[cfg(not(target_os = "none"))]
pub use host::{Counts, UNIT, measure_start, measure_stop};
#[cfg(all(target_os = "none", not(counts_instructions)))]
pub use idle::{Counts, UNIT, measure_start, measure_stop};

/// The region that brackets a whole inference; layers are numbered from zero.
pub const WHOLE: u32 = 1000;

/// The most calls of [`measure_start`] and [`measure_stop`] after a
/// [`Counts::begin`]: with more, nothing is reported.
pub const MAX_EVENTS: usize = 256;
