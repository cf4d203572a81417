//! The resource registry of the Kubernetes API: what each kind is called, how its documents are shaped, defaulted,
//! validated, merged and printed.
//!
//! Nothing here does I/O or keeps state between calls. A document is a [`Document`]: JSON as it came from the wire.
//! Typed views (`k8s_openapi`) are made where logic needs them, never to pass a document on.

mod columns;
pub mod conversion;
pub mod decode;
mod defaults;
pub mod discovery;
pub mod field;
pub mod int_or_percent;
pub mod kind;
pub mod names;
pub mod openapi;
pub mod protobuf;
pub mod quantity;
pub mod registry;
pub mod schedule;
pub mod schema;
pub mod selector;
pub mod strategy;
pub mod time;
pub mod validation;
pub mod view;

/// An API object, a patch, or any other JSON that the API carries.
///
/// Maps are ordered by key, so equal documents have equal bytes.
pub type Document = serde_json::Value;
