//! The resource registry of the Kubernetes API: what each kind is called, how its documents are shaped, defaulted,
//! validated, merged and printed.
//!
//! Nothing here does I/O or keeps state between calls. A document is a [`Document`]: JSON as it came from the wire.
//! Typed views (`k8s_openapi`) are made where logic needs them, never to pass a document on.

pub mod field;
pub mod kind;
pub mod schema;
pub mod strategy;

/// An API object, a patch, or any other JSON that the API carries.
///
/// Maps are ordered by key, so equal documents have equal bytes.
pub type Document = serde_json::Value;
