//! Pods made from templates, and the hash that tells templates apart.

use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use serde::Serialize;

/// The pod that `template` describes, without a name, controlled by `owner`.
pub(crate) fn pod_from_template(template: &PodTemplateSpec, namespace: &str, owner: OwnerReference) -> Pod {
    let meta = template.metadata.clone().unwrap_or_default();
    Pod {
        metadata: ObjectMeta {
            namespace: Some(namespace.to_owned()),
            labels: meta.labels,
            annotations: meta.annotations,
            finalizers: meta.finalizers,
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        spec: template.spec.clone(),
        status: None,
    }
}

/// The prefix of the names of an owner's pods; the server adds five characters.
pub(crate) fn name_prefix(owner: &str) -> String {
    format!("{owner}-")
}

/// A short hash of `value`, safe in names and labels.
///
/// `collisions` is how often the hash met a different object of the same name; it gives another hash. The hash names
/// objects only: two templates are compared field by field, so a hash that changes with a release renames nothing.
pub(crate) fn hash<T: Serialize>(value: &T, collisions: Option<i32>) -> String {
    let mut hash = Fnv::default();
    // A value of an API type always encodes.
    hash.write(&serde_json::to_vec(value).unwrap_or_default());
    if let Some(collisions) = collisions {
        hash.write(&collisions.to_le_bytes());
    }
    safe_text(hash.0)
}

/// Digits spelled in the alphabet of generated names, which has no vowels and so no words.
pub(crate) fn safe_text(number: u32) -> String {
    const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
    number.to_string().bytes().map(|digit| char::from(ALPHABET[usize::from(digit) % ALPHABET.len()])).collect()
}

/// FNV-1a with 32 bits, the hash behind Kubernetes' short names.
pub(crate) struct Fnv(u32);

// === impl Fnv ===

impl Default for Fnv {
    fn default() -> Self {
        Self(0x811c_9dc5)
    }
}

impl Fnv {
    /// Takes in `bytes`.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fnv_gives_the_published_values() {
        for (text, expected) in [("", 0x811c_9dc5), ("a", 0xe40c_292c), ("foobar", 0xbf9c_f968)] {
            let mut hash = Fnv::default();
            hash.write(text.as_bytes());
            assert_eq!(hash.0, expected, "{text:?}");
        }
    }

    #[test]
    fn a_collision_gives_another_hash_of_the_same_value() {
        assert_ne!(hash(&"template", None), hash(&"template", Some(1)));
        assert_eq!(hash(&"template", Some(1)), hash(&"template", Some(1)));
        assert!(hash(&"template", None).bytes().all(|byte| b"bcdfghjklmnpqrstvwxz2456789".contains(&byte)));
    }
}
