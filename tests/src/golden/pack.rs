//! Vectors as the file that the self-test of the firmware reads.

use firmware_demo::pack::{Head, MAGIC, NAME_BYTES};
use host_train::export::{Options, Target, export};
use host_train::optimize::Passes;
use host_train::runner::AlignedBytes;
use microconv::Model;
use microconv::backend::Scalar;

use super::{Case, Run, session_outputs};
use crate::tolerance::MODEL_F32;

/// Vectors for a board.
#[derive(Debug)]
pub struct Pack {
    /// Bytes of a blob and its arena on the board.
    room: usize,
    vectors: u32,
    bytes: Vec<u8>,
    /// Vectors that do not fit the board.
    pub left_out: Vec<String>,
}

impl Pack {
    /// An empty pack for a board that has this many bytes for a blob and its arena.
    pub fn new(room: usize) -> Self {
        Self { room, vectors: 0, bytes: Vec::new(), left_out: Vec::new() }
    }

    /// Vectors in it.
    pub fn vectors(&self) -> u32 {
        self.vectors
    }

    /// The file.
    pub fn into_bytes(self) -> Vec<u8> {
        let mut file = MAGIC.to_vec();
        file.extend(self.vectors.to_le_bytes());
        file.extend(self.bytes);
        file
    }

    /// Adds a case as exported for `target`, and for another target than the
    /// portable one also with plain weights and nothing fused.
    ///
    /// # Errors
    /// When the case cannot be imported or exported.
    pub fn case(&mut self, case: &Case, target: Target) -> Result<(), String> {
        let mut forms = vec![(case.name.clone(), target, true)];
        if target != Target::Portable {
            forms.push((format!("{} plain", case.name), Target::Portable, false));
        }
        for (name, target, optimize) in forms {
            let graph = case.source.graph().map_err(|why| format!("{name}: {why}"))?;
            let exported =
                export(&graph, Options { target, passes: Passes::all_if(optimize), strip: true })
                    .map_err(|why| format!("{name}: {why}"))?;
            let tolerance = if case.exact { 0.0 } else { MODEL_F32 };
            self.add(&name, &exported.blob, &case.runs, tolerance)?;
        }
        Ok(())
    }

    /// Adds a blob with random inputs and what the portable kernels make of
    /// them on the host: bit for bit for int8, within the tolerance for floats.
    ///
    /// # Errors
    /// When the blob is refused.
    pub fn blob(&mut self, name: &str, blob: &[u8], runs: usize) -> Result<(), String> {
        let aligned = AlignedBytes::copy_of(blob);
        let model =
            Model::from_bytes(aligned.as_slice()).map_err(|why| format!("{name}: {why}"))?;
        let mut random = super::random::Values::new();
        let runs: Vec<Run> = (0..runs)
            .map(|_| {
                let inputs: Vec<_> =
                    (0..model.inputs()).map(|i| random.of(&model.input(i))).collect();
                let expected = session_outputs::<Scalar>(&model, &inputs)?;
                Ok(Run { inputs, expected })
            })
            .collect::<Result<_, String>>()?;
        let floats =
            (0..model.outputs()).any(|i| model.output(i).dtype == microconv::model::DType::F32);
        self.add(name, blob, &runs, if floats { MODEL_F32 } else { 0.0 })
    }

    fn add(&mut self, name: &str, blob: &[u8], runs: &[Run], tolerance: f32) -> Result<(), String> {
        let model = Model::parse(blob).map_err(|why| format!("{name}: {why}"))?;
        if blob.len() + model.arena_bytes() > self.room {
            self.left_out.push(name.to_owned());
            return Ok(());
        }
        let bytes = |arrays: &[Vec<u8>]| arrays.iter().map(Vec::len).sum::<usize>() as u32;
        let first = runs.first().ok_or_else(|| format!("{name}: there is no run"))?;
        let mut head = Head {
            name: [0; NAME_BYTES],
            blob: blob.len() as u32,
            runs: runs.len() as u32,
            inputs: bytes(&first.inputs),
            outputs: bytes(&first.expected),
            tolerance,
        };
        for (to, &from) in head.name.iter_mut().zip(name.as_bytes()) {
            *to = from;
        }
        self.bytes.extend(head.to_bytes());
        self.bytes.extend(blob);
        for run in runs {
            run.inputs.iter().chain(&run.expected).for_each(|array| self.bytes.extend(array));
        }
        self.vectors += 1;
        Ok(())
    }
}
