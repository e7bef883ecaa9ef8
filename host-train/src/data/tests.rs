use std::fs;

use super::*;

fn idx_bytes(extents: [u32; 3], pixels: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, 3];
    extents.iter().for_each(|e| bytes.extend(e.to_be_bytes()));
    bytes.extend(pixels);
    bytes
}

fn error(path: &Path, input: &[usize]) -> String {
    format!("{:#}", load(Some(path), input, None).expect_err("the data is wrong"))
}

#[test]
fn shipped_subset_is_whole() {
    let data = mnist_subset().unwrap();
    assert_eq!((data.train.len(), data.test.len()), (6000, 1000));
    assert_eq!(data.train.shape(), [28, 28, 1]);
    assert!(SUBSET_TRAIN.len() + SUBSET_TEST.len() <= 1_300_000);
    let image = data.test.image(0);
    assert!(image.contains(&1.0) && image.contains(&0.0), "scaled to [0, 1]");
}

#[test]
fn idx_is_read_plain_and_gzip() {
    let dir = tempfile::tempdir().unwrap();
    let pixels: Vec<u8> = (0..24).collect();
    fs::write(dir.path().join("train-images-idx3-ubyte"), idx_bytes([2, 3, 4], &pixels)).unwrap();
    let gz = dir.path().join("t10k-images-idx3-ubyte.gz");
    idx::write_images_gz(&gz, [1, 3, 4], &pixels[12..]).unwrap();
    let data = load(Some(dir.path()), &[3, 4, 1], None).unwrap();
    assert_eq!((data.train.len(), data.test.len()), (2, 1));
    assert_eq!(data.train.image(1), data.test.image(0));
    assert_eq!(data.train.image(0)[1], 1.0 / 255.0);
}

#[test]
fn idx_is_checked() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("train-images-idx3-ubyte");
    let whole = idx_bytes([2, 3, 4], &[7; 24]);
    for cut in 0..whole.len() {
        fs::write(&file, &whole[..cut]).unwrap();
        let message = error(dir.path(), &[3, 4, 1]);
        assert!(message.contains("train-images-idx3-ubyte: is cut short"), "{cut}: {message}");
    }
    let write = |bytes: &[u8]| fs::write(&file, bytes).unwrap();
    write(&[&whole[..], &[1]].concat());
    assert!(error(dir.path(), &[3, 4, 1]).contains("bytes after the 24"));
    write(&[&[0, 0, 9, 3], &whole[4..]].concat());
    assert!(error(dir.path(), &[3, 4, 1]).contains("no IDX file"));
    write(&idx_bytes([u32::MAX; 3], &[]));
    assert!(error(dir.path(), &[3, 4, 1]).contains("fetch the file again"));
    write(&whole);
    assert!(error(dir.path(), &[28, 28, 1]).contains("images are 3×4×1, the model takes 28×28×1"));
    assert_eq!(load(Some(dir.path()), &[12], None).unwrap().train.len(), 1);
}

#[test]
fn gzip_that_is_cut_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("train-images-idx3-ubyte.gz");
    idx::write_images_gz(&file, [2, 3, 4], &[7; 24]).unwrap();
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    assert!(error(dir.path(), &[3, 4, 1]).contains("cut short"));
}

#[test]
fn images_and_arrays_are_read() {
    let dir = tempfile::tempdir().unwrap();
    for i in 0..10_u8 {
        image::GrayImage::from_fn(4, 3, |x, y| image::Luma([i + x as u8 + 10 * y as u8]))
            .save(dir.path().join(format!("{i}.png")))
            .unwrap();
    }
    let data = load(Some(dir.path()), &[3, 4, 1], Some(0.3)).unwrap();
    assert_eq!((data.train.len(), data.test.len()), (7, 3));
    let again = load(Some(dir.path()), &[3, 4, 1], Some(0.3)).unwrap();
    assert_eq!(data.test, again.test, "the split is the same every time");
    assert!(error(dir.path(), &[8, 8, 1]).contains("0.png: images are 3×4×1"));

    let bytes: Vec<u8> = (0..24).collect();
    let npy = dir.path().join("faces.npy");
    write_npy(&npy, "|u1", "(2, 3, 4, 1)", &bytes);
    let data = load(Some(&npy), &[3, 4, 1], None).unwrap();
    assert_eq!((data.train.len(), data.test.len()), (1, 1));
    let floats: Vec<u8> = (0..24).flat_map(|i| (i as f32).to_le_bytes()).collect();
    write_npy(&npy, "<f4", "(2, 3, 4)", &floats);
    assert_eq!(npy::read(&npy).unwrap().image(1)[0], 12.0);
    write_npy(&npy, "<f8", "(2, 3, 4)", &[0; 192]);
    assert!(error(&npy, &[3, 4, 1]).contains("type <f8"));
    write_npy(&npy, "|u1", "(2, 3, 4)", &bytes[..5]);
    assert!(error(&npy, &[3, 4, 1]).contains("cut short"));
}

#[test]
fn paths_that_do_not_serve_are_named() {
    let dir = tempfile::tempdir().unwrap();
    assert!(error(&dir.path().join("nowhere"), &[3, 4, 1]).contains("nowhere: no such folder"));
    assert!(error(dir.path(), &[3, 4, 1]).contains("holds neither"));
    fs::write(dir.path().join("broken.png"), b"no image").unwrap();
    assert!(error(dir.path(), &[3, 4, 1]).contains("broken.png"));
}

fn write_npy(path: &Path, dtype: &str, shape: &str, data: &[u8]) {
    let mut header = format!("{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}");
    while !(10 + header.len() + 1).is_multiple_of(64) {
        header.push(' ');
    }
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    fs::write(path, bytes).unwrap();
}
