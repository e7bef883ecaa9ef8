//! Firmware demo.
#![cfg_attr(target_os = "none", no_std, no_main)]
use firmware_demo::{board, measure, say};

firmware_demo::entry!(run);

fn run() -> Result<(), &'static str> {
    say!("board {}", board::NAME);
    say!("{:?}", board::memory());
    say!("{:?}", board::stack_mark());
    board::clear_stack_mark();
    say!("{:?}", board::stack_mark());
    let counts = measure::Counts::begin().ok_or("no counter")?;
    for n in 0..20u32 {
        measure::measure_start(measure::WHOLE);
        let mut x = 0u32;
        for k in 0..n { x = core::hint::black_box(x + k);
        }
        measure::measure_start(n);
        core::hint::black_box(x);
        measure::measure_stop(n);
        measure::measure_stop(measure::WHOLE);
        say!("{n} {:?} {:?}", counts.region(n), counts.region(1000));
        counts.reset();
    }
    board::create_output("restored.bin", b"hello").map_err(|_| "write")
}
