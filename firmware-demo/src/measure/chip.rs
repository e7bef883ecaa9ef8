//! From readings of SysTick to counts of instructions.

use core::sync::atomic::Ordering;

use super::asm::{self, AFTER, BEFORE, GROUP, READINGS, RECORD};

/// What [`Counts::region`] counts.
pub const UNIT: &str = "instructions";

const STOP: u32 = 1 << 31;
const TIMER_MASK: u32 = 0x00ff_ffff;

/// Quarters of an instruction per tick of SysTick under QEMU's `-icount shift=0`:
/// a fact of the board.
const QUARTERS: u64 = match u64::from_str_radix(env!("MICROCONV_QUARTERS_PER_TICK"), 10) {
    Ok(quarters) => quarters,
    Err(_) => panic!("MICROCONV_QUARTERS_PER_TICK is not a number"),
};

/// Instructions until SysTick starts over.
const PERIOD: u64 = QUARTERS * (TIMER_MASK as u64 + 1) / 4;

/// The region in which the counter checks itself.
const CHECK: u32 = super::WHOLE + 1;

/// The recorded regions.
#[derive(Debug)]
pub struct Counts(());

impl Counts {
    /// Starts the timer, checks it against a loop of known length, and forgets
    /// what was recorded. `None` where the timer does not count instructions:
    /// on real hardware, or in an emulator without `-icount shift=0`.
    pub fn begin() -> Option<Self> {
        asm::start_timer();
        let counts = Self(());
        for rounds in [1, 2, 19, 1000] {
            counts.reset();
            asm::known_region(CHECK, rounds);
            if counts.region(CHECK) != Some(u64::from(3 + 2 * rounds)) {
                return None;
            }
        }
        counts.reset();
        Some(counts)
    }

    /// Forgets what was recorded.
    pub fn reset(&self) {
        RECORD.calls.store(0, Ordering::Relaxed);
    }

    /// Instructions between the first start and the first stop of region `id`,
    /// without those of the markers themselves.
    pub fn region(&self, id: u32) -> Option<u64> {
        let calls = RECORD.calls.load(Ordering::Relaxed) as usize;
        let events = RECORD.events.get(..calls)?;
        let find = |word| events.iter().position(|event| event[0].load(Ordering::Relaxed) == word);
        let (start, stop) = (find(id)?, find(id | STOP)?);
        let elapsed = (time(stop)? + PERIOD - time(start)?) % PERIOD;
        let inner = stop.checked_sub(start)? as u64;
        elapsed.checked_sub(inner * (BEFORE + AFTER))
    }
}

/// The instruction, modulo [`PERIOD`], at which event `index` first read the timer.
fn time(index: usize) -> Option<u64> {
    let event = RECORD.events.get(index)?;
    let reading = |at: usize| event[1 + at].load(Ordering::Relaxed);
    // Two ticks begin during the readings, and at most one of them between two
    // groups, where the readings are two instructions apart.
    let edge = (1..READINGS).find(|&at| at % GROUP != 0 && reading(at) != reading(at - 1))?;
    let ticks = u64::from(reading(edge).wrapping_neg() & TIMER_MASK);
    let distance = (edge + edge / GROUP) as u64;
    // A tick that begins within an instruction is seen by the next one.
    Some(((ticks * QUARTERS).div_ceil(4) + PERIOD - distance) % PERIOD)
}
