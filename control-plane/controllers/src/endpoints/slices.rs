//! EndpointSlices of Services with a selector.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::desired::{AddressType, families, groups};
use super::placement::{self, Changes, Mold};
use super::trigger_time::TriggerTimes;
use super::{LAST_CHANGE, MANAGED_BY, SERVICE_NAME, enqueue_services, has_selector, own_labels, picked, selects};
use crate::object::owner::{controller_key, controller_reference, is_deleted, uid};
use crate::object::template::name_prefix;
use crate::runtime::api::{Deletion, Requests};
use crate::runtime::cache::{Cache, Change, Index};
use crate::runtime::error::{Error, ignore_not_found};
use crate::runtime::expectations::Expectations;
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
    requests: Requests,
    recorder: Recorder,
    services: Cache<Service>,
    pods: Cache<Pod>,
    nodes: Cache<Node>,
    slices: Cache<EndpointSlice>,
    expectations: Expectations<EndpointSlice>,
    trigger_times: TriggerTimes,
}

/// Adds the EndpointSlice controller.
pub(crate) fn register(manager: &mut Manager, name: &'static str) {
    let (services, pods) = (manager.cache::<Service>(), manager.cache::<Pod>());
    let (nodes, slices) = (manager.cache::<Node>(), manager.cache::<EndpointSlice>());
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
    slices.on_change({
        let queue = queue.clone();
        move |change| enqueue_owner(change, &queue)
    });
    let controller = Controller {
        requests: manager.requests(),
        recorder: manager.recorder(name),
        expectations: Expectations::new(slices.clone()),
        trigger_times: TriggerTimes::default(),
        services: services.clone(),
        pods: pods.clone(),
        nodes: nodes.clone(),
        slices: slices.clone(),
    };
    let needs = Needs::default().and(&services).and(&pods).and(&nodes).and(&slices);
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

/// Slices that somebody else changed or removed are put right.
fn enqueue_owner(change: &Change<'_, EndpointSlice>, queue: &WorkQueue<ObjectKey>) {
    let ours = change.latest().filter(|slice| is_managed_by(slice, MANAGER));
    ours.and_then(|slice| controller_key::<Service>(&slice.metadata)).into_iter().for_each(|key| queue.add(key));
}

/// Whether the slice's label names this manager.
pub(super) fn is_managed_by(slice: &EndpointSlice, manager: &str) -> bool {
    slice.metadata.labels.as_ref().and_then(|labels| labels.get(MANAGED_BY)).is_some_and(|by| by == manager)
}

/// Carries out what was planned for the slices of `key`.
pub(super) async fn execute(
    requests: &Requests,
    expectations: &Expectations<EndpointSlice>,
    key: &ObjectKey,
    changes: &Changes,
) -> Result<(), Error> {
    for slice in &changes.update {
        expectations.wrote(key, &requests.replace(slice).await?);
    }
    for slice in &changes.create {
        match requests.create(slice).await {
            Ok(created) => expectations.wrote(key, &created),
            // The namespace is going, and everything in it.
            Err(error) if error.is_namespace_terminating() => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    for slice in &changes.delete {
        let deletion = Deletion::of(slice.as_ref());
        ignore_not_found(requests.delete::<EndpointSlice>(&ObjectKey::of(slice.as_ref()), &deletion).await)?;
        expectations.deleted(key, slice);
    }
    Ok(())
}

// === impl Controller ===

impl Reconciler for Controller {
    type Key = ObjectKey;

    async fn reconcile(&self, key: &ObjectKey) -> Result<Action, Error> {
        let Some(service) = self.services.get(key) else {
            // Its slices are collected with it.
            self.expectations.forget(key);
            self.trigger_times.forget(key);
            return Ok(Action::await_change());
        };
        if is_deleted(&service.metadata) {
            return Ok(Action::await_change());
        }
        if !self.expectations.are_met(key) {
            return Ok(Action::requeue(LAGGING));
        }
        let standing = self.standing(&service);
        let changes = if has_selector(&service) {
            self.plan(key, &service, &standing)
        } else if is_external(&service) {
            Changes { delete: standing, ..Changes::default() }
        } else {
            // Somebody else provides its endpoints.
            Changes::default()
        };
        let result = execute(&self.requests, &self.expectations, key, &changes).await;
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
    fn standing(&self, service: &Service) -> Vec<Arc<EndpointSlice>> {
        let mut slices = self.slices.find(&Index::Controller(uid(&service.metadata).to_owned()));
        slices.retain(|slice| is_managed_by(slice, MANAGER) && !is_deleted(&slice.metadata));
        slices
    }

    fn plan(&self, key: &ObjectKey, service: &Service, standing: &[Arc<EndpointSlice>]) -> Changes {
        let pods = picked(service, &self.pods);
        let changed_at = self.trigger_times.observe(key, service, pods.iter().map(AsRef::as_ref));
        let desired = groups(service, &pods, |node| self.nodes.get(&ObjectKey::cluster(node)));
        let empty = |family| empty_slice(service, family, changed_at.map(|at| at.to_string()));
        placement::plan(standing, desired, &Mold { empty: &empty, capacity: CAPACITY, always: families(service) })
    }
}

fn is_external(service: &Service) -> bool {
    super::spec(service).is_some_and(|spec| spec.type_.as_deref() == Some("ExternalName"))
}

fn empty_slice(service: &Service, family: AddressType, changed_at: Option<String>) -> EndpointSlice {
    let name = service.metadata.name.clone().unwrap_or_default();
    let mut labels = own_labels(service);
    labels.insert(MANAGED_BY.into(), MANAGER.into());
    labels.insert(SERVICE_NAME.into(), name.clone());
    EndpointSlice {
        address_type: family.as_str().into(),
        endpoints: Vec::new(),
        metadata: ObjectMeta {
            generate_name: Some(name_prefix(&name)),
            namespace: service.metadata.namespace.clone(),
            labels: Some(labels),
            annotations: changed_at.map(|at| [(LAST_CHANGE.to_owned(), at)].into()),
            owner_references: Some(vec![controller_reference(service)]),
            ..ObjectMeta::default()
        },
        ports: None,
    }
}
