//! Writes the seeds of the fuzz target `load_blob` for the blob format of this build.

use std::io;

use conformance::fuzz::seeds::{blobs, root};

/// Bytes of the largest seed: mutations of small files reach further.
const LARGEST: usize = 2048;

fn main() -> io::Result<()> {
    let folder = root().join("fuzz/seeds/load_blob");
    std::fs::create_dir_all(&folder)?;
    for (name, blob) in blobs(&["importer"]).into_iter().filter(|(_, blob)| blob.len() < LARGEST) {
        std::fs::write(folder.join(name), blob)?;
    }
    println!("wrote {}", folder.display());
    Ok(())
}
