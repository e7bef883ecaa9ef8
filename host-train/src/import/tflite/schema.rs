//! The parts of the TFLite schema that are read, by field number.
//!
//! `planus` checks every offset as it is followed, so a broken file gives an
//! error and never a read outside it. Field numbers are those of
//! `tensorflow/compiler/mlir/lite/schema/schema.fbs`.

use std::cell::Cell;

use planus::errors::ErrorKind;
use planus::table_reader::Table;
use planus::{SliceWithStartOffset, TableRead, Vector};

use super::MAX_ELEMENTS;
use crate::import::ImportError;

/// A vector of tables.
#[derive(Clone, Copy)]
struct Tables<'a> {
    /// From the length word on.
    buffer: SliceWithStartOffset<'a>,
    len: usize,
}

impl<'a> TableRead<'a> for Tables<'a> {
    fn from_buffer(buffer: SliceWithStartOffset<'a>, offset: usize) -> Result<Self, ErrorKind> {
        let relative: u32 = TableRead::from_buffer(buffer, offset)?;
        let at = offset.checked_add(relative as usize).ok_or(ErrorKind::InvalidOffset)?;
        let buffer = buffer.advance(at)?;
        let len: u32 = TableRead::from_buffer(buffer, 0)?;
        let len = len as usize;
        if buffer.len() / 4 <= len {
            return Err(ErrorKind::InvalidLength);
        }
        Ok(Self { buffer, len })
    }
}

impl<'a> Tables<'a> {
    fn iter(self) -> impl Iterator<Item = Result<Table<'a>, ErrorKind>> {
        (0..self.len).map(move |i| Table::from_buffer(self.buffer, 4 + 4 * i))
    }
}

/// A table in a field.
struct Child<'a>(Table<'a>);

impl<'a> TableRead<'a> for Child<'a> {
    fn from_buffer(buffer: SliceWithStartOffset<'a>, offset: usize) -> Result<Self, ErrorKind> {
        Table::from_buffer(buffer, offset).map(Self)
    }
}

/// Reads field `index` of a table; `None` when absent.
fn field<'a, T: TableRead<'a>>(table: &Table<'a>, index: usize) -> Result<Option<T>, ImportError> {
    table.access(index, "table", "field").map_err(|error| broken(&error.error_kind))
}

fn broken(kind: &ErrorKind) -> ImportError {
    ImportError::new(format!(
        "the file is damaged ({}); convert the model again",
        kind.to_string().to_lowercase()
    ))
}

/// Bytes that may still be copied out of the file. Tables of a hostile file can
/// all point at one long vector, so copies are bounded as a whole.
struct Budget(Cell<usize>);

impl Budget {
    fn of(file: &[u8]) -> Self {
        Self(Cell::new(file.len().saturating_mul(16).saturating_add(1 << 20)))
    }

    fn spend(&self, bytes: usize) -> Result<(), ImportError> {
        let left = self.0.get().checked_sub(bytes).ok_or_else(|| {
            ImportError::new(
                "the file is damaged (its tables share vectors); convert the model again",
            )
        })?;
        self.0.set(left);
        Ok(())
    }
}

fn vector<'a, T>(table: &Table<'a>, index: usize, budget: &Budget) -> Result<Vec<T>, ImportError>
where
    T: planus::VectorRead<'a> + 'a,
    Vector<'a, T>: TableRead<'a>,
{
    let Some(vector) = field::<Vector<'a, T>>(table, index)? else { return Ok(Vec::new()) };
    budget.spend(vector.len().saturating_mul(size_of::<T>()))?;
    Ok(vector.into_iter().collect())
}

/// A vector of bytes.
fn bytes_of<'a>(table: &Table<'a>, index: usize) -> Result<Option<&'a [u8]>, ImportError> {
    field::<&'a [u8]>(table, index)
}

/// A name; what is not UTF-8 is replaced.
fn text(table: &Table<'_>, index: usize, budget: &Budget) -> Result<String, ImportError> {
    let bytes = bytes_of(table, index)?.unwrap_or_default();
    budget.spend(bytes.len())?;
    Ok(String::from_utf8_lossy(bytes).into_owned())
}

fn tables<'a>(table: &Table<'a>, index: usize) -> Result<Vec<Table<'a>>, ImportError> {
    let Some(tables) = field::<Tables<'a>>(table, index)? else { return Ok(Vec::new()) };
    tables.iter().collect::<Result<_, _>>().map_err(|kind| broken(&kind))
}

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
    fn of(code: i8) -> Self {
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
            Self::Other(17) => "int4",
            Self::Other(13) => "resource",
            Self::Other(_) => "an unusual type",
        }
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
    /// Whether some extent is dynamic, so that `shape` is only a guess.
    pub(super) dynamic: bool,
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
            // One vector at a time; an operator's options are a handful of extents.
            Some(table) => vector(table, index, &Budget(Cell::new(1 << 12))),
            None => Ok(Vec::new()),
        }
    }
}

/// The only subgraph of a model.
pub(super) struct Model<'a> {
    pub(super) name: String,
    pub(super) tensors: Vec<Tensor<'a>>,
    pub(super) operators: Vec<Operator<'a>>,
    pub(super) inputs: Vec<i32>,
    pub(super) outputs: Vec<i32>,
}

impl<'a> Model<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, ImportError> {
        if bytes.get(4..8) != Some(b"TFL3") {
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
        let [subgraph] = subgraphs.as_slice() else {
            return Err(ImportError::new(format!(
                "has {} subgraphs (control flow); only models of one can be imported",
                subgraphs.len()
            )));
        };
        let tensors = tables(subgraph, 0)?
            .iter()
            .map(|table| Tensor::read(table, &buffers, &budget))
            .collect::<Result<Vec<_>, _>>()?;
        let operators = tables(subgraph, 3)?
            .iter()
            .enumerate()
            .map(|(index, table)| Operator::read(index, table, &codes, &budget))
            .collect::<Result<Vec<_>, _>>()?;
        let model = Self {
            name: text(subgraph, 4, &budget)?,
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
                    "is damaged: operator {} names no tensor",
                    operator.index
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
}

impl Code {
    fn read(table: &Table<'_>, budget: &Budget) -> Result<Self, ImportError> {
        let old: i8 = field(table, 0)?.unwrap_or(0);
        let new: i32 = field(table, 3)?.unwrap_or(0);
        Ok(Self { code: new.max(i32::from(old)), custom: text(table, 1, budget)? })
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
        let dynamic = signature.contains(&-1) || static_shape.contains(&-1);
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
            (true, _) => Some("sparse weights"),
            (_, true) => Some("a variable (state between runs)"),
            _ => None,
        };
        let quantization = match field::<Child<'a>>(table, 4)? {
            Some(Child(table)) => Quantization::read(&table, &shape, budget).map_err(fail)?,
            None => None,
        };
        Ok(Self { name, shape, dynamic, kind, quantization, data, unsupported })
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
            inputs: vector(table, 1, budget)?,
            outputs: vector(table, 2, budget)?,
            options: field::<Child<'a>>(table, 4)?.map(|Child(table)| table),
        })
    }
}
