//! Strategic merge patch: `{"kind": .., "target": .., "patch": ..}`, or bytes for the generator.

use serde_json::Value;
use sheave_api::schema::Arena;
use sheave_patch::{limits, strategic};

use crate::generate::Generator;
use crate::inputs::{KINDS, as_json, kind};

/// Takes one input.
pub(crate) fn check(data: &[u8]) {
    let (name, target, patch) = match as_json(data) {
        Some(input) => {
            (kind(input["kind"].as_str().unwrap_or_default()).2, input["target"].clone(), input["patch"].clone())
        }
        None => generated(data).expect("bytes that run out are zeros"),
    };
    let arena = Arena::builtin();
    let root = arena.named(name).expect("a built-in kind");
    match strategic::apply(arena, root, target, patch) {
        Ok(document) => limits::check_depth(&document).expect("a patched document stays within the depth limit"),
        Err(error) => assert!((400..=422).contains(&error.code()), "{error}"),
    }
}

fn generated(data: &[u8]) -> arbitrary::Result<(&'static str, Value, Value)> {
    let mut generator = Generator::new(data);
    let (_, _, name) = *generator.choose(KINDS)?;
    Ok((name, generator.document(name, false)?, generator.document(name, true)?))
}
