//! Counts the instructions of every layer of the embedded model, and its stack.
//!
//! `measure_start` and `measure_stop` bracket layer `i` as region `i` and the
//! inference as region 1000, for the counter of the board and for a cycle
//! estimator that knows the markers. Lines of numbers go to `cargo xtask cycles`.

#![cfg_attr(target_os = "none", no_std, no_main)]
#![deny(unsafe_code)]

use firmware_demo::{board, measure, say};
use microconv::Arena;
use microconv::model::{Observer, Tensors};
use static_cell::StaticCell;

microconv::include_model!(
    /// The model that `MICROCONV_MODEL` named at build time.
    Measured,
    env!("MICROCONV_MODEL_FILE")
);

static ARENA: StaticCell<Arena<{ Measured::ARENA_BYTES }>> = StaticCell::new();

firmware_demo::entry!(run);

/// Brackets each layer with the markers.
struct Markers;

impl Observer for Markers {
    fn start(&mut self, layer: usize) {
        measure::measure_start(layer as u32);
    }

    fn end(&mut self, layer: usize, _: Tensors<'_>) {
        measure::measure_stop(layer as u32);
    }
}

fn run() -> Result<(), &'static str> {
    let mut session = Measured::session(ARENA.init_with(Arena::new));
    let layers = session.model().layers();
    fill(session.input_bytes(0));
    board::clear_stack_mark();
    session.run();
    let stack = board::stack_mark().unwrap_or_default();

    fill(session.input_bytes(0));
    let counts = measure::Counts::begin();
    measure::measure_start(measure::WHOLE);
    session.run_observed(&mut Markers);
    measure::measure_stop(measure::WHOLE);

    if let Some(memory) = board::memory() {
        say!("memory {} {} {}", memory.code, memory.constants, memory.variables);
    }
    say!("stack {stack}");
    // An estimator models no timer: then the markers are all that is wanted.
    let Some(counts) = counts else { return Ok(()) };
    for layer in 0..layers {
        let count = counts.region(layer as u32).ok_or("a layer was not counted")?;
        say!("layer {layer} {count}");
    }
    say!("whole {}", counts.region(measure::WHOLE).ok_or("the inference was not counted")?);
    Ok(())
}

/// Bytes of period 251, a prime, so that no shift of the input looks like it.
fn fill(input: &mut [u8]) {
    for (at, byte) in input.iter_mut().enumerate() {
        *byte = (at % 251) as u8;
    }
}
