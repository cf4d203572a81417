//! StatefulSets: pods with names, volumes and an order of their own.

mod claims;
mod plan;
mod pods;

use std::sync::Arc;

use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;

use self::plan::{Observed, Plan};
use self::pods::new_pod;
use crate::object::history::{self, History};
use crate::object::pod;
use crate::object::revisioned::{Found, Parts, Revisioned, Rollouts};
use crate::runtime::cache::Cache;
use crate::runtime::error::{Error, ignore_not_found};
use crate::runtime::key::ObjectKey;
use crate::runtime::manager::Manager;
use crate::runtime::worker::{Action, Reconciler};

const WORKERS: usize = 5;

struct Controller {
    rollouts: Rollouts<StatefulSet>,
    claims: Cache<PersistentVolumeClaim>,
}

/// Adds the StatefulSet controller.
pub(crate) fn register(manager: &mut Manager, name: &'static str) {
    let queue = manager.queue::<ObjectKey>(name);
    let rollouts = Rollouts::<StatefulSet>::new(manager, name, &queue);
    let claims = manager.cache::<PersistentVolumeClaim>();
    let needs = rollouts.needs().and(&claims);
    manager.run(name, WORKERS, needs, queue, Controller { rollouts, claims });
}

// === impl StatefulSet ===

impl Revisioned for StatefulSet {
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
        let (set, mut pods, history) = match self.rollouts.find(key).await? {
            Found::Nothing(action) => return Ok(action),
            Found::SelectsAll(_) => {
                let reason = "its selector is empty".to_owned();
                return Err(Error::Invalid { object: format!("StatefulSet {key}"), reason });
            }
            Found::Owner(set, pods, history) => (set, pods, history),
        };
        pods.retain(|pod| plan::ordinal(&set, pod).is_some());
        let (current, update) = (current_revision(&set, &history), history::name(&history.current));
        let now = self.rollouts.clock.now();
        let observed = Observed { set: &set, pods: &pods, current: &current, update, now };
        let result = self.execute(key, &observed, &history).await;
        self.update_status(&observed).await?;
        let action = self.rollouts.finish(&set, &pods, &history, Some(&current)).await?;
        result.map(|()| action)
    }
}

impl Controller {
    async fn execute(&self, key: &ObjectKey, observed: &Observed<'_>, history: &History) -> Result<(), Error> {
        let Plan { create, delete } = observed.plan();
        self.settle_claims(observed).await?;
        for (ordinal, is_update) in create {
            let old = history.old.iter().find(|old| history::name(old) == observed.current).filter(|_| !is_update);
            self.create(key, observed.set, ordinal, old.map_or(&history.current, AsRef::as_ref)).await?;
        }
        for pod in &delete {
            self.rollouts.delete(key, pod).await?;
            let message = format!("delete Pod {} in StatefulSet {} successful", pod::name(pod), name(observed.set));
            self.rollouts.recorder.normal(observed.set, "SuccessfulDelete", message);
        }
        Ok(())
    }

    async fn create(
        &self,
        key: &ObjectKey,
        set: &StatefulSet,
        ordinal: i32,
        revision: &ControllerRevision,
    ) -> Result<(), Error> {
        let rollouts = &self.rollouts;
        claims::create(&rollouts.requests, &self.claims, set, ordinal).await?;
        let template = history::template_of(revision).unwrap_or_default();
        let pod = new_pod(set, ordinal, &template, history::name(revision));
        let what = format!("create Pod {} in StatefulSet {}", pod::name(&pod), name(set));
        match rollouts.requests.create(&pod).await {
            Ok(created) => {
                rollouts.expectations.wrote(key, &created);
                rollouts.recorder.normal(set, "SuccessfulCreate", format!("{what} successful"));
                Ok(())
            }
            Err(error) if error.is_namespace_terminating() => Ok(()),
            Err(error) => {
                rollouts.recorder.warning(set, "FailedCreate", format!("{what} failed error: {}", error.message()));
                Err(error)
            }
        }
    }

    /// Before a pod goes, its claims know whether they go too.
    async fn settle_claims(&self, observed: &Observed<'_>) -> Result<(), Error> {
        for pod in observed.pods {
            let Some(ordinal) = plan::ordinal(observed.set, pod) else { continue };
            let (set, condemned) = (observed.set, !observed.wanted().contains(&ordinal));
            claims::settle(&self.rollouts.requests, &self.claims, set, pod, ordinal, condemned).await?;
        }
        Ok(())
    }

    async fn update_status(&self, observed: &Observed<'_>) -> Result<(), Error> {
        let status = Some(observed.status());
        if observed.set.status == status {
            return Ok(());
        }
        let updated = StatefulSet { status, ..observed.set.clone() };
        ignore_not_found(self.rollouts.requests.replace_status(&updated).await)
    }
}

/// The revision of the pods that an update has not reached: the one that the status names, as long as there is one.
fn current_revision(set: &StatefulSet, history: &History) -> String {
    let known = set.status.as_ref().and_then(|status| status.current_revision.clone());
    let known = known.filter(|name| history.old.iter().any(|old: &Arc<_>| history::name(old) == name));
    known.unwrap_or_else(|| history::name(&history.current).to_owned())
}

fn name(set: &StatefulSet) -> &str {
    set.metadata.name.as_deref().unwrap_or_default()
}
