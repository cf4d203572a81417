//! StatefulSets: pods with names, volumes and an order of their own.

mod plan;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet};
use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimVolumeSource, Pod, PodTemplateSpec, Volume,
};
use kube::core::Selector;

use self::plan::{Observed, Plan};
use crate::object::claim::claim;
use crate::object::history::{self, History, REVISION_LABEL};
use crate::object::owner::{controller_key, controller_of, controller_reference, is_deleted};
use crate::object::pod;
use crate::object::template::pod_from_template;
use crate::runtime::api::{Deletion, Requests};
use crate::runtime::cache::Cache;
use crate::runtime::clock::Clock;
use crate::runtime::error::{Error, ignore_not_found};
use crate::runtime::expectations::Expectations;
use crate::runtime::key::ObjectKey;
use crate::runtime::manager::{Manager, Needs};
use crate::runtime::recorder::Recorder;
use crate::runtime::worker::{Action, Reconciler};

const WORKERS: usize = 5;
const LAGGING: Duration = Duration::from_secs(1);

struct Controller {
    requests: Requests,
    clock: Clock,
    recorder: Recorder,
    sets: Cache<StatefulSet>,
    pods: Cache<Pod>,
    revisions: Cache<ControllerRevision>,
    expectations: Expectations<Pod>,
}

/// Adds the StatefulSet controller.
pub(crate) fn register(manager: &mut Manager, name: &'static str) {
    let (sets, pods) = (manager.cache::<StatefulSet>(), manager.cache::<Pod>());
    let revisions = manager.cache::<ControllerRevision>();
    let queue = manager.queue::<ObjectKey>(name);
    sets.on_change({
        let queue = queue.clone();
        move |change| change.latest().into_iter().for_each(|set| queue.add(ObjectKey::of(set)))
    });
    pods.on_change({
        let (sets, queue) = (sets.clone(), queue.clone());
        move |change| {
            for pod in change.sides() {
                controller_key::<StatefulSet>(&pod.metadata).into_iter().for_each(|key| queue.add(key));
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
        pods: pods.clone(),
        revisions: revisions.clone(),
    };
    manager.run(name, WORKERS, Needs::default().and(&sets).and(&pods).and(&revisions), queue, controller);
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
            return Err(Error::Invalid {
                object: format!("StatefulSet {key}"),
                reason: "its selector is empty".into(),
            });
        };
        let mut pods = claim(&self.requests, set.as_ref(), &selector, &self.pods).await?;
        pods.retain(|pod| plan::ordinal(&set, pod).is_some());
        let history = history::history(&self.requests, &self.revisions, set.as_ref(), &spec.template).await?;
        let update = history::name(&history.current).to_owned();
        let known = set.status.as_ref().and_then(|status| status.current_revision.clone());
        let current = known
            .filter(|name| history.old.iter().any(|old| history::name(old) == name))
            .unwrap_or_else(|| update.clone());
        let observed = Observed { set: &set, pods: &pods, current: &current, update: &update, now: self.clock.now() };
        let result = self.execute(key, &set, &observed.plan(), &history, &current).await;
        let status = observed.status();
        if set.status.as_ref() != Some(&status) {
            let updated = StatefulSet { status: Some(status), ..set.as_ref().clone() };
            ignore_not_found(self.requests.replace_status(&updated).await)?;
        }
        let mut live: HashSet<String> =
            pods.iter().filter_map(|pod| pod::label(pod, REVISION_LABEL).map(str::to_owned)).collect();
        live.insert(current.clone());
        history::truncate(&self.requests, &history, spec.revision_history_limit, &live).await?;
        result.map(|()| self.next_look(spec.min_ready_seconds.unwrap_or(0), &pods))
    }
}

impl Controller {
    async fn execute(
        &self,
        key: &ObjectKey,
        set: &StatefulSet,
        plan: &Plan,
        history: &History,
        current: &str,
    ) -> Result<(), Error> {
        for (ordinal, is_update) in &plan.create {
            let old = history.old.iter().find(|old| history::name(old) == current).filter(|_| !is_update);
            let revision = old.map_or(&history.current, AsRef::as_ref);
            let template = history::template_of(revision).unwrap_or_default();
            self.create_claims(set, *ordinal).await?;
            let pod = new_pod(set, *ordinal, &template, history::name(revision));
            let name = pod::name(&pod).to_owned();
            let owner = set.metadata.name.as_deref().unwrap_or_default();
            match self.requests.create(&pod).await {
                Ok(created) => {
                    self.expectations.wrote(key, &created);
                    let message = format!("create Pod {name} in StatefulSet {owner} successful");
                    self.recorder.normal(set, "SuccessfulCreate", message);
                }
                Err(error) if error.is_namespace_terminating() => return Ok(()),
                Err(error) => {
                    let message = format!("create Pod {name} in StatefulSet {owner} failed error: {}", error.message());
                    self.recorder.warning(set, "FailedCreate", message);
                    return Err(error);
                }
            }
        }
        for pod in &plan.delete {
            ignore_not_found(
                self.requests.delete::<Pod>(&ObjectKey::of(pod.as_ref()), &Deletion::of(pod.as_ref())).await,
            )?;
            self.expectations.deleted(key, pod);
            let owner = set.metadata.name.as_deref().unwrap_or_default();
            let message = format!("delete Pod {} in StatefulSet {owner} successful", pod::name(pod));
            self.recorder.normal(set, "SuccessfulDelete", message);
        }
        Ok(())
    }

    /// Makes the claims of an ordinal that are not there; they outlive the pod.
    async fn create_claims(&self, set: &StatefulSet, ordinal: i32) -> Result<(), Error> {
        let templates = set.spec.as_ref().and_then(|spec| spec.volume_claim_templates.as_ref());
        for template in templates.into_iter().flatten() {
            let mut claim: PersistentVolumeClaim = template.clone();
            claim.metadata.name = Some(claim_name(set, template, ordinal));
            claim.metadata.namespace = set.metadata.namespace.clone();
            let labels = set.spec.as_ref().and_then(|spec| spec.selector.match_labels.clone()).unwrap_or_default();
            claim.metadata.labels.get_or_insert_default().extend(labels);
            claim.status = None;
            match self.requests.create(&claim).await {
                Err(error) if !error.is_already_exists() => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    fn next_look(&self, min_ready_seconds: i32, pods: &[Arc<Pod>]) -> Action {
        let now = self.clock.now();
        let pending =
            pods.iter().filter_map(|pod| pod::available_at(pod, min_ready_seconds)).filter(|at| *at > now).min();
        Action::requeue_if(pending.map(|at| self.clock.until(at)))
    }
}

fn claim_name(set: &StatefulSet, template: &PersistentVolumeClaim, ordinal: i32) -> String {
    let (template, set) = (template.metadata.name.as_deref(), set.metadata.name.as_deref());
    format!("{}-{}-{ordinal}", template.unwrap_or_default(), set.unwrap_or_default())
}

fn new_pod(set: &StatefulSet, ordinal: i32, template: &PodTemplateSpec, revision: &str) -> Pod {
    let name = format!("{}-{ordinal}", set.metadata.name.as_deref().unwrap_or_default());
    let namespace = set.metadata.namespace.clone().unwrap_or_default();
    let mut pod = pod_from_template(template, &namespace, controller_reference(set));
    pod.metadata.name = Some(name.clone());
    let labels = pod.metadata.labels.get_or_insert_default();
    labels.insert("statefulset.kubernetes.io/pod-name".into(), name.clone());
    labels.insert("apps.kubernetes.io/pod-index".into(), ordinal.to_string());
    labels.insert(REVISION_LABEL.into(), revision.to_owned());
    let spec = pod.spec.get_or_insert_default();
    spec.hostname = Some(name);
    spec.subdomain = set.spec.as_ref().and_then(|spec| spec.service_name.clone()).filter(|name| !name.is_empty());
    let templates = set.spec.as_ref().and_then(|spec| spec.volume_claim_templates.as_ref());
    let volumes = spec.volumes.get_or_insert_default();
    for template in templates.into_iter().flatten() {
        let volume = template.metadata.name.clone().unwrap_or_default();
        volumes.retain(|known| known.name != volume);
        let claim_name = claim_name(set, template, ordinal);
        let source = PersistentVolumeClaimVolumeSource { claim_name, read_only: None };
        volumes.push(Volume { name: volume, persistent_volume_claim: Some(source), ..Volume::default() });
    }
    pod
}
