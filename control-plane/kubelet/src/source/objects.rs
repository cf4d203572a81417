//! The ConfigMaps and Secrets of one pod at one moment.
//!
//! What is made of them (environments, files) is made from such a set by pure functions.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};

/// Why an object cannot be had. Messages are Kubernetes' and never show an object's content.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// The API server says that there is none.
    #[error("{kind} \"{name}\" not found")]
    NotFound {
        /// `configmap`, `secret`, or the like, as Kubernetes' messages have it.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// The API server cannot be asked, or refuses.
    #[error("failed to get {kind} \"{name}\": {cause}")]
    Unavailable {
        /// As above.
        kind: &'static str,
        /// Its name.
        name: String,
        /// What the client or the server said.
        cause: String,
    },
    /// The Services of a namespace cannot be had.
    #[error("services have not yet been read at least once, cannot construct envvars")]
    Services,
}

/// ConfigMaps and Secrets of one namespace by name, each there or with the reason why not. Its `Debug` shows names only.
#[derive(Clone, Default)]
pub struct Objects {
    config_maps: BTreeMap<String, Result<Arc<ConfigMap>, SourceError>>,
    secrets: BTreeMap<String, Result<Arc<Secret>, SourceError>>,
}

// === impl SourceError ===

impl SourceError {
    /// Whether a reference that is optional goes without it.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }

    pub(crate) fn not_found(kind: &'static str, name: &str) -> Self {
        Self::NotFound { kind, name: name.to_owned() }
    }
}

// === impl Objects ===

impl Objects {
    /// The kind of ConfigMaps in messages.
    pub(crate) const CONFIG_MAP: &'static str = "configmap";

    /// The kind of Secrets in messages.
    pub(crate) const SECRET: &'static str = "secret";

    /// Adds a ConfigMap, or why there is none.
    pub fn insert_config_map(&mut self, name: &str, found: Result<Arc<ConfigMap>, SourceError>) {
        self.config_maps.insert(name.to_owned(), found);
    }

    /// Adds a Secret, or why there is none.
    pub fn insert_secret(&mut self, name: &str, found: Result<Arc<Secret>, SourceError>) {
        self.secrets.insert(name.to_owned(), found);
    }

    /// The ConfigMap of that name.
    ///
    /// # Errors
    /// There is none, or it could not be had.
    pub fn config_map(&self, name: &str) -> Result<&Arc<ConfigMap>, SourceError> {
        match self.config_maps.get(name) {
            Some(found) => found.as_ref().map_err(Clone::clone),
            None => Err(SourceError::not_found(Self::CONFIG_MAP, name)),
        }
    }

    /// The Secret of that name.
    ///
    /// # Errors
    /// There is none, or it could not be had.
    pub fn secret(&self, name: &str) -> Result<&Arc<Secret>, SourceError> {
        match self.secrets.get(name) {
            Some(found) => found.as_ref().map_err(Clone::clone),
            None => Err(SourceError::not_found(Self::SECRET, name)),
        }
    }
}

impl fmt::Debug for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (config_maps, secrets) = (self.config_maps.keys(), self.secrets.keys());
        f.debug_struct("Objects")
            .field("config_maps", &config_maps.collect::<Vec<_>>())
            .field("secrets", &secrets.collect::<Vec<_>>())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_are_not_shown() {
        let mut objects = Objects::default();
        let secret = serde_json::json!({"stringData": {"key": "hidden"}});
        objects.insert_secret("login", Ok(Arc::new(serde_json::from_value(secret).unwrap())));
        assert_eq!(format!("{objects:?}"), "Objects { config_maps: [], secrets: [\"login\"] }");
    }
}
