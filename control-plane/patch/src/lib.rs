//! Patches as pure functions over documents: JSON Patch, merge patch, strategic merge patch, server-side apply.
//!
//! Nothing here does I/O, keeps state or panics, whatever the patch holds. Recursion is bounded by
//! [`limits::MAX_DEPTH`], growth by the size of the inputs and [`json::MAX_COPIED_BYTES`].
//!
//! | content type | function |
//! |---|---|
//! | `application/json-patch+json` | [`json::apply_patch`] |
//! | `application/merge-patch+json` | [`json::apply_merge`] |
//! | `application/strategic-merge-patch+json` | [`strategic::apply`] |
//! | `application/apply-patch+yaml` | [`apply::FieldManager::apply`] |
//!
//! After every write that is no apply, [`apply::FieldManager::update`] brings `metadata.managedFields` up to date.
//! What may go wrong is a [`PatchError`], which knows the parts of the `Status` that the client gets.

pub mod apply;
mod error;
pub mod fields;
pub mod json;
pub mod limits;
pub mod managed;
pub mod options;
pub mod strategic;
mod typed;

pub use error::{Cause, PatchError};
