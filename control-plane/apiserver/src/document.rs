//! The bytes of a document: how they are laid out, and how a resource version gets into them without parsing.
//!
//! Stored bytes always begin `{"kind":K,"apiVersion":V,"metadata":{`, in that order and without whitespace, whatever the
//! client sent; the rest follows by key. So the place of `resourceVersion` and the extent of `metadata` are found by
//! looking at the front of the bytes alone:
//!
//! ```text
//! stored     {"kind":"Pod","apiVersion":"v1","metadata":{"name":"web"},"spec":{...}}
//! presented  {"kind":"Pod","apiVersion":"v1","metadata":{"resourceVersion":"7","name":"web"},"spec":{...}}
//! ```

use bytes::Bytes;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use sheave_api::Document;

const METADATA: &[u8] = b",\"metadata\":{";
const VERSION: &[u8] = b"\"resourceVersion\":\"";

/// A document in stored order.
struct Ordered<'a>(&'a Document);

/// Where things are in stored or presented bytes.
struct Layout {
    /// The first byte after `"metadata":{`.
    metadata: usize,
    /// The end of `"resourceVersion":"...",` when it is there, else `metadata`.
    after_version: usize,
}

/// The bytes to store: the fixed order, and no resource version.
pub(crate) fn encode(document: &mut Document) -> Bytes {
    if let Some(metadata) = document.get_mut("metadata").and_then(Document::as_object_mut) {
        metadata.remove("resourceVersion");
        metadata.remove("selfLink");
    }
    // A document is a tree of strings, numbers and lists: writing it to memory cannot fail.
    Bytes::from(serde_json::to_vec(&Ordered(document)).unwrap_or_default())
}

/// The bytes to serve: `stored` with the revision as its resource version. Bytes that are not in stored order (the
/// store's own bookkeeping) are returned as they are.
pub(crate) fn present(stored: &Bytes, revision: u64) -> Bytes {
    let Some(layout) = Layout::find(stored) else { return stored.clone() };
    let version = revision.to_string();
    let mut bytes = Vec::with_capacity(stored.len() + VERSION.len() + version.len() + 2);
    bytes.extend_from_slice(&stored[..layout.metadata]);
    bytes.extend_from_slice(VERSION);
    bytes.extend_from_slice(version.as_bytes());
    bytes.push(b'"');
    if stored.get(layout.after_version) != Some(&b'}') {
        bytes.push(b',');
    }
    bytes.extend_from_slice(&stored[layout.after_version..]);
    Bytes::from(bytes)
}

/// The bytes that [`present`] was given, from those that it made.
pub(crate) fn stored(presented: &Bytes) -> Bytes {
    let Some(layout) = Layout::find(presented).filter(|it| it.after_version > it.metadata) else {
        return presented.clone();
    };
    Bytes::from([&presented[..layout.metadata], &presented[layout.after_version..]].concat())
}

/// The `metadata` object of stored or presented bytes, braces included.
pub(crate) fn metadata(bytes: &Bytes) -> Option<Bytes> {
    let start = Layout::find(bytes)?.metadata - 1;
    let mut scan = serde_json::Deserializer::from_slice(&bytes[start..]).into_iter::<serde::de::IgnoredAny>();
    scan.next()?.ok()?;
    Some(bytes.slice(start..start + scan.byte_offset()))
}

/// The document in `bytes`.
///
/// # Errors
/// When the bytes are no JSON, which stored bytes always are.
pub(crate) fn decode(bytes: &[u8]) -> Result<Document, serde_json::Error> {
    serde_json::from_slice(bytes)
}

// === impl Ordered ===

impl Serialize for Ordered<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Some(map) = self.0.as_object() else { return self.0.serialize(serializer) };
        let mut out = serializer.serialize_map(Some(map.len()))?;
        for key in ["kind", "apiVersion", "metadata"] {
            if let Some(value) = map.get(key) {
                out.serialize_entry(key, value)?;
            }
        }
        for (key, value) in map.iter().filter(|(key, _)| !matches!(key.as_str(), "kind" | "apiVersion" | "metadata")) {
            out.serialize_entry(key, value)?;
        }
        out.end()
    }
}

// === impl Layout ===

impl Layout {
    /// `kind` and `apiVersion` hold no quotes or braces in a stored document, so a search from the front is exact.
    fn find(bytes: &[u8]) -> Option<Self> {
        if !bytes.starts_with(b"{\"kind\":\"") {
            return None;
        }
        let front = &bytes[..bytes.len().min(512)];
        let metadata = front.windows(METADATA.len()).position(|window| window == METADATA)? + METADATA.len();
        Some(Self { metadata, after_version: after_version(bytes, metadata) })
    }
}

fn after_version(bytes: &[u8], metadata: usize) -> usize {
    if !bytes[metadata..].starts_with(VERSION) {
        return metadata;
    }
    let digits = metadata + VERSION.len();
    let Some(quote) = bytes[digits..].iter().position(|&byte| byte == b'"') else { return metadata };
    let end = digits + quote + 1;
    if bytes.get(end) == Some(&b',') { end + 1 } else { end }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn stored_bytes_begin_with_kind_version_and_metadata() {
        let mut document = json!({"data": {"metadata": {"a": 1}}, "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "x", "resourceVersion": "9"}});
        assert_eq!(
            encode(&mut document),
            r#"{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"x"},"data":{"metadata":{"a":1}}}"#
        );
    }

    #[test]
    fn a_resource_version_is_spliced_in_and_replaced() {
        let mut document = json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "x"}, "spec": {}});
        let once = present(&encode(&mut document), 7);
        let expected = r#"{"kind":"Pod","apiVersion":"v1","metadata":{"resourceVersion":"7","name":"x"},"spec":{}}"#;
        assert_eq!(once, expected);
        assert_eq!(present(&once, 12), expected.replace('7', "12"));
        assert_eq!(stored(&once), encode(&mut document));
        assert_eq!(metadata(&once).unwrap(), r#"{"resourceVersion":"7","name":"x"}"#);
    }

    #[test]
    fn empty_metadata_takes_a_version_too() {
        let mut document = json!({"kind": "Pod", "apiVersion": "v1", "metadata": {}});
        let once = present(&encode(&mut document), 7);
        assert_eq!(once, r#"{"kind":"Pod","apiVersion":"v1","metadata":{"resourceVersion":"7"}}"#);
        assert_eq!(present(&once, 8), r#"{"kind":"Pod","apiVersion":"v1","metadata":{"resourceVersion":"8"}}"#);
    }

    #[test]
    fn other_bytes_are_left_alone() {
        for bytes in ["", "{}", "not json", r#"{"service":"default/web"}"#] {
            assert_eq!(present(&Bytes::from(bytes), 3), bytes);
            assert!(metadata(&Bytes::from(bytes)).is_none());
        }
    }
}
