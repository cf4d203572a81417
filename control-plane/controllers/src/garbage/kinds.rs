//! Watches every kind that can be collected and that nobody else watches.

use std::collections::{BTreeMap, HashSet};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use kube::Client;
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt, watcher};
use parking_lot::{Mutex, RwLock};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::graph::{Graph, Uid};
use crate::runtime::discovery::{GroupKind, Metadata, ServedKind, served_kinds};
use crate::runtime::queue::WorkQueue;

/// How often the server is asked for kinds that came or went.
const DISCOVER_EVERY: Duration = Duration::from_secs(30);
/// How long a discovery that failed is not tried again.
const DISCOVER_AGAIN: Duration = Duration::from_secs(1);

/// Kinds that own nothing and are owned by nothing, but change all the time.
const IGNORED: [(&str, &str); 2] = [("", "Event"), ("events.k8s.io", "Event")];

/// The kinds that the server serves, by group and kind.
pub(super) type Kinds = Arc<RwLock<BTreeMap<GroupKind, Arc<ServedKind>>>>;

/// Keeps the kinds up to date, and a watch for each.
pub(super) struct KindWatcher {
    pub(super) client: Client,
    pub(super) kinds: Kinds,
    /// Kinds that are heard through a shared cache.
    pub(super) shared: HashSet<GroupKind>,
    pub(super) graph: Arc<Mutex<Graph>>,
    pub(super) queue: WorkQueue<Uid>,
}

// === impl KindWatcher ===

impl KindWatcher {
    /// Runs until `stop`.
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut watched = BTreeMap::<GroupKind, CancellationToken>::new();
        let mut watches = JoinSet::new();
        loop {
            let pause = match served_kinds(&self.client).await {
                Ok(served) => {
                    self.update(served, &mut watched, &mut watches, &stop);
                    DISCOVER_EVERY
                }
                Err(error) => {
                    warn!(error = &error as &dyn std::error::Error, "cannot discover kinds to collect, will retry");
                    DISCOVER_AGAIN
                }
            };
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(pause) => {}
            }
        }
        watches.join_all().await;
    }

    fn update(
        &self,
        served: Vec<ServedKind>,
        watched: &mut BTreeMap<GroupKind, CancellationToken>,
        watches: &mut JoinSet<()>,
        stop: &CancellationToken,
    ) {
        let served: BTreeMap<_, _> = served.into_iter().map(|kind| (kind.group_kind(), Arc::new(kind))).collect();
        watched.retain(|kind, watch| {
            let stays = served.contains_key(kind);
            if !stays {
                info!(%kind, "is not served any more");
                watch.cancel();
                self.graph.lock().unobserve(kind);
            }
            stays
        });
        let ignored = |kind: &GroupKind| IGNORED.contains(&(kind.group.as_str(), kind.kind.as_str()));
        for (name, kind) in &served {
            let wanted = kind.is_collectable() && !ignored(name) && !self.shared.contains(name);
            if wanted && !watched.contains_key(name) {
                let token = stop.child_token();
                watched.insert(name.clone(), token.clone());
                watches.spawn(watch(self.client.clone(), kind.clone(), self.graph.clone(), self.queue.clone(), token));
            }
        }
        *self.kinds.write() = served;
    }
}

async fn watch(
    client: Client,
    kind: Arc<ServedKind>,
    graph: Arc<Mutex<Graph>>,
    queue: WorkQueue<Uid>,
    stop: CancellationToken,
) {
    let name = Arc::new(kind.group_kind());
    let mut listed = HashSet::new();
    let events = watcher(kind.everywhere(&client), watcher::Config::default()).default_backoff();
    let mut events = pin!(events);
    loop {
        let event = tokio::select! {
            () = stop.cancelled() => return,
            event = events.next() => event,
        };
        let wake = match event {
            Some(Ok(event)) => take(&name, event, &graph, &mut listed),
            Some(Err(error)) => {
                warn!(kind = %name, error = &error as &dyn std::error::Error, "watch failed, will retry");
                Vec::new()
            }
            None => return,
        };
        wake.into_iter().for_each(|uid| queue.add(uid));
    }
}

fn take(kind: &Arc<GroupKind>, event: Event<Metadata>, graph: &Mutex<Graph>, listed: &mut HashSet<Uid>) -> Vec<Uid> {
    match event {
        Event::Init => {
            listed.clear();
            Vec::new()
        }
        Event::InitApply(object) => {
            listed.extend(object.metadata.uid.clone());
            graph.lock().observe(kind, &object.metadata)
        }
        Event::InitDone => graph.lock().retain(kind, &std::mem::take(listed)),
        Event::Apply(object) => graph.lock().observe(kind, &object.metadata),
        Event::Delete(object) => graph.lock().forget(object.metadata.uid.as_deref().unwrap_or_default()),
    }
}
