//! Carries out what is decided for each object.

use std::sync::Arc;

use futures::FutureExt;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Client;
use parking_lot::Mutex;
use serde_json::json;

use super::decision::{Decision, Policy, decide};
use super::graph::{Graph, Node, ORPHAN, Uid};
use super::kinds::{KindWatcher, Kinds};
use crate::runtime::api::Deletion;
use crate::runtime::discovery::ServedKind;
use crate::runtime::error::{Error, ignore_not_found};
use crate::runtime::manager::{Manager, Needs};
use crate::runtime::queue::WorkQueue;
use crate::runtime::recorder::{Recorder, Severity};
use crate::runtime::worker::{Action, Reconciler};

const WORKERS: usize = 20;

/// Keys are UIDs.
struct Collector {
    client: Client,
    recorder: Recorder,
    kinds: Kinds,
    graph: Arc<Mutex<Graph>>,
    queue: WorkQueue<Uid>,
}

/// Adds the garbage collector. It has to be the last: kinds whose caches exist by then are not watched twice.
pub(crate) fn register(manager: &mut Manager, name: &'static str) {
    let (graph, kinds) = (Arc::<Mutex<Graph>>::default(), Kinds::default());
    let queue = manager.queue::<Uid>(name);
    let shared = manager.on_metadata({
        let (graph, queue) = (graph.clone(), queue.clone());
        move |kind, old, new| {
            let wake = match (old, new) {
                (_, Some(meta)) => graph.lock().observe(kind, meta),
                (Some(meta), None) => graph.lock().forget(meta.uid.as_deref().unwrap_or_default()),
                (None, None) => Vec::new(),
            };
            wake.into_iter().for_each(|uid| queue.add(uid));
        }
    });
    let client = manager.requests().client().clone();
    let watcher = KindWatcher {
        client: client.clone(),
        kinds: kinds.clone(),
        shared,
        graph: graph.clone(),
        queue: queue.clone(),
    };
    manager.background(move |stop| watcher.run(stop).boxed());
    let collector = Collector { client, recorder: manager.recorder(name), kinds, graph, queue: queue.clone() };
    manager.run(name, WORKERS, Needs::default(), queue, collector);
}

// === impl Collector ===

impl Reconciler for Collector {
    type Key = Uid;

    async fn reconcile(&self, uid: &Uid) -> Result<Action, Error> {
        let (decision, node) = {
            let graph = self.graph.lock();
            (decide(&graph, uid), graph.get(uid).cloned())
        };
        if let Some(node) = node {
            ignore_not_found(self.carry_out(uid, &node, decision).await)?;
        }
        Ok(Action::await_change())
    }
}

impl Collector {
    async fn carry_out(&self, uid: &Uid, node: &Node, decision: Decision) -> Result<(), Error> {
        match decision {
            Decision::Keep => Ok(()),
            Decision::Verify(namespaces) => self.verify(uid, node, &namespaces).await,
            Decision::OrphanDependents(dependents) => {
                self.orphan(uid, &dependents).await?;
                self.release(node, ORPHAN).await
            }
            Decision::AwaitDependents(dependents) => {
                dependents.into_iter().for_each(|dependent| self.queue.add(dependent));
                Ok(())
            }
            Decision::Release(finalizer) => self.release(node, finalizer).await,
            Decision::KeepOwners(owners) => self.set_owners(node, &owners).await,
            // The change of the owners brings the object here again, to be deleted.
            Decision::Unblock(owners) => self.set_owners(node, &owners).await,
            Decision::Delete(policy) => self.delete(uid, node, policy).await,
        }
    }

    /// Asks the server for an owner that nobody has seen. If it is not there, its dependents have lost it.
    async fn verify(&self, uid: &Uid, node: &Node, namespaces: &[String]) -> Result<(), Error> {
        let kind = self.kind(node)?;
        for namespace in namespaces {
            let key = match (kind.namespaced, namespace.is_empty()) {
                // A cluster-scoped object that names an owner in a namespace: nobody can say which, so it stays.
                (true, true) => return self.report_unresolvable(node),
                (true, false) => crate::runtime::key::ObjectKey::new(namespace, node.key.name.clone()),
                (false, _) => crate::runtime::key::ObjectKey::cluster(node.key.name.clone()),
            };
            let found = kind.get(&self.client, &key).await?;
            if found.is_some_and(|found| found.metadata.uid.as_ref() == Some(uid)) {
                return Ok(());
            }
        }
        let wake = {
            let mut graph = self.graph.lock();
            // Its watch may have brought it while the server was asked.
            if graph.get(uid).is_some_and(|node| node.observed) { Vec::new() } else { graph.forget(uid) }
        };
        wake.into_iter().for_each(|dependent| self.queue.add(dependent));
        Ok(())
    }

    fn report_unresolvable(&self, node: &Node) -> Result<(), Error> {
        let object = ObjectReference {
            kind: Some(node.kind.kind.clone()),
            name: Some(node.key.name.clone()),
            ..ObjectReference::default()
        };
        let message = format!("ownerRef {} {} is namespaced, but a dependent is not", node.kind, node.key.name);
        self.recorder.report(object, Severity::Warning, "OwnerRefInvalidNamespace", message);
        Ok(())
    }

    /// Takes `uid` out of the owners of each dependent.
    async fn orphan(&self, uid: &Uid, dependents: &[Uid]) -> Result<(), Error> {
        let dependents: Vec<Node> = {
            let graph = self.graph.lock();
            dependents.iter().filter_map(|dependent| graph.get(dependent).cloned()).collect()
        };
        let results = futures::future::join_all(dependents.iter().map(|dependent| async {
            let left: Vec<_> = dependent.owners.iter().filter(|owner| owner.uid != *uid).cloned().collect();
            ignore_not_found(self.set_owners(dependent, &left).await)
        }));
        Error::collect(results.await.into_iter().filter_map(Result::err))
    }

    async fn set_owners(&self, node: &Node, owners: &[OwnerReference]) -> Result<(), Error> {
        let owners = if owners.is_empty() { json!(null) } else { json!(owners) };
        let patch = json!({"metadata": {"resourceVersion": node.resource_version, "ownerReferences": owners}});
        self.kind(node)?.merge(&self.client, &node.key, patch).await
    }

    async fn release(&self, node: &Node, finalizer: &str) -> Result<(), Error> {
        let left: Vec<_> = node.finalizers.iter().filter(|known| *known != finalizer).collect();
        let left = if left.is_empty() { json!(null) } else { json!(left) };
        let patch = json!({"metadata": {"resourceVersion": node.resource_version, "finalizers": left}});
        self.kind(node)?.merge(&self.client, &node.key, patch).await
    }

    /// Deletes exactly the state that was decided on: an object that got another owner meanwhile is left.
    async fn delete(&self, uid: &Uid, node: &Node, policy: Policy) -> Result<(), Error> {
        let deletion = Deletion {
            uid: Some(uid.clone()),
            resource_version: Some(node.resource_version.clone()),
            propagation: Some(policy.into()),
            grace_seconds: None,
        };
        self.kind(node)?.delete(&self.client, &node.key, &deletion).await
    }

    fn kind(&self, node: &Node) -> Result<Arc<ServedKind>, Error> {
        self.kinds.read().get(node.kind.as_ref()).cloned().ok_or_else(|| Error::Invalid {
            object: format!("{} {}", node.kind, node.key),
            reason: "the API server does not serve its kind".into(),
        })
    }
}
