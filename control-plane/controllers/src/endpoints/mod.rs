//! Where a Service's traffic goes: EndpointSlices, the older Endpoints, and slices that mirror hand-made Endpoints.

mod desired;
mod keeper;
pub(crate) mod legacy;
pub(crate) mod mirroring;
mod placement;
mod ports;
pub(crate) mod slices;
mod subsets;
mod trigger_time;

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ObjectReference, Pod, Service, ServiceSpec};

use crate::object::owner::is_deleted;
use crate::object::pod;
use crate::runtime::cache::{Cache, Change};
use crate::runtime::key::ObjectKey;
use crate::runtime::queue::WorkQueue;

/// When the pods or the Service changed in the way that the endpoints reflect, for those who measure the delay.
const LAST_CHANGE: &str = "endpoints.kubernetes.io/last-change-trigger-time";
/// Marks endpoints of a Service without an address of its own.
const HEADLESS: &str = "service.kubernetes.io/headless";
/// The Service that a slice belongs to.
const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// The controller that keeps a slice.
const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";

/// Whether this controller picks the endpoints of the Service.
fn has_selector(service: &Service) -> bool {
    spec(service).is_some_and(|spec| {
        spec.selector.as_ref().is_some_and(|selector| !selector.is_empty())
            && spec.type_.as_deref() != Some("ExternalName")
    })
}

fn spec(service: &Service) -> Option<&ServiceSpec> {
    service.spec.as_ref()
}

fn is_headless(service: &Service) -> bool {
    spec(service).is_some_and(|spec| spec.cluster_ip.as_deref() == Some("None"))
}

fn publishes_not_ready(service: &Service) -> bool {
    spec(service).and_then(|spec| spec.publish_not_ready_addresses).unwrap_or(false)
}

/// Whether the Service's selector picks an object with these labels.
fn selects(service: &Service, labels: Option<&BTreeMap<String, String>>) -> bool {
    let selector = spec(service).and_then(|spec| spec.selector.as_ref());
    selector.filter(|selector| !selector.is_empty()).is_some_and(|selector| {
        selector.iter().all(|(key, value)| labels.is_some_and(|labels| labels.get(key) == Some(value)))
    })
}

/// The pods that a Service picks and that have an address; finished ones have lost theirs.
fn picked(service: &Service, pods: &Cache<Pod>) -> Vec<Arc<Pod>> {
    let mut picked = pods.in_namespace(service.metadata.namespace.as_deref().unwrap_or_default());
    picked.retain(|pod| {
        selects(service, pod.metadata.labels.as_ref()) && !pod::is_finished(pod) && addresses(pod).next().is_some()
    });
    picked
}

/// The pod's addresses of both families.
fn addresses(pod: &Pod) -> impl Iterator<Item = &str> {
    let all = pod.status.iter().flat_map(|status| status.pod_ips.iter().flatten());
    all.map(|address| address.ip.as_str())
}

/// The name under which DNS finds the pod within the Service, if the pod asks for one.
fn hostname<'a>(pod: &'a Pod, service: &Service) -> Option<&'a String> {
    let spec = pod.spec.as_ref()?;
    let within = spec.subdomain.as_ref() == service.metadata.name.as_ref();
    spec.hostname.as_ref().filter(|name| within && !name.is_empty())
}

fn target(pod: &Pod) -> ObjectReference {
    ObjectReference {
        kind: Some("Pod".into()),
        namespace: pod.metadata.namespace.clone(),
        name: pod.metadata.name.clone(),
        uid: pod.metadata.uid.clone(),
        ..ObjectReference::default()
    }
}

/// Wakes every Service that picks the pod or picked it, if the change is one that endpoints reflect.
fn enqueue_services(change: &Change<'_, Pod>, services: &Cache<Service>, queue: &WorkQueue<ObjectKey>) {
    if !change.differs(relevant) {
        return;
    }
    let namespace = change.latest().and_then(|pod| pod.metadata.namespace.as_deref()).unwrap_or_default();
    for service in services.in_namespace(namespace) {
        if change.sides().any(|pod| selects(&service, pod.metadata.labels.as_ref())) {
            queue.add(ObjectKey::of(service.as_ref()));
        }
    }
}

/// What endpoints show of a pod.
fn relevant(pod: &Pod) -> impl PartialEq {
    let spec = pod.spec.as_ref();
    (
        pod.metadata.labels.clone(),
        (pod.metadata.uid.clone(), is_deleted(&pod.metadata), pod::is_finished(pod), pod::is_ready(pod)),
        addresses(pod).map(str::to_owned).collect::<Vec<_>>(),
        spec.map(|spec| (spec.node_name.clone(), spec.hostname.clone(), spec.subdomain.clone())),
    )
}

/// A Service's labels without those that controllers give to its endpoints themselves.
fn own_labels(service: &Service) -> BTreeMap<String, String> {
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    labels.retain(|key, _| ![HEADLESS, SERVICE_NAME, MANAGED_BY, legacy::MANAGED_BY].contains(&key.as_str()));
    if is_headless(service) {
        labels.insert(HEADLESS.into(), String::new());
    }
    labels
}
