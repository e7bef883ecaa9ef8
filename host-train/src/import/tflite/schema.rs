//! The parts of the TFLite schema that are read, by field number: those of
//! `tensorflow/compiler/mlir/lite/schema/schema.fbs`.

use planus::table_reader::Table;
use planus::{SliceWithStartOffset, TableRead};

use super::MAX_ELEMENTS;
use super::flatbuffer::{Budget, Child, broken, bytes_of, field, tables, text, vector};
use super::names::label;
use crate::import::ImportError;

/// Most operators of a model: twice the layers that a blob can hold.
const MAX_OPERATORS: usize = 2 * microconv::model::format::MAX_COUNT as usize;

/// Element types, by their number in the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    F32,
    F16,
    I32,
    U8,
    I64,
    Bool,
    I16,
    I8,
    Other(i8),
}

impl Type {
    pub(super) fn of(code: i8) -> Self {
        match code {
            0 => Self::F32,
            1 => Self::F16,
            2 => Self::I32,
            3 => Self::U8,
            4 => Self::I64,
            6 => Self::Bool,
            7 => Self::I16,
            9 => Self::I8,
            other => Self::Other(other),
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::F16 => "float16",
            Self::I32 => "int32",
            Self::U8 => "uint8",
            Self::I64 => "int64",
            Self::Bool => "bool",
            Self::I16 => "int16",
            Self::I8 => "int8",
            Self::Other(5) => "string",
            Self::Other(8 | 11) => "complex",
            Self::Other(10) => "float64",
            Self::Other(12) => "uint64",
            Self::Other(13) => "resource",
            Self::Other(15) => "uint32",
            Self::Other(16) => "uint16",
            Self::Other(17) => "int4",
            Self::Other(18) => "bfloat16",
            Self::Other(_) => "an unusual type",
        }
    }

    /// Why a tensor of this type, which no layer has, is refused, and what to do.
    pub(super) fn refusal(self) -> String {
        let advice = match self {
            Self::F16 => {
                "weights are not supported; convert without `supported_types = [tf.float16]`, to float32 or full int8"
            }
            Self::I16 => {
                "activations (int16x8) are not supported; convert with `supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]`"
            }
            Self::U8 => {
                "is not supported; convert with `inference_input_type` and `inference_output_type` set to `tf.int8`"
            }
            Self::I32 | Self::I64 | Self::Bool => {
                "is supported in shape arithmetic only; compute with float32 or full int8"
            }
            _ => "is not supported; convert to float32 or full int8",
        };
        format!("{} {advice}", self.name())
    }

    /// Bytes of an element, where they are known.
    pub(super) fn bytes(self) -> Option<usize> {
        match self {
            Self::F32 | Self::I32 => Some(4),
            Self::F16 | Self::I16 => Some(2),
            Self::U8 | Self::Bool | Self::I8 => Some(1),
            Self::I64 => Some(8),
            Self::Other(_) => None,
        }
    }
}

/// Scales and zero points of a tensor.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Quantization {
    pub(super) scales: Vec<f32>,
    pub(super) zero_points: Vec<i64>,
    pub(super) axis: usize,
}

/// A tensor of the subgraph.
#[derive(Clone, Debug)]
pub(super) struct Tensor<'a> {
    pub(super) name: String,
    /// Extents; a dynamic one is 1.
    pub(super) shape: Vec<usize>,
    /// The shape in the file; -1 for a dynamic extent.
    pub(super) signature: Vec<i32>,
    pub(super) kind: Type,
    pub(super) quantization: Option<Quantization>,
    pub(super) data: Option<&'a [u8]>,
    /// Why it cannot be used, when it has a feature that is not supported.
    pub(super) unsupported: Option<&'static str>,
}

/// An operator of the subgraph.
#[derive(Clone)]
pub(super) struct Operator<'a> {
    pub(super) index: usize,
    pub(super) code: i32,
    pub(super) custom: String,
    pub(super) version: i32,
    /// −1 for an absent optional input.
    pub(super) inputs: Vec<i32>,
    pub(super) outputs: Vec<i32>,
    options: Option<Table<'a>>,
}

impl Operator<'_> {
    /// An option of this type; `default` when it or all options are absent.
    pub(super) fn option<T: for<'b> TableRead<'b>>(
        &self,
        index: usize,
        default: T,
    ) -> Result<T, ImportError> {
        match &self.options {
            Some(table) => Ok(field(table, index)?.unwrap_or(default)),
            None => Ok(default),
        }
    }

    /// A vector of i32 among the options.
    pub(super) fn option_vector(&self, index: usize) -> Result<Vec<i32>, ImportError> {
        match &self.options {
            Some(table) => vector(table, index, &Budget::small()),
            None => Ok(Vec::new()),
        }
    }
}

/// The first subgraph of a model; the only one where the model can be imported.
pub(super) struct Model<'a> {
    /// The file.
    pub(super) bytes: &'a [u8],
    pub(super) name: String,
    /// Number of subgraphs.
    pub(super) subgraphs: usize,
    /// Names of the entry points, where the file has any.
    pub(super) signatures: Vec<String>,
    pub(super) tensors: Vec<Tensor<'a>>,
    pub(super) operators: Vec<Operator<'a>>,
    pub(super) inputs: Vec<i32>,
    pub(super) outputs: Vec<i32>,
}

impl<'a> Model<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, ImportError> {
        if !super::is_tflite(bytes) {
            return Err(ImportError::new(
                "is no TensorFlow Lite model (no `TFL3` at byte 4); give a .tflite file",
            ));
        }
        let buffer = SliceWithStartOffset { buffer: bytes, offset_from_start: 0 };
        let root = Table::from_buffer(buffer, 0).map_err(|kind| broken(&kind))?;
        let version: u32 = field(&root, 0)?.unwrap_or(0);
        if version != 3 {
            return Err(ImportError::new(format!("has schema version {version}, expected 3")));
        }
        let budget = Budget::of(bytes);
        let codes = tables(&root, 1)?
            .iter()
            .map(|table| Code::read(table, &budget))
            .collect::<Result<Vec<_>, _>>()?;
        let buffers = tables(&root, 4)?
            .iter()
            .map(|table| buffer_data(bytes, table))
            .collect::<Result<Vec<_>, _>>()?;
        let subgraphs = tables(&root, 2)?;
        let subgraph = subgraphs
            .first()
            .ok_or_else(|| ImportError::new("has no subgraph; convert the model again"))?;
        let signatures = tables(&root, 7)?
            .iter()
            .map(|table| text(table, 2, &budget))
            .collect::<Result<_, _>>()?;
        let tensors = tables(subgraph, 0)?
            .iter()
            .map(|table| Tensor::read(table, &buffers, &budget))
            .collect::<Result<Vec<_>, _>>()?;
        let operators = tables(subgraph, 3)?;
        if operators.len() > MAX_OPERATORS {
            let count = operators.len();
            return Err(ImportError::new(format!(
                "has {count} operators, at most {MAX_OPERATORS} can be imported"
            )));
        }
        let operators = operators
            .iter()
            .enumerate()
            .map(|(index, table)| Operator::read(index, table, &codes, &budget))
            .collect::<Result<Vec<_>, _>>()?;
        let model = Self {
            bytes,
            name: text(subgraph, 4, &budget)?,
            subgraphs: subgraphs.len(),
            signatures,
            inputs: vector(subgraph, 1, &budget)?,
            outputs: vector(subgraph, 2, &budget)?,
            tensors,
            operators,
        };
        model.check_indices()?;
        Ok(model)
    }

    fn check_indices(&self) -> Result<(), ImportError> {
        let known = |id: &i32| usize::try_from(*id).is_ok_and(|id| id < self.tensors.len());
        if self.inputs.is_empty() || self.outputs.is_empty() {
            return Err(ImportError::new("has no input or no output"));
        }
        if !self.inputs.iter().chain(&self.outputs).all(known) {
            return Err(ImportError::new("is damaged: an input or output names no tensor"));
        }
        for operator in &self.operators {
            let optional = |id: &i32| *id == -1 || known(id);
            if !operator.inputs.iter().all(optional) || !operator.outputs.iter().all(known) {
                return Err(ImportError::new(format!(
                    "is damaged: {} names no tensor",
                    label(operator)
                )));
            }
        }
        Ok(())
    }
}

/// A builtin or custom operator.
struct Code {
    code: i32,
    custom: String,
    version: i32,
}

impl Code {
    fn read(table: &Table<'_>, budget: &Budget) -> Result<Self, ImportError> {
        let old: i8 = field(table, 0)?.unwrap_or(0);
        let new: i32 = field(table, 3)?.unwrap_or(0);
        let version = field(table, 2)?.unwrap_or(1);
        Ok(Self { code: new.max(i32::from(old)), custom: text(table, 1, budget)?, version })
    }
}

fn buffer_data<'a>(file: &'a [u8], table: &Table<'a>) -> Result<&'a [u8], ImportError> {
    let offset: u64 = field(table, 1)?.unwrap_or(0);
    let size: u64 = field(table, 2)?.unwrap_or(0);
    if offset > 1 {
        let range =
            usize::try_from(offset).ok().zip(usize::try_from(offset.saturating_add(size)).ok());
        return range.and_then(|(start, end)| file.get(start..end)).ok_or_else(|| {
            ImportError::new("the file is damaged (a buffer lies outside); convert it again")
        });
    }
    Ok(bytes_of(table, 0)?.unwrap_or(&[]))
}

impl<'a> Tensor<'a> {
    fn read(table: &Table<'a>, buffers: &[&'a [u8]], budget: &Budget) -> Result<Self, ImportError> {
        let name = text(table, 3, budget)?;
        let fail = |what: String| ImportError::new(format!("tensor `{name}`: {what}"));
        let static_shape: Vec<i32> = vector(table, 0, budget)?;
        let signature: Vec<i32> = vector(table, 7, budget)?;
        let mut shape = Vec::new();
        let mut count = 1usize;
        for &extent in &static_shape {
            let extent = if extent == -1 { 1 } else { extent };
            let extent = usize::try_from(extent)
                .map_err(|_| fail(format!("has the extent {extent}; convert the model again")))?;
            // Zero counts as one here, or it would hide an overflow before it.
            count = count.saturating_mul(extent.max(1));
            shape.push(extent);
        }
        if count > MAX_ELEMENTS || shape.len() > 8 {
            return Err(fail(format!("has the shape {static_shape:?}, which is too large")));
        }
        let count: usize = shape.iter().product();
        let kind = Type::of(field(table, 1)?.unwrap_or(0));
        let buffer: u32 = field(table, 2)?.unwrap_or(0);
        let data = *buffers
            .get(buffer as usize)
            .ok_or_else(|| fail("names a buffer that is not there; the file is damaged".into()))?;
        let expected = kind.bytes().map(|bytes| bytes * count);
        let data = if data.is_empty() || buffer == 0 { None } else { Some(data) };
        if let (Some(data), Some(expected)) = (data, expected)
            && data.len() != expected
        {
            let got = data.len();
            return Err(fail(format!(
                "has {got} bytes, its shape takes {expected}; the file is damaged"
            )));
        }
        // A constant of no elements (a scalar's axes, say) has no bytes either.
        let data = if count == 0 && buffer != 0 { Some(&[][..]) } else { data };
        let sparse = field::<Child<'a>>(table, 6)?.is_some();
        let variable: bool = field(table, 5)?.unwrap_or(false);
        let unsupported = match (sparse, variable) {
            (true, _) => Some("sparse weights are not supported; convert without sparsity"),
            (_, true) => Some("state between runs (a variable) is not supported"),
            _ => None,
        };
        let quantization = match field::<Child<'a>>(table, 4)? {
            Some(Child(table)) => Quantization::read(&table, &shape, budget).map_err(fail)?,
            None => None,
        };
        let signature =
            if signature.len() == static_shape.len() { signature } else { static_shape };
        Ok(Self { name, shape, signature, kind, quantization, data, unsupported })
    }

    /// Whether some extent is dynamic, so that `shape` is only a guess.
    pub(super) fn dynamic(&self) -> bool {
        self.signature.contains(&-1)
    }

    /// Number of elements.
    pub(super) fn count(&self) -> usize {
        self.shape.iter().product()
    }
}

impl Quantization {
    fn read(table: &Table<'_>, shape: &[usize], budget: &Budget) -> Result<Option<Self>, String> {
        let text = |error: ImportError| error.to_string();
        let scales: Vec<f32> = vector(table, 2, budget).map_err(text)?;
        let mut zero_points: Vec<i64> = vector(table, 3, budget).map_err(text)?;
        let axis: i32 = field(table, 6).map_err(text)?.unwrap_or(0);
        if scales.is_empty() {
            return Ok(None);
        }
        if !scales.iter().all(|scale| scale.is_finite() && *scale >= 0.0) {
            return Err("has a scale that is not positive; convert the model again".into());
        }
        if zero_points.len() < scales.len() {
            zero_points.resize(scales.len(), zero_points.first().copied().unwrap_or(0));
        }
        let axis = usize::try_from(axis).map_err(|_| "has a negative quantised axis")?;
        if scales.len() > 1 && shape.get(axis) != Some(&scales.len()) {
            return Err(format!("has {} scales along axis {axis} of {shape:?}", scales.len()));
        }
        Ok(Some(Self { scales, zero_points, axis }))
    }
}

impl<'a> Operator<'a> {
    fn read(
        index: usize,
        table: &Table<'a>,
        codes: &[Code],
        budget: &Budget,
    ) -> Result<Self, ImportError> {
        let code: u32 = field(table, 0)?.unwrap_or(0);
        let code = codes.get(code as usize).ok_or_else(|| {
            ImportError::new(format!("is damaged: operator {index} names no operator code"))
        })?;
        Ok(Self {
            index,
            code: code.code,
            custom: code.custom.clone(),
            version: code.version,
            inputs: vector(table, 1, budget)?,
            outputs: vector(table, 2, budget)?,
            options: field::<Child<'a>>(table, 4)?.map(|Child(table)| table),
        })
    }
}
