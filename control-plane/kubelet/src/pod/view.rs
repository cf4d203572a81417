//! What others may look up of the node's pods: logs, exec and metrics need the runtime's ids.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use parking_lot::RwLock;

use super::spec;
use super::state::State;
use crate::runtime::{Container, Sandbox};

/// The node's pods, kept by their workers. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Pods {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    by_uid: RwLock<BTreeMap<String, Arc<PodView>>>,
    /// Every pod that has a worker, also one that has no view yet.
    known: RwLock<BTreeSet<String>>,
    /// Whether the API server has listed them all once.
    is_complete: AtomicBool,
}

/// A pod and what runs of it.
#[derive(Clone, Debug)]
pub struct PodView {
    /// The pod as the API has it.
    pub pod: Arc<Pod>,
    /// The sandbox that runs, or the last one that did.
    pub sandbox: Option<Sandbox>,
    /// All its sandboxes that are not removed, newest first.
    pub sandboxes: Vec<Sandbox>,
    /// All its containers that are not removed, newest first.
    pub containers: Vec<Container>,
}

// === impl Pods ===

impl Pods {
    /// The pod of this name, which may have another of the same name that is going away: the newer one.
    #[must_use]
    pub fn find(&self, namespace: &str, name: &str) -> Option<Arc<PodView>> {
        let pods = self.shared.by_uid.read();
        let of_name = pods.values().filter(|view| view.is(namespace, name));
        of_name.max_by(|one, other| one.created().cmp(&other.created())).cloned()
    }

    /// The pod with this UID.
    #[must_use]
    pub fn find_uid(&self, uid: &str) -> Option<Arc<PodView>> {
        self.shared.by_uid.read().get(uid).cloned()
    }

    /// All pods.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<PodView>> {
        self.shared.by_uid.read().values().cloned().collect()
    }

    /// UIDs of all pods of the node, also of those that are only beginning.
    #[must_use]
    pub fn uids(&self) -> BTreeSet<String> {
        self.shared.known.read().clone()
    }

    /// Whether the API server has said at least once which pods there are.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.shared.is_complete.load(Ordering::Acquire)
    }

    pub(super) fn expect(&self, uid: &str) {
        self.shared.known.write().insert(uid.to_owned());
    }

    pub(super) fn forget(&self, uid: &str) {
        self.shared.known.write().remove(uid);
        self.remove(uid);
    }

    pub(super) fn complete(&self) {
        self.shared.is_complete.store(true, Ordering::Release);
    }

    pub(super) fn put(&self, view: PodView) {
        self.shared.by_uid.write().insert(spec::uid(&view.pod), Arc::new(view));
    }

    pub(super) fn remove(&self, uid: &str) {
        self.shared.by_uid.write().remove(uid);
    }
}

// === impl PodView ===

impl PodView {
    pub(super) fn new(pod: &Arc<Pod>, state: &State) -> Self {
        let sandbox = state.sandbox().or(state.sandboxes.first()).cloned();
        Self { pod: Arc::clone(pod), sandbox, sandboxes: state.sandboxes.clone(), containers: state.containers.clone() }
    }

    /// The newest container of a name, whatever became of it.
    #[must_use]
    pub fn container(&self, name: &str) -> Option<&Container> {
        self.containers.iter().find(|container| container.name == name)
    }

    /// The container of a name before the newest: whose log `kubectl logs --previous` shows.
    #[must_use]
    pub fn previous(&self, name: &str) -> Option<&Container> {
        self.containers.iter().filter(|container| container.name == name).nth(1)
    }

    fn is(&self, namespace: &str, name: &str) -> bool {
        self.pod.name_any() == name && spec::namespace(&self.pod) == namespace
    }

    fn created(&self) -> Option<jiff::Timestamp> {
        self.pod.metadata.creation_timestamp.as_ref().map(|time| time.0)
    }
}
