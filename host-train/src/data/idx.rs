//! IDX files, MNIST's format: a big-endian header (two zero bytes, the
//! element type, the number of axes, one extent per axis), then the bytes.

use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use flate2::read::GzDecoder;

use super::Images;

/// Unsigned bytes: the only element type that image sets use.
const UNSIGNED_BYTE: u8 = 0x08;

/// `folder/name` or `folder/name.gz`, whichever is there.
pub fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    [name.to_owned(), format!("{name}.gz")]
        .into_iter()
        .map(|name| folder.join(name))
        .find(|path| path.is_file())
}

/// Reads grayscale images (three axes: count, rows, columns), plain or gzip.
///
/// # Errors
/// Names the file, what is wrong with it and what to do.
pub fn read_images(path: &Path) -> Result<Images> {
    let name = path.display();
    let file = File::open(path)
        .with_context(|| format!("{name}: cannot open the file; check that it can be read"))?;
    images(BufReader::new(file)).with_context(|| name.to_string())
}

/// Reads labels (one axis), plain or gzip.
///
/// # Errors
/// Names the file, what is wrong with it and what to do.
pub fn read_labels(path: &Path) -> Result<Vec<u8>> {
    let name = path.display();
    let file = File::open(path)
        .with_context(|| format!("{name}: cannot open the file; check that it can be read"))?;
    let ([_], labels) = parse::<1>(decompressed(BufReader::new(file))?.as_mut())
        .with_context(|| name.to_string())?;
    Ok(labels)
}

/// Parses the bytes of an image file, plain or gzip.
///
/// # Errors
/// What is wrong and what to do.
pub fn parse_images(bytes: &[u8]) -> Result<Images> {
    images(bytes)
}

/// Writes the images `[count, rows, columns]` as gzip, the same bytes on
/// every run.
///
/// # Errors
/// When the file cannot be written or an extent is past 32 bits.
pub fn write_images_gz(path: &Path, extents: [usize; 3], pixels: &[u8]) -> Result<()> {
    let mut bytes = vec![0, 0, UNSIGNED_BYTE, 3];
    for extent in extents {
        bytes.extend(u32::try_from(extent)?.to_be_bytes());
    }
    bytes.extend(pixels);
    let mut gz = flate2::GzBuilder::new().mtime(0).write(Vec::new(), flate2::Compression::best());
    gz.write_all(&bytes)?;
    std::fs::write(path, gz.finish()?)
        .with_context(|| format!("{}: cannot write the file", path.display()))
}

fn images<'a>(source: impl Read + 'a) -> Result<Images> {
    let ([_, height, width], pixels) = parse::<3>(decompressed(source)?.as_mut())?;
    ensure!(height > 0 && width > 0, "its images are empty; fetch the file again");
    Images::from_bytes([height, width, 1], pixels)
}

/// The bytes behind `source`, through gzip if they start with its magic: a
/// `.gz` that a browser unpacked under its old name is read as well.
fn decompressed<'a>(mut source: impl Read + 'a) -> Result<Box<dyn Read + 'a>> {
    let mut start = Vec::new();
    source.by_ref().take(2).read_to_end(&mut start)?;
    let gzip = start == [0x1f, 0x8b];
    let whole = std::io::Cursor::new(start).chain(source);
    Ok(if gzip { Box::new(GzDecoder::new(whole)) } else { Box::new(whole) })
}

/// Extents and bytes of a file with `N` axes.
fn parse<const N: usize>(source: &mut dyn Read) -> Result<([usize; N], Vec<u8>)> {
    let again = "fetch the file again";
    let mut magic = [0; 4];
    source.read_exact(&mut magic).with_context(|| format!("is cut short; {again}"))?;
    let expected = [0, 0, UNSIGNED_BYTE, N as u8];
    ensure!(
        magic == expected,
        "is no IDX file of bytes with {N} axes (starts with {magic:02x?}, expected {expected:02x?}); give the original file"
    );
    let mut extents = [0; N];
    for extent in &mut extents {
        let mut word = [0; 4];
        source.read_exact(&mut word).with_context(|| format!("is cut short; {again}"))?;
        *extent = u32::from_be_bytes(word) as usize;
    }
    let Some(expected) = extents.iter().try_fold(1_usize, |n, &extent| n.checked_mul(extent))
    else {
        bail!("promises {extents:?} bytes, more than fit in memory; {again}");
    };
    let mut bytes = Vec::new();
    // One byte more than promised, so that trailing bytes show.
    source
        .take((expected as u64).saturating_add(1))
        .read_to_end(&mut bytes)
        .with_context(|| format!("is damaged or cut short; {again}"))?;
    ensure!(
        bytes.len() >= expected,
        "is cut short: promises {expected} bytes ({extents:?}), holds {}; {again}",
        bytes.len()
    );
    ensure!(
        bytes.len() == expected,
        "has bytes after the {expected} that it promises ({extents:?}); {again}"
    );
    Ok((extents, bytes))
}
