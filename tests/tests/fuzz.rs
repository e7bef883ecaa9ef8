//! A bounded, repeatable run of what `tests/fuzz` does without end.

use std::path::{Path, PathBuf};

use conformance::fuzz::{import_tflite, load_blob};
use host_train::arch::{Architecture, WeightTensor, Weights};
use host_train::export::{Options, Target, export};
use host_train::import::tflite;

/// Words that lengths, extents, indices and offsets break on.
const HOSTILE: [u32; 14] = [
    0,
    1,
    2,
    7,
    0xff,
    0x7fff,
    0xffff,
    0x0001_0000,
    0x00ff_ffff,
    0x7f80_0000,
    0x7fff_ffff,
    0x8000_0000,
    u32::MAX - 1,
    u32::MAX,
];

/// Changed copies of each model and blob.
const MUTATIONS: usize = 20;

/// A repeatable source of numbers (the 64-bit xorshift of Marsaglia).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

/// One to four changes: a flipped bit, a hostile word, a word copied from
/// elsewhere (an index or offset that points at another's place), a cut.
fn mutate(seed: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=random.below(4) {
        let words = bytes.len() / 4;
        if words == 0 {
            break;
        }
        let at = 4 * random.below(words);
        match random.below(8) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes.truncate(at),
            2..=4 => {
                let word = HOSTILE[random.below(HOSTILE.len())];
                bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
            }
            _ => {
                let from = 4 * random.below(words);
                bytes.copy_within(from..from + 4, at);
            }
        }
    }
    bytes
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|e| e == extension) || extension.is_empty())
        .collect();
    paths.sort();
    paths
}

fn models(folders: &[&str]) -> Vec<PathBuf> {
    folders.iter().flat_map(|folder| files(&root().join("golden").join(folder), "tflite")).collect()
}

const UNPOOL: &str = r#"
    [[layers]]
    type = "MaxPooling2D"
    name = "pool"
    pool_size = 2
    [[layers]]
    type = "MaxUnpooling2D"
    pool = "pool"
"#;
const NAILS: &str = r#"
    [[layers]]
    type = "BedOfNails2D"
    size = 2
"#;

/// Blobs of every kind of layer: the small golden models, and networks of
/// layers that TensorFlow Lite does not have.
fn blobs(folders: &[&str]) -> Vec<(String, Vec<u8>)> {
    let mut blobs = Vec::new();
    for path in models(folders) {
        let bytes = std::fs::read(&path).unwrap();
        let Ok(graph) = tflite::read(&bytes) else { continue };
        let target = if blobs.len() % 2 == 0 { Target::Portable } else { Target::CortexM };
        let blob = export(&graph, Options { target, optimize: true, strip: true }).unwrap().blob;
        blobs.push((path.file_stem().unwrap().to_str().unwrap().to_string(), blob));
    }
    for (name, layers) in [("unpool", UNPOOL), ("nails", NAILS)] {
        let text = format!("name = \"{name}\"\ninput = [4, 6, 2]\n{layers}");
        let architecture = Architecture::parse(&text, "small.toml").unwrap();
        let mut weights = Weights::default();
        for (name, spec) in architecture.weights() {
            let values = vec![0.25; spec.shape.iter().product()];
            weights.insert(name, WeightTensor { shape: spec.shape.clone(), values });
        }
        let graph = architecture.lower(&weights).unwrap();
        blobs.push((name.to_string(), export(&graph, Options::default()).unwrap().blob));
    }
    blobs
}

#[test]
fn mutated_models_are_imported_or_refused() {
    let mut random = Random(0x6d63_7666_757a_7a31);
    for path in models(&["vectors", "importer", "refused"]) {
        let seed = std::fs::read(path).unwrap();
        import_tflite(&seed);
        for _ in 0..MUTATIONS {
            import_tflite(&mutate(&seed, &mut random));
        }
    }
}

#[test]
fn mutated_blobs_are_run_or_refused() {
    let mut random = Random(0x6d63_7666_757a_7a32);
    for (_, seed) in blobs(&["vectors", "importer"]) {
        load_blob(&seed);
        for _ in 0..MUTATIONS {
            load_blob(&mutate(&seed, &mut random));
        }
    }
}

#[test]
fn every_cut_of_a_model_is_refused_or_imported() {
    let seed = std::fs::read(root().join("golden/importer/two_inputs_i8.tflite")).unwrap();
    (0..seed.len()).for_each(|length| import_tflite(&seed[..length]));
}

/// What the fuzzers have found stays found.
#[test]
fn regressions() {
    for path in files(&root().join("fuzz/regressions/import_tflite"), "") {
        import_tflite(&std::fs::read(path).unwrap());
    }
    for path in files(&root().join("fuzz/regressions/load_blob"), "") {
        load_blob(&std::fs::read(path).unwrap());
    }
}

/// Writes the seeds of `load_blob` for the format of this build:
/// `cargo test -p conformance --test fuzz -- --ignored`.
#[test]
#[ignore = "writes into the source tree"]
fn write_seeds() {
    let folder = root().join("fuzz/seeds/load_blob");
    std::fs::create_dir_all(&folder).unwrap();
    for (name, blob) in blobs(&["importer"]).into_iter().filter(|(_, blob)| blob.len() < 2048) {
        std::fs::write(folder.join(name), blob).unwrap();
    }
}
