//! ConfigMaps, Secrets, Services and service-account tokens, as this node's pods need them.
//!
//! A node reads only what its pods name. Each object is watched by itself, once, for as long as a pod on the node refers
//! to it; Services are watched a namespace at a time. The first time that a pod asks for an object, the API server is
//! asked: what was made just before the pod is there.

mod cache;
mod objects;
mod references;
mod services;
mod token;

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, Service};
use kube::Client;
use tokio::sync::broadcast;

use cache::Cache;
pub use objects::{Objects, SourceError};
pub use references::References;
use services::Namespaces;
use token::Tokens;
pub use token::{Token, TokenError, TokenWish};

/// How long the API server may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Changes that are kept for a reader that is behind; one that is further behind looks at everything.
const KEPT_CHANGES: usize = 256;

/// What this node's pods read from the API server. Cheap to clone; watches end with the last clone.
#[derive(Clone)]
pub struct Sources(Arc<Inner>);

struct Inner {
    config_maps: Cache<ConfigMap>,
    secrets: Cache<Secret>,
    /// The API server's own Service, which every pod is told of.
    api_server: Cache<Service>,
    namespaces: Namespaces,
    tokens: Tokens,
    changes: broadcast::Sender<String>,
}

// === impl Sources ===

impl Sources {
    /// Reads through `client`, as the node.
    #[must_use]
    pub fn new(client: Client) -> Self {
        let (changes, _) = broadcast::channel(KEPT_CHANGES);
        Self(Arc::new(Inner {
            config_maps: Cache::new(client.clone(), Objects::CONFIG_MAP, changes.clone()),
            secrets: Cache::new(client.clone(), Objects::SECRET, changes.clone()),
            api_server: Cache::new(client.clone(), "service", changes.clone()),
            namespaces: Namespaces::new(client.clone()),
            tokens: Tokens::new(client),
            changes,
        }))
    }

    /// The UIDs of pods whose ConfigMaps or Secrets change, from now on. A reader that falls behind gets an error from the
    /// channel and must look at all its pods.
    #[must_use]
    pub fn changes(&self) -> broadcast::Receiver<String> {
        self.0.changes.subscribe()
    }

    /// The ConfigMaps and Secrets that a pod refers to. They are watched from now on, until [`Sources::forget`].
    pub async fn objects(&self, pod: &Pod) -> Objects {
        let (uid, namespace) = (uid(pod), namespace(pod));
        let mut objects = Objects::default();
        let references = References::of(pod);
        let config_maps = references.config_maps.iter().map(|name| self.0.config_maps.get(uid, namespace, name));
        let secrets = references.secrets.iter().map(|name| self.0.secrets.get(uid, namespace, name));
        let (config_maps, secrets) =
            futures::join!(futures::future::join_all(config_maps), futures::future::join_all(secrets));
        for (name, found) in references.config_maps.iter().zip(config_maps) {
            objects.insert_config_map(name, found);
        }
        for (name, found) in references.secrets.iter().zip(secrets) {
            objects.insert_secret(name, found);
        }
        objects
    }

    /// The Services that a pod's variables tell of: its namespace's, unless it wants no links, and the API server's.
    ///
    /// # Errors
    /// The API server could not be asked.
    pub async fn services(&self, pod: &Pod) -> Result<Vec<Arc<Service>>, SourceError> {
        let uid = uid(pod);
        let wants_links = pod.spec.as_ref().and_then(|spec| spec.enable_service_links).unwrap_or(true);
        let mut services = match self.0.api_server.get(uid, "default", "kubernetes").await {
            Ok(service) => vec![service],
            Err(error) if error.is_not_found() => Vec::new(),
            Err(error) => return Err(error),
        };
        if wants_links {
            services.extend(self.0.namespaces.services(uid, namespace(pod)).await?);
        }
        Ok(services)
    }

    /// A token of the pod's service account that is bound to the pod, new or still good for a while.
    ///
    /// # Errors
    /// There is no such account, or the API server refuses or cannot be asked and no good token is left.
    pub async fn token(&self, pod: &Pod, wish: &TokenWish) -> Result<Token, TokenError> {
        self.0.tokens.get(pod, wish).await
    }

    /// Ends what is done only for the pod with this UID.
    pub fn forget(&self, uid: &str) {
        self.0.config_maps.forget(uid);
        self.0.secrets.forget(uid);
        self.0.api_server.forget(uid);
        self.0.namespaces.forget(uid);
        self.0.tokens.forget(uid);
    }
}

impl std::fmt::Debug for Sources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sources").finish_non_exhaustive()
    }
}

fn uid(pod: &Pod) -> &str {
    pod.metadata.uid.as_deref().unwrap_or_default()
}

fn namespace(pod: &Pod) -> &str {
    pod.metadata.namespace.as_deref().unwrap_or("default")
}

#[cfg(test)]
mod tests;
