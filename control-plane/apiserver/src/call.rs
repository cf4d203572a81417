//! One request for a resource, on its way through the handlers.

use std::sync::Arc;

use http::HeaderMap;
use parking_lot::Mutex;
use sheave_api::Document;
use sheave_api::kind::{Kind, Scope};
use sheave_store::Entry;

use crate::authn::Identity;
use crate::document;
use crate::keys;
use crate::negotiate::Accepted;
use crate::query::Query;
use crate::request::{ResourcePath, Verb};
use crate::server::Inner;
use crate::status::StatusError;

/// A request for a resource whose kind is known and that has been authorized.
pub(crate) struct Call {
    pub(crate) server: Arc<Inner>,
    pub(crate) identity: Identity,
    pub(crate) verb: Verb,
    pub(crate) path: ResourcePath,
    pub(crate) kind: Arc<Kind>,
    /// The kind in the version that is stored; its strategy rules.
    pub(crate) stored_kind: Arc<Kind>,
    pub(crate) query: Query,
    pub(crate) headers: HeaderMap,
    pub(crate) accepted: Accepted,
    /// Texts for `Warning` headers.
    pub(crate) warnings: Mutex<Vec<String>>,
}

// === impl Call ===

impl Call {
    /// The name in the path; only called for paths that have one.
    pub(crate) fn name(&self) -> &str {
        self.path.name.as_deref().unwrap_or_default()
    }

    /// The namespace in the path, for kinds that have namespaces.
    pub(crate) fn namespace(&self) -> Option<&str> {
        match self.kind.scope {
            Scope::Namespaced => self.path.namespace.as_deref(),
            Scope::Cluster => None,
        }
    }

    /// The same request for an object of another kind in the same namespace.
    pub(crate) fn of_kind(
        &self,
        group: &str,
        version: &str,
        plural: &str,
        name: Option<&str>,
    ) -> Result<Self, StatusError> {
        let kind = self.server.registry.resource(group, version, plural).ok_or_else(StatusError::no_such_resource)?;
        let mut path = self.path.clone();
        path.resource = plural.to_owned();
        path.name = name.map(ToOwned::to_owned);
        Ok(Self {
            server: Arc::clone(&self.server),
            identity: self.identity.clone(),
            verb: self.verb,
            path,
            kind: Arc::clone(kind),
            stored_kind: Arc::clone(kind),
            query: self.query.clone(),
            headers: self.headers.clone(),
            accepted: self.accepted,
            warnings: Mutex::default(),
        })
    }

    /// The key of the object in the path.
    pub(crate) fn key(&self) -> String {
        self.key_of(self.name())
    }

    /// The key of another object of the same kind and namespace.
    pub(crate) fn key_of(&self, name: &str) -> String {
        keys::object_key(&self.kind, self.namespace(), name)
    }

    /// The object in the path.
    ///
    /// # Errors
    /// 404.
    pub(crate) fn entry(&self) -> Result<Entry, StatusError> {
        self.server.store.get(&self.key()).ok_or_else(|| StatusError::not_found(&self.kind, self.name()))
    }

    /// The object in the path, as stored.
    pub(crate) fn stored_object(&self) -> Result<Document, StatusError> {
        decode(&self.entry()?)
    }

    /// Drops the warnings of a try that is made again.
    pub(crate) fn forget_warnings(&self) {
        self.warnings.lock().clear();
    }

    pub(crate) fn warn(&self, text: impl Into<String>) {
        self.warnings.lock().push(text.into());
    }
}

/// The document of an entry that this server wrote.
pub(crate) fn decode(entry: &Entry) -> Result<Document, StatusError> {
    document::decode(&entry.value)
        .map_err(|error| StatusError::internal(format!("the stored value of {} is not JSON: {error}", entry.key)))
}
