//! A blob for C: the bytes as an array, a header with every size, and a crate
//! that makes a static library with one function to call.

use std::fmt::Write;

use super::{Files, Sources, element, extents, ports, upper};

pub(super) fn files(sources: &Sources<'_>) -> Files {
    let name = &sources.name;
    vec![
        (format!("{name}.h"), header(sources).into_bytes()),
        (format!("{name}.c"), array(sources).into_bytes()),
        ("runtime/Cargo.toml".into(), manifest(sources).into_bytes()),
        ("runtime/src/lib.rs".into(), library(sources).into_bytes()),
        ("runtime/src/model.mcv".into(), sources.model.bytes().to_vec()),
    ]
}

fn header(sources: &Sources<'_>) -> String {
    let (name, model) = (&sources.name, sources.model);
    let prefix = upper(name);
    let mut text = format!(
        "/* {file}, exported by `microconv export --c`: {layers} layers. */\n\
         #ifndef {prefix}_H\n#define {prefix}_H\n\n#include <stddef.h>\n#include <stdint.h>\n\n\
         #ifdef __cplusplus\nextern \"C\" {{\n#endif\n\n\
         /* Bytes of the blob, and of the memory that the model runs in; both lie at multiples of {prefix}_ALIGNMENT. */\n\
         #define {prefix}_BYTES {bytes}u\n#define {prefix}_ARENA_BYTES {arena}u\n#define {prefix}_ALIGNMENT 16u\n\
         #define {prefix}_INPUTS {inputs}u\n#define {prefix}_OUTPUTS {outputs}u\n\n",
        file = sources.file,
        layers = model.layers(),
        bytes = model.bytes().len(),
        arena = model.arena_bytes(),
        inputs = model.inputs(),
        outputs = model.outputs(),
    );
    for (port, info) in ports(model) {
        let port = upper(&port);
        let _ = write!(
            text,
            "/* {port}: {} {}, batch first. */\n#define {prefix}_{port}_BYTES {}u\n",
            extents(&info),
            element(&info),
            info.bytes()
        );
        if info.scale > 0.0 {
            let _ = write!(
                text,
                "#define {prefix}_{port}_SCALE {:?}f\n#define {prefix}_{port}_ZERO_POINT ({})\n",
                info.scale, info.zero_point
            );
        }
    }
    let _ = write!(
        text,
        "\n/* The blob, in {name}.c; for programs that load it at run time. */\n\
         extern const unsigned char {name}_blob[{prefix}_BYTES];\n\n\
         /* In the static library of runtime/ (cargo build --release --target <yours>), which holds\n   \
         the blob itself: copies the inputs into `arena`, runs the model, copies the outputs out.\n   \
         Arrays hold a pointer for each input and output, in order, to as many bytes as above.\n   \
         `arena` has {prefix}_ARENA_BYTES bytes; nothing has to survive in it between two calls.\n   \
         Returns 0, or -1 when a pointer is null or `arena` is not aligned. */\n\
         int32_t {name}_run(void *arena, const void *const *inputs, void *const *outputs);\n\n\
         #ifdef __cplusplus\n}}\n#endif\n\n#endif\n"
    );
    text
}

fn array(sources: &Sources<'_>) -> String {
    let name = &sources.name;
    let mut text = format!(
        "/* The bytes of {}, at a multiple of 16. */\n#include \"{name}.h\"\n\n\
         #if defined(__cplusplus)\nalignas(16)\n#elif defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L\n_Alignas(16)\n\
         #else\n__attribute__((aligned(16)))\n#endif\nconst unsigned char {name}_blob[{}_BYTES] = {{\n",
        sources.file,
        upper(name)
    );
    for row in sources.model.bytes().chunks(16) {
        let cells: Vec<String> = row.iter().map(|byte| format!("0x{byte:02x}")).collect();
        let _ = writeln!(text, "    {},", cells.join(", "));
    }
    text.push_str("};\n");
    text
}

fn manifest(sources: &Sources<'_>) -> String {
    format!(
        r#"[package]
name = "{name}-runtime"
description = "{file} as a static library, exported by microconv"
version = "0.1.0"
edition = "2024"
publish = false

[lib]
name = "{name}"
crate-type = ["staticlib"]

[dependencies]
# Where microconv is no dependency yet: {{ path = "<microconv>/kernels" }}.
microconv = "{version}"

# A library without the standard one cannot unwind.
[profile.dev]
panic = "abort"

[profile.release]
panic = "abort"
lto = true
codegen-units = 1
"#,
        name = sources.name,
        file = sources.file,
        version = env!("CARGO_PKG_VERSION"),
    )
}

const LIBRARY: &str = r#"//! @FILE@ behind one C function, declared in `../@NAME@.h`.
#![cfg_attr(target_os = "none", no_std)]

use core::slice;

microconv::include_model!(Model, "model.mcv");

/// Nothing panics after the checks at compile time; the linker leaves this out or the core stops.
#[cfg(target_os = "none")]
#[panic_handler]
fn stop(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// Runs the model; 0, or -1 when a pointer is null or the arena is not aligned.
///
/// # Safety
/// `arena` points to `@PREFIX@_ARENA_BYTES` bytes, `inputs` and `outputs` to as many
/// pointers as the model has inputs and outputs, each to as many bytes as the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn @NAME@_run(
    arena: *mut u8,
    inputs: *const *const u8,
    outputs: *const *mut u8,
) -> i32 {
    if arena.is_null() || inputs.is_null() || outputs.is_null() {
        return -1;
    }
    // SAFETY: the caller gives that many bytes, and nobody else uses them during the call.
    let arena = unsafe { slice::from_raw_parts_mut(arena, Model::ARENA_BYTES) };
    let Ok(mut session) = microconv::model::embed::StaticSession::<Model>::new(arena) else {
        return -1;
    };
    for i in 0..session.model().inputs() {
        // SAFETY: there is a pointer for each input.
        let input = unsafe { *inputs.add(i) };
        if input.is_null() {
            return -1;
        }
        let bytes = session.input_bytes(i);
        // SAFETY: it points to as many bytes as the input has.
        bytes.copy_from_slice(unsafe { slice::from_raw_parts(input, bytes.len()) });
    }
    session.run();
    for i in 0..session.model().outputs() {
        // SAFETY: there is a pointer for each output.
        let output = unsafe { *outputs.add(i) };
        if output.is_null() {
            return -1;
        }
        let bytes = session.output_bytes(i);
        // SAFETY: it points to as many bytes as the output has.
        unsafe { slice::from_raw_parts_mut(output, bytes.len()) }.copy_from_slice(bytes);
    }
    0
}
"#;

fn library(sources: &Sources<'_>) -> String {
    LIBRARY
        .replace("@FILE@", &sources.file)
        .replace("@NAME@", &sources.name)
        .replace("@PREFIX@", &upper(&sources.name))
}
