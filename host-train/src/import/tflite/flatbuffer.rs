//! Tables, vectors and strings of a flatbuffer, read without trust.
//!
//! `planus` checks every offset as it is followed, so a broken file gives an
//! error and never a read outside it; what is copied out is bounded as a whole.

use std::cell::Cell;

use planus::errors::ErrorKind;
use planus::table_reader::Table;
use planus::{SliceWithStartOffset, TableRead, Vector};

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
pub(super) struct Child<'a>(pub(super) Table<'a>);

impl<'a> TableRead<'a> for Child<'a> {
    fn from_buffer(buffer: SliceWithStartOffset<'a>, offset: usize) -> Result<Self, ErrorKind> {
        Table::from_buffer(buffer, offset).map(Self)
    }
}

/// Reads field `index` of a table; `None` when absent.
pub(super) fn field<'a, T: TableRead<'a>>(
    table: &Table<'a>,
    index: usize,
) -> Result<Option<T>, ImportError> {
    table.access(index, "table", "field").map_err(|error| broken(&error.error_kind))
}

pub(super) fn broken(kind: &ErrorKind) -> ImportError {
    ImportError::new(format!(
        "the file is damaged ({}); convert the model again",
        kind.to_string().to_lowercase()
    ))
}

/// Bytes that may still be copied out of the file. Tables of a hostile file can
/// all point at one long vector, so copies are bounded as a whole.
pub(super) struct Budget(Cell<usize>);

impl Budget {
    pub(super) fn of(file: &[u8]) -> Self {
        Self(Cell::new(file.len().saturating_mul(16).saturating_add(1 << 20)))
    }

    /// For constants: also what operators fill.
    pub(super) fn of_constants(file: &[u8]) -> Self {
        Self(Cell::new(file.len().saturating_mul(16).saturating_add(1 << 26)))
    }

    /// For the options of one operator: a handful of extents.
    pub(super) fn small() -> Self {
        Self(Cell::new(1 << 12))
    }

    /// Takes bytes off.
    pub(super) fn spend(&self, bytes: usize) -> Result<(), ImportError> {
        let left = self.0.get().checked_sub(bytes).ok_or_else(|| {
            ImportError::new(
                "the file is damaged (its tables share vectors); convert the model again",
            )
        })?;
        self.0.set(left);
        Ok(())
    }
}

pub(super) fn vector<'a, T>(
    table: &Table<'a>,
    index: usize,
    budget: &Budget,
) -> Result<Vec<T>, ImportError>
where
    T: planus::VectorRead<'a> + 'a,
    Vector<'a, T>: TableRead<'a>,
{
    let Some(vector) = field::<Vector<'a, T>>(table, index)? else { return Ok(Vec::new()) };
    budget.spend(vector.len().saturating_mul(size_of::<T>()))?;
    Ok(vector.into_iter().collect())
}

/// A vector of bytes.
pub(super) fn bytes_of<'a>(
    table: &Table<'a>,
    index: usize,
) -> Result<Option<&'a [u8]>, ImportError> {
    field::<&'a [u8]>(table, index)
}

/// A name; what is not UTF-8 is replaced.
pub(super) fn text(
    table: &Table<'_>,
    index: usize,
    budget: &Budget,
) -> Result<String, ImportError> {
    let bytes = bytes_of(table, index)?.unwrap_or_default();
    budget.spend(bytes.len())?;
    Ok(String::from_utf8_lossy(bytes).into_owned())
}

pub(super) fn tables<'a>(table: &Table<'a>, index: usize) -> Result<Vec<Table<'a>>, ImportError> {
    let Some(tables) = field::<Tables<'a>>(table, index)? else { return Ok(Vec::new()) };
    tables.iter().collect::<Result<_, _>>().map_err(|kind| broken(&kind))
}
