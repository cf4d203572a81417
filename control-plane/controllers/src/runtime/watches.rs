//! One list-and-watch per kind and process, however many controllers want it.

use std::any::{Any, TypeId};
use std::collections::{HashMap, HashSet};
use std::pin::pin;
use std::sync::Arc;

use futures::StreamExt;
use futures::future::BoxFuture;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::cache::{Cache, Cached};
use super::discovery::GroupKind;

/// Hands out the cache of each kind, and later runs the watch behind each.
///
/// A kind is watched only if somebody asked for its cache.
pub struct Watches {
    client: Client,
    caches: HashMap<TypeId, Box<dyn Any + Send>>,
    drivers: Vec<Driver>,
    subscriptions: Vec<(GroupKind, Subscribe)>,
}

/// Is told the metadata of an object of some kind, before and after a change.
pub type MetadataHandler = Arc<dyn Fn(&Arc<GroupKind>, Option<&ObjectMeta>, Option<&ObjectMeta>) + Send + Sync>;

type Subscribe = Box<dyn Fn(MetadataHandler) + Send>;
type Driver = Box<dyn FnOnce(CancellationToken) -> BoxFuture<'static, ()> + Send>;

// === impl Watches ===

impl Watches {
    /// Nothing is watched yet.
    pub fn new(client: Client) -> Self {
        Self { client, caches: HashMap::new(), drivers: Vec::new(), subscriptions: Vec::new() }
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
        let kind = GroupKind { group: K::group(&()).into_owned(), kind: K::kind(&()).into_owned() };
        self.subscriptions.push((kind.clone(), subscription(cache.clone(), Arc::new(kind))));
        cache
    }

    /// Calls `handler` for each change of each kind that is cached so far. Returns those kinds.
    pub fn on_metadata(&self, handler: &MetadataHandler) -> HashSet<GroupKind> {
        let subscribed = self.subscriptions.iter().map(|(kind, subscribe)| {
            subscribe(handler.clone());
            kind.clone()
        });
        subscribed.collect()
    }

    /// The futures that keep the caches; each ends when `stop` is cancelled.
    pub fn into_drivers(self, stop: &CancellationToken) -> Vec<BoxFuture<'static, ()>> {
        self.drivers.into_iter().map(|driver| driver(stop.clone())).collect()
    }
}

fn subscription<K: Cached>(cache: Cache<K>, kind: Arc<GroupKind>) -> Subscribe {
    Box::new(move |handler| {
        let kind = kind.clone();
        cache.on_change(move |change| {
            handler(&kind, change.old.map(|object| object.meta()), change.new.map(|object| object.meta()));
        });
    })
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
