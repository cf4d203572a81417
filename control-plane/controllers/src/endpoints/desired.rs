//! The endpoints that a Service should have, from its pods.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Pod, Service};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointHints, EndpointPort, ForNode, ForZone};

use super::ports::{protocol, target_port};
use super::{addresses, hostname, publishes_not_ready, spec, target};
use crate::object::owner::is_deleted;
use crate::object::pod;

/// The address family of a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum AddressType {
    IPv4,
    IPv6,
}

/// The ports that all endpoints of a slice share, in one order and with every default spelled out.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ports(Vec<Port>);

type Port = (String, String, Option<i32>, Option<String>);

/// Which endpoint it is, whatever its state.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Identity {
    address: String,
    target: Option<String>,
}

/// The endpoints of each kind of slice.
pub(super) type Groups = BTreeMap<(AddressType, Ports), BTreeMap<Identity, Endpoint>>;

/// The endpoints of `service`, whose pods are `pods`. `node` finds the node of a pod, for its zone.
pub(super) fn groups(service: &Service, pods: &[Arc<Pod>], node: impl Fn(&str) -> Option<Arc<Node>>) -> Groups {
    let mut groups = Groups::new();
    for pod in pods {
        let zone = pod::node(pod).and_then(&node).and_then(|node| zone(&node));
        let ports = ports(service, pod);
        for address in addresses(pod) {
            if let Some(family) = AddressType::of(address).filter(|family| families(service).contains(family)) {
                let endpoint = endpoint(service, pod, address, zone.clone());
                groups.entry((family, ports.clone())).or_default().insert(Identity::of(&endpoint), endpoint);
            }
        }
    }
    groups
}

/// The families of the Service's addresses.
pub(super) fn families(service: &Service) -> Vec<AddressType> {
    let named = spec(service).and_then(|spec| spec.ip_families.clone()).unwrap_or_default();
    let named: Vec<_> = named.iter().filter_map(|family| AddressType::named(family)).collect();
    if named.is_empty() { vec![AddressType::IPv4] } else { named }
}

fn ports(service: &Service, pod: &Pod) -> Ports {
    let ports = spec(service).and_then(|spec| spec.ports.clone()).unwrap_or_default();
    let found = ports.iter().filter_map(|port| {
        Some((
            port.name.clone().unwrap_or_default(),
            protocol(port.protocol.as_ref()).to_owned(),
            Some(target_port(pod, port)?),
            port.app_protocol.clone(),
        ))
    });
    Ports::new(found.collect())
}

fn endpoint(service: &Service, pod: &Pod, address: &str, zone: Option<String>) -> Endpoint {
    let (serving, terminating) = (pod::is_ready(pod), is_deleted(&pod.metadata));
    let ready = publishes_not_ready(service) || (serving && !terminating);
    let node_name = pod::node(pod).map(str::to_owned);
    let hints = hints(service, zone.as_ref(), node_name.as_ref()).filter(|_| ready);
    Endpoint {
        addresses: vec![address.to_owned()],
        conditions: Some(EndpointConditions {
            ready: Some(ready),
            serving: Some(serving),
            terminating: Some(terminating),
        }),
        hints,
        hostname: hostname(pod, service).cloned(),
        node_name,
        target_ref: Some(target(pod)),
        zone,
        deprecated_topology: None,
    }
}

/// Whom the endpoint is meant for, as `trafficDistribution` says (KEP-4444, KEP-3015).
fn hints(service: &Service, zone: Option<&String>, node: Option<&String>) -> Option<EndpointHints> {
    let distribution = spec(service)?.traffic_distribution.as_deref()?;
    let for_zones = zone.map(|zone| vec![ForZone { name: zone.clone() }]);
    match distribution {
        "PreferClose" | "PreferSameZone" => {
            for_zones.map(|zones| EndpointHints { for_zones: Some(zones), for_nodes: None })
        }
        "PreferSameNode" => {
            let for_nodes = node.map(|node| vec![ForNode { name: node.clone() }]);
            Some(EndpointHints { for_zones, for_nodes })
        }
        _ => None,
    }
}

fn zone(node: &Node) -> Option<String> {
    node.metadata.labels.as_ref()?.get("topology.kubernetes.io/zone").cloned()
}

// === impl AddressType ===

impl AddressType {
    /// The family of a written address.
    pub(super) fn of(address: &str) -> Option<Self> {
        match address.parse().ok()? {
            IpAddr::V4(_) => Some(Self::IPv4),
            IpAddr::V6(_) => Some(Self::IPv6),
        }
    }

    /// The family of that name.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "IPv4" => Some(Self::IPv4),
            "IPv6" => Some(Self::IPv6),
            _ => None,
        }
    }

    /// The name of the family.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::IPv4 => "IPv4",
            Self::IPv6 => "IPv6",
        }
    }
}

// === impl Ports ===

impl Ports {
    /// The ports in their one order.
    pub(super) fn new(mut ports: Vec<Port>) -> Self {
        ports.sort();
        Self(ports)
    }

    /// The ports of a slice, however they are written.
    pub(super) fn of_slice(ports: Option<&Vec<EndpointPort>>) -> Self {
        let normal = |port: &EndpointPort| {
            let name = port.name.clone().unwrap_or_default();
            (name, protocol(port.protocol.as_ref()).to_owned(), port.port, port.app_protocol.clone())
        };
        Self::new(ports.into_iter().flatten().map(normal).collect())
    }

    /// As a slice carries them.
    pub(super) fn to_slice(&self) -> Vec<EndpointPort> {
        let port = |(name, protocol, port, app_protocol): &Port| EndpointPort {
            name: Some(name.clone()),
            protocol: Some(protocol.clone()),
            port: *port,
            app_protocol: app_protocol.clone(),
        };
        self.0.iter().map(port).collect()
    }
}

// === impl Identity ===

impl Identity {
    /// The identity of an endpoint.
    pub(super) fn of(endpoint: &Endpoint) -> Self {
        Self {
            address: endpoint.addresses.first().cloned().unwrap_or_default(),
            target: endpoint.target_ref.as_ref().and_then(|target| target.uid.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn service(spec: Value) -> Service {
        serde_json::from_value(json!({"metadata": {"name": "web", "namespace": "a"}, "spec": spec})).unwrap()
    }

    fn pod(change: Value) -> Arc<Pod> {
        let mut pod = json!({
            "metadata": {"name": "web-1", "namespace": "a", "uid": "u1"},
            "spec": {"nodeName": "n1", "containers": [{"name": "c", "ports": [{"name": "http", "containerPort": 8080}]}]},
            "status": {
                "podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}],
                "conditions": [{"type": "Ready", "status": "True"}],
            },
        });
        for (path, value) in change.as_object().unwrap() {
            *pod.pointer_mut(path).unwrap_or_else(|| panic!("no {path}")) = value.clone();
        }
        Arc::new(serde_json::from_value(pod).unwrap())
    }

    fn one_endpoint(service: &Service, pod: Arc<Pod>) -> Endpoint {
        let node = json!({"metadata": {"labels": {"topology.kubernetes.io/zone": "z1"}}});
        let node: Node = serde_json::from_value(node).unwrap();
        let groups = groups(service, &[pod], |_| Some(Arc::new(node.clone())));
        groups.into_values().next().unwrap().into_values().next().unwrap()
    }

    #[test]
    fn an_endpoint_tells_whether_its_pod_serves_and_whether_it_goes() {
        let not_ready = json!({"/status/conditions": []});
        let going = json!({"/metadata": {"name": "web-1", "deletionTimestamp": "2026-01-01T00:00:00Z"}});
        for (what, publish, change, expected) in [
            ("ready", false, json!({}), (true, true, false)),
            ("not ready", false, not_ready.clone(), (false, false, false)),
            ("terminating but serving", false, going.clone(), (false, true, true)),
            ("published although not ready", true, not_ready, (true, false, false)),
            ("published although terminating", true, going, (true, true, true)),
        ] {
            let service = service(json!({"ports": [{"port": 80}], "publishNotReadyAddresses": publish}));
            let conditions = one_endpoint(&service, pod(change)).conditions.unwrap();
            let found = (conditions.ready.unwrap(), conditions.serving.unwrap(), conditions.terminating.unwrap());
            assert_eq!(found, expected, "{what}");
        }
    }

    #[test]
    fn each_family_of_the_service_has_its_own_group() {
        let dual = service(json!({"ports": [{"port": 80}], "ipFamilies": ["IPv6", "IPv4"]}));
        let found: Vec<_> = groups(&dual, &[pod(json!({}))], |_| None).into_keys().map(|(family, _)| family).collect();
        assert_eq!(found, [AddressType::IPv4, AddressType::IPv6]);
        let single = service(json!({"ports": [{"port": 80}], "ipFamilies": ["IPv6"]}));
        let endpoint = one_endpoint(&single, pod(json!({})));
        assert_eq!(endpoint.addresses, ["fd00::1"]);
    }

    #[test]
    fn pods_whose_named_ports_differ_are_in_different_groups() {
        let service = service(json!({"ports": [{"name": "web", "port": 80, "targetPort": "http"}]}));
        let ports = "/spec/containers/0/ports/0/containerPort";
        let other = pod(json!({ports: 9090, "/metadata/uid": "u2", "/status/podIPs": [{"ip": "10.0.0.2"}]}));
        let unnamed = pod(json!({"/spec/containers/0/ports": [], "/metadata/uid": "u3"}));
        let found = groups(&service, &[pod(json!({})), other, unnamed], |_| None);
        let ports: Vec<_> =
            found.keys().map(|(_, ports)| ports.0.iter().map(|port| port.2).collect::<Vec<_>>()).collect();
        assert_eq!(ports, [vec![], vec![Some(8080)], vec![Some(9090)]]);
    }

    #[test]
    fn traffic_distribution_becomes_hints_of_ready_endpoints() {
        for (distribution, zones, nodes) in [
            (Value::Null, None, None),
            (json!("PreferClose"), Some("z1"), None),
            (json!("PreferSameZone"), Some("z1"), None),
            (json!("PreferSameNode"), Some("z1"), Some("n1")),
        ] {
            let service = service(json!({"ports": [{"port": 80}], "trafficDistribution": distribution}));
            let hints = one_endpoint(&service, pod(json!({}))).hints.unwrap_or_default();
            let zone = hints.for_zones.map(|zones| zones[0].name.clone());
            let node = hints.for_nodes.map(|nodes| nodes[0].name.clone());
            assert_eq!((zone.as_deref(), node.as_deref()), (zones, nodes), "{distribution}");
            assert_eq!(one_endpoint(&service, pod(json!({"/status/conditions": []}))).hints, None);
        }
    }

    #[test]
    fn a_pod_is_named_within_the_service_of_its_subdomain_only() {
        let spec = |subdomain: &str| json!({"/spec": {"hostname": "web-0", "subdomain": subdomain, "containers": []}});
        let service = service(json!({"clusterIP": "None"}));
        assert_eq!(one_endpoint(&service, pod(spec("web"))).hostname.as_deref(), Some("web-0"));
        assert_eq!(one_endpoint(&service, pod(spec("other"))).hostname, None);
    }
}
