//! EndpointSlices for Endpoints that people or programs make by hand, for Services without a selector.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{EndpointAddress, EndpointSubset, Endpoints, Service};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointSlice};

use super::desired::{AddressType, Groups, Identity, Ports};
use super::keeper::Keeper;
use super::placement::{self, Changes, Mold};
use super::ports::protocol;
use super::{LAST_CHANGE, legacy};
use crate::object::owner::is_deleted;
use crate::runtime::cache::Cache;
use crate::runtime::error::Error;
use crate::runtime::key::ObjectKey;
use crate::runtime::manager::{Manager, Needs};
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
    recorder: Recorder,
    services: Cache<Service>,
    endpoints: Cache<Endpoints>,
    keeper: Keeper,
}

/// Adds the mirroring controller.
pub(crate) fn register(manager: &mut Manager, name: &'static str) {
    let (services, endpoints) = (manager.cache::<Service>(), manager.cache::<Endpoints>());
    let queue = manager.queue::<ObjectKey>(name);
    services.on_change({
        let queue = queue.clone();
        move |change| change.latest().into_iter().for_each(|service| queue.add(ObjectKey::of(service)))
    });
    endpoints.on_change({
        let queue = queue.clone();
        move |change| change.latest().into_iter().for_each(|endpoints| queue.add(ObjectKey::of(endpoints)))
    });
    let controller = Controller {
        keeper: Keeper::new::<Endpoints>(manager, MANAGER, &queue),
        recorder: manager.recorder(name),
        services: services.clone(),
        endpoints: endpoints.clone(),
    };
    let needs = controller.keeper.needed(Needs::default().and(&services).and(&endpoints));
    manager.run(name, WORKERS, needs, queue, controller);
}

// === impl Controller ===

impl Reconciler for Controller {
    type Key = ObjectKey;

    async fn reconcile(&self, key: &ObjectKey) -> Result<Action, Error> {
        if !self.keeper.is_settled(key) {
            return Ok(Action::requeue(LAGGING));
        }
        let standing = self.keeper.of_service(key);
        let source = self.endpoints.get(key).filter(|endpoints| is_mirrored(endpoints));
        let has_service = self.services.get(key).is_some_and(|service| {
            let spec = service.spec.as_ref();
            spec.is_some_and(|spec| spec.selector.is_none()) && !is_deleted(&service.metadata)
        });
        let changes = match source.filter(|_| has_service) {
            Some(endpoints) => self.plan(&endpoints, &standing),
            None => Changes { delete: standing, ..Changes::default() },
        };
        self.keeper.carry_out(key, &changes).await?;
        Ok(Action::await_change())
    }
}

impl Controller {
    fn plan(&self, endpoints: &Endpoints, standing: &[Arc<EndpointSlice>]) -> Changes {
        let (groups, skipped) = groups(endpoints);
        if skipped > 0 {
            let message =
                format!("{skipped} addresses were invalid or beyond the limit of {CAPACITY} and are not mirrored");
            self.recorder.warning(endpoints, "AddressesSkipped", message);
        }
        let labels = endpoints.metadata.labels.clone().unwrap_or_default();
        let mut annotations = endpoints.metadata.annotations.clone().unwrap_or_default();
        annotations.retain(|key, _| key != LAST_APPLIED && key != LAST_CHANGE);
        let empty = |family| self.keeper.empty_slice(endpoints, family, labels.clone(), annotations.clone());
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
