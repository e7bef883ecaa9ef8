//! Golden vectors on the chip: every model of `selftest.pack` runs in one fixed
//! buffer, and each output has to have the expected bytes.
//!
//! The host packs the vectors (`cargo xtask firmware <board> --bin selftest
//! --run`) and the program reads them as a stream, so that the buffer holds one
//! blob and its arena at a time. An output that differs fails the program.

#![cfg_attr(target_os = "none", no_std, no_main)]
#![deny(unsafe_code)]

use core::fmt;

use firmware_demo::pack::{Head, MAGIC};
use firmware_demo::{board, say};
use microconv::backend::Backend as _;
use microconv::{Arena, Model, Native, Session};
use static_cell::ConstStaticCell;

/// Bytes for a blob and its arena: a fact of the board.
const BYTES: usize = match usize::from_str_radix(env!("MICROCONV_SELFTEST_BYTES"), 10) {
    Ok(bytes) => bytes,
    Err(_) => panic!("MICROCONV_SELFTEST_BYTES is not a number"),
};

static BUFFER: ConstStaticCell<Arena<BYTES>> = ConstStaticCell::new(Arena::new());

/// Bytes beyond an arena that have to be untouched after a run.
const GUARD: usize = 64;
/// What they hold.
const UNTOUCHED: u8 = 0xa5;

firmware_demo::entry!(run);

/// Why the self-test as a whole has failed.
enum Failure {
    /// There is no pack, or it is no pack.
    Missing,
    /// The pack ends early.
    Cut,
    /// A vector that cannot be run at all.
    Vector(Head, &'static str),
    /// So many vectors, of so many, gave other bytes.
    Failed(u32, u32),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str(
                "selftest.pack: no self-test pack; use `cargo xtask firmware <board> --bin selftest --run`",
            ),
            Self::Cut => f.write_str("selftest.pack: ends early"),
            Self::Vector(head, why) => write!(f, "{}: {why}", head.name()),
            Self::Failed(failed, all) => write!(f, "{failed} of {all} vectors failed"),
        }
    }
}

fn run() -> Result<(), Failure> {
    board::clear_stack_mark();
    let buffer = BUFFER.take().bytes();
    let mut pack = Pack(board::open_input("selftest.pack").map_err(|_| Failure::Missing)?);
    if pack.array::<4>()? != MAGIC {
        return Err(Failure::Missing);
    }
    let count = u32::from_le_bytes(pack.array()?);
    let mut failed = 0;
    for _ in 0..count {
        let head = Head::from_bytes(&pack.array()?);
        match vector(&mut pack, &head, buffer)? {
            None => say!("{}: pass", head.name()),
            Some(difference) => {
                failed += 1;
                say!("{}: FAIL, {difference}", head.name());
            }
        }
    }
    if let Some(stack) = board::stack_mark() {
        say!("stack {stack}");
    }
    say!("backend {}", Native::NAME);
    if failed > 0 || count == 0 {
        return Err(Failure::Failed(failed, count));
    }
    say!("{count} vectors passed on {}", board::NAME);
    Ok(())
}

/// The first difference between an output and what was expected.
enum Difference {
    /// Run, output, byte, what came, what was expected.
    Byte(u32, usize, usize, u8, u8),
    /// Run, output, value, what came, what was expected.
    Value(u32, usize, usize, f32, f32),
    /// A run wrote beyond its arena.
    Beyond(u32),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Byte(run, output, at, got, expected) => {
                write!(f, "run {run}, output {output}: byte {at} is {got} instead of {expected}")
            }
            Self::Value(run, output, at, got, expected) => {
                write!(f, "run {run}, output {output}: value {at} is {got} instead of {expected}")
            }
            Self::Beyond(run) => write!(f, "run {run} wrote beyond the arena"),
        }
    }
}

/// Reads one vector into `buffer` and runs it; every byte of it is taken from the pack.
fn vector(pack: &mut Pack, head: &Head, buffer: &mut [u8]) -> Result<Option<Difference>, Failure> {
    let refuse = |why| Failure::Vector(*head, why);
    let (blob, rest) = buffer
        .split_at_mut_checked(head.blob as usize)
        .ok_or(refuse("the blob does not fit the board's buffer"))?;
    pack.read(blob)?;
    let model = Model::from_bytes(blob).map_err(|_| refuse("the blob is refused"))?;
    if rest.len() < model.arena_bytes() {
        return Err(refuse("the arena does not fit the board's buffer"));
    }
    let (arena, beyond) = rest.split_at_mut(model.arena_bytes());
    let guard = beyond.get_mut(..GUARD).unwrap_or_default();
    guard.fill(UNTOUCHED);
    let mut session = Session::new(model, arena).map_err(|_| refuse("the arena is refused"))?;
    let inputs: usize = (0..model.inputs()).map(|i| model.input(i).bytes()).sum();
    let outputs: usize = (0..model.outputs()).map(|i| model.output(i).bytes()).sum();
    if (inputs, outputs) != (head.inputs as usize, head.outputs as usize) {
        return Err(refuse("inputs or outputs have other sizes than the model's"));
    }
    let mut first = None;
    for run in 0..head.runs {
        for i in 0..model.inputs() {
            pack.read(session.input_bytes(i))?;
        }
        session.run();
        for i in 0..model.outputs() {
            let difference = compare(pack, session.output_bytes(i), head.tolerance, (run, i))?;
            first = first.or(difference);
        }
        if guard.iter().any(|&byte| byte != UNTOUCHED) {
            first = first.or(Some(Difference::Beyond(run)));
        }
    }
    Ok(first)
}

/// Compares an output with the next bytes of the pack, all of which are taken.
fn compare(
    pack: &mut Pack,
    output: &[u8],
    tolerance: f32,
    (run, index): (u32, usize),
) -> Result<Option<Difference>, Failure> {
    let mut first = None;
    let mut chunk = [0; 256];
    for (part, got) in output.chunks(chunk.len()).enumerate() {
        let expected = &mut chunk[..got.len()];
        pack.read(expected)?;
        let at = part * 256;
        if tolerance == 0.0 {
            let differs = got.iter().zip(&*expected).position(|(a, b)| a != b);
            first = first
                .or(differs.map(|i| Difference::Byte(run, index, at + i, got[i], expected[i])));
            continue;
        }
        let floats = got.as_chunks::<4>().0.iter().zip(expected.as_chunks::<4>().0);
        for (i, (got, expected)) in floats.enumerate() {
            let (got, expected) = (f32::from_le_bytes(*got), f32::from_le_bytes(*expected));
            let bound = tolerance * expected.abs().max(1.0);
            // A NaN is within no bound, and an infinite bound is none.
            let near = bound.is_finite() && (got - expected).abs() <= bound;
            if !near && got != expected {
                first = first.or(Some(Difference::Value(run, index, at / 4 + i, got, expected)));
            }
        }
    }
    Ok(first)
}

/// The pack, read from front to back.
struct Pack(board::Input);

impl Pack {
    fn read(&mut self, bytes: &mut [u8]) -> Result<(), Failure> {
        board::read_exact(&mut self.0, bytes).map_err(|_| Failure::Cut)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Failure> {
        let mut bytes = [0; N];
        self.read(&mut bytes)?;
        Ok(bytes)
    }
}
