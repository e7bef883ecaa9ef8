//! What the fuzzers and the ordinary tests do with bytes of unknown origin.

pub mod seeds;

use host_train::export::{Options, Target, export};
use host_train::import::tflite;
use host_train::optimize::Passes;
use host_train::runner::AlignedBytes;
use microconv::backend::{Backend, CortexM, Scalar, Wide};
use microconv::model::format::{CRC, Header};
use microconv::{Model, Session};

/// Largest arena that is run in, bytes: it bounds memory and time.
pub const MAX_ARENA: usize = 1 << 13;

/// Describes and imports a TensorFlow Lite model; what is accepted is exported, loaded and run.
///
/// # Panics
/// When a graph that was accepted is not well formed, or a blob that was written is refused.
pub fn import_tflite(bytes: &[u8]) {
    let described = tflite::describe(bytes);
    let Ok(graph) = tflite::read(bytes) else { return };
    // A damaged option that only people would read is no obstacle to the import.
    if let Ok(description) = described {
        assert!(description.problems.is_empty(), "imported in spite of {:?}", description.problems);
    }
    graph.validate().expect("an imported graph is well formed");
    for (target, optimize) in [(Target::Portable, false), (Target::CortexM, true)] {
        // A graph may be beyond what a blob can say.
        if let Ok(exported) =
            export(&graph, Options { target, passes: Passes::all_if(optimize), strip: false })
        {
            load_and_run(&exported.blob).expect("a blob that was written is read");
        }
    }
}

/// Loads a blob as it is, and with its size and checksum put right; what loads is run.
pub fn load_blob(bytes: &[u8]) {
    let _ = load_and_run(bytes);
    let _ = load_and_run(&sealed(bytes));
}

/// A blob with the size and checksum that its bytes have.
pub fn sealed(bytes: &[u8]) -> Vec<u8> {
    let mut blob = bytes.to_vec();
    if blob.len() < Header::SIZE + 4 {
        return blob;
    }
    blob.truncate(blob.len() / 16 * 16);
    let size = std::mem::offset_of!(Header, bytes);
    let length = blob.len() as u32;
    blob[size..size + 4].copy_from_slice(&length.to_le_bytes());
    let end = blob.len() - 4;
    let checksum = CRC.checksum(&blob[..end]);
    blob[end..].copy_from_slice(&checksum.to_le_bytes());
    blob
}

/// Loads a blob and, where its arena is small, runs it on every backend.
///
/// # Errors
/// What the loader says.
pub fn load_and_run(bytes: &[u8]) -> Result<(), microconv::FormatError> {
    let aligned = AlignedBytes::copy_of(bytes);
    let model = Model::from_bytes(aligned.as_slice())?;
    if model.arena_bytes() <= MAX_ARENA {
        run::<Scalar>(model);
        run::<Wide>(model);
        run::<CortexM>(model);
    }
    Ok(())
}

fn run<B: Backend>(model: Model<'_>) {
    let mut arena = AlignedBytes::zeros(model.arena_bytes());
    arena.as_mut_slice().iter_mut().zip((0..=250u8).cycle()).for_each(|(byte, i)| *byte = i);
    if let Ok(mut session) = Session::<B>::with_backend(model, arena.as_mut_slice()) {
        session.run();
    }
}
