//! Config maps and secrets.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Place, immutable, required_text};
use crate::Document;
use crate::field::{Errors, FieldError, Path};
use crate::names;
use crate::view::{View, equivalent};

/// The bytes that all values together may have.
const SIZE: usize = 1024 * 1024;

const SEALED: &str = "field is immutable when `immutable` is set";

/// The annotation that names the service account of a token.
const SERVICE_ACCOUNT_ANNOTATION: &str = "kubernetes.io/service-account.name";

/// A config map, metadata apart.
pub(crate) fn config_map(map: &Place<'_>, errors: &mut Errors) {
    let (data, binary) = (map.child("data"), map.child("binaryData"));
    let mut size = 0;
    for (key, value) in data.entries() {
        errors.key(&value, key);
        if binary.value().get(key).is_some() {
            errors.invalid_as(&value, key, "duplicate of key present in binaryData");
        }
        size += value.text().len();
    }
    for (key, value) in binary.entries() {
        errors.key(&value, key);
        size += decoded_length(value.text());
    }
    if size > SIZE {
        errors.push(FieldError::too_long(&Path::default(), SIZE));
    }
}

/// An update of a config map: a sealed one stays as it is.
pub(crate) fn config_map_update(map: &Place<'_>, old: &Document, errors: &mut Errors) {
    sealed(map, old, &["data", "binaryData"], errors);
    config_map(map, errors);
}

/// A secret, metadata apart. No value is ever shown.
pub(crate) fn secret(secret: &Place<'_>, errors: &mut Errors) {
    let data = secret.child("data");
    let mut size = 0;
    for (key, value) in data.entries() {
        errors.key(&value, key);
        size += decoded_length(value.text());
    }
    if size > SIZE {
        errors.too_long(&data, SIZE);
    }
    keys_of_type(secret, errors);
}

/// An update of a secret: its type stays, and a sealed one stays as it is.
pub(crate) fn secret_update(secret: &Place<'_>, old: &Document, errors: &mut Errors) {
    immutable(&secret.child("type"), old.at("type"), errors);
    sealed(secret, old, &["data"], errors);
    self::secret(secret, errors);
}

/// What is in a secret of a well-known type.
fn keys_of_type(secret: &Place<'_>, errors: &mut Errors) {
    let data = secret.child("data");
    let missing = |key: &str| data.value().get(key).is_none();
    match secret.value().text("type") {
        "kubernetes.io/service-account-token" => {
            required_text(&secret.child("metadata.annotations").key(SERVICE_ACCOUNT_ANNOTATION), errors);
        }
        "kubernetes.io/dockercfg" => json_object(&data.key(".dockercfg"), errors),
        "kubernetes.io/dockerconfigjson" => json_object(&data.key(".dockerconfigjson"), errors),
        "kubernetes.io/basic-auth" if missing("username") && missing("password") => {
            errors.required(&data.key("username"), "");
            errors.required(&data.key("password"), "");
        }
        "kubernetes.io/ssh-auth" => required_text(&data.key("ssh-privatekey"), errors),
        "kubernetes.io/tls" => {
            for key in ["tls.crt", "tls.key"].into_iter().filter(|key| missing(key)) {
                errors.required(&data.key(key), "");
            }
        }
        _ => {}
    }
}

/// The value must be a JSON object.
fn json_object(value: &Place<'_>, errors: &mut Errors) {
    if !value.is_set() {
        errors.required(value, "");
        return;
    }
    let bytes = STANDARD.decode(value.text()).unwrap_or_default();
    // The object itself is not kept: a small text can hold a large one.
    let parsed = serde_json::from_slice::<std::collections::BTreeMap<String, serde::de::IgnoredAny>>(&bytes);
    if parsed.is_err() {
        errors.invalid_as(value, "<secret contents redacted>", "must be a JSON object");
    }
}

fn sealed(object: &Place<'_>, old: &Document, fields: &[&str], errors: &mut Errors) {
    if !old.flag("immutable") {
        return;
    }
    if !object.value().flag("immutable") {
        errors.forbidden(&object.child("immutable"), SEALED);
    }
    for field in fields {
        let place = object.child(field);
        if !equivalent(place.value(), old.at(field)) {
            errors.forbidden(&place, SEALED);
        }
    }
}

/// How many bytes a base64 text stands for.
fn decoded_length(text: &str) -> usize {
    let padding = text.bytes().rev().take_while(|byte| *byte == b'=').count().min(2);
    (text.len() / 4 * 3).saturating_sub(padding)
}

impl Errors {
    /// A key of a config map or secret must be well-formed.
    fn key(&mut self, value: &Place<'_>, key: &str) {
        for reason in names::config_key(key) {
            self.invalid_as(value, key, reason);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::validation::tests::{refusals, refusals_of_update};

    #[test]
    fn config_maps_are_refused_in_kubernetes_words() {
        let table = [
            (json!({"data": {"a.txt": "x"}, "binaryData": {"b": "AAAA"}}), ""),
            (
                json!({"data": {"a": "x"}, "binaryData": {"a": "AAAA"}}),
                "data[a]: Invalid value: \"a\": duplicate of key present in binaryData",
            ),
            (
                json!({"data": {"a/b": "x"}}),
                "data[a/b]: Invalid value: \"a/b\": a valid config key must consist of alphanumeric characters, '-', \
                 '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is \
                 '[-._a-zA-Z0-9]+')",
            ),
            (json!({"data": {"a": "x".repeat(SIZE), "b": "y"}}), ": Too long: may not be more than 1048576 bytes"),
            (json!({"data": {"a": "x".repeat(SIZE)}}), ""),
        ];
        for (map, expected) in table {
            assert_eq!(refusals("", "ConfigMap", &map), expected);
        }
    }

    #[test]
    fn secrets_of_a_type_have_its_keys() {
        let table = [
            (json!({"data": {"a": "eA=="}}), ""),
            (json!({"type": "kubernetes.io/tls", "data": {"tls.crt": ""}}), "data[tls.key]: Required value"),
            (
                json!({"type": "kubernetes.io/basic-auth"}),
                "data[username]: Required value\ndata[password]: Required value",
            ),
            (json!({"type": "kubernetes.io/basic-auth", "data": {"username": ""}}), ""),
            (json!({"type": "kubernetes.io/ssh-auth"}), "data[ssh-privatekey]: Required value"),
            (
                json!({"type": "kubernetes.io/service-account-token"}),
                "metadata.annotations[kubernetes.io/service-account.name]: Required value",
            ),
            (json!({"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": "e30="}}), ""),
            (
                json!({"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": "eA=="}}),
                "data[.dockerconfigjson]: Invalid value: \"<secret contents redacted>\": must be a JSON object",
            ),
            (json!({"type": "example.com/own"}), ""),
        ];
        for (secret, expected) in table {
            assert_eq!(refusals("", "Secret", &secret), expected, "{secret}");
        }
    }

    #[test]
    fn what_is_sealed_stays() {
        let old = json!({"data": {"a": "eA=="}, "immutable": true});
        let new = json!({"data": {"a": "eQ=="}});
        for kind in ["ConfigMap", "Secret"] {
            assert_eq!(
                refusals_of_update("", kind, &old, &new),
                "immutable: Forbidden: field is immutable when `immutable` is set\n\
                 data: Forbidden: field is immutable when `immutable` is set"
            );
        }
        let (opaque, tls) = (json!({"type": "a"}), json!({"type": "b"}));
        assert_eq!(refusals_of_update("", "Secret", &opaque, &tls), "type: Invalid value: \"b\": field is immutable");
    }

    #[test]
    fn sizes_are_those_of_the_decoded_values() {
        for length in 0..10 {
            let encoded = STANDARD.encode(vec![0_u8; length]);
            assert_eq!(decoded_length(&encoded), length);
        }
    }
}
