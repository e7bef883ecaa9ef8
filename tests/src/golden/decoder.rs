//! Operators of decoders that TensorFlow Lite has no name for, as graphs.

use std::path::Path;

use host_train::graph::{DType, Graph, GraphError, Op, Padding, Quantization, Tensor};

use super::arrays::{Archive, Array};
use super::{Case, Source, files};

/// A graph of one operator, or of a pool and the unpool that reads its indices.
#[derive(Clone, Debug)]
pub struct Decoder {
    shape: Vec<usize>,
    int8: bool,
    zero_point: i32,
    strides: [usize; 2],
    /// Window and whether the padding is SAME, for max-unpooling; bed of nails without.
    pool: Option<([usize; 2], bool)>,
}

impl Decoder {
    /// The graph.
    pub(super) fn graph(&self) -> Result<Graph, GraphError> {
        let mut graph = Graph::new("decoder");
        let dtype = if self.int8 { DType::I8 } else { DType::F32 };
        let mut input = Tensor::activation("x", self.shape.clone(), dtype);
        let quantization = self.int8.then(|| Quantization::per_tensor(1.0, self.zero_point));
        input.quantization.clone_from(&quantization);
        let x = graph.add_tensor(input);
        graph.inputs.push(x);
        let strides = self.strides;
        let outputs = match self.pool {
            None => graph.push("nails", Op::BedOfNails2d { strides }, &[x])?,
            Some((window, same)) => {
                let padding = if same { Padding::Same } else { Padding::Valid };
                let pool = Op::MaxPool2dWithIndices { window, strides, padding };
                let pooled = graph.push("pool", pool, &[x])?;
                graph[pooled[0]].quantization.clone_from(&quantization);
                let output_size = [self.shape[1], self.shape[2]];
                let unpool = Op::MaxUnpool2d { window, strides, padding, output_size };
                let unpooled = graph.push("unpool", unpool, &pooled)?;
                vec![unpooled[0], pooled[0]]
            }
        };
        for &output in &outputs {
            graph[output].quantization.clone_from(&quantization);
        }
        graph.outputs = outputs;
        Ok(graph)
    }
}

/// The cases that `tests/golden/decoder.py` made.
pub(super) fn committed(folder: &Path) -> Vec<Case> {
    let case = |path: &Path| {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let mut archive = Archive::open(path);
        let (inputs, expected) = (archive.series("input"), archive.series("expected"));
        let numbers = archive.numbers("parameters");
        let &[kind, rows, columns, down, across, same, zero_point] = numbers.as_slice() else {
            panic!("{}: seven parameters expected", path.display())
        };
        let extent = |number: i8| number.unsigned_abs() as usize;
        let decoder = Decoder {
            shape: inputs[0].shape.clone(),
            int8: inputs[0].int8,
            zero_point: i32::from(zero_point),
            strides: [extent(down), extent(across)],
            pool: (kind == 0).then(|| ([extent(rows), extent(columns)], same == 1)),
        };
        Case::new(&name, Source::Decoder(decoder), &inputs, &expected)
    };
    files(folder, "npz").iter().map(|path| case(path)).collect()
}

/// A bed of nails among the shared samples; its parameters stand in the folder's name.
pub(super) fn shared(folder: &Path) -> Case {
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let input = Array::open(&folder.join("input.npy"));
    let part = |letters: &str| name.split('_').find_map(|word| word.strip_prefix(letters));
    let strides = part("f").and_then(|word| word.split_once('x')).expect("strides in the name");
    let number = |text: &str| text.parse::<usize>().expect("a number in the name");
    let decoder = Decoder {
        // A sample is one image without an axis for the batch.
        shape: [&[1], input.shape.as_slice()].concat(),
        int8: input.int8,
        zero_point: part("zp").map_or(0, |word| word.parse().expect("a zero point")),
        strides: [number(strides.0), number(strides.1)],
        pool: None,
    };
    let expected = Array::open(&folder.join("expected.npy"));
    Case::new(&name, Source::Decoder(decoder), &[input], &[expected])
}
