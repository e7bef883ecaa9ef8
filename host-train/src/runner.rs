//! Runs blobs on the host: one session per core, any number of samples.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use bytemuck::Zeroable;
use microconv::backend::{Backend, Scalar};
use microconv::model::{DType, Observer, TensorInfo};
use microconv::quant::Affine;
use microconv::{Model, Native, Session};
use rayon::prelude::*;

/// Sixteen bytes at a multiple of 16.
#[derive(Clone, Copy, Debug, bytemuck::Pod, Zeroable)]
#[repr(C, align(16))]
struct Block([u8; 16]);

/// Bytes at a multiple of 16, as blobs and arenas have to lie.
#[derive(Clone, Debug)]
pub struct AlignedBytes {
    blocks: Vec<Block>,
    len: usize,
}

impl AlignedBytes {
    /// `len` zeros.
    pub fn zeros(len: usize) -> Self {
        Self { blocks: vec![Block::zeroed(); len.div_ceil(16)], len }
    }

    /// A copy of `bytes`.
    pub fn copy_of(bytes: &[u8]) -> Self {
        let mut result = Self::zeros(bytes.len());
        result.as_mut_slice().copy_from_slice(bytes);
        result
    }

    /// To read.
    pub fn as_slice(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.blocks)[..self.len]
    }

    /// To write.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut bytemuck::cast_slice_mut(&mut self.blocks)[..self.len]
    }
}

/// Reads a blob from a file.
///
/// # Errors
/// Names the file when it cannot be read.
pub fn read_blob(path: &Path) -> Result<AlignedBytes> {
    let bytes =
        std::fs::read(path).with_context(|| format!("{}: cannot be read", path.display()))?;
    Ok(AlignedBytes::copy_of(&bytes))
}

/// Checks a blob that came from `path`.
///
/// # Errors
/// Names the file, what is wrong and what to do.
pub fn parse<'a>(path: &Path, bytes: &'a AlignedBytes) -> Result<Model<'a>> {
    Model::from_bytes(bytes.as_slice()).map_err(|why| {
        anyhow::anyhow!(
            "{}: {why}; give a .mcv file written by `microconv quantize` or `microconv import`",
            path.display()
        )
    })
}

/// Values of a tensor over all samples.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Codes.
    I8(Vec<i8>),
    /// Floats.
    F32(Vec<f32>),
}

impl Values {
    /// Number of values.
    pub fn len(&self) -> usize {
        match self {
            Self::I8(values) => values.len(),
            Self::F32(values) => values.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The backend to run on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum BackendName {
    /// Portable Rust.
    Scalar,
    /// The fastest for this machine.
    #[default]
    Native,
}

/// The quantisation of an int8 tensor.
///
/// # Errors
/// When it has none.
pub fn affine(info: &TensorInfo) -> Result<Affine> {
    Affine::new(info.scale, info.zero_point)
        .ok()
        .context("an int8 tensor of the model has no scale")
}

/// Writes sample `index` of `values` into the bytes of a tensor, quantised where the tensor is.
fn fill(bytes: &mut [u8], info: &TensorInfo, values: &Values, index: usize) -> Result<()> {
    let count = info.count();
    let range = index * count..(index + 1) * count;
    match (info.dtype, values) {
        (DType::I8, Values::I8(values)) => {
            bytes.copy_from_slice(bytemuck::cast_slice(&values[range]))
        }
        (DType::F32, Values::F32(values)) => {
            bytes.copy_from_slice(bytemuck::cast_slice(&values[range]));
        }
        (DType::I8, Values::F32(values)) => {
            let how = affine(info)?;
            for (byte, &real) in bytes.iter_mut().zip(&values[range]) {
                *byte = how.quantize(real).cast_unsigned();
            }
        }
        _ => bail!("the model's input is f32, the array is int8: give floats"),
    }
    Ok(())
}

/// Collects the values of output `i`.
fn collect(session: &Session<'_, '_, impl Backend>, i: usize) -> Result<Values> {
    match session.model().output(i).dtype {
        DType::I8 => Ok(Values::I8(session.output_i8(i).to_vec())),
        DType::F32 => Ok(Values::F32(session.output_f32(i).to_vec())),
        _ => bail!("an output of the model holds indices"),
    }
}

/// Reals behind the values of a tensor.
///
/// # Errors
/// When codes have no scale.
pub fn dequantize(info: &TensorInfo, values: Values) -> Result<Vec<f32>> {
    match values {
        Values::F32(values) => Ok(values),
        Values::I8(codes) => {
            let how = affine(info)?;
            Ok(codes.into_iter().map(|code| how.dequantize(code)).collect())
        }
    }
}

/// Runs `samples` samples, each input holding all of them; `done` is called after each.
///
/// # Errors
/// When the number or size of the inputs does not fit the model.
pub fn run_all(
    model: &Model<'_>,
    inputs: &[Values],
    samples: usize,
    backend: BackendName,
    done: &(dyn Fn() + Sync),
) -> Result<Vec<Values>> {
    ensure!(
        inputs.len() == model.inputs(),
        "the model has {} inputs, {} were given",
        model.inputs(),
        inputs.len()
    );
    for (i, values) in inputs.iter().enumerate() {
        let count = model.input(i).count();
        ensure!(
            values.len() == count * samples,
            "input {i} takes {:?} ({count} values), the array has {} values for {samples} samples",
            model.input(i).shape(),
            values.len()
        );
    }
    let per_sample: Vec<Vec<Values>> = match backend {
        BackendName::Scalar => parallel::<Scalar>(model, inputs, samples, done)?,
        BackendName::Native => parallel::<Native>(model, inputs, samples, done)?,
    };
    let mut outputs: Vec<Option<Values>> = vec![None; model.outputs()];
    for sample in per_sample {
        for (all, values) in outputs.iter_mut().zip(sample) {
            match (all.as_mut(), values) {
                (Some(Values::I8(all)), Values::I8(values)) => all.extend(values),
                (Some(Values::F32(all)), Values::F32(values)) => all.extend(values),
                (_, values) => *all = Some(values),
            }
        }
    }
    outputs.into_iter().map(|values| values.context("there is no sample to run")).collect()
}

fn parallel<B: Backend + Sync>(
    model: &Model<'_>,
    inputs: &[Values],
    samples: usize,
    done: &(dyn Fn() + Sync),
) -> Result<Vec<Vec<Values>>> {
    let arena_bytes = model.arena_bytes_for::<B>();
    (0..samples)
        .into_par_iter()
        .map_init(
            || AlignedBytes::zeros(arena_bytes),
            |arena, index| {
                let mut session = session::<B>(model, arena)?;
                for (i, values) in inputs.iter().enumerate() {
                    let info = model.input(i);
                    fill(session.input_bytes(i), &info, values, index)?;
                }
                session.run();
                done();
                (0..model.outputs()).map(|i| collect(&session, i)).collect()
            },
        )
        .collect()
}

fn session<'m, 'a, B: Backend>(
    model: &Model<'m>,
    arena: &'a mut AlignedBytes,
) -> Result<Session<'m, 'a, B>> {
    Ok(Session::with_backend(*model, arena.as_mut_slice())?)
}

/// Runs one sample on the native backend and tells `observer` of every layer.
///
/// # Errors
/// When the sample does not fit the model's only input.
pub fn observe(model: &Model<'_>, sample: &[f32], observer: &mut impl Observer) -> Result<()> {
    ensure!(model.inputs() == 1, "the model has {} inputs, expected one", model.inputs());
    let info = model.input(0);
    ensure!(
        sample.len() == info.count(),
        "a sample has {} values, expected {}",
        sample.len(),
        info.count()
    );
    let mut arena = AlignedBytes::zeros(model.arena_bytes_for::<Native>());
    let mut session = session::<Native>(model, &mut arena)?;
    let values = Values::F32(sample.to_vec());
    fill(session.input_bytes(0), &info, &values, 0)?;
    session.run_observed(observer);
    Ok(())
}
