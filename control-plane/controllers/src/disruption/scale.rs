//! How many pods the controllers of some pods want.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::{Pod, ReplicationController};

use crate::object::owner::{controller_key, controller_of, uid};
use crate::object::pod;
use crate::runtime::cache::{Cache, Cached};
use crate::runtime::manager::{Manager, Needs};

/// Everything that has replicas.
pub(super) struct Scales {
    deployments: Cache<Deployment>,
    replica_sets: Cache<ReplicaSet>,
    replication_controllers: Cache<ReplicationController>,
    stateful_sets: Cache<StatefulSet>,
}

/// What the controllers of some pods want, taken together.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) replicas: i32,
    /// Pods that nobody controls; they are not counted.
    pub(super) unmanaged: Vec<String>,
}

// === impl Scales ===

impl Scales {
    pub(super) fn new(manager: &mut Manager) -> Self {
        Self {
            deployments: manager.cache(),
            replica_sets: manager.cache(),
            replication_controllers: manager.cache(),
            stateful_sets: manager.cache(),
        }
    }

    pub(super) fn needed(&self, needs: Needs) -> Needs {
        needs.and(&self.deployments).and(&self.replica_sets).and(&self.replication_controllers).and(&self.stateful_sets)
    }

    /// The sum over the controllers of `pods`, each once. `Err` names a pod whose controller has no replicas: a
    /// DaemonSet, or a kind that is not known here.
    pub(super) fn wanted(&self, pods: &[Arc<Pod>]) -> Result<Wanted, String> {
        let mut scales = BTreeMap::new();
        let mut unmanaged = Vec::new();
        for pod in pods {
            if controller_of(&pod.metadata).is_none() {
                unmanaged.push(pod::name(pod).to_owned());
                continue;
            }
            let (owner, replicas) =
                self.scale_of(pod).ok_or_else(|| format!("found no controllers for pod {:?}", pod::name(pod)))?;
            scales.insert(owner, replicas);
        }
        let replicas = scales.into_values().fold(0i32, i32::saturating_add);
        Ok(Wanted { replicas, unmanaged })
    }

    /// The UID of what decides on the number of the pod's siblings, and that number.
    fn scale_of(&self, pod: &Pod) -> Option<(String, i32)> {
        if let Some(set) = controller::<ReplicaSet>(&self.replica_sets, pod) {
            return Some(self.scale_of_set(&set));
        }
        if let Some(set) = controller::<StatefulSet>(&self.stateful_sets, pod) {
            return Some((uid(&set.metadata).to_owned(), set.spec.as_ref()?.replicas.unwrap_or(1)));
        }
        let controller = controller::<ReplicationController>(&self.replication_controllers, pod)?;
        Some((uid(&controller.metadata).to_owned(), controller.spec.as_ref()?.replicas.unwrap_or(1)))
    }

    /// A ReplicaSet of a Deployment speaks for the whole Deployment.
    fn scale_of_set(&self, set: &ReplicaSet) -> (String, i32) {
        let deployment = controller_key::<Deployment>(&set.metadata).and_then(|key| self.deployments.get(&key));
        let deployment = deployment.filter(|found| is_controller_of(uid(&found.metadata), &set.metadata));
        match deployment {
            Some(deployment) => {
                let replicas = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
                (uid(&deployment.metadata).to_owned(), replicas)
            }
            None => (uid(&set.metadata).to_owned(), set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)),
        }
    }
}

fn controller<K: Cached>(cache: &Cache<K>, pod: &Pod) -> Option<Arc<K>> {
    let found = cache.get(&controller_key::<K>(&pod.metadata)?)?;
    is_controller_of(uid(found.meta()), &pod.metadata).then_some(found)
}

fn is_controller_of(uid: &str, dependent: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta) -> bool {
    crate::object::owner::is_controlled_by(dependent, uid)
}
