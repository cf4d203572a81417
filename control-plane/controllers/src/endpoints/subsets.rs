//! The form of Endpoints: addresses and ports multiplied out as few times as possible.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{EndpointAddress, EndpointPort, EndpointSubset, Pod, Service};

use super::desired::{AddressType, families};
use super::ports::{protocol, target_port};
use super::{addresses, hostname, publishes_not_ready, spec, target};
use crate::object::owner::is_deleted;
use crate::object::pod;

/// The most addresses of an Endpoints object; the rest is left out.
pub(super) const CAPACITY: usize = 1000;

/// A port as an ordered value: name, protocol, number, application protocol.
type Port = (String, String, i32, Option<String>);

/// Where an address stands: the address, its pod's UID, and whether it is ready.
type Place = (String, Option<String>, bool);

/// The subsets of a Service whose pods are `pods`, and whether some had to be left out.
pub(super) fn subsets(service: &Service, pods: &[Arc<Pod>]) -> (Vec<EndpointSubset>, bool) {
    let mut known = BTreeMap::<Place, EndpointAddress>::new();
    let mut by_port = BTreeMap::<Option<Port>, BTreeSet<Place>>::new();
    for pod in pods.iter().filter(|pod| publishes_not_ready(service) || !is_deleted(&pod.metadata)) {
        let Some(address) = address(service, pod) else { continue };
        let place = (address.ip.clone(), pod.metadata.uid.clone(), publishes_not_ready(service) || pod::is_ready(pod));
        for port in ports(service, pod) {
            by_port.entry(port).or_default().insert(place.clone());
        }
        known.insert(place, address);
    }
    // Ports with the same addresses share a subset.
    let mut by_places = BTreeMap::<BTreeSet<Place>, Vec<EndpointPort>>::new();
    for (port, places) in by_port {
        by_places.entry(places).or_default().extend(port.map(endpoint_port));
    }
    let subsets = by_places.into_iter().map(|(places, ports)| subset(&places, ports, &known)).collect();
    truncate(subsets)
}

/// The pod's ports that the Service names; `None` stands for a Service without ports.
fn ports(service: &Service, pod: &Pod) -> Vec<Option<Port>> {
    let ports = spec(service).and_then(|spec| spec.ports.clone()).unwrap_or_default();
    if ports.is_empty() {
        return vec![None];
    }
    let found = ports.iter().filter_map(|port| {
        let (name, protocol) = (port.name.clone().unwrap_or_default(), protocol(port.protocol.as_ref()).to_owned());
        Some(Some((name, protocol, target_port(pod, port)?, port.app_protocol.clone())))
    });
    found.collect()
}

fn address(service: &Service, pod: &Pod) -> Option<EndpointAddress> {
    let family = families(service).first().copied();
    let ip = addresses(pod).find(|address| AddressType::of(address) == family)?;
    Some(EndpointAddress {
        ip: ip.to_owned(),
        hostname: hostname(pod, service).cloned(),
        node_name: pod::node(pod).map(str::to_owned),
        target_ref: Some(target(pod)),
    })
}

fn endpoint_port((name, protocol, port, app_protocol): Port) -> EndpointPort {
    EndpointPort { name: Some(name).filter(|name| !name.is_empty()), protocol: Some(protocol), port, app_protocol }
}

fn subset(
    places: &BTreeSet<Place>,
    ports: Vec<EndpointPort>,
    known: &BTreeMap<Place, EndpointAddress>,
) -> EndpointSubset {
    let addresses = |wanted: bool| {
        let places = places.iter().filter(|(_, _, ready)| *ready == wanted);
        let addresses: Vec<_> = places.filter_map(|place| known.get(place).cloned()).collect();
        (!addresses.is_empty()).then_some(addresses)
    };
    EndpointSubset {
        addresses: addresses(true),
        not_ready_addresses: addresses(false),
        ports: (!ports.is_empty()).then_some(ports),
    }
}

/// Leaves out what is too much: addresses that are not ready first.
fn truncate(mut subsets: Vec<EndpointSubset>) -> (Vec<EndpointSubset>, bool) {
    let mut room = CAPACITY;
    let mut truncated = false;
    let mut limit = |addresses: &mut Option<Vec<EndpointAddress>>| {
        let Some(list) = addresses else { return };
        truncated |= list.len() > room;
        list.truncate(room);
        room -= list.len();
        if list.is_empty() {
            *addresses = None;
        }
    };
    subsets.iter_mut().for_each(|subset| limit(&mut subset.addresses));
    subsets.iter_mut().for_each(|subset| limit(&mut subset.not_ready_addresses));
    subsets.retain(|subset| subset.addresses.is_some() || subset.not_ready_addresses.is_some());
    (subsets, truncated)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn service(spec: Value) -> Service {
        serde_json::from_value(json!({"metadata": {"name": "web"}, "spec": spec})).unwrap()
    }

    fn pod(number: usize, ready: bool, ports: Value) -> Arc<Pod> {
        let ip = format!("10.0.{}.{}", number / 250, number % 250);
        Arc::new(
            serde_json::from_value(json!({
                "metadata": {"name": format!("web-{number}"), "uid": format!("u{number:05}")},
                "spec": {"containers": [{"name": "c", "ports": ports}]},
                "status": {"podIPs": [{"ip": ip}], "conditions": [{"type": "Ready", "status": if ready {"True"} else {"False"}}]},
            }))
            .unwrap(),
        )
    }

    fn shown(subsets: &[EndpointSubset]) -> Vec<String> {
        let ips = |addresses: &Option<Vec<EndpointAddress>>| {
            addresses.iter().flatten().map(|address| address.ip.clone()).collect::<Vec<_>>().join(",")
        };
        let ports = |subset: &EndpointSubset| {
            subset.ports.iter().flatten().map(|port| port.port.to_string()).collect::<Vec<_>>().join(",")
        };
        let shown = |subset: &EndpointSubset| {
            format!("{}|{}:{}", ips(&subset.addresses), ips(&subset.not_ready_addresses), ports(subset))
        };
        subsets.iter().map(shown).collect()
    }

    #[test]
    fn addresses_with_the_same_ports_share_a_subset() {
        let both = json!([{"name": "a", "containerPort": 80}, {"name": "b", "containerPort": 90}]);
        let one = json!([{"name": "a", "containerPort": 80}]);
        let named = service(json!({"ports": [
            {"name": "a", "port": 1, "targetPort": "a"}, {"name": "b", "port": 2, "targetPort": "b"},
        ]}));
        let (found, _) = subsets(&named, &[pod(1, true, both.clone()), pod(2, false, both.clone())]);
        assert_eq!(shown(&found), ["10.0.0.1|10.0.0.2:80,90"]);
        let (found, _) = subsets(&named, &[pod(1, true, both), pod(2, true, one)]);
        assert_eq!(shown(&found), ["10.0.0.1|:90", "10.0.0.1,10.0.0.2|:80"]);
    }

    #[test]
    fn a_headless_service_without_ports_has_addresses_alone() {
        let (found, _) = subsets(&service(json!({"clusterIP": "None"})), &[pod(1, true, json!([]))]);
        assert_eq!(shown(&found), ["10.0.0.1|:"]);
    }

    #[test]
    fn a_pod_that_is_not_ready_is_an_address_all_the_same_if_the_service_says_so() {
        let publishing = service(json!({"ports": [{"port": 80}], "publishNotReadyAddresses": true}));
        assert_eq!(shown(&subsets(&publishing, &[pod(1, false, json!([]))]).0), ["10.0.0.1|:80"]);
    }

    #[test]
    fn more_than_a_thousand_addresses_are_cut_off_and_the_unready_go_first() {
        let pods: Vec<_> = (0..1200).map(|number| pod(number, number >= 300, json!([]))).collect();
        let (found, truncated) = subsets(&service(json!({"ports": [{"port": 80}]})), &pods);
        let count = |addresses: &Option<Vec<EndpointAddress>>| addresses.as_ref().map_or(0, Vec::len);
        assert!(truncated);
        assert_eq!((count(&found[0].addresses), count(&found[0].not_ready_addresses)), (900, 100));
    }
}
