//! Deployments: one ReplicaSet per template, and an orderly way from one to the next.

mod conditions;
mod plan;
mod revisions;
mod rolling;
mod scaling;
mod sets;
mod status;

use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use kube::core::Selector;
use serde_json::json;

use self::plan::{Observed, Plan};
use self::sets::{REVISION, same_template};
use crate::object::claim::claim;
use crate::object::owner::{controller_key, controller_of, is_controlled_by, uid};
use crate::object::pod;
use crate::runtime::api::{Deletion, Requests};
use crate::runtime::cache::{Cache, Change, Index};
use crate::runtime::clock::Clock;
use crate::runtime::error::{Error, ignore_not_found};
use crate::runtime::expectations::Expectations;
use crate::runtime::key::ObjectKey;
use crate::runtime::manager::{Manager, Needs};
use crate::runtime::queue::WorkQueue;
use crate::runtime::recorder::Recorder;
use crate::runtime::worker::{Action, Reconciler};

const WORKERS: usize = 5;

struct Controller {
    requests: Requests,
    clock: Clock,
    recorder: Recorder,
    deployments: Cache<Deployment>,
    sets: Cache<ReplicaSet>,
    pods: Cache<Pod>,
    expectations: Expectations<ReplicaSet>,
}

/// Adds the Deployment controller.
pub(crate) fn register(manager: &mut Manager, name: &'static str) {
    let deployments = manager.cache::<Deployment>();
    let (sets, pods) = (manager.cache::<ReplicaSet>(), manager.cache::<Pod>());
    let queue = manager.queue::<ObjectKey>(name);
    deployments.on_change({
        let queue = queue.clone();
        move |change| change.latest().into_iter().for_each(|deployment| queue.add(ObjectKey::of(deployment)))
    });
    sets.on_change({
        let (deployments, queue) = (deployments.clone(), queue.clone());
        move |change| enqueue_owners(change, &deployments, &queue)
    });
    pods.on_change({
        let (sets, queue) = (sets.clone(), queue.clone());
        move |change| enqueue_waiting(change, &sets, &queue)
    });
    let controller = Controller {
        requests: manager.requests(),
        clock: manager.clock(),
        recorder: manager.recorder(name),
        expectations: Expectations::new(sets.clone()),
        deployments: deployments.clone(),
        sets: sets.clone(),
        pods: pods.clone(),
    };
    manager.run(name, WORKERS, Needs::default().and(&deployments).and(&sets).and(&pods), queue, controller);
}

fn enqueue_owners(change: &Change<'_, ReplicaSet>, deployments: &Cache<Deployment>, queue: &WorkQueue<ObjectKey>) {
    for side in change.sides() {
        controller_key::<Deployment>(&side.metadata).into_iter().for_each(|key| queue.add(key));
    }
    if let Some(orphan) = change.new.filter(|set| controller_of(&set.metadata).is_none()) {
        for deployment in deployments.in_namespace(orphan.metadata.namespace.as_deref().unwrap_or_default()) {
            queue.add(ObjectKey::of(deployment.as_ref()));
        }
    }
}

/// A Recreate rollout waits for the last old pod to be gone, which the status of its set does not tell.
fn enqueue_waiting(change: &Change<'_, Pod>, sets: &Cache<ReplicaSet>, queue: &WorkQueue<ObjectKey>) {
    if change.new.is_some_and(|pod| !pod::is_finished(pod)) {
        return;
    }
    let set = change.latest().and_then(|pod| controller_key::<ReplicaSet>(&pod.metadata));
    let set = set.and_then(|key| sets.get(&key));
    set.and_then(|set| controller_key::<Deployment>(&set.metadata)).into_iter().for_each(|key| queue.add(key));
}

// === impl Controller ===

impl Reconciler for Controller {
    type Key = ObjectKey;

    async fn reconcile(&self, key: &ObjectKey) -> Result<Action, Error> {
        let Some(deployment) = self.deployments.get(key) else {
            self.expectations.forget(key);
            return Ok(Action::await_change());
        };
        if !self.expectations.are_met(key) {
            return Ok(Action::requeue(std::time::Duration::from_secs(1)));
        }
        let Some(selector) = self.selector(&deployment) else { return Ok(Action::await_change()) };
        let sets = claim(&self.requests, deployment.as_ref(), &selector, &self.sets).await?;
        let has_pods = |set: &ReplicaSet| self.has_pods(set);
        let observed = Observed { deployment: &deployment, sets: &sets, has_pods: &has_pods, now: self.clock.time() };
        let plan = plan::plan(&observed);
        self.execute(key, &deployment, plan).await
    }
}

impl Controller {
    fn has_pods(&self, set: &ReplicaSet) -> bool {
        let pods = self.pods.find(&Index::Controller(uid(&set.metadata).to_owned()));
        pods.iter().any(|pod| !pod::is_finished(pod))
    }

    fn selector(&self, deployment: &Deployment) -> Option<Selector> {
        let selector = deployment.spec.as_ref().map(|spec| spec.selector.clone()).unwrap_or_default();
        let selector = Selector::try_from(selector).ok().filter(|selector| !selector.selects_all());
        if selector.is_none() {
            let message = "This deployment is selecting all pods. A non-empty selector is required.";
            self.recorder.warning(deployment, "SelectingAll", message);
        }
        selector
    }

    async fn execute(&self, key: &ObjectKey, deployment: &Deployment, plan: Plan) -> Result<Action, Error> {
        let mut deployment = deployment.clone();
        if let Some(set) = &plan.create
            && let Some(refusal) = self.create(key, &deployment, set).await?
        {
            return self.note_refusal(deployment, refusal).await;
        }
        for update in &plan.updates {
            let written = self.requests.replace(&update.desired).await?;
            self.expectations.wrote(key, &written);
            self.announce(&deployment, &update.desired, update.replicas_before);
        }
        for set in &plan.delete {
            let deletion = Deletion::of(set.as_ref()).background();
            ignore_not_found(self.requests.delete::<ReplicaSet>(&ObjectKey::of(set.as_ref()), &deletion).await)?;
            self.expectations.deleted(key, set);
        }
        if let Some(revision) = &plan.revision {
            let patch = json!({"metadata": {"annotations": {REVISION: revision}}});
            deployment = self.requests.merge(key, patch).await?;
        }
        if deployment.status.as_ref() != Some(&plan.status) {
            deployment.status = Some(plan.status);
            ignore_not_found(self.requests.replace_status(&deployment).await)?;
        }
        Ok(Action::requeue_if(plan.check_at.map(|at| self.clock.until(at))))
    }

    /// Creates the set of the current template. `Some` when the server refused for a reason that users should see.
    async fn create(
        &self,
        key: &ObjectKey,
        deployment: &Deployment,
        set: &ReplicaSet,
    ) -> Result<Option<Refusal>, Error> {
        match self.requests.create(set).await {
            Ok(created) => {
                self.expectations.wrote(key, &created);
                self.announce(deployment, &created, 0);
                Ok(None)
            }
            Err(error) if error.is_already_exists() => {
                let standing: Option<ReplicaSet> = self.requests.get(&ObjectKey::of(set)).await?;
                let ours = standing.filter(|standing| {
                    is_controlled_by(&standing.metadata, uid(&deployment.metadata)) && same_template(standing, set)
                });
                match ours {
                    // Created by an earlier run whose answer was lost.
                    Some(standing) => {
                        self.expectations.wrote(key, &standing);
                        Ok(None)
                    }
                    None => Ok(Some(Refusal::Collision)),
                }
            }
            Err(error) if error.is_namespace_terminating() => Err(error),
            Err(error) => Ok(Some(Refusal::Failed { set: set.metadata.name.clone().unwrap_or_default(), error })),
        }
    }

    async fn note_refusal(&self, mut deployment: Deployment, refusal: Refusal) -> Result<Action, Error> {
        let mut status = deployment.status.take().unwrap_or_default();
        let failure = match refusal {
            Refusal::Collision => {
                status.collision_count = Some(status.collision_count.unwrap_or(0).saturating_add(1));
                None
            }
            Refusal::Failed { set, error } => {
                let message = format!("Failed to create new replica set {set:?}: {}", error.message());
                self.recorder.warning(&deployment, conditions::SET_CREATE_ERROR, message.clone());
                if status::progress_deadline(&deployment).is_some() {
                    let condition = conditions::progressing("False", conditions::SET_CREATE_ERROR, message);
                    conditions::set(&mut status, condition, &self.clock.time());
                }
                Some(error)
            }
        };
        deployment.status = Some(status);
        self.requests.replace_status(&deployment).await?;
        match failure {
            Some(error) => Err(error),
            // The write wakes this controller, which then tries another name.
            None => Ok(Action::await_change()),
        }
    }

    fn announce(&self, deployment: &Deployment, set: &ReplicaSet, before: i32) {
        let (name, after) = (set.metadata.name.as_deref().unwrap_or_default(), sets::replicas(set));
        let direction = match after.cmp(&before) {
            std::cmp::Ordering::Greater => "up",
            std::cmp::Ordering::Less => "down",
            std::cmp::Ordering::Equal => return,
        };
        let message = format!("Scaled {direction} replica set {name} from {before} to {after}");
        self.recorder.normal(deployment, "ScalingReplicaSet", message);
    }
}

/// Why the set of the current template was not created.
enum Refusal {
    /// Another object has its name; the next attempt takes another one.
    Collision,
    /// The server said no.
    Failed { set: String, error: Error },
}

/// One set as the plan wants it.
#[derive(Clone, Debug)]
struct Update {
    desired: ReplicaSet,
    replicas_before: i32,
}

/// Sets by age, the oldest first.
fn by_age(sets: &mut [Arc<ReplicaSet>]) {
    sets.sort_by(|one, two| {
        let created = |set: &ReplicaSet| set.metadata.creation_timestamp.clone();
        created(one).cmp(&created(two)).then_with(|| one.metadata.name.cmp(&two.metadata.name))
    });
}
