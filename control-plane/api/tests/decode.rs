//! Properties of decoding, over documents made from the schemas.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod documents;

use documents::{Every, Random};
use proptest::prelude::*;
use serde_json::Value;
use sheave_api::decode::{self, Accepted, BodyError, FieldValidation, Format};
use sheave_api::kind::Kind;
use sheave_api::registry::Registry;
use sheave_api::schema::Arena;

fn decode_as(registry: &Registry, kind: &Kind, body: &[u8], format: Format) -> Result<Accepted, BodyError> {
    decode::object(registry, &kind.gvk, body, format, FieldValidation::Strict)
}

/// The values below a value, itself included.
fn places(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(places).sum(),
        Value::Object(fields) => fields.values().map(places).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

/// Puts `new` in the place of the value at `position`, counted as [`places`] does.
fn replace(value: &mut Value, position: &mut usize, new: &Value) {
    if *position == 0 {
        *value = new.clone();
    }
    *position = position.wrapping_sub(1);
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| replace(item, position, new)),
        Value::Object(fields) => fields.values_mut().for_each(|field| replace(field, position, new)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn a_document_with_every_field_is_accepted_unchanged_in_json_and_yaml() {
    let registry = Registry::builtin();
    for kind in registry.kinds() {
        let mut body = documents::fill(Arena::builtin(), kind.schema, &mut Every::default());
        body["apiVersion"] = kind.gvk.api_version().into();
        body["kind"] = kind.gvk.kind.as_str().into();
        let once = decode_as(&registry, kind, body.to_string().as_bytes(), Format::Json).unwrap();
        let twice = decode_as(&registry, kind, once.document.to_string().as_bytes(), Format::Json).unwrap();
        assert_eq!(once, twice, "{:?}", kind.gvk);
        let yaml = serde_yaml_ng::to_string(&once.document).unwrap();
        assert_eq!(decode_as(&registry, kind, yaml.as_bytes(), Format::Yaml).unwrap(), once, "{:?}", kind.gvk);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn random_documents_of_every_kind_are_accepted_and_stay_as_they_are(seed: u64) {
        let registry = Registry::builtin();
        for kind in registry.kinds() {
            let body = documents::fill(Arena::builtin(), kind.schema, &mut Random::new(seed));
            let once = decode_as(&registry, kind, body.to_string().as_bytes(), Format::Json).unwrap();
            let again = decode::document(registry.schema(), kind.schema, once.document.clone()).unwrap();
            prop_assert_eq!(&again.document, &once.document);
            prop_assert!(again.findings.is_empty());
        }
    }

    #[test]
    fn a_value_of_any_type_in_any_place_is_accepted_or_refused(seed: u64, place in any::<prop::sample::Index>(), which in 0_usize..8) {
        let registry = Registry::builtin();
        let values = [
            Value::Null, true.into(), 3.into(), 2.5.into(), "text".into(), Value::Array(vec![1.into()]),
            serde_json::json!({"unknown": 1}), u64::MAX.into(),
        ];
        for kind in registry.kinds() {
            let mut body = documents::fill(Arena::builtin(), kind.schema, &mut Random::new(seed));
            let mut position = place.index(places(&body));
            replace(&mut body, &mut position, &values[which]);
            // Nothing but not to panic, and an error that says something.
            if let Err(error) = decode_as(&registry, kind, body.to_string().as_bytes(), Format::Json) {
                prop_assert!(!error.to_string().is_empty());
            }
        }
    }

    #[test]
    fn random_text_never_panics(body in ".{0,200}", bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        let registry = Registry::builtin();
        let pod = registry.resource("", "v1", "pods").unwrap();
        for format in [Format::Json, Format::Yaml, Format::Protobuf] {
            let _ = decode_as(&registry, pod, body.as_bytes(), format);
            let _ = decode_as(&registry, pod, &bytes, format);
            let _ = decode::untyped(&bytes, format);
        }
    }
}
