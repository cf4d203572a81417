//! DaemonSets: one pod on each node that they select.

mod placement;
mod plan;

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Node, Pod};

use self::plan::{Observed, Plan};
use crate::object::history::{self, REVISION_LABEL};
use crate::object::owner::controller_reference;
use crate::object::pod;
use crate::object::revisioned::{Found, Parts, Revisioned, Rollouts};
use crate::object::template::{name_prefix, pod_from_template};
use crate::runtime::cache::Cache;
use crate::runtime::error::{Error, ignore_not_found};
use crate::runtime::key::ObjectKey;
use crate::runtime::manager::Manager;
use crate::runtime::slow_start::slow_start;
use crate::runtime::worker::{Action, Reconciler};

const WORKERS: usize = 2;

struct Controller {
    rollouts: Rollouts<DaemonSet>,
    nodes: Cache<Node>,
}

/// Adds the DaemonSet controller.
pub(crate) fn register(manager: &mut Manager, name: &'static str) {
    let queue = manager.queue::<ObjectKey>(name);
    let rollouts = Rollouts::<DaemonSet>::new(manager, name, &queue);
    let nodes = manager.cache::<Node>();
    nodes.on_change({
        let (sets, queue) = (rollouts.owners.clone(), queue.clone());
        move |change| {
            // A heartbeat changes nothing here.
            if change.differs(|node| (node.metadata.labels.as_ref(), node.spec.as_ref())) {
                sets.keys().into_iter().for_each(|key| queue.add(key));
            }
        }
    });
    let needs = rollouts.needs().and(&nodes);
    manager.run(name, WORKERS, needs, queue, Controller { rollouts, nodes });
}

// === impl DaemonSet ===

impl Revisioned for DaemonSet {
    fn parts(&self) -> Option<Parts<'_>> {
        let spec = self.spec.as_ref()?;
        Some(Parts {
            selector: &spec.selector,
            template: &spec.template,
            min_ready_seconds: spec.min_ready_seconds,
            history_limit: spec.revision_history_limit,
        })
    }
}

// === impl Controller ===

impl Reconciler for Controller {
    type Key = ObjectKey;

    async fn reconcile(&self, key: &ObjectKey) -> Result<Action, Error> {
        let (set, pods, history) = match self.rollouts.find(key).await? {
            Found::Nothing(action) => return Ok(action),
            Found::SelectsAll(set) => {
                let message = "This daemon set is selecting all pods. A non-empty selector is required.";
                self.rollouts.recorder.warning(set.as_ref(), "SelectingAll", message);
                return Ok(Action::await_change());
            }
            Found::Owner(set, pods, history) => (set, pods, history),
        };
        let (hash, nodes, now) = (history::hash_of(&history.current), self.nodes.list(), self.rollouts.clock.now());
        let observed = Observed { set: &set, nodes: &nodes, pods: &pods, hash, now };
        let result = self.execute(key, &set, &observed.plan(), hash).await;
        self.update_status(&set, &observed).await?;
        let action = self.rollouts.finish(&set, &pods, &history, None).await?;
        result.map(|()| action)
    }
}

impl Controller {
    async fn execute(&self, key: &ObjectKey, set: &DaemonSet, plan: &Plan, hash: &str) -> Result<(), Error> {
        let mut failures = self.create(key, set, &plan.create, hash).await;
        for failed in &plan.failed {
            let (node, failed) = (pod::node(failed).unwrap_or_default(), ObjectKey::of(failed.as_ref()));
            let message = format!("Found failed daemon pod {failed} on node {node}, will try to kill it");
            self.rollouts.recorder.warning(set, "FailedDaemonPod", message);
        }
        for doomed in plan.delete.iter().chain(&plan.failed) {
            match self.rollouts.delete(key, doomed).await {
                Ok(()) => {
                    let message = format!("Deleted pod: {}", pod::name(doomed));
                    self.rollouts.recorder.normal(set, "SuccessfulDelete", message);
                }
                Err(error) => failures.push(error),
            }
        }
        Error::collect(failures)
    }

    /// Makes a pod for each of `nodes`. Returns what failed.
    async fn create(&self, key: &ObjectKey, set: &DaemonSet, nodes: &[String], hash: &str) -> Vec<Error> {
        let rollouts = &self.rollouts;
        let created = slow_start(nodes.len(), |index| async move {
            let created = rollouts.requests.create(&new_pod(set, &nodes[index], hash)).await?;
            rollouts.expectations.wrote(key, &created);
            rollouts.recorder.normal(set, "SuccessfulCreate", format!("Created pod: {}", pod::name(&created)));
            Ok(())
        });
        let mut failures: Vec<Error> = created.await.into_iter().filter_map(Result::err).collect();
        failures.retain(|error| !error.is_namespace_terminating());
        if let Some(first) = failures.first() {
            rollouts.recorder.warning(set, "FailedCreate", format!("Error creating: {}", first.message()));
        }
        failures
    }

    async fn update_status(&self, set: &DaemonSet, observed: &Observed<'_>) -> Result<(), Error> {
        let before = set.status.clone().unwrap_or_default();
        let status = observed.status(&before);
        if status == before && set.status.is_some() {
            return Ok(());
        }
        let updated = DaemonSet { status: Some(status), ..set.clone() };
        ignore_not_found(self.rollouts.requests.replace_status(&updated).await)
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
