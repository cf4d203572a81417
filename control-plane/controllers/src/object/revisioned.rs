//! What the controllers of DaemonSets and StatefulSets have in common: pods that carry the revision of the template that
//! they were made from, and a history of those revisions.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::Selector;

use super::claim::claim;
use super::history::{self, History, REVISION_LABEL};
use super::owner::{controller_key, controller_of, is_deleted};
use super::pod;
use crate::runtime::api::{Deletion, Object, Requests};
use crate::runtime::cache::{Cache, Cached, Change};
use crate::runtime::clock::Clock;
use crate::runtime::error::{Error, ignore_not_found};
use crate::runtime::expectations::Expectations;
use crate::runtime::key::ObjectKey;
use crate::runtime::manager::{Manager, Needs};
use crate::runtime::queue::WorkQueue;
use crate::runtime::recorder::Recorder;
use crate::runtime::worker::Action;

/// A kind whose pods are of revisions.
pub(crate) trait Revisioned: Cached + Object {
    /// The selector, the template, `minReadySeconds` and `revisionHistoryLimit`; `None` without a spec.
    fn parts(&self) -> Option<Parts<'_>>;
}

/// What every such kind says in its spec.
pub(crate) struct Parts<'a> {
    pub(crate) selector: &'a LabelSelector,
    pub(crate) template: &'a PodTemplateSpec,
    pub(crate) min_ready_seconds: Option<i32>,
    pub(crate) history_limit: Option<i32>,
}

/// The common part of such a controller.
pub(crate) struct Rollouts<K> {
    pub(crate) requests: Requests,
    pub(crate) clock: Clock,
    pub(crate) recorder: Recorder,
    pub(crate) owners: Cache<K>,
    pub(crate) pods: Cache<Pod>,
    pub(crate) revisions: Cache<ControllerRevision>,
    pub(crate) expectations: Expectations<Pod>,
}

/// What a run has found.
pub(crate) enum Found<K> {
    /// Nothing is to be done but this.
    Nothing(Action),
    /// The owner selects all pods, which nobody can mean.
    SelectsAll(Arc<K>),
    /// An owner with its pods and its history.
    Owner(Arc<K>, Vec<Arc<Pod>>, Box<History>),
}

const LAGGING: Duration = Duration::from_secs(1);

/// Wakes whoever owns the pod or owned it, and for an orphan everyone in its namespace who might adopt it.
pub(crate) fn wake_owners<K: Cached>(change: &Change<'_, Pod>, owners: &Cache<K>, queue: &WorkQueue<ObjectKey>) {
    for pod in change.sides() {
        controller_key::<K>(&pod.metadata).into_iter().for_each(|key| queue.add(key));
    }
    if let Some(orphan) = change.new.filter(|pod| controller_of(&pod.metadata).is_none()) {
        let namespace = orphan.metadata.namespace.as_deref().unwrap_or_default();
        owners.in_namespace(namespace).iter().for_each(|owner| queue.add(ObjectKey::of(owner.as_ref())));
    }
}

// === impl Rollouts ===

impl<K: Revisioned> Rollouts<K> {
    /// Watches owners and pods, and wakes the owners.
    pub(crate) fn new(manager: &mut Manager, name: &'static str, queue: &WorkQueue<ObjectKey>) -> Self {
        let (owners, pods) = (manager.cache::<K>(), manager.cache::<Pod>());
        owners.on_change({
            let queue = queue.clone();
            move |change| change.latest().into_iter().for_each(|owner| queue.add(ObjectKey::of(owner)))
        });
        pods.on_change({
            let (owners, queue) = (owners.clone(), queue.clone());
            move |change| wake_owners(change, &owners, &queue)
        });
        Self {
            requests: manager.requests(),
            clock: manager.clock(),
            recorder: manager.recorder(name),
            expectations: Expectations::new(pods.clone()),
            revisions: manager.cache(),
            owners,
            pods,
        }
    }

    /// The caches that must be complete.
    pub(crate) fn needs(&self) -> Needs {
        Needs::default().and(&self.owners).and(&self.pods).and(&self.revisions)
    }

    /// Looks at the owner, adopts and releases pods, and gives the template a revision.
    pub(crate) async fn find(&self, key: &ObjectKey) -> Result<Found<K>, Error> {
        let Some(owner) = self.owners.get(key) else {
            self.expectations.forget(key);
            return Ok(Found::Nothing(Action::await_change()));
        };
        let Some(parts) = owner.parts().filter(|_| !is_deleted(owner.meta())) else {
            return Ok(Found::Nothing(Action::await_change()));
        };
        if !self.expectations.are_met(key) {
            return Ok(Found::Nothing(Action::requeue(LAGGING)));
        }
        let selector = Selector::try_from(parts.selector.clone()).ok().filter(|selector| !selector.selects_all());
        let Some(selector) = selector else { return Ok(Found::SelectsAll(owner)) };
        let pods = claim(&self.requests, owner.as_ref(), &selector, &self.pods).await?;
        let history = history::history(&self.requests, &self.revisions, owner.as_ref(), parts.template).await?;
        Ok(Found::Owner(owner, pods, Box::new(history)))
    }

    /// Deletes a pod; one that is gone is fine.
    pub(crate) async fn delete(&self, key: &ObjectKey, pod: &Pod) -> Result<(), Error> {
        ignore_not_found(self.requests.delete::<Pod>(&ObjectKey::of(pod), &Deletion::of(pod)).await)?;
        self.expectations.deleted(key, pod);
        Ok(())
    }

    /// Forgets revisions that nobody needs: neither a pod nor `kept`. Says when a pod will have served long enough.
    pub(crate) async fn finish(
        &self,
        owner: &K,
        pods: &[Arc<Pod>],
        history: &History,
        kept: Option<&str>,
    ) -> Result<Action, Error> {
        let Some(parts) = owner.parts() else { return Ok(Action::await_change()) };
        let live = pods.iter().filter_map(|pod| pod::label(pod, REVISION_LABEL)).chain(kept);
        let live: HashSet<String> = live.map(str::to_owned).collect();
        history::truncate(&self.requests, history, parts.history_limit, &live).await?;
        let (min_ready, now) = (parts.min_ready_seconds.unwrap_or(0), self.clock.now());
        let pending = pods.iter().filter_map(|pod| pod::available_at(pod, min_ready)).filter(|at| *at > now).min();
        Ok(Action::requeue_if(pending.map(|at| self.clock.until(at))))
    }
}
