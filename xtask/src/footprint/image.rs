//! What a program's ELF says: bytes of flash and RAM, and what takes them.

use std::path::Path;

use anyhow::{Context as _, Result};
use object::{Object as _, ObjectSection as _, ObjectSymbol as _, SectionFlags, elf};
use serde::Serialize;

/// A function or a constant.
#[derive(Debug, Serialize)]
pub(super) struct Symbol {
    pub(super) name: String,
    pub(super) bytes: u64,
}

/// The sizes of an image.
#[derive(Debug)]
pub(super) struct Image {
    /// Bytes that are programmed: code, constants, initial values.
    pub(super) flash: u64,
    /// Bytes of variables.
    pub(super) ram: u64,
    /// The largest first.
    pub(super) symbols: Vec<Symbol>,
}

/// Reads an ELF file.
///
/// # Errors
/// It cannot be read or is no ELF file.
pub(super) fn read(path: &Path) -> Result<Image> {
    let data = std::fs::read(path).with_context(|| path.display().to_string())?;
    let file = object::File::parse(&*data).with_context(|| path.display().to_string())?;
    let (mut flash, mut ram) = (0, 0);
    for section in file.sections() {
        let SectionFlags::Elf { sh_flags, sh_type, .. } = section.flags() else { continue };
        let [allocated, written] =
            [elf::SHF_ALLOC, elf::SHF_WRITE].map(|flag| (sh_flags & flag).0 != 0);
        if !allocated {
            continue;
        }
        // `.bss` and its like are not in the file; initial values are in both memories.
        if sh_type != elf::SHT_NOBITS {
            flash += section.size();
        }
        if written {
            ram += section.size();
        }
    }
    let mut symbols: Vec<Symbol> = file
        .symbols()
        .filter(|symbol| symbol.size() != 0)
        .filter_map(|symbol| {
            let name = format!("{:#}", rustc_demangle::demangle(symbol.name().ok()?));
            Some(Symbol { name, bytes: symbol.size() })
        })
        .collect();
    symbols.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.name.cmp(&b.name)));
    Ok(Image { flash, ram, symbols })
}
