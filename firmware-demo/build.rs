//! Selects the board: `MICROCONV_BOARD` names one folder of `boards/`; a build
//! for the host needs no name. Passes the linker script and the board's facts on.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process,
};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=boards");
    println!("cargo:rerun-if-env-changed=MICROCONV_BOARD");
    if let Err(message) = configure() {
        eprintln!("error: {message}");
        process::exit(1);
    }
}

fn configure() -> Result<(), String> {
    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let boards = root.join("boards");
    let board = selected(&boards)?;
    let folder = boards.join(&board);
    let text = fs::read_to_string(folder.join("board.toml"))
        .map_err(|error| format!("boards/{board}/board.toml: {error}"))?;
    let facts: toml::Table =
        text.parse().map_err(|error| format!("boards/{board}/board.toml: {error}"))?;
    let fact = |key: &str| {
        facts.get(key).ok_or_else(|| format!("boards/{board}/board.toml: `{key}` is missing"))
    };

    let target = variable("TARGET")?;
    let triple = fact("triple")?.as_str().unwrap_or_default();
    let bare = variable("CARGO_CFG_TARGET_OS")? == "none";
    if (triple == "host") == bare || (bare && triple != target) {
        return Err(format!(
            "board {board} is built for {triple}, not for {target}; use `cargo xtask firmware {board}`"
        ));
    }
    let bytes = fact("selftest-bytes")?.as_integer().unwrap_or_default();
    let per_tick = facts.get("qemu").and_then(|qemu| qemu.get("instructions-per-tick"));
    let per_tick = per_tick
        .and_then(|value| value.as_float().or_else(|| value.as_integer().map(|n| n as f64)));
    println!("cargo:rustc-check-cfg=cfg(counts_instructions)");
    if let Some(per_tick) = per_tick {
        println!("cargo:rustc-cfg=counts_instructions");
        println!("cargo:rustc-env=MICROCONV_QUARTERS_PER_TICK={}", (per_tick * 4.0) as u64);
    }
    // The model to embed: a file of the caller's, or the one that ships with the demo.
    println!("cargo:rerun-if-env-changed=MICROCONV_MODEL");
    let model = match env::var_os("MICROCONV_MODEL").filter(|path| !path.is_empty()) {
        Some(path) => PathBuf::from(path),
        None => root.join("model/upsample.mcv"),
    };
    if !model.is_file() {
        return Err(format!(
            "{}: no such model; set MICROCONV_MODEL to a .mcv file",
            model.display()
        ));
    }
    println!("cargo:rerun-if-changed={}", model.display());
    println!("cargo:rustc-env=MICROCONV_MODEL_FILE={}", model.display());
    // The blobs that `layers` measures: a folder of them, or the model alone.
    println!("cargo:rerun-if-env-changed=MICROCONV_LIST");
    let list = env::var_os("MICROCONV_LIST").filter(|path| !path.is_empty());
    list_models(&list.map_or(model, PathBuf::from))?;
    println!("cargo:rustc-env=MICROCONV_BOARD_NAME={board}");
    println!("cargo:rustc-env=MICROCONV_SELFTEST_BYTES={bytes}");
    if bare {
        // cortex-m-rt's link.x includes the board's memory.x.
        println!("cargo:rustc-link-search={}", folder.display());
        println!("cargo:rustc-link-arg-bins=-Tlink.x");
        println!("cargo:rustc-link-arg-bins=--nmagic");
    }
    Ok(())
}

/// Writes `models.rs`, which declares a static model per blob of `list`, in the order of
/// their names, and a macro that hands all of them on.
fn list_models(list: &Path) -> Result<(), String> {
    println!("cargo:rerun-if-changed={}", list.display());
    let fail = |error| format!("{}: {error}", list.display());
    let mut files = vec![list.to_owned()];
    if list.is_dir() {
        let entries: Result<Vec<_>, _> = fs::read_dir(list).map_err(fail)?.collect();
        files = entries.map_err(fail)?.iter().map(fs::DirEntry::path).collect();
        files.sort();
    }
    let (mut text, mut names) = (String::new(), String::new());
    for (index, file) in files.iter().enumerate() {
        text += &format!("microconv::include_model!(Model{index}, {file:?});\n");
        names += &format!(" {index} Model{index}");
    }
    text += &format!("macro_rules! models {{ ($hand:ident) => {{ $hand!({names}) }}; }}\n");
    let path = PathBuf::from(variable("OUT_DIR")?).join("models.rs");
    fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))
}

/// The board that `MICROCONV_BOARD` names, `host` by default on a host.
fn selected(boards: &Path) -> Result<String, String> {
    let mut known: Vec<String> = fs::read_dir(boards)
        .map_err(|error| format!("{}: {error}", boards.display()))?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    known.sort();
    let list = known.join(", ");
    let named = env::var("MICROCONV_BOARD").unwrap_or_default();
    let names: Vec<&str> = named.split([',', ' ']).filter(|name| !name.is_empty()).collect();
    match names[..] {
        [] if variable("CARGO_CFG_TARGET_OS")? != "none" => Ok("host".into()),
        [] => Err(format!("no board is selected; set MICROCONV_BOARD to one of {list}")),
        [name] if known.iter().any(|board| board == name) => Ok(name.into()),
        [name] => Err(format!("MICROCONV_BOARD={name} is no board; the boards are {list}")),
        _ => Err(format!("MICROCONV_BOARD={named} selects more than one of {list}; name one")),
    }
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|_| format!("{name} is not set; build with cargo"))
}
