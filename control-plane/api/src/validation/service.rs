//! Services.

use std::collections::BTreeSet;

use serde_json::json;

use super::net::{self, Family};
use super::pod::probes::port_number_or_name;
use super::{IMMUTABLE, Place, dns_label, labels, one_of, optional_one_of, port_number, required_one_of, subdomain};
use crate::Document;
use crate::field::{Errors, FieldError};
use crate::names;
use crate::strategy::needs_health_check;
use crate::view::{View, equivalent};

/// Protocols of ports.
pub(crate) const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];

const TYPES: [&str; 4] = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
const TRAFFIC_POLICIES: [&str; 2] = ["Cluster", "Local"];
const ADDRESS_FAMILIES: [&str; 2] = ["IPv4", "IPv6"];
const FAMILY_POLICIES: [&str; 3] = ["PreferDualStack", "RequireDualStack", "SingleStack"];
const DISTRIBUTIONS: [&str; 3] = ["PreferClose", "PreferSameZone", "PreferSameNode"];

/// The port of a kubelet: nobody outside the cluster has business there.
const KUBELET_PORT: i64 = 10250;

/// The longest time for which a client keeps its endpoint, in seconds: a day.
const AFFINITY_SECONDS: i64 = 86_400;

/// The old form of `spec.loadBalancerSourceRanges`.
const SOURCE_RANGES_ANNOTATION: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";

const LOAD_BALANCERS_ONLY: &str = "may only be used when `type` is 'LoadBalancer'";
const FIXED_ONCE_SET: &str = "may not change once set";

/// A service, metadata apart. Addresses and node ports that the server allocates may be missing.
pub(crate) fn service(service: &Place<'_>, errors: &mut Errors) {
    let spec = service.child("spec");
    let ports = spec.child("ports");
    if ports.len() == 0 && !is_headless(service.value()) && !is_of_type(&spec, "ExternalName") {
        errors.required(&ports, "");
    }
    rules_of_type(service, errors);
    let mut names = BTreeSet::new();
    for port in ports.items() {
        service_port(&port, ports.len() > 1, &mut names, errors);
    }
    labels::labels(&spec.child("selector"), errors);
    session_affinity(&spec, errors);
    cluster_ips(&spec, errors);
    for address in spec.child("externalIPs").items() {
        net::reachable_ip(&address, errors);
    }
    required_one_of(&spec.child("type"), &TYPES, errors);
    node_ports(&spec, errors);
    load_balancer(service, errors);
    external_traffic(service, errors);
    internal_traffic(&spec, errors);
    optional_one_of(&spec.child("trafficDistribution"), &DISTRIBUTIONS, errors);
}

/// An update: what clients have seen of a service's addresses stays.
pub(crate) fn update(new: &Place<'_>, old: &Document, errors: &mut Errors) {
    let spec = new.child("spec");
    if !is_of_type(&spec, "ExternalName") && old.text("spec.type") != "ExternalName" {
        let (headless, was_headless) = (is_headless(new.value()), is_headless(old));
        if !(headless && was_headless) {
            fixed_list(&spec, "clusterIPs", "clusterIP", old, errors);
        }
        if headless == was_headless && !headless {
            fixed_list(&spec, "ipFamilies", "ipFamily", old, errors);
        }
    }
    let class = spec.child("loadBalancerClass");
    let was_balanced = old.text("spec.type") == "LoadBalancer";
    if was_balanced && is_of_type(&spec, "LoadBalancer") && class.value() != old.at("spec.loadBalancerClass") {
        errors.invalid(&class, FIXED_ONCE_SET);
    }
    let health_check = spec.child("healthCheckNodePort");
    if needs_health_check(new.value())
        && needs_health_check(old)
        && !equivalent(health_check.value(), old.at("spec.healthCheckNodePort"))
    {
        errors.forbidden(&health_check, IMMUTABLE);
    }
    service(new, errors);
}

/// The status: what a load balancer says of itself.
pub(crate) fn status(service: &Place<'_>, errors: &mut Errors) {
    let ingress = service.child("status.loadBalancer.ingress");
    if ingress.len() > 0 && service.value().text("spec.type") != "LoadBalancer" {
        errors.forbidden(&ingress, "may only be used when `spec.type` is 'LoadBalancer'");
        return;
    }
    for point in ingress.items() {
        load_balancer_point(&point, errors);
    }
}

/// An address at which a load balancer listens, of a service.
fn load_balancer_point(point: &Place<'_>, errors: &mut Errors) {
    let (ip, mode, host) = (point.child("ip"), point.child("ipMode"), point.child("hostname"));
    if !ip.text().is_empty() {
        net::ip(&ip, errors);
    }
    match (ip.text().is_empty(), mode.is_set()) {
        (false, false) => errors.required(&mode, "must be specified when `ip` is set"),
        (true, true) => errors.forbidden(&mode, "may not be specified when `ip` is not set"),
        (false, true) => one_of(&mode, &["Proxy", "VIP"], errors),
        (true, false) => {}
    }
    if !host.text().is_empty() {
        subdomain(&host, errors);
        if net::parse_ip(host.text()).is_some() {
            errors.invalid_text(&host, "must be a DNS name, not an IP address");
        }
    }
}

fn is_of_type(spec: &Place<'_>, name: &str) -> bool {
    spec.value().text("type") == name
}

/// Whether clients get the addresses of the endpoints instead of one of the service's own.
fn is_headless(service: &Document) -> bool {
    matches!(service.list("spec.clusterIPs"), [only] if only == "None")
}

fn rules_of_type(service: &Place<'_>, errors: &mut Errors) {
    let spec = service.child("spec");
    let (ips, headless) = (spec.child("clusterIPs"), is_headless(service.value()));
    match spec.value().text("type") {
        "LoadBalancer" => {
            for port in spec.child("ports").items() {
                if port.value().int("port") == Some(KUBELET_PORT) {
                    let detail = "may not expose port 10250 externally since it is used by kubelet";
                    errors.invalid_as(&port, KUBELET_PORT, detail);
                }
            }
            if headless {
                errors.invalid_text(&ips.index(0), "may not be set to 'None' for LoadBalancer services");
            }
        }
        "NodePort" if headless => {
            errors.invalid_text(&ips.index(0), "may not be set to 'None' for NodePort services");
        }
        "ExternalName" => external_name(&spec, errors),
        _ => {}
    }
}

fn external_name(spec: &Place<'_>, errors: &mut Errors) {
    const DETAIL: &str = "may not be set for ExternalName services";
    for list in ["clusterIPs", "ipFamilies"] {
        let list = spec.child(list);
        if list.len() > 0 {
            errors.forbidden(&list, DETAIL);
        }
    }
    let policy = spec.child("ipFamilyPolicy");
    if policy.is_set() {
        errors.forbidden(&policy, DETAIL);
    }
    let name = spec.child("externalName");
    match name.text().strip_suffix('.').unwrap_or(name.text()) {
        "" => errors.required(&name, ""),
        host => {
            for reason in names::dns_subdomain(host) {
                errors.invalid_as(&name, host, reason);
            }
        }
    }
}

fn service_port<'a>(port: &Place<'a>, needs_name: bool, names: &mut BTreeSet<&'a str>, errors: &mut Errors) {
    let name = port.child("name");
    if !name.text().is_empty() {
        dns_label(&name, errors);
        if !names.insert(port.value().text("name")) {
            errors.duplicate(&name);
        }
    } else if needs_name {
        errors.required(&name, "");
    }
    port_number(&port.child("port"), errors);
    required_one_of(&port.child("protocol"), &PROTOCOLS, errors);
    port_number_or_name(&port.child("targetPort"), errors);
    let application = port.child("appProtocol");
    if application.is_set() {
        errors.reasons(&application, names::qualified_name(application.text()));
    }
}

fn session_affinity(spec: &Place<'_>, errors: &mut Errors) {
    let (affinity, config) = (spec.child("sessionAffinity"), spec.child("sessionAffinityConfig"));
    required_one_of(&affinity, &["ClientIP", "None"], errors);
    match affinity.text() {
        "ClientIP" => {
            let client = config.child("clientIP");
            let timeout = client.child("timeoutSeconds");
            let missing = [&config, &client, &timeout].into_iter().find(|place| !place.is_set());
            if let Some(missing) = missing {
                errors.required(missing, "when session affinity type is ClientIP");
            } else if !timeout.int().is_some_and(|seconds| (1..=AFFINITY_SECONDS).contains(&seconds)) {
                errors.invalid_int(&timeout, format!("must be greater than 0 and less than {AFFINITY_SECONDS}"));
            }
        }
        "None" if config.is_set() => {
            errors.forbidden(&config, "must not be set when session affinity is None");
        }
        _ => {}
    }
}

fn cluster_ips(spec: &Place<'_>, errors: &mut Errors) {
    let (first, all) = (spec.child("clusterIP"), spec.child("clusterIPs"));
    if first.text().is_empty() {
        if all.len() > 0 {
            errors.invalid(&all, "must be empty when `clusterIP` is not specified");
        }
    } else if all.len() == 0 {
        errors.required(&all, "");
    } else if all.index(0).text() != first.text() {
        errors.invalid(&all, "first value must match `clusterIP`");
    }
    families(spec, errors);
    if all.items().next().is_some_and(|first| first.text() == "None") {
        if all.len() > 1 {
            errors.invalid(&all, "'None' must be the first and only value");
        }
        return;
    }
    let found = errors.len();
    for address in all.items() {
        net::ip(&address, errors);
    }
    if all.len() > 2 {
        errors.invalid(&all, "may only hold up to 2 values");
    }
    if errors.len() == found {
        addresses_of_families(&all, spec.value().list("ipFamilies"), errors);
    }
}

fn families(spec: &Place<'_>, errors: &mut Errors) {
    let list = spec.child("ipFamilies");
    let mut seen = BTreeSet::new();
    for family in list.items() {
        if !ADDRESS_FAMILIES.contains(&family.text()) {
            errors.not_supported(&family, &ADDRESS_FAMILIES);
        }
        if !seen.insert(family.text().to_owned()) {
            errors.duplicate(&family);
        }
    }
    optional_one_of(&spec.child("ipFamilyPolicy"), &FAMILY_POLICIES, errors);
}

/// One address of each family, in the order in which the families are listed.
fn addresses_of_families(all: &Place<'_>, families: &[Document], errors: &mut Errors) {
    let found: Vec<Family> = all.items().filter_map(|address| net::parse_ip(address.text())).map(net::family).collect();
    if matches!(found[..], [first, second] if first == second) {
        errors.invalid(all, "may specify no more than one IP for each IP family");
    }
    for (index, (family, wanted)) in found.iter().zip(families).enumerate() {
        let wanted = wanted.as_str().unwrap_or_default();
        if family.name() != wanted {
            let detail = format!("expected an {wanted} value as indicated by `ipFamilies[{index}]`");
            errors.invalid_text(&all.index(index), detail);
        }
    }
}

/// Node ports where the type has none, and ports that two entries claim.
fn node_ports(spec: &Place<'_>, errors: &mut Errors) {
    let ports = spec.child("ports");
    if is_of_type(spec, "ClusterIP") {
        for port in ports.items() {
            let node_port = port.child("nodePort");
            if node_port.int().unwrap_or_default() != 0 {
                errors.forbidden(&node_port, "may not be used when `type` is 'ClusterIP'");
            }
        }
    }
    let (mut of_node, mut own) = (BTreeSet::new(), BTreeSet::new());
    for port in ports.items() {
        let (protocol, node_port) = (port.value().text("protocol"), port.child("nodePort"));
        if let Some(number) = node_port.int().filter(|number| *number != 0)
            && !of_node.insert((protocol.to_owned(), number))
        {
            errors.duplicate(&node_port);
        }
        let number = port.value().int("port").unwrap_or_default();
        if !own.insert((protocol.to_owned(), number)) {
            errors.duplicate_as(&port, json!({"port": number, "protocol": protocol}));
        }
    }
}

fn load_balancer(service: &Place<'_>, errors: &mut Errors) {
    let spec = service.child("spec");
    let is_balanced = is_of_type(&spec, "LoadBalancer");
    source_ranges(service, is_balanced, errors);
    let allocates = spec.child("allocateLoadBalancerNodePorts");
    if allocates.is_set() && !is_balanced {
        errors.forbidden(&allocates, LOAD_BALANCERS_ONLY);
    } else if is_balanced && !allocates.is_set() {
        // Messages name this one as if it were a field of the service itself.
        errors.required(&service.shown_as("allocateLoadBalancerNodePorts", allocates.value()), "");
    }
    let class = spec.child("loadBalancerClass");
    if !class.is_set() {
        return;
    }
    if is_balanced {
        errors.reasons(&class, names::qualified_name(class.text()));
    } else {
        errors.forbidden(&class, LOAD_BALANCERS_ONLY);
    }
}

fn source_ranges(service: &Place<'_>, is_balanced: bool, errors: &mut Errors) {
    let spec = service.child("spec");
    // Messages write this field with a capital.
    let ranges = spec.shown_as("LoadBalancerSourceRanges", spec.value().at("loadBalancerSourceRanges"));
    let annotations = service.child("metadata.annotations");
    if ranges.len() > 0 {
        if !is_balanced {
            errors.forbidden(&ranges, LOAD_BALANCERS_ONLY);
        }
        for range in ranges.items() {
            net::cidr(&range, range.text().trim(), errors);
        }
        return;
    }
    let Some(text) = annotations.value().get(SOURCE_RANGES_ANNOTATION).and_then(Document::as_str) else { return };
    let annotation = annotations.key(SOURCE_RANGES_ANNOTATION);
    if !is_balanced {
        errors.forbidden(&annotation, LOAD_BALANCERS_ONLY);
    }
    for range in text.split(',').map(str::trim).filter(|_| !text.trim().is_empty()) {
        net::cidr(&annotation, range, errors);
    }
}

fn external_traffic(service: &Place<'_>, errors: &mut Errors) {
    let spec = service.child("spec");
    let policy = spec.child("externalTrafficPolicy");
    if !crate::defaults::service::is_externally_accessible(service.value()) {
        if !policy.text().is_empty() {
            errors.invalid_text(&policy, "may only be set for externally-accessible services");
        }
    } else if policy.text().is_empty() {
        errors.required(&policy, "");
    } else {
        one_of(&policy, &TRAFFIC_POLICIES, errors);
    }
    let port = spec.child("healthCheckNodePort");
    if port.int().unwrap_or_default() == 0 {
        return;
    }
    if needs_health_check(service.value()) {
        port_number(&port, errors);
    } else {
        let detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
        errors.invalid_int(&port, detail);
    }
}

fn internal_traffic(spec: &Place<'_>, errors: &mut Errors) {
    let policy = spec.child("internalTrafficPolicy");
    if !policy.is_set() {
        if matches!(spec.value().text("type"), "NodePort" | "LoadBalancer" | "ClusterIP") {
            errors.required(&policy, "");
        }
        return;
    }
    one_of(&policy, &TRAFFIC_POLICIES, errors);
}

/// The first of a list stays once it is there; a second may come, and go where one family is asked for.
fn fixed_list(spec: &Place<'_>, list: &str, element: &str, old: &Document, errors: &mut Errors) {
    let new = spec.child(list);
    let before = old.at("spec").list(list);
    let after = new.value().as_array().map_or(&[][..], Vec::as_slice);
    let mut refuse = |index: usize, detail: &str| {
        errors.push(FieldError::invalid_ref(&new.path().index(index), new.value(), detail));
    };
    if before.len() == after.len() {
        for index in (0..before.len()).filter(|index| before[*index] != after[*index]) {
            refuse(index, FIXED_ONCE_SET);
        }
        return;
    }
    match (before.first(), after.first()) {
        (Some(_), None) => refuse(0, &format!("primary {element} can not be unset")),
        (Some(before), Some(after)) if before != after => refuse(0, FIXED_ONCE_SET),
        _ => {}
    }
    let policy = spec.child("ipFamilyPolicy");
    if before.len() > after.len() && after.len() == 1 && policy.text() != "SingleStack" {
        let detail = format!("must be set to 'SingleStack' when releasing the secondary {element}");
        errors.invalid(&policy, detail);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::Document;
    use crate::validation::tests::{refusals, refusals_of_status, refusals_of_update};
    use crate::view::Edit;

    fn with(fields: Document) -> Document {
        let mut service = json!({"metadata": {"name": "web", "namespace": "default"},
            "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}});
        for (name, value) in fields.as_object().unwrap() {
            service.put(&format!("spec.{name}"), value.clone());
        }
        service
    }

    #[test]
    fn services_are_refused_in_kubernetes_words() {
        let table = [
            (json!({}), ""),
            (json!({"clusterIP": "None", "ports": []}), ""),
            (json!({"ports": []}), "spec.ports: Required value"),
            (json!({"ports": [{"port": 80, "name": "a"}, {"port": 81}]}), "spec.ports[1].name: Required value"),
            (
                json!({"ports": [{"port": 80, "name": "a"}, {"port": 81, "name": "a"}]}),
                "spec.ports[1].name: Duplicate value: \"a\"",
            ),
            (
                json!({"ports": [{"port": 80, "name": "a"}, {"port": 80, "name": "b"}]}),
                "spec.ports[1]: Duplicate value: {\"port\":80,\"protocol\":\"TCP\"}",
            ),
            (
                json!({"ports": [{"port": 0}]}),
                "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive\n\
                 spec.ports[0].targetPort: Invalid value: 0: must be between 1 and 65535, inclusive",
            ),
            (
                json!({"ports": [{"port": 80, "protocol": "ICMP"}]}),
                "spec.ports[0].protocol: Unsupported value: \"ICMP\": supported values: \"SCTP\", \"TCP\", \"UDP\"",
            ),
            (
                json!({"ports": [{"port": 80, "nodePort": 30080}]}),
                "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'",
            ),
            (
                json!({"type": "Magic"}),
                "spec.type: Unsupported value: \"Magic\": supported values: \"ClusterIP\", \"ExternalName\", \
                 \"LoadBalancer\", \"NodePort\"",
            ),
            (json!({"type": "ExternalName", "externalName": "example.com."}), ""),
            (json!({"type": "ExternalName"}), "spec.externalName: Required value"),
            (
                json!({"type": "NodePort", "clusterIP": "None"}),
                "spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for NodePort services",
            ),
            (
                json!({"clusterIP": "10.0.0.300"}),
                "spec.clusterIPs[0]: Invalid value: \"10.0.0.300\": must be a valid IP address, (e.g. 10.9.8.7 or \
                 2001:db8::ffff)",
            ),
            (
                json!({"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1", "10.0.0.2"]}),
                "spec.clusterIPs: Invalid value: [\"10.0.0.1\",\"10.0.0.2\"]: may specify no more than one IP for each \
                 IP family",
            ),
            (
                json!({"clusterIP": "fd00::1", "ipFamilies": ["IPv4"]}),
                "spec.clusterIPs[0]: Invalid value: \"fd00::1\": expected an IPv4 value as indicated by `ipFamilies[0]`",
            ),
            (
                json!({"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 86401}}}),
                "spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 86401: must be greater than 0 and \
                 less than 86400",
            ),
            (
                json!({"externalIPs": ["127.0.0.1"]}),
                "spec.externalIPs[0]: Invalid value: \"127.0.0.1\": may not be in the loopback range (127.0.0.0/8, \
                 ::1/128)",
            ),
            (
                json!({"loadBalancerSourceRanges": ["10.0.0.0/8"]}),
                "spec.LoadBalancerSourceRanges: Forbidden: may only be used when `type` is 'LoadBalancer'",
            ),
            (json!({"type": "LoadBalancer", "loadBalancerSourceRanges": [" 10.0.0.0/8 "]}), ""),
            (
                json!({"externalTrafficPolicy": "Local"}),
                "spec.externalTrafficPolicy: Invalid value: \"Local\": may only be set for externally-accessible \
                 services",
            ),
            (
                json!({"type": "LoadBalancer", "ports": [{"port": 10250}]}),
                "spec.ports[0]: Invalid value: 10250: may not expose port 10250 externally since it is used by kubelet",
            ),
            (
                json!({"trafficDistribution": "Far"}),
                "spec.trafficDistribution: Unsupported value: \"Far\": supported values: \"PreferClose\", \
                 \"PreferSameZone\", \"PreferSameNode\"",
            ),
        ];
        for (fields, expected) in table {
            assert_eq!(refusals("", "Service", &with(fields.clone())), expected, "{fields}");
        }
    }

    #[test]
    fn a_service_is_named_by_a_label_that_begins_with_a_letter() {
        let mut service = with(json!({}));
        service.put("metadata.name", "1web");
        assert!(refusals("", "Service", &service).starts_with(
            "metadata.name: Invalid value: \"1web\": a DNS-1035 label must consist of lower case alphanumeric \
             characters or '-'"
        ));
    }

    #[test]
    fn the_first_address_stays() {
        let old = with(json!({"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack"}));
        let mut other = old.clone();
        other.put("spec.clusterIP", "10.0.0.2");
        other.put("spec.clusterIPs", json!(["10.0.0.2"]));
        assert_eq!(
            refusals_of_update("", "Service", &old, &other),
            "spec.clusterIPs[0]: Invalid value: [\"10.0.0.2\"]: may not change once set"
        );
        let mut both = old.clone();
        both.put("spec.clusterIPs", json!(["10.0.0.1", "fd00::1"]));
        both.put("spec.ipFamilies", json!(["IPv4", "IPv6"]));
        both.put("spec.ipFamilyPolicy", "PreferDualStack");
        assert_eq!(refusals_of_update("", "Service", &old, &both), "");
        let mut less = both.clone();
        less.put("spec.clusterIPs", json!(["10.0.0.1"]));
        less.put("spec.ipFamilies", json!(["IPv4"]));
        assert_eq!(
            refusals_of_update("", "Service", &both, &less),
            "spec.ipFamilyPolicy: Invalid value: \"PreferDualStack\": must be set to 'SingleStack' when releasing the \
             secondary clusterIP\n\
             spec.ipFamilyPolicy: Invalid value: \"PreferDualStack\": must be set to 'SingleStack' when releasing the \
             secondary ipFamily"
        );
    }

    #[test]
    fn only_a_load_balancer_has_ingress() {
        let old = with(json!({"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"]}));
        let mut new = old.clone();
        new.put("status.loadBalancer.ingress", json!([{"ip": "10.1.1.1"}]));
        assert_eq!(
            refusals_of_status("", "Service", &old, &new),
            "status.loadBalancer.ingress: Forbidden: may only be used when `spec.type` is 'LoadBalancer'"
        );
    }
}
