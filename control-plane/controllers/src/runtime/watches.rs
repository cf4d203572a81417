//! One list-and-watch per kind and process, however many controllers want it.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::pin::pin;

use futures::StreamExt;
use futures::future::BoxFuture;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::cache::{Cache, Cached};

/// Hands out the cache of each kind, and later runs the watch behind each.
///
/// A kind is watched only if somebody asked for its cache.
pub struct Watches {
    client: Client,
    caches: HashMap<TypeId, Box<dyn Any + Send>>,
    drivers: Vec<Driver>,
}

type Driver = Box<dyn FnOnce(CancellationToken) -> BoxFuture<'static, ()> + Send>;

// === impl Watches ===

impl Watches {
    /// Nothing is watched yet.
    pub fn new(client: Client) -> Self {
        Self { client, caches: HashMap::new(), drivers: Vec::new() }
    }

    /// The one cache of kind `K`.
    pub fn cache<K: Cached>(&mut self) -> Cache<K> {
        let known = self.caches.get(&TypeId::of::<K>()).and_then(|cache| cache.downcast_ref::<Cache<K>>());
        if let Some(cache) = known {
            return cache.clone();
        }
        let cache = Cache::<K>::default();
        let (api, target) = (Api::<K>::all(self.client.clone()), cache.clone());
        self.caches.insert(TypeId::of::<K>(), Box::new(cache.clone()));
        self.drivers.push(Box::new(move |stop| Box::pin(drive(api, target, stop))));
        cache
    }

    /// The futures that keep the caches; each ends when `stop` is cancelled.
    pub fn into_drivers(self, stop: &CancellationToken) -> Vec<BoxFuture<'static, ()>> {
        self.drivers.into_iter().map(|driver| driver(stop.clone())).collect()
    }
}

/// Keeps one cache until `stop`. A watch that fails is begun anew with back-off; the cache keeps what it has meanwhile.
async fn drive<K: Cached>(api: Api<K>, cache: Cache<K>, stop: CancellationToken) {
    let kind = K::kind(&());
    let mut events = pin!(watcher(api, watcher::Config::default()).default_backoff());
    loop {
        let event = tokio::select! {
            () = stop.cancelled() => return,
            event = events.next() => event,
        };
        match event {
            Some(Ok(event)) => cache.apply(event.modify(drop_managed_fields)),
            Some(Err(watcher::Error::WatchError(status))) if status.code == 410 => {
                debug!(%kind, "watch is older than the server's history, listing again");
            }
            Some(Err(error)) => warn!(%kind, error = &error as &dyn std::error::Error, "watch failed, will retry"),
            None => return,
        }
    }
}

/// Managed fields are a large part of many objects, and no controller reads them. An update without them leaves them
/// as they are.
fn drop_managed_fields<K: Cached>(object: &mut K) {
    object.meta_mut().managed_fields = None;
}
