//! A few operators over given tensors, through the exporter, the blob and the executor.

use conformance::oracle::quant::Affine;
use host_train::export::{Cut, Options, Target, export, export_cut};
use host_train::graph::{Graph, Node, Op, Quantization, Tensor, TensorId};
use host_train::optimize::Passes;
use host_train::runner::AlignedBytes;
use microconv::backend::Backend;
use microconv::model::Bands;
use microconv::{Model, Session};

use crate::support::{CANARY, Value};

/// What the arena holds before a run.
const FILL: u8 = 0xA5;

/// A graph and the values of its inputs.
#[derive(Default)]
pub(crate) struct Network {
    graph: Graph,
    inputs: Vec<Vec<u8>>,
}

impl Network {
    fn tensor<E: Value>(&mut self, shape: &[usize], of: Affine) -> TensorId {
        let id = TensorId(self.graph.tensors.len());
        let mut tensor = Tensor::activation(format!("t{}", id.0), shape.to_vec(), E::DTYPE);
        if E::DTYPE == i8::DTYPE {
            tensor.quantization = Some(Quantization::per_tensor(of.scale, of.zero));
        }
        self.graph.tensors.push(tensor);
        id
    }

    /// An input with these values.
    pub(crate) fn input<E: Value>(&mut self, shape: &[usize], of: Affine, x: &[E]) -> TensorId {
        let id = self.tensor::<E>(shape, of);
        self.graph.inputs.push(id);
        self.inputs.push(bytemuck::cast_slice(x).to_vec());
        id
    }

    /// A constant with these values.
    pub(crate) fn constant<E: Value>(&mut self, shape: &[usize], of: Affine, x: &[E]) -> TensorId {
        let id = self.tensor::<E>(shape, of);
        self.graph.tensors[id.0].data = Some(E::data(x.to_vec()));
        id
    }

    /// An operator; its output is of type `E` and shape `shape`.
    pub(crate) fn node<E: Value>(
        &mut self,
        op: Op,
        inputs: &[TensorId],
        shape: &[usize],
        of: Affine,
    ) -> TensorId {
        let output = self.tensor::<E>(shape, of);
        let name = format!("n{}", self.graph.nodes.len());
        let (inputs, outputs) = (inputs.to_vec(), vec![output]);
        self.graph.nodes.push(Node { name, op, inputs, outputs, folded: Vec::new() });
        output
    }

    /// Runs on backend `B` and returns `output`: whole layers, then in bands of rows where they
    /// can be cut and with outputs in the place of inputs, which must not change a code.
    pub(crate) fn run<B: Backend, E: Value>(mut self, output: TensorId) -> Vec<E> {
        self.graph.outputs.push(output);
        let options = Options { target: Target::Portable, passes: Passes::NONE, strip: true };
        let whole = self.run_blob::<B, E>(&export(&self.graph, options).unwrap().blob);
        let passes = Passes::named(&["in-place"]);
        let in_place = export(&self.graph, Options { passes, ..options }).unwrap();
        assert_eq!(
            bytemuck::cast_slice::<E, u8>(&self.run_blob::<B, E>(&in_place.blob)),
            bytemuck::cast_slice::<E, u8>(&whole),
            "in place"
        );
        // Any function of the case: cases with inputs alike are cut in different ways.
        let seed = self.inputs.iter().flatten().fold(0, |a: usize, &b| a * 31 % 8191 + b as usize);
        for cut in [seed, seed / 2 + 3] {
            let bands = Bands { head: cut / 7 % 4, rows: 1 + cut % 5, reverse: cut % 3 == 0 };
            let cuts: Vec<Cut> =
                (0..self.graph.nodes.len()).map(|first| Cut { first, len: 1, bands }).collect();
            let exported = cuts.iter().find_map(|cut| {
                export_cut(&self.graph, options, std::slice::from_ref(cut)).unwrap()
            });
            let Some(exported) = exported else { continue };
            let banded = self.run_blob::<B, E>(&exported.blob);
            if E::DTYPE != i8::DTYPE {
                // In another order of sums, perhaps: the oracle's tolerance holds for both.
                return banded;
            }
            assert_eq!(
                bytemuck::cast_slice::<E, u8>(&banded),
                bytemuck::cast_slice::<E, u8>(&whole),
                "{bands:?}"
            );
        }
        whole
    }

    /// Past the arena nothing is written, and in it, where only one layer runs, nothing but
    /// the output.
    fn run_blob<B: Backend, E: Value>(&self, blob: &[u8]) -> Vec<E> {
        let blob = AlignedBytes::copy_of(blob);
        let model = Model::from_bytes(blob.as_slice()).unwrap();
        let needed = model.arena_bytes();
        let mut memory = AlignedBytes::zeros(needed + CANARY);
        memory.as_mut_slice().fill(FILL);
        let (arena, after) = memory.as_mut_slice().split_at_mut(needed);
        let mut session = Session::<B>::with_backend(model, arena).unwrap();
        for (i, bytes) in self.inputs.iter().enumerate() {
            session.input_bytes(i).copy_from_slice(bytes);
        }
        session.run();
        let got = bytemuck::pod_collect_to_vec(session.output_bytes(0));
        for (i, bytes) in self.inputs.iter().enumerate() {
            let (from, to) = (model.input(i), model.output(0));
            let apart = from.at + from.bytes() <= to.at || to.at + to.bytes() <= from.at;
            if self.graph.nodes.len() == 1 && apart {
                assert_eq!(session.input_bytes(i), bytes, "wrote over input {i}");
            }
        }
        assert!(after.iter().all(|&byte| byte == FILL), "wrote outside the arena");
        got
    }
}

/// The quantisation of floats, which have none.
pub(crate) const NONE: Affine = Affine { scale: 1.0, zero: 0 };
