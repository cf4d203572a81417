//! Endpoints and endpoint slices: the addresses behind a service.

use std::collections::BTreeSet;

use super::net::{self, Family};
use super::service::PROTOCOLS;
use super::{IMMUTABLE, Place, dns_label, labels, one_of, port_number, required_one_of, subdomain};
use crate::Document;
use crate::field::Errors;
use crate::names;

/// Endpoints of one slice.
const SLICE_ENDPOINTS: usize = 1000;

/// Ports of one slice.
const SLICE_PORTS: usize = 20_000;

/// Addresses of one endpoint.
const ENDPOINT_ADDRESSES: usize = 100;

/// Nodes that one endpoint is meant for.
const HINTED_NODES: usize = 8;

/// Zones that one endpoint is meant for.
const HINTED_ZONES: usize = 8;

const ADDRESS_TYPES: [&str; 3] = ["FQDN", "IPv4", "IPv6"];

/// Endpoints, metadata apart.
pub(crate) fn endpoints(endpoints: &Place<'_>, errors: &mut Errors) {
    for subset in endpoints.child("subsets").items() {
        let (ready, other) = (subset.child("addresses"), subset.child("notReadyAddresses"));
        if ready.len() == 0 && other.len() == 0 {
            errors.required(&subset, "must specify `addresses` or `notReadyAddresses`");
        }
        for address in ready.items().chain(other.items()) {
            endpoint_address(&address, errors);
        }
        let ports = subset.child("ports");
        for port in ports.items() {
            endpoint_port(&port, ports.len() > 1, errors);
        }
    }
}

fn endpoint_address(address: &Place<'_>, errors: &mut Errors) {
    net::reachable_ip(&address.child("ip"), errors);
    let (host, node) = (address.child("hostname"), address.child("nodeName"));
    if !host.text().is_empty() {
        dns_label(&host, errors);
    }
    if node.is_set() {
        subdomain(&node, errors);
    }
}

fn endpoint_port(port: &Place<'_>, needs_name: bool, errors: &mut Errors) {
    let name = port.child("name");
    if !name.text().is_empty() {
        dns_label(&name, errors);
    } else if needs_name {
        errors.required(&name, "");
    }
    port_number(&port.child("port"), errors);
    required_one_of(&port.child("protocol"), &PROTOCOLS, errors);
    application_protocol(&port.child("appProtocol"), errors);
}

fn application_protocol(protocol: &Place<'_>, errors: &mut Errors) {
    if protocol.is_set() {
        errors.reasons(protocol, names::qualified_name(protocol.text()));
    }
}

/// An endpoint slice, metadata apart.
pub(crate) fn slice(slice: &Place<'_>, errors: &mut Errors) {
    let address_type = slice.child("addressType");
    required_one_of(&address_type, &ADDRESS_TYPES, errors);
    let list = slice.child("endpoints");
    if list.len() > SLICE_ENDPOINTS {
        errors.too_many(&list, SLICE_ENDPOINTS);
    } else {
        for endpoint in list.items() {
            slice_endpoint(&endpoint, address_type.text(), errors);
        }
    }
    slice_ports(&slice.child("ports"), errors);
}

/// An update of a slice.
pub(crate) fn slice_update(new: &Place<'_>, old: &Document, errors: &mut Errors) {
    slice(new, errors);
    let address_type = new.child("addressType");
    if Some(address_type.value()) != old.get("addressType") {
        errors.invalid_text(&address_type, IMMUTABLE);
    }
}

fn slice_endpoint(endpoint: &Place<'_>, address_type: &str, errors: &mut Errors) {
    let addresses = endpoint.child("addresses");
    if addresses.len() == 0 {
        errors.required(&addresses, "must contain at least 1 address");
    } else if addresses.len() > ENDPOINT_ADDRESSES {
        errors.too_many(&addresses, ENDPOINT_ADDRESSES);
    }
    for address in addresses.items() {
        match address_type {
            "IPv4" => address_of(Family::V4, &address, errors),
            "IPv6" => address_of(Family::V6, &address, errors),
            "FQDN" => errors.reasons(&address, fully_qualified(address.text())),
            _ => {}
        }
    }
    let (node, host) = (endpoint.child("nodeName"), endpoint.child("hostname"));
    if node.is_set() {
        subdomain(&node, errors);
    }
    labels::labels(&endpoint.child("deprecatedTopology"), errors);
    if host.is_set() {
        dns_label(&host, errors);
    }
    hints(&endpoint.child("hints"), errors);
}

fn address_of(family: Family, address: &Place<'_>, errors: &mut Errors) {
    match net::parse_ip(address.text()) {
        Some(found) if net::family(found) == family => net::non_special_ip(address, errors),
        _ => errors.invalid_text(address, format!("must be a valid {} address", family.name())),
    }
}

/// A name of at least two labels; a dot may end it.
fn fully_qualified(name: &str) -> Vec<String> {
    let bare = name.strip_suffix('.').unwrap_or(name);
    let reasons = names::dns_subdomain(bare);
    if reasons.is_empty() && !bare.contains('.') {
        return vec!["should be a domain with at least two segments separated by dots".to_owned()];
    }
    reasons
}

fn hints(hints: &Place<'_>, errors: &mut Errors) {
    for (list, limit) in [("forZones", HINTED_ZONES), ("forNodes", HINTED_NODES)] {
        let list = hints.child(list);
        if list.len() > limit {
            errors.too_many(&list, limit);
            continue;
        }
        let mut seen = BTreeSet::new();
        for hint in list.items() {
            let name = hint.child("name");
            if !seen.insert(name.text().to_owned()) {
                errors.duplicate(&name);
            }
            errors.reasons(&name, names::label_value(name.text()));
        }
    }
}

fn slice_ports(ports: &Place<'_>, errors: &mut Errors) {
    if ports.len() > SLICE_PORTS {
        errors.too_many(ports, SLICE_PORTS);
        return;
    }
    let mut names = BTreeSet::new();
    for port in ports.items() {
        let (name, protocol) = (port.child("name"), port.child("protocol"));
        if !name.text().is_empty() {
            dns_label(&name, errors);
        }
        if !names.insert(name.text().to_owned()) {
            errors.duplicate_as(&name, name.text());
        }
        if protocol.is_set() {
            one_of(&protocol, &PROTOCOLS, errors);
        } else {
            errors.required(&protocol, "");
        }
        application_protocol(&port.child("appProtocol"), errors);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::validation::tests::{refusals, refusals_of_update};

    #[test]
    fn endpoints_are_refused_in_kubernetes_words() {
        let table = [
            (json!([{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 80}]}]), ""),
            (
                json!([{"ports": [{"port": 80}]}]),
                "subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`",
            ),
            (
                json!([{"addresses": [{"ip": "169.254.0.1"}]}]),
                "subsets[0].addresses[0].ip: Invalid value: \"169.254.0.1\": may not be in the link-local range \
                 (169.254.0.0/16, fe80::/10)",
            ),
            (
                json!([{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 80}, {"port": 81, "name": "b"}]}]),
                "subsets[0].ports[0].name: Required value",
            ),
        ];
        for (subsets, expected) in table {
            assert_eq!(refusals("", "Endpoints", &json!({"subsets": subsets})), expected, "{subsets}");
        }
    }

    #[test]
    fn slices_are_refused_in_kubernetes_words() {
        let slice = |address_type: &str, addresses: &[&str]| {
            json!({"addressType": address_type, "ports": [{"port": 80}],
            "endpoints": [{"addresses": addresses}]})
        };
        let table = [
            (slice("IPv4", &["10.0.0.1"]), ""),
            (slice("FQDN", &["a.example.com"]), ""),
            (
                slice("IPv4", &["fd00::1"]),
                "endpoints[0].addresses[0]: Invalid value: \"fd00::1\": must be a valid IPv4 address",
            ),
            (slice("IPv6", &[]), "endpoints[0].addresses: Required value: must contain at least 1 address"),
            (
                slice("IP", &["10.0.0.1"]),
                "addressType: Unsupported value: \"IP\": supported values: \"FQDN\", \"IPv4\", \"IPv6\"",
            ),
            (
                json!({"addressType": "IPv4", "endpoints": [], "ports": [{"port": 80}, {"port": 81}]}),
                "ports[1].name: Duplicate value: \"\"",
            ),
        ];
        for (slice, expected) in table {
            assert_eq!(refusals("discovery.k8s.io", "EndpointSlice", &slice), expected, "{slice}");
        }
        let many: Vec<_> = (0..1001).map(|_| json!({"addresses": ["10.0.0.1"]})).collect();
        assert_eq!(
            refusals("discovery.k8s.io", "EndpointSlice", &json!({"addressType": "IPv4", "endpoints": many})),
            "endpoints: Too many: 1001: must have at most 1000 items"
        );
    }

    #[test]
    fn the_address_type_of_a_slice_stays() {
        let old = json!({"addressType": "IPv4", "endpoints": []});
        let new = json!({"addressType": "IPv6", "endpoints": []});
        assert_eq!(
            refusals_of_update("discovery.k8s.io", "EndpointSlice", &old, &new),
            "addressType: Invalid value: \"IPv6\": field is immutable"
        );
    }
}
