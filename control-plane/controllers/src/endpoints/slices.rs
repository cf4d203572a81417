//! EndpointSlices of Services with a selector.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;

use super::desired::{families, groups};
use super::keeper::Keeper;
use super::placement::{self, Changes, Mold};
use super::trigger_time::TriggerTimes;
use super::{LAST_CHANGE, enqueue_services, has_selector, own_labels, picked, selects};
use crate::object::owner::{is_deleted, uid};
use crate::runtime::cache::{Cache, Change, Index};
use crate::runtime::error::Error;
use crate::runtime::key::ObjectKey;
use crate::runtime::manager::{Manager, Needs};
use crate::runtime::queue::WorkQueue;
use crate::runtime::recorder::Recorder;
use crate::runtime::worker::{Action, Reconciler};

/// Who keeps these slices, as their label says.
const MANAGER: &str = "endpointslice-controller.k8s.io";
/// The most endpoints of one slice (`--max-endpoints-per-slice` of Kubernetes).
const CAPACITY: usize = 100;
const WORKERS: usize = 5;
const LAGGING: Duration = Duration::from_secs(1);

struct Controller {
    recorder: Recorder,
    services: Cache<Service>,
    pods: Cache<Pod>,
    nodes: Cache<Node>,
    keeper: Keeper,
    trigger_times: TriggerTimes,
}

/// Adds the EndpointSlice controller.
pub(crate) fn register(manager: &mut Manager, name: &'static str) {
    let (services, pods) = (manager.cache::<Service>(), manager.cache::<Pod>());
    let nodes = manager.cache::<Node>();
    let queue = manager.queue::<ObjectKey>(name);
    services.on_change({
        let queue = queue.clone();
        move |change| change.latest().into_iter().for_each(|service| queue.add(ObjectKey::of(service)))
    });
    pods.on_change({
        let (services, queue) = (services.clone(), queue.clone());
        move |change| enqueue_services(change, &services, &queue)
    });
    nodes.on_change({
        let (services, pods, queue) = (services.clone(), pods.clone(), queue.clone());
        move |change| enqueue_node(change, &services, &pods, &queue)
    });
    let controller = Controller {
        keeper: Keeper::new::<Service>(manager, MANAGER, &queue),
        recorder: manager.recorder(name),
        trigger_times: TriggerTimes::default(),
        services: services.clone(),
        pods: pods.clone(),
        nodes: nodes.clone(),
    };
    let needs = controller.keeper.needed(Needs::default().and(&services).and(&pods).and(&nodes));
    manager.run(name, WORKERS, needs, queue, controller);
}

/// A node's zone is part of the endpoints on it.
fn enqueue_node(change: &Change<'_, Node>, services: &Cache<Service>, pods: &Cache<Pod>, queue: &WorkQueue<ObjectKey>) {
    if !change
        .differs(|node| node.metadata.labels.as_ref().and_then(|labels| labels.get("topology.kubernetes.io/zone")))
    {
        return;
    }
    let node = change.latest().and_then(|node| node.metadata.name.clone()).unwrap_or_default();
    for pod in pods.find(&Index::Node(node)) {
        for service in services.in_namespace(pod.metadata.namespace.as_deref().unwrap_or_default()) {
            if selects(&service, pod.metadata.labels.as_ref()) {
                queue.add(ObjectKey::of(service.as_ref()));
            }
        }
    }
}

// === impl Controller ===

impl Reconciler for Controller {
    type Key = ObjectKey;

    async fn reconcile(&self, key: &ObjectKey) -> Result<Action, Error> {
        let Some(service) = self.services.get(key) else {
            // Its slices are collected with it.
            self.keeper.forget(key);
            self.trigger_times.forget(key);
            return Ok(Action::await_change());
        };
        if is_deleted(&service.metadata) {
            return Ok(Action::await_change());
        }
        if !self.keeper.is_settled(key) {
            return Ok(Action::requeue(LAGGING));
        }
        let standing = self.keeper.of_owner(uid(&service.metadata));
        let changes = if has_selector(&service) {
            self.plan(key, &service, &standing)
        } else if is_external(&service) {
            Changes { delete: standing, ..Changes::default() }
        } else {
            // Somebody else provides its endpoints.
            Changes::default()
        };
        let result = self.keeper.carry_out(key, &changes).await;
        if let Err(error) = &result
            && !error.is_conflict()
        {
            let message = format!("Error updating Endpoint Slices for Service {key}: {}", error.message());
            self.recorder.warning(service.as_ref(), "FailedToUpdateEndpointSlices", message);
        }
        result.map(|()| Action::await_change())
    }
}

impl Controller {
    fn plan(&self, key: &ObjectKey, service: &Service, standing: &[Arc<EndpointSlice>]) -> Changes {
        let pods = picked(service, &self.pods);
        let changed_at = self.trigger_times.observe(key, service, pods.iter().map(AsRef::as_ref));
        let desired = groups(service, &pods, |node| self.nodes.get(&ObjectKey::cluster(node)));
        let annotations: BTreeMap<_, _> =
            changed_at.map(|at| (LAST_CHANGE.to_owned(), at.to_string())).into_iter().collect();
        let empty = |family| self.keeper.empty_slice(service, family, own_labels(service), annotations.clone());
        placement::plan(standing, desired, &Mold { empty: &empty, capacity: CAPACITY, always: families(service) })
    }
}

fn is_external(service: &Service) -> bool {
    super::spec(service).is_some_and(|spec| spec.type_.as_deref() == Some("ExternalName"))
}
