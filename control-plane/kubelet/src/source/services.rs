//! Services, watched a namespace at a time while pods of it want to be told of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Service;
use kube::runtime::reflector::{self, Store};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client};
use parking_lot::Mutex;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::PATIENCE;
use super::objects::SourceError;

/// The namespaces of this node's pods.
pub(super) struct Namespaces {
    client: Client,
    followed: Mutex<BTreeMap<String, Followed>>,
}

struct Followed {
    store: Store<Service>,
    /// Pods that want to be told.
    users: BTreeSet<String>,
    _watch: AbortOnDropHandle<()>,
}

// === impl Namespaces ===

impl Namespaces {
    pub(super) fn new(client: Client) -> Self {
        Self { client, followed: Mutex::default() }
    }

    /// The Services of a namespace, for a pod in it.
    pub(super) async fn services(&self, uid: &str, namespace: &str) -> Result<Vec<Arc<Service>>, SourceError> {
        let store = self.follow(uid, namespace);
        match timeout(PATIENCE, store.wait_until_ready()).await {
            Ok(Ok(())) => Ok(store.state()),
            Ok(Err(_)) | Err(_) => Err(SourceError::Services),
        }
    }

    pub(super) fn forget(&self, uid: &str) {
        self.followed.lock().retain(|_, followed| {
            followed.users.remove(uid);
            !followed.users.is_empty()
        });
    }

    fn follow(&self, uid: &str, namespace: &str) -> Store<Service> {
        let mut followed = self.followed.lock();
        let followed = followed.entry(namespace.to_owned()).or_insert_with(|| {
            let (store, writer) = reflector::store();
            let api = Api::<Service>::namespaced(self.client.clone(), namespace);
            let services = watcher(api, watcher::Config::default()).modify(|service| {
                service.metadata.managed_fields = None;
                service.status = None;
            });
            let services = reflector::reflector(writer, services.default_backoff());
            let watch = tokio::spawn(services.for_each(|_| std::future::ready(())));
            Followed { store, users: BTreeSet::new(), _watch: AbortOnDropHandle::new(watch) }
        });
        followed.users.insert(uid.to_owned());
        followed.store.clone()
    }
}
