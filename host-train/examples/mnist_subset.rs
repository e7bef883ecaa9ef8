//! Makes `host-train/data/mnist-subset` from the full MNIST files: of every
//! digit the first 600 training and the first 100 test images, in their order.
//!
//! `cargo run -p host-train --no-default-features --example mnist_subset -- MNIST host-train/data/mnist-subset`

use std::path::Path;

use anyhow::{Context, Result};
use host_train::data::idx;

fn main() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let usage = "usage: mnist_subset FULL_MNIST_FOLDER OUTPUT_FOLDER";
    let from = arguments.next().context(usage)?;
    let to = arguments.next().context(usage)?;
    for (set, per_digit) in [("train", 600), ("t10k", 100)] {
        subset(Path::new(&from), Path::new(&to), set, per_digit)?;
    }
    Ok(())
}

fn subset(from: &Path, to: &Path, set: &str, per_digit: usize) -> Result<()> {
    let find = |name: &str| idx::find(from, name).with_context(|| format!("{name} is missing"));
    let images_name = format!("{set}-images-idx3-ubyte");
    let images = idx::read_images(&find(&images_name)?)?;
    let labels = idx::read_labels(&find(&format!("{set}-labels-idx1-ubyte"))?)?;
    let mut taken = [0; 10];
    let chosen: Vec<usize> = (0..images.len())
        .filter(|&i| {
            let count = &mut taken[usize::from(labels[i])];
            *count += 1;
            *count <= per_digit
        })
        .collect();
    let pixels: Vec<u8> =
        images.gather(&chosen).iter().map(|&x| (x * 255.0).round() as u8).collect();
    let [height, width, _] = images.shape();
    let path = to.join(format!("{images_name}.gz"));
    idx::write_images_gz(&path, [chosen.len(), height, width], &pixels)?;
    println!("{}: {} images, {} bytes", path.display(), chosen.len(), path.metadata()?.len());
    Ok(())
}
