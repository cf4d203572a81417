//! Protobuf bodies: what decodes is a document that encodes, and decodes to the same document again.

use sheave_api::decode::{Format, document, typed};
use sheave_api::protobuf::{decode, encode};
use sheave_api::schema::Arena;

use crate::inputs::KINDS;

/// Takes one input.
pub(crate) fn check(data: &[u8]) {
    let arena = Arena::builtin();
    for (_, _, name) in KINDS {
        let ty = arena.named(name).expect("a built-in kind");
        let _ = typed(arena, ty, data, Format::Protobuf);
        let Ok(raw) = decode(ty, data) else { continue };
        // Of a message, not every value is one of the JSON form: a quantity is any text there.
        let Ok(decoded) = document(arena, ty, raw) else { continue };
        let message = encode(ty, &decoded.document)
            .unwrap_or_else(|error| panic!("{name}: {} does not encode: {error}", decoded.document));
        let again = decode(ty, &message)
            .map(|raw| document(arena, ty, raw))
            .unwrap_or_else(|error| panic!("{name}: {} encodes to what does not decode: {error}", decoded.document));
        assert_eq!(again.map(|again| again.document), Ok(decoded.document), "{name}");
    }
}
