//! Managers name their fields in the version in which they wrote.

use std::borrow::Cow;

use sheave_api::Document;
use sheave_api::schema::TypeId;

use super::FieldManager;
use crate::typed::Shape;

/// Converts documents between the versions of one kind.
pub trait Versions {
    /// The root type of the kind in `api_version` and `document` in that version; none where the version is not
    /// served any more, whose managers are then forgotten.
    fn convert(&self, document: &Document, api_version: &str) -> Option<(TypeId, Document)>;
}

/// A kind that is served in one version only.
#[derive(Clone, Copy, Debug, Default)]
pub struct OneVersion;

// === impl OneVersion ===

impl Versions for OneVersion {
    fn convert(&self, _: &Document, _: &str) -> Option<(TypeId, Document)> {
        None
    }
}

// === impl FieldManager ===

impl FieldManager<'_> {
    /// `document`, which is in any version, in `api_version`.
    pub(super) fn in_version<'d>(
        &self,
        document: &'d Document,
        api_version: &str,
    ) -> Option<(Shape<'_>, Cow<'d, Document>)> {
        let is_there = document.get("apiVersion").and_then(Document::as_str) == Some(api_version);
        if is_there && api_version == self.api_version {
            return Some((self.shape(), Cow::Borrowed(document)));
        }
        let (schema, converted) = match self.versions.convert(document, api_version) {
            Some((schema, converted)) => (schema, Cow::Owned(converted)),
            // A document without its version is in the version of the request.
            None if api_version == self.api_version => (self.schema, Cow::Borrowed(document)),
            None => return None,
        };
        Some((Shape::new(self.arena, schema), converted))
    }
}
