//! A crate around `include_model!`.

use std::fmt::Write;

use super::{Files, Sources, element, extents, ports};

pub(super) fn files(sources: &Sources<'_>) -> Files {
    vec![
        ("Cargo.toml".into(), manifest(sources).into_bytes()),
        ("src/lib.rs".into(), library(sources).into_bytes()),
        ("src/model.mcv".into(), sources.model.bytes().to_vec()),
    ]
}

fn manifest(sources: &Sources<'_>) -> String {
    format!(
        r#"[package]
name = "{name}"
description = "{file}, exported by microconv"
version = "0.1.0"
edition = "2024"
publish = false

[dependencies]
# Where microconv is no dependency yet: {{ path = "<microconv>/kernels" }}.
microconv = "{version}"
"#,
        name = sources.name.replace('_', "-"),
        file = sources.file,
        version = env!("CARGO_PKG_VERSION"),
    )
}

/// The module, also for a crate that has a module of its own for it.
fn library(sources: &Sources<'_>) -> String {
    let model = sources.model;
    let mut text = format!(
        "//! `{}`, exported by `microconv export --rust`: {} layers, {} bytes of flash, {} bytes of arena.\n\
         //!\n\
         //! ```ignore\n\
         //! let mut arena = Arena::new();\n\
         //! let mut session = session(&mut arena);\n\
         //! session.input_bytes(0).copy_from_slice(…);\n\
         //! session.run();\n\
         //! let result = session.output_bytes(0);\n\
         //! ```\n\
         #![no_std]\n\n\
         use microconv::model::embed::StaticSession;\n\n",
        sources.file,
        model.layers(),
        model.bytes().len(),
        model.arena_bytes()
    );
    text.push_str(
        "microconv::include_model!(\n    /// The model, checked when it is compiled.\n    pub Model,\n    \"model.mcv\"\n);\n\n\
         /// The memory that the model runs in.\n\
         pub type Arena = microconv::Arena<{ Model::ARENA_BYTES }>;\n\n\
         /// A session in `arena`.\n\
         pub fn session(arena: &mut Arena) -> StaticSession<'_, Model> {\n    Model::session(arena)\n}\n",
    );
    for (name, info) in ports(model) {
        let _ = write!(
            text,
            "\n/// {}: {} {}.\npub mod {name} {{\n    /// Extents, batch first.\n    pub const SHAPE: [usize; {}] = {:?};\n",
            title(&name),
            extents(&info),
            element(&info),
            info.shape().len(),
            info.shape()
        );
        if info.scale > 0.0 {
            let _ = write!(
                text,
                "    /// Real step of a code.\n    pub const SCALE: f32 = {:?};\n    /// Code of zero.\n    pub const ZERO_POINT: i32 = {};\n",
                info.scale, info.zero_point
            );
        }
        text.push_str("}\n");
    }
    text
}

/// `input0` as `Input 0`.
fn title(name: &str) -> String {
    let (word, number) = name.split_at(name.trim_end_matches(|c: char| c.is_ascii_digit()).len());
    let (first, rest) = word.split_at(1);
    format!("{}{rest} {number}", first.to_ascii_uppercase())
}
