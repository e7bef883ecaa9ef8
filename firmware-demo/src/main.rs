//! Restores ten digits with the embedded autoencoder and scores them: image in,
//! restored image and anomaly score out.
//!
//! Output bytes go to `restored.bin`, the numbers to `numbers.txt`, both in the
//! directory where the program or its emulator runs.

#![cfg_attr(target_os = "none", no_std, no_main)]
#![deny(unsafe_code)]

use core::fmt::Write as _;

use firmware_demo::{board, measure, say};
use microconv::Arena;
use microconv::quant::Affine;
use static_cell::StaticCell;

microconv::include_model!(
    /// The model that `MICROCONV_MODEL` named at build time.
    Autoencoder,
    env!("MICROCONV_MODEL_FILE")
);

/// Side of a digit, and its pixels.
const SIDE: usize = 28;
const PIXELS: usize = SIDE * SIDE;
/// Ten digits of the MNIST test set, a byte per pixel.
static DIGITS: &[u8; 10 * PIXELS] = include_bytes!("../model/digits.bin");

static ARENA: StaticCell<Arena<{ Autoencoder::ARENA_BYTES }>> = StaticCell::new();

firmware_demo::entry!(run);

fn run() -> Result<(), &'static str> {
    board::clear_stack_mark();
    let arena = ARENA.init_with(Arena::new);
    let mut session = Autoencoder::session(arena);
    let (input, output) = (session.model().input(0), session.model().output(0));
    if input.count() != PIXELS || output.count() != PIXELS {
        return Err("the embedded model is no autoencoder of 28×28 images");
    }
    let (Ok(from), Ok(to)) =
        (Affine::new(input.scale, input.zero_point), Affine::new(output.scale, output.zero_point))
    else {
        return Err("the embedded model is not int8; quantise it");
    };
    let mut restore = |image: &[u8; PIXELS], restored: &mut [i8; PIXELS]| {
        for (code, &pixel) in session.input_i8(0).iter_mut().zip(image) {
            *code = from.quantize(f32::from(pixel) / 255.0);
        }
        measure::measure_start(measure::WHOLE);
        session.run();
        measure::measure_stop(measure::WHOLE);
        restored.copy_from_slice(session.output_i8(0));
        mean_squared_error(image, restored, to)
    };

    let counts = measure::Counts::begin();
    let mut all = [0u8; 10 * PIXELS];
    let mut restored = [0i8; PIXELS];
    let (mut digit_score, mut worst) = (0.0f32, 0u64);
    let images = DIGITS.as_chunks::<PIXELS>().0;
    for (image, bytes) in images.iter().zip(all.as_chunks_mut::<PIXELS>().0) {
        if let Some(counts) = &counts {
            counts.reset();
        }
        let score = restore(image, &mut restored);
        if let Some(count) = counts.as_ref().and_then(|counts| counts.region(measure::WHOLE)) {
            worst = worst.max(count);
        }
        digit_score += score / 10.0;
        for (byte, code) in bytes.iter_mut().zip(restored) {
            *byte = code.cast_unsigned();
        }
        draw(image, &restored, to);
        say!("anomaly score {score:.5}");
    }
    let noise_score = restore(&noise(), &mut restored);
    report(digit_score, noise_score, counts.is_some().then_some(worst), &all)
}

/// Mean squared error between an image and its restoration, both in [0, 1].
fn mean_squared_error(image: &[u8; PIXELS], restored: &[i8; PIXELS], to: Affine) -> f32 {
    let errors = image.iter().zip(restored).map(|(&pixel, &code)| {
        let error = f32::from(pixel) / 255.0 - to.dequantize(code);
        error * error
    });
    errors.sum::<f32>() / PIXELS as f32
}

/// An image that no digit looks like: bytes of a linear congruential generator.
fn noise() -> [u8; PIXELS] {
    let mut state = 1u32;
    core::array::from_fn(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    })
}

/// The original beside its restoration, every second row and column.
fn draw(image: &[u8; PIXELS], restored: &[i8; PIXELS], to: Affine) {
    const SHADES: &[u8] = b" .:-=+*#%@";
    let shade = |value: f32| {
        let index = (value * SHADES.len() as f32) as usize;
        char::from(SHADES[index.min(SHADES.len() - 1)])
    };
    for row in (0..SIDE).step_by(2) {
        let mut line = heapless::String::<{ 2 * SIDE + 4 }>::new();
        let cells = row * SIDE..(row + 1) * SIDE;
        for at in cells.clone() {
            // The line has room for both images, so `push` does not fail.
            let _ = line.push(shade(f32::from(image[at]) / 255.0));
        }
        let _ = line.push_str("    ");
        for at in cells {
            let _ = line.push(shade(to.dequantize(restored[at])));
        }
        say!("{line}");
    }
}

/// Prints the numbers and hands everything to the host.
fn report(
    digits: f32,
    noise: f32,
    worst: Option<u64>,
    restored: &[u8],
) -> Result<(), &'static str> {
    let mut text = heapless::String::<512>::new();
    let mut line = |name: &str, value: core::fmt::Arguments<'_>| {
        say!("{name} {value}");
        writeln!(text, "{name} {value}").map_err(|_| "the numbers do not fit their buffer")
    };
    line("digit-score", format_args!("{digits:.6}"))?;
    line("noise-score", format_args!("{noise:.6}"))?;
    line("arena-bytes", format_args!("{}", Autoencoder::ARENA_BYTES))?;
    if let Some(worst) = worst {
        line(measure::UNIT, format_args!("{worst}"))?;
    }
    if let Some(memory) = board::memory() {
        line("code-bytes", format_args!("{}", memory.code))?;
        line("constant-bytes", format_args!("{}", memory.constants))?;
        line("variable-bytes", format_args!("{}", memory.variables))?;
    }
    if let Some(stack) = board::stack_mark() {
        line("stack-bytes", format_args!("{stack}"))?;
    }
    board::create_output("restored.bin", restored).map_err(|_| "restored.bin cannot be written")?;
    board::create_output("numbers.txt", text.as_bytes())
        .map_err(|_| "numbers.txt cannot be written")
}
