//! Objects of one kind, each watched by itself while pods refer to it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::Arc;

use futures::StreamExt as _;
use kube::core::NamespaceResourceScope;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::watch_object;
use kube::{Api, Client, Resource};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use tokio::sync::broadcast;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::PATIENCE;
use super::objects::SourceError;

/// Objects of one kind by namespace and name.
pub(super) struct Cache<K> {
    client: Client,
    /// As Kubernetes' messages call the kind.
    kind: &'static str,
    entries: Mutex<BTreeMap<(String, String), Entry<K>>>,
    changes: broadcast::Sender<String>,
}

struct Entry<K> {
    state: Arc<Mutex<State<K>>>,
    /// Follows the object.
    _watch: AbortOnDropHandle<()>,
}

struct State<K> {
    known: Known<K>,
    /// Pods that refer to the object.
    users: BTreeSet<String>,
    /// Those of them that have had it. From then on what the watch says is new enough for them.
    served: BTreeSet<String>,
}

/// What is known of an object.
enum Known<K> {
    Nothing,
    Absent,
    Found(Arc<K>),
}

// === impl Cache ===

impl<K> Cache<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + Sync
        + 'static,
{
    pub(super) fn new(client: Client, kind: &'static str, changes: broadcast::Sender<String>) -> Self {
        Self { client, kind, entries: Mutex::default(), changes }
    }

    /// The object, for a pod that refers to it.
    pub(super) async fn get(&self, uid: &str, namespace: &str, name: &str) -> Result<Arc<K>, SourceError> {
        let state = self.follow(uid, namespace, name);
        if state.lock().served.contains(uid) {
            match &state.lock().known {
                Known::Found(object) => return Ok(Arc::clone(object)),
                Known::Absent => return Err(SourceError::not_found(self.kind, name)),
                Known::Nothing => {}
            }
        }
        let api = Api::<K>::namespaced(self.client.clone(), namespace);
        let answer = match timeout(PATIENCE, api.get_opt(name)).await {
            Ok(answer) => answer.map_err(|error| error.to_string()),
            Err(_) => Err("timed out waiting for the condition".to_owned()),
        };
        match answer {
            Ok(Some(object)) => Ok(state.lock().serve(uid, Arc::new(trimmed(object)))),
            Ok(None) => Err(SourceError::not_found(self.kind, name)),
            // What was seen last is better than nothing while the API server is away.
            Err(cause) => match &state.lock().known {
                Known::Found(object) => Ok(Arc::clone(object)),
                Known::Nothing | Known::Absent => {
                    Err(SourceError::Unavailable { kind: self.kind, name: name.to_owned(), cause })
                }
            },
        }
    }

    pub(super) fn forget(&self, uid: &str) {
        self.entries.lock().retain(|_, entry| {
            let mut state = entry.state.lock();
            state.users.remove(uid);
            state.served.remove(uid);
            !state.users.is_empty()
        });
    }

    #[cfg(test)]
    pub(super) fn watched(&self) -> Vec<String> {
        self.entries.lock().keys().map(|(namespace, name)| format!("{namespace}/{name}")).collect()
    }

    /// Counts the pod in, and begins to watch the object if it is the first.
    fn follow(&self, uid: &str, namespace: &str, name: &str) -> Arc<Mutex<State<K>>> {
        let key = (namespace.to_owned(), name.to_owned());
        let mut entries = self.entries.lock();
        let entry = entries.entry(key).or_insert_with(|| {
            let state = State { known: Known::Nothing, users: BTreeSet::new(), served: BTreeSet::new() };
            let state = Arc::new(Mutex::new(state));
            let api = Api::<K>::namespaced(self.client.clone(), namespace);
            let watch = watch(api, self.kind, name.to_owned(), Arc::clone(&state), self.changes.clone());
            Entry { state, _watch: AbortOnDropHandle::new(tokio::spawn(watch)) }
        });
        entry.state.lock().users.insert(uid.to_owned());
        Arc::clone(&entry.state)
    }
}

// === impl State ===

impl<K: Resource> State<K> {
    /// Gives the pod the newer of what the API server answered and what the watch has said.
    fn serve(&mut self, uid: &str, answered: Arc<K>) -> Arc<K> {
        self.served.insert(uid.to_owned());
        match &self.known {
            Known::Found(known) if version(known.as_ref()) >= version(answered.as_ref()) => Arc::clone(known),
            Known::Found(_) | Known::Absent | Known::Nothing => {
                self.known = Known::Found(Arc::clone(&answered));
                answered
            }
        }
    }

    /// Takes what the watch says. The pods to tell, when it is news.
    fn take(&mut self, object: Option<Arc<K>>) -> Vec<String> {
        let is_news = match (&self.known, &object) {
            (Known::Nothing | Known::Absent, None) => false,
            (Known::Found(_), None) | (Known::Nothing | Known::Absent, Some(_)) => true,
            (Known::Found(known), Some(object)) => version(object.as_ref()) > version(known.as_ref()),
        };
        if is_news || matches!(self.known, Known::Nothing) {
            self.known = object.map_or(Known::Absent, Known::Found);
        }
        if is_news { self.users.iter().cloned().collect() } else { Vec::new() }
    }
}

/// Follows one object for as long as the task runs.
async fn watch<K>(
    api: Api<K>,
    kind: &'static str,
    name: String,
    state: Arc<Mutex<State<K>>>,
    changes: broadcast::Sender<String>,
) where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + Sync
        + 'static,
{
    let mut objects = std::pin::pin!(watch_object(api, &name).default_backoff());
    while let Some(object) = objects.next().await {
        match object {
            Ok(object) => {
                let object = object.map(|object| Arc::new(trimmed(object)));
                for uid in state.lock().take(object) {
                    // Nobody may be listening.
                    let _ = changes.send(uid);
                }
            }
            Err(error) => tracing::debug!(kind, name, %error, "a watch is begun again"),
        }
    }
}

/// Versions of one store are numbers that grow (KEP-5504).
fn version<K: Resource>(object: &K) -> Option<u64> {
    object.meta().resource_version.as_ref()?.parse().ok()
}

/// Nobody here reads who wrote which field, and it is often the larger part.
fn trimmed<K: Resource>(mut object: K) -> K {
    object.meta_mut().managed_fields = None;
    object
}
