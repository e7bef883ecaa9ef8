//! The README's table of operators, types and backends: its rows are the rows of the
//! suite, and a kernel that a backend has of its own is found in its source.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use crate::{BACKENDS, OPERATORS};

const BEGIN: &str = "<!-- operators: written by `UPDATE_README=1 cargo test -p conformance --test conformance readme` -->";
const END: &str = "<!-- end of operators -->";

/// An operator of the suite.
pub(crate) struct Operator {
    /// What the README calls it.
    pub(crate) label: &'static str,
    /// The methods of `Kernels` with which a backend takes it over; where one serves several
    /// operators, what its source then names.
    pub(crate) hooks: &'static [&'static str],
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All of a backend's source.
fn source(folder: &Path, name: &str) -> String {
    let mut text = std::fs::read_to_string(folder.join(name).with_extension("rs")).unwrap();
    let Ok(entries) = std::fs::read_dir(folder.join(name)) else { return text };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|e| e == "rs"));
    paths.sort();
    for path in paths {
        let stem = path.file_stem().unwrap().to_string_lossy();
        if stem != "tests" {
            text += &source(&folder.join(name), &stem);
        }
    }
    text
}

/// Whether the backend implements `hook` for this type by something else than the
/// portable backend.
fn is_own(source: &str, dtype: &str, hook: &str) -> bool {
    let (hook, mention) = hook.split_once(' ').unwrap_or((hook, ""));
    let Some(start) = source.find(&format!("impl Kernels<{dtype}> for")) else { return false };
    let block = &source[start..];
    let block = &block[..block.find("\n}\n").unwrap_or(block.len())];
    let method = [format!("fn {hook}("), format!("fn {hook}<")];
    let Some(at) = method.iter().find_map(|name| block.find(name)) else { return false };
    let body = &block[at + 3..];
    let body = &body[..body.find("\n    fn ").unwrap_or(body.len())];
    !body.contains("<Scalar as") && source.contains(mention)
}

fn table() -> String {
    let backends = root().join("kernels/src/backend");
    let mut text = String::from("| operator |");
    for name in BACKENDS {
        write!(text, " {name} i8 | {name} f32 |").unwrap();
    }
    text += "\n|---|";
    text += &"---|---|".repeat(BACKENDS.len());
    for Operator { label, hooks } in OPERATORS {
        write!(text, "\n| {label} |").unwrap();
        for name in BACKENDS {
            let source = source(&backends, name);
            for dtype in ["i8", "f32"] {
                let own =
                    *name != "scalar" && hooks.iter().any(|hook| is_own(&source, dtype, hook));
                text += if own { " own |" } else { " ✔ |" };
            }
        }
    }
    text
}

#[test]
fn every_backend_is_stamped() {
    let folder = root().join("kernels/src/backend");
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<String> = entries
        .filter(|path| path.extension().is_some_and(|e| e == "rs"))
        .filter(|path| std::fs::read_to_string(path).unwrap().contains("impl Backend for"))
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    found.sort();
    let mut stamped = BACKENDS.to_vec();
    stamped.sort_unstable();
    assert_eq!(found, stamped);
}

#[test]
fn readme_has_the_table_of_this_suite() {
    let path = root().join("README.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let begin = text.find(BEGIN).expect("README.md has lost the mark of its table") + BEGIN.len();
    let end = begin + text[begin..].find(END).expect("README.md has lost the end of its table");
    let table = format!("\n\n{}\n\n", table());
    if std::env::var_os("UPDATE_README").is_some() {
        let text = format!("{}{table}{}", &text[..begin], &text[end..]);
        std::fs::write(path, text).unwrap();
        return;
    }
    assert!(
        text[begin..end] == table,
        "README.md has another table; UPDATE_README=1 writes this one:\n{table}"
    );
}
