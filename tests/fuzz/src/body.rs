//! Request bodies in JSON and YAML: what is decoded stays the same when it is decoded again.

use sheave_api::decode::{Format, typed, untyped};
use sheave_api::schema::Arena;

use crate::inputs::KINDS;

/// Takes one input.
pub(crate) fn check(data: &[u8]) {
    let arena = Arena::builtin();
    for format in [Format::Json, Format::Yaml] {
        let _ = untyped(data, format);
        for (_, _, name) in KINDS {
            let ty = arena.named(name).expect("a built-in kind");
            let Ok(decoded) = typed(arena, ty, data, format) else { continue };
            let written = decoded.document.to_string();
            let again = typed(arena, ty, written.as_bytes(), Format::Json)
                .unwrap_or_else(|error| panic!("{name} is written {written}: {error}"));
            assert_eq!(again.document, decoded.document, "{name}");
        }
    }
}
