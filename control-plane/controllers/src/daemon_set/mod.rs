//! DaemonSets: one pod on each node that they select.

mod placement;
mod plan;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::core::Selector;

use self::plan::{Observed, Plan};
use crate::object::claim::claim;
use crate::object::history::{self, REVISION_LABEL};
use crate::object::owner::{controller_key, controller_of, controller_reference, is_deleted};
use crate::object::pod;
use crate::object::template::{name_prefix, pod_from_template};
use crate::runtime::api::{Deletion, Requests};
use crate::runtime::cache::Cache;
use crate::runtime::clock::Clock;
use crate::runtime::error::{Error, ignore_not_found};
use crate::runtime::expectations::Expectations;
use crate::runtime::key::ObjectKey;
use crate::runtime::manager::{Manager, Needs};
use crate::runtime::recorder::Recorder;
use crate::runtime::slow_start::slow_start;
use crate::runtime::worker::{Action, Reconciler};

const WORKERS: usize = 2;
const LAGGING: Duration = Duration::from_secs(1);

struct Controller {
    requests: Requests,
    clock: Clock,
    recorder: Recorder,
    sets: Cache<DaemonSet>,
    nodes: Cache<Node>,
    pods: Cache<Pod>,
    revisions: Cache<ControllerRevision>,
    expectations: Expectations<Pod>,
}

/// Adds the DaemonSet controller.
pub(crate) fn register(manager: &mut Manager, name: &'static str) {
    let (sets, nodes, pods) = (manager.cache::<DaemonSet>(), manager.cache::<Node>(), manager.cache::<Pod>());
    let revisions = manager.cache::<ControllerRevision>();
    let queue = manager.queue::<ObjectKey>(name);
    sets.on_change({
        let queue = queue.clone();
        move |change| change.latest().into_iter().for_each(|set| queue.add(ObjectKey::of(set)))
    });
    nodes.on_change({
        let (sets, queue) = (sets.clone(), queue.clone());
        move |change| {
            // A heartbeat changes nothing here.
            if change.differs(|node| (node.metadata.labels.as_ref(), node.spec.as_ref())) {
                sets.keys().into_iter().for_each(|key| queue.add(key));
            }
        }
    });
    pods.on_change({
        let (sets, queue) = (sets.clone(), queue.clone());
        move |change| {
            for pod in change.sides() {
                controller_key::<DaemonSet>(&pod.metadata).into_iter().for_each(|key| queue.add(key));
            }
            if let Some(orphan) = change.new.filter(|pod| controller_of(&pod.metadata).is_none()) {
                let namespace = orphan.metadata.namespace.as_deref().unwrap_or_default();
                sets.in_namespace(namespace).iter().for_each(|set| queue.add(ObjectKey::of(set.as_ref())));
            }
        }
    });
    let controller = Controller {
        requests: manager.requests(),
        clock: manager.clock(),
        recorder: manager.recorder(name),
        expectations: Expectations::new(pods.clone()),
        sets: sets.clone(),
        nodes: nodes.clone(),
        pods: pods.clone(),
        revisions: revisions.clone(),
    };
    let needs = Needs::default().and(&sets).and(&nodes).and(&pods).and(&revisions);
    manager.run(name, WORKERS, needs, queue, controller);
}

// === impl Controller ===

impl Reconciler for Controller {
    type Key = ObjectKey;

    async fn reconcile(&self, key: &ObjectKey) -> Result<Action, Error> {
        let Some(set) = self.sets.get(key) else {
            self.expectations.forget(key);
            return Ok(Action::await_change());
        };
        let Some(spec) = set.spec.as_ref().filter(|_| !is_deleted(&set.metadata)) else {
            return Ok(Action::await_change());
        };
        if !self.expectations.are_met(key) {
            return Ok(Action::requeue(LAGGING));
        }
        let selector = Selector::try_from(spec.selector.clone()).ok().filter(|selector| !selector.selects_all());
        let Some(selector) = selector else {
            let message = "This daemon set is selecting all pods. A non-empty selector is required.";
            self.recorder.warning(set.as_ref(), "SelectingAll", message);
            return Ok(Action::await_change());
        };
        let pods = claim(&self.requests, set.as_ref(), &selector, &self.pods).await?;
        let history = history::history(&self.requests, &self.revisions, set.as_ref(), &spec.template).await?;
        let hash = history::hash_of(&history.current).to_owned();
        let nodes = self.nodes.list();
        let observed = Observed { set: &set, nodes: &nodes, pods: &pods, hash: &hash, now: self.clock.now() };
        let result = self.execute(key, &set, &observed.plan(), &hash).await;
        self.update_status(&set, &observed).await?;
        let live: HashSet<String> =
            pods.iter().filter_map(|pod| pod::label(pod, REVISION_LABEL).map(str::to_owned)).collect();
        history::truncate(&self.requests, &history, spec.revision_history_limit, &live).await?;
        result.map(|()| self.next_look(spec.min_ready_seconds.unwrap_or(0), &pods))
    }
}

impl Controller {
    async fn execute(&self, key: &ObjectKey, set: &DaemonSet, plan: &Plan, hash: &str) -> Result<(), Error> {
        let created = slow_start(plan.create.len(), |index| async move {
            let created = self.requests.create(&new_pod(set, &plan.create[index], hash)).await?;
            self.expectations.wrote(key, &created);
            self.recorder.normal(set, "SuccessfulCreate", format!("Created pod: {}", pod::name(&created)));
            Ok(())
        });
        let mut failures: Vec<Error> = created.await.into_iter().filter_map(Result::err).collect();
        failures.retain(|error| !error.is_namespace_terminating());
        if let Some(first) = failures.first() {
            self.recorder.warning(set, "FailedCreate", format!("Error creating: {}", first.message()));
        }
        for failed in &plan.failed {
            let node = pod::node(failed).unwrap_or_default();
            let message = format!(
                "Found failed daemon pod {} on node {node}, will try to kill it",
                ObjectKey::of(failed.as_ref())
            );
            self.recorder.warning(set, "FailedDaemonPod", message);
        }
        for doomed in plan.delete.iter().chain(&plan.failed) {
            let deleted =
                self.requests.delete::<Pod>(&ObjectKey::of(doomed.as_ref()), &Deletion::of(doomed.as_ref())).await;
            match ignore_not_found(deleted) {
                Ok(()) => {
                    self.expectations.deleted(key, doomed);
                    self.recorder.normal(set, "SuccessfulDelete", format!("Deleted pod: {}", pod::name(doomed)));
                }
                Err(error) => failures.push(error),
            }
        }
        Error::collect(failures)
    }

    async fn update_status(&self, set: &DaemonSet, observed: &Observed<'_>) -> Result<(), Error> {
        let before = set.status.clone().unwrap_or_default();
        let status = observed.status(&before);
        if status == before && set.status.is_some() {
            return Ok(());
        }
        let updated = DaemonSet { status: Some(status), ..set.clone() };
        ignore_not_found(self.requests.replace_status(&updated).await)
    }

    fn next_look(&self, min_ready_seconds: i32, pods: &[Arc<Pod>]) -> Action {
        let now = self.clock.now();
        let pending =
            pods.iter().filter_map(|pod| pod::available_at(pod, min_ready_seconds)).filter(|at| *at > now).min();
        Action::requeue_if(pending.map(|at| self.clock.until(at)))
    }
}

fn new_pod(set: &DaemonSet, node: &str, hash: &str) -> Pod {
    let template = set.spec.as_ref().map(|spec| spec.template.clone()).unwrap_or_default();
    let namespace = set.metadata.namespace.clone().unwrap_or_default();
    let mut pod = pod_from_template(&template, &namespace, controller_reference(set));
    pod.metadata.generate_name = Some(name_prefix(set.metadata.name.as_deref().unwrap_or_default()));
    pod.metadata.labels.get_or_insert_default().insert(REVISION_LABEL.into(), hash.to_owned());
    placement::destine(pod.spec.get_or_insert_default(), node);
    pod
}
