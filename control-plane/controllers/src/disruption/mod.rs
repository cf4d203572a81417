//! The status of PodDisruptionBudgets: how many pods may be evicted at this moment. Evictions count down what stands
//! there; this controller counts anew whenever a pod changes.

mod budget;
mod scale;

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus};
use kube::core::{Selector, SelectorExt};

use self::budget::{Demand, blocked, demand, disrupted, status};
use self::scale::Scales;
use crate::object::owner::is_deleted;
use crate::object::pod;
use crate::runtime::api::Requests;
use crate::runtime::cache::{Cache, Change};
use crate::runtime::clock::Clock;
use crate::runtime::error::{Error, ignore_not_found};
use crate::runtime::key::ObjectKey;
use crate::runtime::manager::{Manager, Needs};
use crate::runtime::queue::WorkQueue;
use crate::runtime::recorder::Recorder;
use crate::runtime::worker::{Action, Reconciler};

const WORKERS: usize = 2;

struct Controller {
    requests: Requests,
    clock: Clock,
    recorder: Recorder,
    budgets: Cache<PodDisruptionBudget>,
    pods: Cache<Pod>,
    scales: Scales,
}

/// Adds the controller, which users know as `controllermanager` from its events.
pub(crate) fn register(manager: &mut Manager, name: &'static str) {
    let (budgets, pods) = (manager.cache::<PodDisruptionBudget>(), manager.cache::<Pod>());
    let scales = Scales::new(manager);
    let queue = manager.queue::<ObjectKey>(name);
    budgets.on_change({
        let queue = queue.clone();
        move |change| change.new.into_iter().for_each(|budget| queue.add(ObjectKey::of(budget.as_ref())))
    });
    pods.on_change({
        let (budgets, queue) = (budgets.clone(), queue.clone());
        move |change| enqueue_budgets(change, &budgets, &queue)
    });
    let needs = scales.needed(Needs::default().and(&budgets).and(&pods));
    let controller = Controller {
        requests: manager.requests(),
        clock: manager.clock(),
        recorder: manager.recorder("controllermanager"),
        budgets,
        pods,
        scales,
    };
    manager.run(name, WORKERS, needs, queue, controller);
}

fn enqueue_budgets(change: &Change<'_, Pod>, budgets: &Cache<PodDisruptionBudget>, queue: &WorkQueue<ObjectKey>) {
    let Some(namespace) = change.latest().and_then(|pod| pod.metadata.namespace.clone()) else { return };
    for budget in budgets.in_namespace(&namespace) {
        if selector(&budget).is_some_and(|selector| change.sides().any(|pod| selects(&selector, pod))) {
            queue.add(ObjectKey::of(budget.as_ref()));
        }
    }
}

/// What the budget selects; none without a selector, everything with an empty one.
fn selector(budget: &PodDisruptionBudget) -> Option<Selector> {
    Selector::try_from(budget.spec.as_ref()?.selector.clone()?).ok()
}

fn selects(selector: &Selector, pod: &Pod) -> bool {
    selector.matches(pod.metadata.labels.as_ref().unwrap_or(&std::collections::BTreeMap::new()))
}

// === impl Controller ===

impl Reconciler for Controller {
    type Key = ObjectKey;

    async fn reconcile(&self, key: &ObjectKey) -> Result<Action, Error> {
        let Some(budget) = self.budgets.get(key).filter(|budget| !is_deleted(&budget.metadata)) else {
            return Ok(Action::await_change());
        };
        let pods = self.pods_of(&budget);
        if pods.is_empty() {
            self.recorder.normal(budget.as_ref(), "NoPods", "No matching pods found");
        }
        let disrupted = disrupted(&budget, &pods, self.clock.now());
        for pod in &disrupted.overdue {
            let message = format!("Pod was expected by PDB {key} to be deleted but it wasn't");
            self.recorder.warning(pod.as_ref(), "NotDeleted", message);
        }
        let now = self.clock.time();
        let counted = match self.demand(&budget, &pods) {
            Ok(demand) => status(&budget, &pods, demand, disrupted.pending, &now),
            Err(reason) => {
                let message = format!("Failed to calculate the number of expected pods: {reason}");
                self.recorder.warning(budget.as_ref(), "CalculateExpectedPodCountFailed", message);
                blocked(&budget, &reason, &now)
            }
        };
        self.publish(&budget, counted).await?;
        Ok(Action::requeue_if(disrupted.check_at.map(|at| self.clock.until(at))))
    }
}

impl Controller {
    fn pods_of(&self, budget: &PodDisruptionBudget) -> Vec<Arc<Pod>> {
        let Some(selector) = selector(budget) else { return Vec::new() };
        let mut pods = self.pods.in_namespace(budget.metadata.namespace.as_deref().unwrap_or_default());
        pods.retain(|pod| selects(&selector, pod) && !pod::is_finished(pod));
        pods
    }

    fn demand(&self, budget: &PodDisruptionBudget, pods: &[Arc<Pod>]) -> Result<Demand, String> {
        demand(budget, pods.len(), || {
            let wanted = self.scales.wanted(pods)?;
            if !wanted.unmanaged.is_empty() {
                let message = format!(
                    "Pods selected by this PodDisruptionBudget were found to be unmanaged: {}. As a result, the status \
                     of the PDB cannot be calculated correctly, which may result in undefined behavior. To account for \
                     these pods please set \".spec.minAvailable\" field of the PDB to an integer value.",
                    wanted.unmanaged.join(", ")
                );
                self.recorder.warning(budget, "UnmanagedPods", message);
            }
            Ok(wanted.replicas)
        })
    }

    /// A status that an eviction changed meanwhile is not overwritten: the conflict brings the budget here again.
    async fn publish(&self, budget: &PodDisruptionBudget, status: PodDisruptionBudgetStatus) -> Result<(), Error> {
        if budget.status.as_ref() == Some(&status) {
            return Ok(());
        }
        let updated = PodDisruptionBudget { status: Some(status), ..budget.clone() };
        ignore_not_found(self.requests.replace_status(&updated).await)
    }
}
