//! The two kinds that ask for a number of equal pods.

use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetCondition, ReplicaSetStatus};
use k8s_openapi::api::core::v1::{
    Pod, PodTemplateSpec, ReplicationController, ReplicationControllerCondition, ReplicationControllerStatus,
};
use kube::core::{Selector, SelectorExt};

use crate::runtime::api::Object;
use crate::runtime::cache::Cached;
use crate::runtime::error::Error;

/// An object that asks for a number of equal pods.
pub(super) trait Replicated: Cached + Object {
    /// How many are asked for.
    fn replicas(&self) -> i32;
    /// Which pods are its own.
    fn selector(&self) -> Result<Selector, Error>;
    /// What its pods are made from.
    fn template(&self) -> Option<&PodTemplateSpec>;
    /// How long a pod has to serve before it counts as available.
    fn min_ready_seconds(&self) -> i32;
    /// Its status, in the form of the richer kind.
    fn status(&self) -> ReplicaSetStatus;
    /// The object with another status.
    fn with_status(&self, status: ReplicaSetStatus) -> Self;

    /// Whether its selector matches the pod; one that cannot be read matches nothing.
    fn selects(&self, pod: &Pod) -> bool {
        let labels = pod.metadata.labels.clone().unwrap_or_default();
        self.selector().is_ok_and(|selector| selector.matches(&labels))
    }
}

// === impl ReplicaSet ===

impl Replicated for ReplicaSet {
    fn replicas(&self) -> i32 {
        self.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
    }

    fn selector(&self) -> Result<Selector, Error> {
        let selector = self.spec.as_ref().map(|spec| spec.selector.clone()).unwrap_or_default();
        checked(selector.try_into(), "ReplicaSet", self.metadata.name.as_ref())
    }

    fn template(&self) -> Option<&PodTemplateSpec> {
        self.spec.as_ref()?.template.as_ref()
    }

    fn min_ready_seconds(&self) -> i32 {
        self.spec.as_ref().and_then(|spec| spec.min_ready_seconds).unwrap_or(0)
    }

    fn status(&self) -> ReplicaSetStatus {
        self.status.clone().unwrap_or_default()
    }

    fn with_status(&self, status: ReplicaSetStatus) -> Self {
        Self { status: Some(status), ..self.clone() }
    }
}

// === impl ReplicationController ===

impl Replicated for ReplicationController {
    fn replicas(&self) -> i32 {
        self.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
    }

    fn selector(&self) -> Result<Selector, Error> {
        let labels = self.spec.as_ref().and_then(|spec| spec.selector.clone()).unwrap_or_default();
        let selector: Selector = labels.into_iter().collect();
        checked(Ok(selector), "ReplicationController", self.metadata.name.as_ref())
    }

    fn template(&self) -> Option<&PodTemplateSpec> {
        self.spec.as_ref()?.template.as_ref()
    }

    fn min_ready_seconds(&self) -> i32 {
        self.spec.as_ref().and_then(|spec| spec.min_ready_seconds).unwrap_or(0)
    }

    fn status(&self) -> ReplicaSetStatus {
        let status = self.status.clone().unwrap_or_default();
        ReplicaSetStatus {
            available_replicas: status.available_replicas,
            conditions: status.conditions.map(|conditions| conditions.into_iter().map(to_set).collect()),
            fully_labeled_replicas: status.fully_labeled_replicas,
            observed_generation: status.observed_generation,
            ready_replicas: status.ready_replicas,
            replicas: status.replicas,
            terminating_replicas: None,
        }
    }

    fn with_status(&self, status: ReplicaSetStatus) -> Self {
        let status = ReplicationControllerStatus {
            available_replicas: status.available_replicas,
            conditions: status.conditions.map(|conditions| conditions.into_iter().map(from_set).collect()),
            fully_labeled_replicas: status.fully_labeled_replicas,
            observed_generation: status.observed_generation,
            ready_replicas: status.ready_replicas,
            replicas: status.replicas,
        };
        Self { status: Some(status), ..self.clone() }
    }
}

/// A set without a selector would own every pod of its namespace.
fn checked(
    selector: Result<Selector, kube::core::ParseExpressionError>,
    kind: &str,
    name: Option<&String>,
) -> Result<Selector, Error> {
    let invalid = |reason: String| Error::Invalid { object: format!("{kind} {}", name.map_or("", |n| n)), reason };
    match selector {
        Ok(selector) if selector.selects_all() => Err(invalid("its selector is empty".into())),
        Ok(selector) => Ok(selector),
        Err(error) => Err(invalid(error.to_string())),
    }
}

fn to_set(condition: ReplicationControllerCondition) -> ReplicaSetCondition {
    ReplicaSetCondition {
        last_transition_time: condition.last_transition_time,
        message: condition.message,
        reason: condition.reason,
        status: condition.status,
        type_: condition.type_,
    }
}

fn from_set(condition: ReplicaSetCondition) -> ReplicationControllerCondition {
    ReplicationControllerCondition {
        last_transition_time: condition.last_transition_time,
        message: condition.message,
        reason: condition.reason,
        status: condition.status,
        type_: condition.type_,
    }
}
