//! The next step of a Deployment, decided from what is observed alone.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus, ReplicaSet};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::conditions::{self, PROGRESSING, find, has_reason, progressing};
use super::sets::{
    DESIRED_REPLICAS, MAX_REPLICAS, REVISION, annotate, copy_annotations, is_current, new_set, replicas, set_replicas,
};
use super::status::{
    counters, deadline, desired, is_complete, is_rolling, judge_progress, max_surge, progress_deadline,
};
use super::{Update, by_age, revisions, rolling, scaling};
use crate::object::owner::is_deleted;

/// What the controller sees.
pub(super) struct Observed<'a> {
    pub(super) deployment: &'a Deployment,
    /// The sets that it owns.
    pub(super) sets: &'a [Arc<ReplicaSet>],
    /// Whether a set has pods that are not finished.
    pub(super) has_pods: &'a (dyn Fn(&ReplicaSet) -> bool + Sync),
    pub(super) now: Time,
}

/// What the controller is to do, in this order.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// The set of a template that has none yet.
    pub(super) create: Option<ReplicaSet>,
    /// Sets that change.
    pub(super) updates: Vec<Update>,
    /// Sets that the history has no room for.
    pub(super) delete: Vec<Arc<ReplicaSet>>,
    /// The revision to annotate the Deployment with, if it is another one.
    pub(super) revision: Option<String>,
    /// The status to publish.
    pub(super) status: DeploymentStatus,
    /// When to look again although nothing changed.
    pub(super) check_at: Option<Timestamp>,
}

/// The sets as they were observed, and as this run wants them.
struct Draft<'a> {
    observed: &'a Observed<'a>,
    /// All sets but the current one, the oldest first.
    old: Vec<Arc<ReplicaSet>>,
    old_desired: Vec<ReplicaSet>,
    current: Current,
    status: DeploymentStatus,
}

/// The set of the current template.
enum Current {
    /// There is none, and this run makes none.
    Missing,
    /// This run makes it.
    New(ReplicaSet),
    /// It is there; the second is what this run wants of it.
    Standing(Arc<ReplicaSet>, ReplicaSet),
}

/// Decides on one step.
pub(super) fn plan(observed: &Observed<'_>) -> Plan {
    let deployment = observed.deployment;
    let mut draft = Draft::new(observed);
    if is_deleted(&deployment.metadata) {
        return draft.finish(Vec::new(), false);
    }
    draft.note_pause();
    let paused = deployment.spec.as_ref().and_then(|spec| spec.paused).unwrap_or(false);
    if paused || scaling::is_outdated(deployment, &draft.all()) {
        draft.adopt_current(false);
        draft.scale();
        let delete = if paused { revisions::surplus(deployment, &draft.old) } else { Vec::new() };
        return draft.finish(delete, false);
    }
    let moved = if is_rolling(deployment) { draft.roll() } else { draft.recreate() };
    let complete = !moved && is_complete(deployment, &deployment.status.clone().unwrap_or_default());
    let delete = if complete { revisions::surplus(deployment, &draft.old) } else { Vec::new() };
    draft.finish(delete, true)
}

// === impl Draft ===

impl<'a> Draft<'a> {
    fn new(observed: &'a Observed<'a>) -> Self {
        let mut sets = observed.sets.to_vec();
        by_age(&mut sets);
        // Should several sets have the current template, the oldest is the one: the choice must not change.
        let current = sets.iter().position(|set| is_current(observed.deployment, set)).map(|index| sets.remove(index));
        Self {
            observed,
            old_desired: sets.iter().map(|set| set.as_ref().clone()).collect(),
            old: sets,
            current: current.map_or(Current::Missing, |set| Current::Standing(set.clone(), set.as_ref().clone())),
            status: observed.deployment.status.clone().unwrap_or_default(),
        }
    }

    /// All sets as this run wants them, the current one last.
    fn all(&self) -> Vec<&ReplicaSet> {
        self.old_desired.iter().chain(self.current.desired()).collect()
    }

    /// One step of a rolling update. Whether a set changes its size.
    fn roll(&mut self) -> bool {
        self.adopt_current(true);
        let deployment = self.observed.deployment;
        let Some(current) = self.current.desired() else { return false };
        let size = rolling::size_of_current(deployment, current, &self.all());
        if size != replicas(current) || self.current.is_new() {
            self.resize_current(size);
            return true;
        }
        let old: Vec<&ReplicaSet> = self.old_desired.iter().collect();
        let sizes = rolling::sizes_of_old(deployment, current, &old);
        self.resize_old(&sizes)
    }

    /// One step of a rollout that stops the old pods before it starts new ones.
    fn recreate(&mut self) -> bool {
        self.adopt_current(false);
        if self.resize_old(&vec![0; self.old.len()]) {
            return true;
        }
        if self.old.iter().any(|set| (self.observed.has_pods)(set)) {
            return false;
        }
        self.adopt_current(true);
        let wanted = desired(self.observed.deployment);
        let changes = self.current.desired().is_some_and(|current| replicas(current) != wanted);
        if changes {
            self.resize_current(wanted);
        }
        changes
    }

    /// Another number of replicas, outside a step of a rollout.
    fn scale(&mut self) {
        let has_current = self.current.desired().is_some();
        let sizes = scaling::sizes(self.observed.deployment, &self.all(), has_current);
        let (old, current) = sizes.split_at(self.old.len());
        let everyone = self.old_desired.iter_mut().zip(old);
        for (set, size) in everyone.chain(self.current.desired_mut().into_iter().zip(current)) {
            // Also sets that keep their size get the new annotations: otherwise they would look outdated for ever.
            if replicas(set) > 0 || *size > 0 {
                set_replicas(set, *size);
                annotate_size(self.observed.deployment, set);
            }
        }
    }

    /// Makes the current set what the Deployment says beside its size; `create` makes it if it is missing.
    fn adopt_current(&mut self, create: bool) {
        let deployment = self.observed.deployment;
        let revision = revisions::next(self.old.iter().map(AsRef::as_ref));
        if create && matches!(self.current, Current::Missing) {
            self.current = Current::New(new_set(deployment));
            let name = self.current_name();
            self.note_set(conditions::NEW_SET, format!("Created new replica set {name:?}"));
        } else if self.current.desired().is_some() && find(&self.status, PROGRESSING).is_none() {
            let name = self.current_name();
            self.note_set(conditions::FOUND_NEW_SET, format!("Found new replica set {name:?}"));
        }
        if let Some(current) = self.current.desired_mut() {
            copy_annotations(deployment, current);
            revisions::raise(current, revision);
            if let Some(spec) = &mut current.spec {
                spec.min_ready_seconds = deployment.spec.as_ref().and_then(|spec| spec.min_ready_seconds);
            }
        }
    }

    fn current_name(&self) -> String {
        self.current.desired().and_then(|set| set.metadata.name.clone()).unwrap_or_default()
    }

    fn note_set(&mut self, reason: &str, message: String) {
        if progress_deadline(self.observed.deployment).is_some() {
            conditions::set(&mut self.status, progressing("True", reason, message), &self.observed.now);
        }
    }

    /// A pause stops the clock of the progress deadline, and says so; a verdict that it ran out stands.
    fn note_pause(&mut self) {
        let deployment = self.observed.deployment;
        let timed_out = has_reason(&self.status, PROGRESSING, conditions::TIMED_OUT);
        if progress_deadline(deployment).is_none() || timed_out {
            return;
        }
        let paused = deployment.spec.as_ref().and_then(|spec| spec.paused).unwrap_or(false);
        let condition = match (paused, has_reason(&self.status, PROGRESSING, conditions::PAUSED)) {
            (true, false) => progressing("Unknown", conditions::PAUSED, "Deployment is paused"),
            (false, true) => progressing("Unknown", conditions::RESUMED, "Deployment is resumed"),
            (true, true) | (false, false) => return,
        };
        conditions::set(&mut self.status, condition, &self.observed.now);
    }

    fn resize_current(&mut self, size: i32) {
        let deployment = self.observed.deployment;
        if let Some(current) = self.current.desired_mut() {
            set_replicas(current, size);
            annotate_size(deployment, current);
        }
    }

    fn resize_old(&mut self, sizes: &[i32]) -> bool {
        let mut moved = false;
        for (set, size) in self.old_desired.iter_mut().zip(sizes) {
            if replicas(set) != *size {
                set_replicas(set, *size);
                annotate_size(self.observed.deployment, set);
                moved = true;
            }
        }
        moved
    }

    /// The plan of this draft; `rollout` also judges progress.
    fn finish(self, delete: Vec<Arc<ReplicaSet>>, rollout: bool) -> Plan {
        let deployment = self.observed.deployment;
        let (current, sets) = (self.current.desired(), self.all());
        let mut status = counters(deployment, &self.status, current, &sets, &self.observed.now);
        if rollout {
            judge_progress(deployment, &mut status, current, &sets, &self.observed.now);
        }
        let revision = current.and_then(|set| set.metadata.annotations.as_ref()?.get(REVISION).cloned());
        let known = deployment.metadata.annotations.as_ref().and_then(|annotations| annotations.get(REVISION));
        let check_at = deadline(deployment, &status).filter(|_| rollout);
        let mut updates: Vec<Update> =
            self.old.iter().zip(self.old_desired).filter_map(|(was, wanted)| changed(was, wanted)).collect();
        let revision = revision.filter(|revision| Some(revision) != known);
        let create = match self.current {
            Current::Missing => None,
            Current::New(set) => Some(set),
            Current::Standing(was, wanted) => {
                updates.extend(changed(&was, wanted));
                None
            }
        };
        Plan { create, updates, delete, revision, status, check_at }
    }
}

fn annotate_size(deployment: &Deployment, set: &mut ReplicaSet) {
    annotate(set, DESIRED_REPLICAS, desired(deployment));
    annotate(set, MAX_REPLICAS, desired(deployment) + max_surge(deployment));
}

fn changed(was: &ReplicaSet, desired: ReplicaSet) -> Option<Update> {
    (*was != desired).then(|| Update { replicas_before: replicas(was), desired })
}

// === impl Current ===

impl Current {
    fn desired(&self) -> Option<&ReplicaSet> {
        match self {
            Self::Missing => None,
            Self::New(set) | Self::Standing(_, set) => Some(set),
        }
    }

    fn desired_mut(&mut self) -> Option<&mut ReplicaSet> {
        match self {
            Self::Missing => None,
            Self::New(set) | Self::Standing(_, set) => Some(set),
        }
    }

    fn is_new(&self) -> bool {
        matches!(self, Self::New(_))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::deployment::sets::TEMPLATE_HASH;

    /// A Deployment of image `image`, changed by `change`.
    fn deployment(image: &str, change: Value) -> Deployment {
        let mut deployment = json!({
            "metadata": {"name": "web", "namespace": "default", "uid": "d", "generation": 1},
            "spec": {
                "replicas": 3, "progressDeadlineSeconds": 600, "revisionHistoryLimit": 10,
                "selector": {"matchLabels": {"app": "web"}},
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
                "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": image}]}},
            },
        });
        merge(&mut deployment, &change);
        serde_json::from_value(deployment).unwrap()
    }

    fn merge(target: &mut Value, change: &Value) {
        match (target, change) {
            (Value::Object(target), Value::Object(change)) => {
                change.iter().for_each(|(key, value)| merge(target.entry(key).or_insert(Value::Null), value));
            }
            (target, change) => *target = change.clone(),
        }
    }

    fn set(image: &str, revision: i64, size: i32, wanted: i32) -> Arc<ReplicaSet> {
        let mut set = new_set(&deployment(image, json!({})));
        set.metadata.creation_timestamp = Some(Time(Timestamp::from_second(revision).unwrap()));
        annotate(&mut set, REVISION, revision);
        annotate(&mut set, DESIRED_REPLICAS, wanted);
        annotate(&mut set, MAX_REPLICAS, wanted + 1);
        set_replicas(&mut set, size);
        set.status =
            serde_json::from_value(json!({"replicas": size, "readyReplicas": size, "availableReplicas": size}))
                .unwrap();
        Arc::new(set)
    }

    fn planned(deployment: &Deployment, sets: &[Arc<ReplicaSet>], has_pods: bool) -> Plan {
        let now = Time("2026-01-01T00:00:00Z".parse().unwrap());
        plan(&Observed { deployment, sets, has_pods: &|_| has_pods, now })
    }

    fn sizes(plan: &Plan) -> Vec<(String, i32, i32)> {
        let image = |set: &ReplicaSet| {
            let spec = set.spec.as_ref().unwrap().template.as_ref().unwrap().spec.as_ref().unwrap();
            spec.containers[0].image.clone().unwrap()
        };
        let updates = plan
            .updates
            .iter()
            .map(|update| (image(&update.desired), update.replicas_before, replicas(&update.desired)));
        plan.create.iter().map(|set| (image(set), 0, replicas(set))).chain(updates).collect()
    }

    fn step(image: &str, from: i32, to: i32) -> (String, i32, i32) {
        (image.to_owned(), from, to)
    }

    #[test]
    fn the_first_set_gets_all_replicas_a_hash_and_revision_1() {
        let plan = planned(&deployment("one", json!({})), &[], false);
        assert_eq!(sizes(&plan), [step("one", 0, 3)]);
        let set = plan.create.unwrap();
        let hash = set.metadata.labels.clone().unwrap()[TEMPLATE_HASH].clone();
        assert_eq!(set.metadata.name.clone().unwrap(), format!("web-{hash}"));
        let spec = set.spec.unwrap();
        assert_eq!(spec.selector.match_labels.unwrap()[TEMPLATE_HASH], hash);
        assert_eq!(spec.template.unwrap().metadata.unwrap().labels.unwrap()[TEMPLATE_HASH], hash);
        assert_eq!(plan.revision.as_deref(), Some("1"));
        assert!(has_reason(&plan.status, PROGRESSING, conditions::NEW_SET));
    }

    #[test]
    fn a_rolling_update_takes_one_step_at_a_time() {
        let new = deployment("two", json!({}));
        assert_eq!(sizes(&planned(&new, &[set("one", 1, 3, 3)], true)), [step("two", 0, 1)]);
        let sets = [set("one", 1, 3, 3), set("two", 2, 1, 3)];
        assert_eq!(sizes(&planned(&new, &sets, true)), [step("one", 3, 2)]);
        let sets = [set("one", 1, 2, 3), set("two", 2, 1, 3)];
        assert_eq!(sizes(&planned(&new, &sets, true)), [step("two", 1, 2)]);
        let sets = [set("one", 1, 0, 3), set("two", 2, 3, 3)];
        assert_eq!(sizes(&planned(&new, &sets, true)), []);
    }

    #[test]
    fn recreate_starts_new_pods_when_the_last_old_one_is_gone() {
        let new = deployment("two", json!({"spec": {"strategy": {"type": "Recreate", "rollingUpdate": null}}}));
        assert_eq!(sizes(&planned(&new, &[set("one", 1, 3, 3)], true)), [step("one", 3, 0)]);
        assert_eq!(sizes(&planned(&new, &[set("one", 1, 0, 3)], true)), [], "a pod still terminates");
        assert_eq!(sizes(&planned(&new, &[set("one", 1, 0, 3)], false)), [step("two", 0, 3)]);
    }

    #[test]
    fn a_rollback_finds_the_old_set_and_gives_it_the_next_revision() {
        let back = deployment("one", json!({"metadata": {"annotations": {REVISION: "2"}}}));
        let plan = planned(&back, &[set("one", 1, 0, 3), set("two", 2, 3, 3)], true);
        assert_eq!(sizes(&plan), [step("one", 0, 1)]);
        assert_eq!(plan.create, None);
        assert_eq!(plan.revision.as_deref(), Some("3"));
    }

    #[test]
    fn a_paused_deployment_scales_but_makes_no_new_set() {
        let paused = deployment("two", json!({"spec": {"paused": true, "replicas": 5}}));
        let plan = planned(&paused, &[set("one", 1, 3, 3)], true);
        assert_eq!(sizes(&plan), [step("one", 3, 5)]);
        assert!(has_reason(&plan.status, PROGRESSING, conditions::PAUSED));
        assert_eq!(plan.check_at, None, "the deadline does not count");
        let resumed = deployment("one", json!({"status": plan.status}));
        let plan = planned(&resumed, &[set("one", 1, 3, 3)], true);
        assert!(!has_reason(&plan.status, PROGRESSING, conditions::PAUSED), "{:?}", plan.status);
    }

    #[test]
    fn the_cause_of_a_change_goes_to_the_current_set_only() {
        let cause = json!({"metadata": {"annotations": {
            "kubernetes.io/change-cause": "update to two", "kubectl.kubernetes.io/last-applied-configuration": "{}",
        }}});
        let plan = planned(&deployment("two", cause), &[set("one", 1, 3, 3), set("two", 2, 1, 3)], true);
        let annotations: Vec<_> =
            plan.updates.iter().map(|update| update.desired.metadata.annotations.clone().unwrap()).collect();
        assert!(!annotations[0].contains_key("kubernetes.io/change-cause"));
        assert_eq!(annotations[1]["kubernetes.io/change-cause"], "update to two");
        assert!(!annotations[1].contains_key("kubectl.kubernetes.io/last-applied-configuration"));
    }

    #[test]
    fn scaling_in_the_middle_of_a_rollout_keeps_the_proportions_and_marks_every_set() {
        let scaled = deployment("two", json!({"spec": {"replicas": 6}}));
        let plan = planned(&scaled, &[set("one", 1, 3, 3), set("two", 2, 1, 3)], true);
        assert_eq!(sizes(&plan), [step("one", 3, 5), step("two", 1, 2)]);
        assert!(
            plan.updates
                .iter()
                .all(|update| update.desired.metadata.annotations.clone().unwrap()[DESIRED_REPLICAS] == "6")
        );
    }

    #[test]
    fn a_deployment_that_is_being_deleted_only_counts() {
        let deleted = deployment("two", json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}));
        let plan = planned(&deleted, &[set("one", 1, 3, 3)], true);
        assert_eq!((sizes(&plan), plan.status.replicas), (vec![], Some(3)));
    }
}
