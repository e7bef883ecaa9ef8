//! Counts the instructions of each blob of a pack, and its stack; prints a checksum of its outputs.
//!
//! The pack is what `cargo xtask cycles` embeds: blobs one after the other, all run by one
//! copy of the operators. `measure_start` and `measure_stop` bracket blob `i` as region
//! `i`. Lines of numbers go to `cargo xtask cycles`.

#![cfg_attr(target_os = "none", no_std, no_main)]
#![deny(unsafe_code)]

use firmware_demo::{board, measure, say};
use microconv::model::embed::Aligned;
use microconv::model::format::{CRC, Header};
use microconv::{Arena, Model, Session};
use static_cell::StaticCell;

static PACK: Aligned<[u8; include_bytes!(env!("MICROCONV_PACK_FILE")).len()]> =
    Aligned(*include_bytes!(env!("MICROCONV_PACK_FILE")));

/// Room for the largest layer of the list.
static ARENA: StaticCell<Arena<{ 96 * 1024 }>> = StaticCell::new();

firmware_demo::entry!(run);

fn run() -> Result<(), &'static str> {
    let arena = ARENA.init_with(Arena::new).bytes();
    let mut results = [(0, 0); measure::MAX_EVENTS / 2];
    let counts = measure::Counts::begin();
    let (mut rest, mut count) = (&PACK.0[..], 0);
    while !rest.is_empty() {
        let (blob, others) = first(rest).ok_or("the pack is cut short")?;
        let result = results.get_mut(count).ok_or("the pack holds too many blobs")?;
        *result = measured(blob, arena, count as u32)?;
        (rest, count) = (others, count + 1);
    }
    if let Some(memory) = board::memory() {
        say!("memory {} {} {}", memory.code, memory.constants, memory.variables);
    }
    for (index, (stack, checksum)) in results[..count].iter().enumerate() {
        say!("checksum {index} {checksum}");
        // An estimator models no timer: then the markers are all that is wanted.
        let Some(counts) = &counts else { continue };
        let region = counts.region(index as u32).ok_or("a blob was not counted")?;
        say!("layer {index} {region} {stack}");
    }
    Ok(())
}

/// The first blob of a pack and what follows it.
fn first(pack: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = core::mem::offset_of!(Header, bytes);
    let length = pack.get(at..at + 4)?.try_into().ok()?;
    pack.split_at_checked(u32::from_le_bytes(length) as usize)
}

/// Runs a blob inside region `id`, then once more for its stack; returns that and the
/// CRC-32 of all its outputs.
#[inline(never)]
fn measured(blob: &[u8], arena: &mut [u8], id: u32) -> Result<(usize, u32), &'static str> {
    let model = Model::from_bytes(blob).map_err(|_| "the pack holds a bad blob")?;
    let mut session = Session::new(model, arena).map_err(|_| "the arena is too small")?;
    fill(&mut session);
    measure::measure_start(id);
    session.run();
    measure::measure_stop(id);
    fill(&mut session);
    board::clear_stack_mark();
    session.run();
    let stack = board::stack_mark().unwrap_or_default();
    let mut digest = CRC.digest();
    for output in 0..session.model().outputs() {
        digest.update(session.output_bytes(output));
    }
    Ok((stack, digest.finalize()))
}

/// Bytes of period 251, a prime, so that no shift of the input looks like it.
fn fill(session: &mut Session<'_, '_>) {
    for input in 0..session.model().inputs() {
        for (at, byte) in session.input_bytes(input).iter_mut().enumerate() {
            *byte = (at % 251) as u8;
        }
    }
}
