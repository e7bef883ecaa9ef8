//! Autoencoder A, whole: the int8 model that the firmware demo ships.

use microconv::backend::Kernels;
use microconv::{Backend, FormatError, Model, Session};

use crate::{Job, Visit, Work};

/// The blob, aligned as the loader wants it.
#[repr(align(16))]
struct Aligned<T: ?Sized>(T);

static BLOB: &Aligned<[u8]> = &Aligned(*include_bytes!("../../firmware-demo/model/upsample.mcv"));

/// Multiply-accumulates of model A as it is written, before any fusion.
const MACS: u64 = 254_016;

struct Whole {
    model: Model<'static>,
    image: Vec<i8>,
}

impl Job<i8> for Whole {
    fn outputs(&self) -> usize {
        self.model.output(0).count()
    }

    fn scratch<B: Backend + Kernels<i8>>(&self) -> usize {
        self.model.arena_bytes_for::<B>()
    }

    fn run<B: Backend + Kernels<i8>>(&self, y: &mut [i8], scratch: &mut [u8]) {
        let skip = scratch.as_ptr().align_offset(16);
        let session = Session::<B>::with_backend(self.model, &mut scratch[skip..]);
        let Ok(mut session) = session else {
            debug_assert!(false, "the arena is too small");
            return;
        };
        session.input_i8(0).copy_from_slice(&self.image);
        session.run();
        y.copy_from_slice(session.output_i8(0));
    }
}

/// The whole model, on a drawn ring.
///
/// # Errors
/// [`FormatError`] when the shipped blob is broken.
pub fn whole(visit: &mut impl Visit) -> Result<(), FormatError> {
    let model = Model::from_bytes(&BLOB.0)?;
    let image = (0..28 * 28i32).map(|i| {
        let (y, x) = (2 * (i / 28) - 27, 2 * (i % 28) - 27);
        if (100..400).contains(&(x * x + y * y)) { 127 } else { -128 }
    });
    let job = Whole { model, image: image.collect() };
    visit.case("autoencoder", "A, whole", Work::Macs(MACS), &job);
    Ok(())
}
