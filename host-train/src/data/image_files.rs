//! A folder of PNG and JPEG images, in the order of their names.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use image::DynamicImage;

use super::{Images, check_shape, files};

const EXTENSIONS: [&str; 3] = ["png", "jpg", "jpeg"];

/// All images of `folder`, each of the size that `input` asks for.
pub(super) fn read(folder: &Path, input: &[usize]) -> Result<Images> {
    let paths = files(folder, &EXTENSIONS)?;
    ensure!(
        !paths.is_empty(),
        "{}: holds neither train-images-idx3-ubyte (plain or .gz) nor .npy, PNG or JPEG files; give the folder that does",
        folder.display()
    );
    let mut shape = None;
    let mut pixels = Vec::new();
    for path in &paths {
        let name = path.display().to_string();
        let image = image::ImageReader::open(path)
            .and_then(image::ImageReader::with_guessed_format)
            .with_context(|| format!("{name}: cannot open the file; check that it can be read"))?
            .decode()
            .with_context(|| {
                format!("{name}: is no readable PNG or JPEG image; replace or remove it")
            })?;
        let (this, bytes) = bytes(image);
        check_shape(&name, this, input)?;
        let first = *shape.get_or_insert(this);
        ensure!(
            this == first,
            "{name}: is {this:?}, the images before it are {first:?}; bring all to one size and colour type"
        );
        pixels.extend(bytes);
    }
    Images::from_bytes(shape.unwrap_or_default(), pixels)
}

/// Height, width, channels and bytes: one channel for gray, three for colour.
fn bytes(image: DynamicImage) -> ([usize; 3], Vec<u8>) {
    let (height, width) = (image.height() as usize, image.width() as usize);
    if image.color().has_color() {
        ([height, width, 3], image.into_rgb8().into_raw())
    } else {
        ([height, width, 1], image.into_luma8().into_raw())
    }
}
