//! ReplicaSets and ReplicationControllers: keep as many pods as asked for.
//!
//! Both kinds share everything but their names and the shape of their selector ([`Replicated`]).

mod deletion_order;
mod replicated;
mod scale;
mod status;

use std::sync::Arc;

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{Pod, ReplicationController};

use self::replicated::Replicated;
use self::scale::Scale;
use self::status::Trouble;
use crate::object::claim::claim;
use crate::object::owner::{controller_key, controller_of, controller_reference, is_deleted, uid};
use crate::object::pod;
use crate::object::template::{name_prefix, pod_from_template};
use crate::runtime::api::{Deletion, Requests};
use crate::runtime::cache::{Cache, Change, Index};
use crate::runtime::clock::Clock;
use crate::runtime::error::{Error, ignore_not_found};
use crate::runtime::expectations::Expectations;
use crate::runtime::key::ObjectKey;
use crate::runtime::manager::{Manager, Needs};
use crate::runtime::queue::WorkQueue;
use crate::runtime::recorder::Recorder;
use crate::runtime::slow_start::slow_start;
use crate::runtime::worker::{Action, Reconciler};

const WORKERS: usize = 5;

/// Adds the ReplicaSet controller.
pub(crate) fn register_replica_sets(manager: &mut Manager, name: &'static str) {
    register::<ReplicaSet>(manager, name);
}

/// Adds the ReplicationController controller.
pub(crate) fn register_replication_controllers(manager: &mut Manager, name: &'static str) {
    register::<ReplicationController>(manager, name);
}

struct Controller<R: Replicated> {
    requests: Requests,
    clock: Clock,
    recorder: Recorder,
    owners: Cache<R>,
    pods: Cache<Pod>,
    expectations: Expectations<Pod>,
}

fn register<R: Replicated>(manager: &mut Manager, name: &'static str) {
    let (owners, pods) = (manager.cache::<R>(), manager.cache::<Pod>());
    let queue = manager.queue::<ObjectKey>(name);
    owners.on_change({
        let queue = queue.clone();
        move |change| change.latest().into_iter().for_each(|owner| queue.add(ObjectKey::of(owner)))
    });
    pods.on_change({
        let (owners, queue) = (owners.clone(), queue.clone());
        move |change| enqueue_owners(change, &owners, &queue)
    });
    let controller = Controller {
        requests: manager.requests(),
        clock: manager.clock(),
        recorder: manager.recorder(name),
        expectations: Expectations::new(pods.clone()),
        owners: owners.clone(),
        pods: pods.clone(),
    };
    manager.run(name, WORKERS, Needs::default().and(&owners).and(&pods), queue, controller);
}

/// Wakes whoever owns the pod or owned it, and for an orphan everyone who might adopt it.
fn enqueue_owners<R: Replicated>(change: &Change<'_, Pod>, owners: &Cache<R>, queue: &WorkQueue<ObjectKey>) {
    for side in change.sides() {
        queue_owner::<R>(side, queue);
    }
    if let Some(orphan) = change.new.filter(|pod| controller_of(&pod.metadata).is_none()) {
        let namespace = orphan.metadata.namespace.as_deref().unwrap_or_default();
        for owner in owners.in_namespace(namespace) {
            if owner.selects(orphan.as_ref()) {
                queue.add(ObjectKey::of(owner.as_ref()));
            }
        }
    }
}

fn queue_owner<R: Replicated>(pod: &Pod, queue: &WorkQueue<ObjectKey>) {
    if let Some(key) = controller_key::<R>(&pod.metadata) {
        queue.add(key);
    }
}

// === impl Controller ===

impl<R: Replicated> Reconciler for Controller<R> {
    type Key = ObjectKey;

    async fn reconcile(&self, key: &ObjectKey) -> Result<Action, Error> {
        let Some(owner) = self.owners.get(key) else {
            self.expectations.forget(key);
            return Ok(Action::await_change());
        };
        let settled = self.expectations.are_met(key);
        let owner = owner.as_ref();
        let pods = claim(&self.requests, owner, &owner.selector()?, &self.pods).await?;
        let mut trouble = None;
        if settled && !is_deleted(owner.meta()) {
            trouble = self.scale(key, owner, &pods).await;
        }
        let action = self.update_status(owner, &pods, trouble.as_ref()).await?;
        match trouble {
            Some(trouble) => Err(trouble.into_error()),
            None => Ok(action),
        }
    }
}

impl<R: Replicated> Controller<R> {
    async fn scale(&self, key: &ObjectKey, owner: &R, pods: &[Arc<Pod>]) -> Option<Trouble> {
        let active: Vec<_> = pods.iter().filter(|pod| pod::is_active(pod)).cloned().collect();
        let related = || self.pods_of_siblings(owner);
        match scale::plan(owner.replicas(), active, related, self.clock.now()) {
            Scale::Keep => None,
            Scale::Create(count) => self.create(key, owner, count).await.map(Trouble::Create),
            Scale::Delete(pods) => self.delete(key, owner, &pods).await.map(Trouble::Delete),
        }
    }

    /// The active pods of every set under the same Deployment, this one included: a node that runs several of them
    /// is the first to lose one.
    fn pods_of_siblings(&self, owner: &R) -> Vec<Arc<Pod>> {
        let siblings = match controller_of(owner.meta()) {
            Some(parent) => self.owners.find(&Index::Controller(parent.uid.clone())),
            None => self.owners.get(&ObjectKey::of(owner)).into_iter().collect(),
        };
        let pods = siblings.iter().flat_map(|set| self.pods.find(&Index::Controller(uid(set.meta()).to_owned())));
        pods.filter(|pod| pod::is_active(pod)).collect()
    }

    async fn create(&self, key: &ObjectKey, owner: &R, count: usize) -> Option<Error> {
        let pod = new_pod(owner)?;
        let results = slow_start(count, |_| async {
            let created = self.requests.create(&pod).await?;
            self.expectations.wrote(key, &created);
            self.recorder.normal(owner, "SuccessfulCreate", format!("Created pod: {}", pod::name(&created)));
            Ok(())
        });
        // A namespace that is being deleted takes no pods, and the set will go with it.
        let failure = results.await.into_iter().find_map(Result::err).filter(|e| !e.is_namespace_terminating())?;
        self.recorder.warning(owner, "FailedCreate", format!("Error creating: {}", failure.message()));
        Some(failure)
    }

    async fn delete(&self, key: &ObjectKey, owner: &R, pods: &[Arc<Pod>]) -> Option<Error> {
        let results = futures::future::join_all(pods.iter().map(|pod| async {
            let deleted = self.requests.delete::<Pod>(&ObjectKey::of(pod.as_ref()), &Deletion::of(pod.as_ref())).await;
            ignore_not_found(deleted)?;
            self.expectations.deleted(key, pod);
            self.recorder.normal(owner, "SuccessfulDelete", format!("Deleted pod: {}", pod::name(pod)));
            Ok(())
        }));
        let failure = results.await.into_iter().find_map(Result::<(), Error>::err)?;
        self.recorder.warning(owner, "FailedDelete", format!("Error deleting: {}", failure.message()));
        Some(failure)
    }

    async fn update_status(&self, owner: &R, pods: &[Arc<Pod>], trouble: Option<&Trouble>) -> Result<Action, Error> {
        let now = self.clock.now();
        let updated = owner.with_status(status::compute(owner, pods, trouble, &self.clock.time()));
        if updated.status() != owner.status() {
            ignore_not_found(self.requests.replace_status(&updated).await)?;
        }
        let next = status::next_availability(owner.min_ready_seconds(), pods, now);
        Ok(Action::requeue_if(next.map(|at| self.clock.until(at))))
    }
}

fn new_pod<R: Replicated>(owner: &R) -> Option<Pod> {
    let namespace = owner.meta().namespace.clone().unwrap_or_default();
    let mut pod = pod_from_template(owner.template()?, &namespace, controller_reference(owner));
    pod.metadata.generate_name = Some(name_prefix(owner.meta().name.as_deref().unwrap_or_default()));
    Some(pod)
}
