//! Counts the instructions of every blob of a list, and its stack; prints a checksum of its outputs.
//!
//! Each blob is embedded, so that its layer is decoded at compile time, as in firmware, and
//! runs as region `i`, which `measure_start` and `measure_stop` bracket; then it is decoded
//! at run time by one executor for all of them, as region [`RUN_TIME`]` + i`. Lines of
//! numbers go to `cargo xtask cycles`.

#![cfg_attr(target_os = "none", no_std, no_main)]
#![deny(unsafe_code)]

use core::hint::black_box;
use core::ops::DerefMut;

use firmware_demo::{board, measure, say};
use microconv::model::embed::{StaticModel, StaticSession};
use microconv::model::format::CRC;
use microconv::{Arena, Session};
use static_cell::StaticCell;

include!(concat!(env!("OUT_DIR"), "/models.rs"));

/// Room for the largest blob of the list.
static ARENA: StaticCell<Arena<{ 96 * 1024 }>> = StaticCell::new();

/// The first region of the blobs that are decoded at run time.
const RUN_TIME: u32 = 500;

firmware_demo::entry!(run);

fn run() -> Result<(), &'static str> {
    let arena = ARENA.init_with(Arena::new).bytes();
    macro_rules! measure {
        ($($index:literal $model:ident)*) => { $(measured::<$model>(arena, $index)?;)* };
    }
    models!(measure);
    if let Some(memory) = board::memory() {
        say!("memory {} {} {}", memory.code, memory.constants, memory.variables);
    }
    Ok(())
}

/// Runs a blob both ways and prints what was counted.
#[inline(never)]
fn measured<M: StaticModel>(arena: &mut [u8], id: u32) -> Result<(), &'static str> {
    const SMALL: &str = "the arena is too small";
    let counts = measure::Counts::begin();
    let mut embedded = StaticSession::<M>::new(arena).map_err(|_| SMALL)?;
    let (stack, checksum) = run_twice(&mut embedded, StaticSession::run, id);
    // For all that the compiler knows, another model.
    let mut decoded = Session::new(black_box(M::MODEL), arena).map_err(|_| SMALL)?;
    let (_, again) = run_twice(&mut &mut decoded, |session| session.run(), RUN_TIME + id);
    if again != checksum {
        return Err("an embedded blob computes something else than a decoded one");
    }
    say!("checksum {id} {checksum}");
    // An estimator models no timer: then the markers are all that is wanted.
    let Some(counts) = counts else { return Ok(()) };
    let embedded = counts.region(id).ok_or("a blob was not counted")?;
    let decoded = counts.region(RUN_TIME + id).ok_or("a blob was not counted")?;
    say!("layer {id} {embedded} {stack} {decoded}");
    Ok(())
}

/// Runs a session inside region `id`, then once more for its stack; returns that and the
/// CRC-32 of all its outputs.
#[inline(always)]
fn run_twice<'a, S>(session: &mut S, run: fn(&mut S), id: u32) -> (usize, u32)
where
    S: DerefMut<Target = Session<'static, 'a>>,
{
    fill(session);
    measure::measure_start(id);
    run(session);
    measure::measure_stop(id);
    fill(session);
    board::clear_stack_mark();
    run(session);
    let stack = board::stack_mark().unwrap_or_default();
    let mut digest = CRC.digest();
    for output in 0..session.model().outputs() {
        digest.update(session.output_bytes(output));
    }
    (stack, digest.finalize())
}

/// Bytes of period 251, a prime, so that no shift of the input looks like it.
#[inline(never)]
fn fill(session: &mut Session<'_, '_>) {
    for input in 0..session.model().inputs() {
        for (at, byte) in session.input_bytes(input).iter_mut().enumerate() {
            *byte = (at % 251) as u8;
        }
    }
}
