//! Defaults of services, endpoints and what else belongs to the network.

use crate::Document;
use crate::view::{Edit, View};

/// How long a client keeps to the same endpoint, unless told otherwise: three hours.
const AFFINITY_SECONDS: i64 = 3 * 60 * 60;

/// A Service. Addresses and node ports are allocated elsewhere.
pub(crate) fn service(service: &mut Document) {
    service.default_zero("spec.sessionAffinity", "None");
    match service.text("spec.sessionAffinity") {
        "None" => {
            service.remove("spec.sessionAffinityConfig");
        }
        "ClientIP" => service.default_to("spec.sessionAffinityConfig.clientIP.timeoutSeconds", AFFINITY_SECONDS),
        _ => {}
    }
    service.default_zero("spec.type", "ClusterIP");
    service.list_mut("spec.ports").iter_mut().for_each(port);
    if is_externally_accessible(service) {
        service.default_zero("spec.externalTrafficPolicy", "Cluster");
    }
    if matches!(service.text("spec.type"), "ClusterIP" | "NodePort" | "LoadBalancer") {
        service.default_to("spec.internalTrafficPolicy", "Cluster");
    }
    if service.text("spec.type") == "LoadBalancer" {
        service.default_to("spec.allocateLoadBalancerNodePorts", true);
        for point in service.list_mut("status.loadBalancer.ingress") {
            if !point.text("ip").is_empty() {
                point.default_to("ipMode", "VIP");
            }
        }
    }
}

/// Whether clients outside the cluster can reach the service.
pub(crate) fn is_externally_accessible(service: &Document) -> bool {
    match service.text("spec.type") {
        "LoadBalancer" | "NodePort" => true,
        "ClusterIP" => !service.list("spec.externalIPs").is_empty(),
        _ => false,
    }
}

fn port(port: &mut Document) {
    port.default_zero("protocol", "TCP");
    if let Some(number) = port.int("port") {
        port.default_zero("targetPort", number);
    }
}

/// Endpoints.
pub(crate) fn endpoints(endpoints: &mut Document) {
    for subset in endpoints.list_mut("subsets") {
        for port in subset.list_mut("ports") {
            port.default_zero("protocol", "TCP");
        }
    }
}

/// An `EndpointSlice`.
pub(crate) fn endpoint_slice(slice: &mut Document) {
    for port in slice.list_mut("ports") {
        port.default_to("name", "");
        port.default_to("protocol", "TCP");
    }
}

/// An `IngressClass`.
pub(crate) fn ingress_class(class: &mut Document) {
    if class.has("spec.parameters") {
        class.default_to("spec.parameters.scope", "Cluster");
    }
}

/// A `NetworkPolicy`: it is about ingress, and about egress where it says anything of it.
pub(crate) fn network_policy(policy: &mut Document) {
    if policy.list("spec.policyTypes").is_empty() {
        let types = if policy.list("spec.egress").is_empty() { vec!["Ingress"] } else { vec!["Ingress", "Egress"] };
        policy.put("spec.policyTypes", types);
    }
    for direction in ["spec.ingress", "spec.egress"] {
        for rule in policy.list_mut(direction) {
            for port in rule.list_mut("ports") {
                port.default_to("protocol", "TCP");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn defaulted(fill: fn(&mut Document), mut object: Document) -> Document {
        fill(&mut object);
        let once = object.clone();
        fill(&mut object);
        assert_eq!(object, once, "filling in twice changes nothing more");
        object
    }

    #[test]
    fn services_are_filled_in_by_type() {
        let table = [
            (
                json!({"ports": [{"port": 80}]}),
                json!({"type": "ClusterIP", "sessionAffinity": "None", "internalTrafficPolicy": "Cluster",
                    "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}]}),
            ),
            (
                json!({"type": "NodePort", "sessionAffinity": "ClientIP", "ports": [{"port": 80, "targetPort": "http"}]}),
                json!({"type": "NodePort", "sessionAffinity": "ClientIP",
                    "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 10800}},
                    "internalTrafficPolicy": "Cluster", "externalTrafficPolicy": "Cluster",
                    "ports": [{"port": 80, "protocol": "TCP", "targetPort": "http"}]}),
            ),
            (
                json!({"type": "LoadBalancer", "externalTrafficPolicy": "Local"}),
                json!({"type": "LoadBalancer", "sessionAffinity": "None", "allocateLoadBalancerNodePorts": true,
                    "internalTrafficPolicy": "Cluster", "externalTrafficPolicy": "Local"}),
            ),
            (
                json!({"type": "ExternalName", "externalName": "a.b"}),
                json!({"type": "ExternalName", "externalName": "a.b", "sessionAffinity": "None"}),
            ),
        ];
        for (spec, expected) in table {
            assert_eq!(defaulted(service, json!({ "spec": spec })), json!({ "spec": expected }));
        }
    }

    #[test]
    fn policies_are_about_what_they_mention() {
        let table = [
            (json!({}), json!(["Ingress"])),
            (json!({"egress": [{}]}), json!(["Ingress", "Egress"])),
            (json!({"policyTypes": ["Egress"]}), json!(["Egress"])),
        ];
        for (spec, expected) in table {
            assert_eq!(defaulted(network_policy, json!({ "spec": spec })).at("spec.policyTypes"), &expected);
        }
        let policy = defaulted(network_policy, json!({"spec": {"ingress": [{"ports": [{"port": 80}]}]}}));
        assert_eq!(policy.at("spec.ingress")[0].at("ports")[0].text("protocol"), "TCP");
    }

    #[test]
    fn endpoints_speak_tcp() {
        let endpoints = defaulted(endpoints, json!({"subsets": [{"ports": [{"port": 80}]}]}));
        assert_eq!(endpoints.at("subsets")[0].at("ports")[0].text("protocol"), "TCP");
        let slice = defaulted(endpoint_slice, json!({"ports": [{"port": 80}]}));
        assert_eq!(slice.at("ports"), &json!([{"name": "", "port": 80, "protocol": "TCP"}]));
    }
}
