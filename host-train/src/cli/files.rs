//! Reading and writing files as a command line should: whole or not at all.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, bail};
use npyz::{DType, NpyFile, WriterBuilder};

use crate::runner::Values;

/// Writes a file beside its destination and renames it, so that a reader never
/// sees half of it.
///
/// # Errors
/// Names the file and what to do.
pub(super) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let write = || -> std::io::Result<()> {
        let mut file = builder().tempfile_in(folder)?;
        file.write_all(bytes)?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    write().with_context(|| {
        format!("{}: cannot be written; give a path in a writable folder", path.display())
    })
}

/// Temporary files are private by default; these become results, so the umask decides.
fn builder() -> tempfile::Builder<'static, 'static> {
    #[cfg_attr(not(unix), expect(unused_mut, reason = "only Unix has modes"))]
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder
}

/// An array of a `.npy` file.
#[derive(Debug)]
pub(super) struct Array {
    pub(super) shape: Vec<usize>,
    pub(super) values: Values,
}

/// Reads `<f4` or `|i1`.
///
/// # Errors
/// Names the file, what is wrong and what was expected.
pub(super) fn read_npy(path: &Path) -> Result<Array> {
    let name = path.display();
    let bytes = std::fs::read(path).with_context(|| format!("{name}: cannot be read"))?;
    let file = NpyFile::new(&bytes[..])
        .with_context(|| format!("{name}: is no .npy file; write one with numpy.save"))?;
    let shape: Vec<usize> = file.shape().iter().map(|&extent| extent as usize).collect();
    if file.order() == npyz::Order::Fortran && shape.len() > 1 {
        bail!("{name}: is in Fortran order; save numpy.ascontiguousarray(x)");
    }
    let kind = match file.dtype() {
        DType::Plain(kind) => kind.to_string(),
        _ => String::from("a record"),
    };
    let bad = || format!("{name}: is cut short or damaged; save it again");
    let values = match kind.as_str() {
        "<f4" => Values::F32(file.into_vec().with_context(bad)?),
        "|i1" => Values::I8(file.into_vec().with_context(bad)?),
        _ => bail!("{name}: holds {kind}, expected <f4 or |i1; save x.astype('float32')"),
    };
    if values.len() != shape.iter().product::<usize>() {
        bail!("{}", bad());
    }
    Ok(Array { shape, values })
}

/// Writes `<f4` or `|i1`.
///
/// # Errors
/// Names the file and what to do.
pub(super) fn write_npy(path: &Path, array: &Array) -> Result<()> {
    fn encode<T: npyz::Serialize + npyz::AutoSerialize + Copy>(
        shape: &[usize],
        values: &[T],
    ) -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let shape: Vec<u64> = shape.iter().map(|&extent| extent as u64).collect();
        let mut writer = npyz::WriteOptions::new()
            .default_dtype()
            .shape(&shape)
            .writer(&mut bytes)
            .begin_nd()?;
        writer.extend(values.iter().copied())?;
        writer.finish()?;
        Ok(bytes)
    }
    let bytes = match &array.values {
        Values::F32(values) => encode(&array.shape, values),
        Values::I8(values) => encode(&array.shape, values),
    };
    write_atomically(
        path,
        &bytes.with_context(|| format!("{}: cannot be encoded", path.display()))?,
    )
}
