//! Nanoseconds between two points, on a host.

use std::{
    sync::{Mutex, PoisonError},
    time::Instant,
};

/// What [`Counts::region`] counts.
pub const UNIT: &str = "ns";

static EVENTS: Mutex<Vec<(u32, bool, Instant)>> = Mutex::new(Vec::new());

fn record(id: u32, starts: bool) {
    let mut events = EVENTS.lock().unwrap_or_else(PoisonError::into_inner);
    if events.len() < super::MAX_EVENTS {
        events.push((id, starts, Instant::now()));
    }
}

/// Enters region `id`.
#[inline(never)]
pub fn measure_start(id: u32) {
    record(id, true);
}

/// Leaves region `id`.
#[inline(never)]
pub fn measure_stop(id: u32) {
    record(id, false);
}

/// The recorded regions.
#[derive(Debug)]
pub struct Counts(());

impl Counts {
    /// Forgets what was recorded and starts recording.
    pub fn begin() -> Option<Self> {
        let counts = Self(());
        counts.reset();
        Some(counts)
    }

    /// Forgets what was recorded.
    pub fn reset(&self) {
        EVENTS.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The time between the first start and the first stop of region `id`.
    pub fn region(&self, id: u32) -> Option<u64> {
        let events = EVENTS.lock().unwrap_or_else(PoisonError::into_inner);
        let find = |starts| events.iter().find(|event| event.0 == id && event.1 == starts);
        let nanoseconds = find(false)?.2.duration_since(find(true)?.2).as_nanos();
        u64::try_from(nanoseconds).ok()
    }
}
