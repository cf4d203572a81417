//! EndpointSlices for Endpoints that people or programs make by hand, for Services without a selector.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{EndpointAddress, EndpointSubset, Endpoints, Service};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::desired::{AddressType, Groups, Identity, Ports};
use super::placement::{self, Changes, Mold};
use super::ports::protocol;
use super::slices::{execute, is_managed_by};
use super::{LAST_CHANGE, MANAGED_BY, SERVICE_NAME, legacy};
use crate::object::owner::{controller_key, controller_reference, is_deleted};
use crate::object::template::name_prefix;
use crate::runtime::api::Requests;
use crate::runtime::cache::{Cache, Change};
use crate::runtime::error::Error;
use crate::runtime::expectations::Expectations;
use crate::runtime::key::ObjectKey;
use crate::runtime::manager::{Manager, Needs};
use crate::runtime::queue::WorkQueue;
use crate::runtime::recorder::Recorder;
use crate::runtime::worker::{Action, Reconciler};

/// Who keeps these slices, as their label says.
const MANAGER: &str = "endpointslicemirroring-controller.k8s.io";
/// Endpoints with this label are not mirrored.
const SKIP: &str = "endpointslice.kubernetes.io/skip-mirror";
/// Endpoints that serve as a lock, not as addresses.
const LEADER: &str = "control-plane.alpha.kubernetes.io/leader";
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// The most endpoints of one slice, and the most addresses of one subset that are mirrored.
const CAPACITY: usize = 1000;
const WORKERS: usize = 5;
const LAGGING: Duration = Duration::from_secs(1);

struct Controller {
    requests: Requests,
    recorder: Recorder,
    services: Cache<Service>,
    endpoints: Cache<Endpoints>,
    slices: Cache<EndpointSlice>,
    expectations: Expectations<EndpointSlice>,
}

/// Adds the mirroring controller.
pub(crate) fn register(manager: &mut Manager, name: &'static str) {
    let (services, endpoints) = (manager.cache::<Service>(), manager.cache::<Endpoints>());
    let slices = manager.cache::<EndpointSlice>();
    let queue = manager.queue::<ObjectKey>(name);
    services.on_change({
        let queue = queue.clone();
        move |change| change.latest().into_iter().for_each(|service| queue.add(ObjectKey::of(service)))
    });
    endpoints.on_change({
        let queue = queue.clone();
        move |change| change.latest().into_iter().for_each(|endpoints| queue.add(ObjectKey::of(endpoints)))
    });
    slices.on_change({
        let queue = queue.clone();
        move |change| enqueue_source(change, &queue)
    });
    let controller = Controller {
        requests: manager.requests(),
        recorder: manager.recorder(name),
        expectations: Expectations::new(slices.clone()),
        services: services.clone(),
        endpoints: endpoints.clone(),
        slices: slices.clone(),
    };
    manager.run(name, WORKERS, Needs::default().and(&services).and(&endpoints).and(&slices), queue, controller);
}

fn enqueue_source(change: &Change<'_, EndpointSlice>, queue: &WorkQueue<ObjectKey>) {
    let ours = change.latest().filter(|slice| is_managed_by(slice, MANAGER));
    ours.and_then(|slice| controller_key::<Endpoints>(&slice.metadata)).into_iter().for_each(|key| queue.add(key));
}

// === impl Controller ===

impl Reconciler for Controller {
    type Key = ObjectKey;

    async fn reconcile(&self, key: &ObjectKey) -> Result<Action, Error> {
        if !self.expectations.are_met(key) {
            return Ok(Action::requeue(LAGGING));
        }
        let standing = self.standing(key);
        let source = self.endpoints.get(key).filter(|endpoints| is_mirrored(endpoints));
        let has_service = self.services.get(key).is_some_and(|service| {
            let spec = service.spec.as_ref();
            spec.is_some_and(|spec| spec.selector.is_none()) && !is_deleted(&service.metadata)
        });
        let changes = match source.filter(|_| has_service) {
            Some(endpoints) => self.plan(&endpoints, &standing),
            None => Changes { delete: standing, ..Changes::default() },
        };
        execute(&self.requests, &self.expectations, key, &changes).await?;
        Ok(Action::await_change())
    }
}

impl Controller {
    fn standing(&self, key: &ObjectKey) -> Vec<Arc<EndpointSlice>> {
        let mut slices = self.slices.in_namespace(&key.namespace);
        slices.retain(|slice| {
            let service = slice.metadata.labels.as_ref().and_then(|labels| labels.get(SERVICE_NAME));
            is_managed_by(slice, MANAGER) && service == Some(&key.name) && !is_deleted(&slice.metadata)
        });
        slices
    }

    fn plan(&self, endpoints: &Endpoints, standing: &[Arc<EndpointSlice>]) -> Changes {
        let (groups, skipped) = groups(endpoints);
        if skipped > 0 {
            let message =
                format!("{skipped} addresses were invalid or beyond the limit of {CAPACITY} and are not mirrored");
            self.recorder.warning(endpoints, "AddressesSkipped", message);
        }
        let empty = |family| empty_slice(endpoints, family);
        placement::plan(standing, groups, &Mold { empty: &empty, capacity: CAPACITY, always: Vec::new() })
    }
}

fn is_mirrored(endpoints: &Endpoints) -> bool {
    let (labels, annotations) = (endpoints.metadata.labels.as_ref(), endpoints.metadata.annotations.as_ref());
    let skipped = labels.and_then(|labels| labels.get(SKIP)).is_some_and(|skip| skip == "true");
    let kept_by_us = labels.is_some_and(|labels| labels.contains_key(legacy::MANAGED_BY));
    let lock = annotations.is_some_and(|annotations| annotations.contains_key(LEADER));
    !skipped && !kept_by_us && !lock
}

/// The endpoints of each kind of slice, and how many addresses cannot be mirrored.
fn groups(endpoints: &Endpoints) -> (Groups, usize) {
    let mut groups = Groups::new();
    let mut skipped = 0;
    for subset in endpoints.subsets.iter().flatten() {
        let ports = ports(subset);
        let ready = subset.addresses.iter().flatten().map(|address| (address, true));
        let not_ready = subset.not_ready_addresses.iter().flatten().map(|address| (address, false));
        for (position, (address, ready)) in ready.chain(not_ready).enumerate() {
            match AddressType::of(&address.ip).filter(|_| position < CAPACITY) {
                Some(family) => {
                    let endpoint = endpoint(address, ready);
                    let group: &mut BTreeMap<_, _> = groups.entry((family, ports.clone())).or_default();
                    group.entry(Identity::of(&endpoint)).or_insert(endpoint);
                }
                None => skipped += 1,
            }
        }
    }
    (groups, skipped)
}

fn ports(subset: &EndpointSubset) -> Ports {
    let ports = subset.ports.iter().flatten().map(|port| {
        let name = port.name.clone().unwrap_or_default();
        (name, protocol(port.protocol.as_ref()).to_owned(), Some(port.port), port.app_protocol.clone())
    });
    Ports::new(ports.collect())
}

fn endpoint(address: &EndpointAddress, ready: bool) -> Endpoint {
    Endpoint {
        addresses: vec![address.ip.clone()],
        conditions: Some(EndpointConditions { ready: Some(ready), serving: None, terminating: None }),
        hostname: address.hostname.clone(),
        node_name: address.node_name.clone(),
        target_ref: address.target_ref.clone(),
        ..Endpoint::default()
    }
}

fn empty_slice(endpoints: &Endpoints, family: AddressType) -> EndpointSlice {
    let name = endpoints.metadata.name.clone().unwrap_or_default();
    let mut labels = endpoints.metadata.labels.clone().unwrap_or_default();
    labels.insert(MANAGED_BY.into(), MANAGER.into());
    labels.insert(SERVICE_NAME.into(), name.clone());
    let mut annotations = endpoints.metadata.annotations.clone().unwrap_or_default();
    annotations.retain(|key, _| key != LAST_APPLIED && key != LAST_CHANGE);
    EndpointSlice {
        address_type: family.as_str().into(),
        endpoints: Vec::new(),
        metadata: ObjectMeta {
            generate_name: Some(name_prefix(&name)),
            namespace: endpoints.metadata.namespace.clone(),
            labels: Some(labels),
            annotations: Some(annotations).filter(|annotations| !annotations.is_empty()),
            owner_references: Some(vec![controller_reference(endpoints)]),
            ..ObjectMeta::default()
        },
        ports: None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_subset_becomes_a_group_per_family() {
        let endpoints: Endpoints = serde_json::from_value(json!({"subsets": [{
            "addresses": [{"ip": "192.0.2.1"}, {"ip": "2001:db8::1"}, {"ip": "nonsense"}],
            "notReadyAddresses": [{"ip": "192.0.2.2"}],
            "ports": [{"port": 3306}],
        }]}))
        .unwrap();
        let (groups, skipped) = groups(&endpoints);
        let shown: Vec<_> = groups
            .iter()
            .map(|((family, _), endpoints)| {
                let ready = endpoints.values().filter(|e| e.conditions.as_ref().unwrap().ready == Some(true)).count();
                (family.as_str(), endpoints.len(), ready)
            })
            .collect();
        assert_eq!((shown, skipped), (vec![("IPv4", 2, 1), ("IPv6", 1, 1)], 1));
    }

    #[test]
    fn endpoints_of_controllers_locks_and_those_that_ask_for_it_are_not_mirrored() {
        for (meta, expected) in [
            (json!({}), true),
            (json!({"labels": {SKIP: "true"}}), false),
            (json!({"labels": {legacy::MANAGED_BY: "endpoint-controller"}}), false),
            (json!({"annotations": {LEADER: "{}"}}), false),
        ] {
            let endpoints: Endpoints = serde_json::from_value(json!({"metadata": meta})).unwrap();
            assert_eq!(is_mirrored(&endpoints), expected, "{meta}");
        }
    }
}
