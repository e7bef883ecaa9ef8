//! Images in NumPy's `.npy`: `[N, H, W, C]` or `[N, H, W]`, `u8` (scaled to
//! [0, 1]) or `f32` (taken as they are).

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use npyz::{DType, NpyFile, Order};

use super::Images;

pub(super) fn read(path: &Path) -> Result<Images> {
    parse(path).with_context(|| path.display().to_string())
}

fn parse(path: &Path) -> Result<Images> {
    let save = "save it with numpy.save as [N, H, W, C], uint8 or float32, in C order";
    let file = File::open(path).context("cannot open the file; check that it can be read")?;
    let npy =
        NpyFile::new(BufReader::new(file)).with_context(|| format!("is no .npy file; {save}"))?;
    let extents: Vec<usize> =
        npy.shape().iter().map(|&extent| usize::try_from(extent)).collect::<Result<_, _>>()?;
    ensure!(npy.order() == Order::C || extents.len() < 2, "is in Fortran order; {save}");
    let shape = match extents[..] {
        [_, h, w] => [h, w, 1],
        [_, h, w, c] => [h, w, c],
        _ => bail!("has shape {extents:?}; {save}"),
    };
    let DType::Plain(element) = npy.dtype() else {
        bail!("holds records; {save}");
    };
    let damaged = || format!("is damaged or cut short; {save}");
    match element.to_string().as_str() {
        "|u1" => Images::from_bytes(shape, npy.into_vec().with_context(damaged)?),
        "<f4" | ">f4" => {
            let values: Vec<f32> = npy.into_vec().with_context(damaged)?;
            ensure!(
                values.iter().all(|v| v.is_finite()),
                "holds NaN or infinite values; replace them"
            );
            Images::from_floats(shape, values)
        }
        other => bail!("holds elements of type {other}; {save}"),
    }
}
