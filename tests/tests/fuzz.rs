//! A bounded, repeatable run of what `tests/fuzz` does without end.

use conformance::fuzz::seeds::{blobs, files, models, root};
use conformance::fuzz::{import_tflite, load_blob};

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

#[test]
fn mutated_models_are_imported_or_refused() {
    let mut random = Random(0x6d63_7666_757a_7a31);
    // What the fuzzers have found stays found.
    let found = files(&root().join("fuzz/regressions/import_tflite"), "");
    for path in models(&["vectors", "importer", "refused"]).into_iter().chain(found) {
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
    let found = files(&root().join("fuzz/regressions/load_blob"), "");
    let found = found.into_iter().map(|path| std::fs::read(path).unwrap());
    let blobs = blobs(&["vectors", "importer"]).into_iter().map(|(_, blob)| blob);
    for seed in blobs.chain(found) {
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
