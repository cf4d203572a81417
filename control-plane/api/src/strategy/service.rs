//! Services.

use std::collections::BTreeSet;

use crate::Document;
use crate::columns::{self, Table};
use crate::defaults;
use crate::field::Errors;
use crate::names;
use crate::strategy::FieldReader;
use crate::strategy::rules::Rules;
use crate::validation::metadata::NameRule;
use crate::validation::{Place, service};
use crate::view::{Edit, View, equivalent};

/// core/v1 Service
pub(super) struct Service;

// === impl Service ===

impl Rules for Service {
    const NAME: NameRule = names::dns_1035_label;
    const STATUS: bool = true;
    const TABLE: Table = columns::network::SERVICE;
    const CREATE_ON_UPDATE: bool = true;
    const FIELDS: &'static [(&'static str, FieldReader)] = &[
        ("spec.clusterIP", |service| service.text("spec.clusterIP").to_owned()),
        ("spec.type", |service| service.text("spec.type").to_owned()),
    ];

    fn default(object: &mut Document) {
        defaults::service::service(object);
    }

    fn prepare_create(service: &mut Document) {
        let first = service.text("spec.clusterIP").to_owned();
        if !first.is_empty() && service.list("spec.clusterIPs").is_empty() {
            service.put("spec.clusterIPs", vec![first]);
        }
    }

    fn prepare_update(new: &mut Document, old: &Document) {
        reconcile_cluster_ips(new, old);
        keep_allocated(new, old);
        drop_what_the_type_has_not(new, old);
    }

    fn validate(service: &Place<'_>, errors: &mut Errors) {
        service::service(service, errors);
    }

    fn validate_update(new: &Place<'_>, old: &Document, errors: &mut Errors) {
        service::update(new, old, errors);
    }

    fn validate_status_update(new: &Place<'_>, _old: &Document, errors: &mut Errors) {
        service::status(new, errors);
    }
}

/// `clusterIP` and `clusterIPs` say the same; where the user changed only one, the other follows.
fn reconcile_cluster_ips(new: &mut Document, old: &Document) {
    let first = new.text("spec.clusterIP").to_owned();
    let all = new.list("spec.clusterIPs");
    let first_of_all = all.first().and_then(Document::as_str).unwrap_or_default();
    let old_first = old.text("spec.clusterIP");
    if first.is_empty() && first_of_all == old_first && !all.is_empty() {
        new.remove("spec.clusterIPs");
    } else if first != old_first && all == old.list("spec.clusterIPs") && !all.is_empty() {
        let mut changed = all.to_vec();
        changed[0] = first.into();
        new.put("spec.clusterIPs", changed);
    } else if !first.is_empty() && all.is_empty() && old.list("spec.clusterIPs").is_empty() {
        new.put("spec.clusterIPs", vec![first]);
    }
}

/// Takes over what was allocated to the stored service where the update leaves it out.
fn keep_allocated(new: &mut Document, old: &Document) {
    if needs_cluster_ip(new) && needs_cluster_ip(old) {
        if new.text("spec.clusterIP").is_empty() {
            new.copy_from(old, "spec.clusterIP");
        }
        if new.list("spec.clusterIPs").is_empty() && new.at("spec.clusterIP") == old.at("spec.clusterIP") {
            new.copy_from(old, "spec.clusterIPs");
        }
    }
    if needs_node_port(new) && needs_node_port(old) {
        keep_node_ports(new, old);
    }
    if needs_health_check(new)
        && needs_health_check(old)
        && new.int("spec.healthCheckNodePort").unwrap_or_default() == 0
    {
        new.copy_from(old, "spec.healthCheckNodePort");
    }
}

fn keep_node_ports(new: &mut Document, old: &Document) {
    let node_port = |port: &Document| port.int("nodePort").unwrap_or_default();
    let mut used: BTreeSet<i64> = new.list("spec.ports").iter().map(node_port).collect();
    for port in new.list_mut("spec.ports") {
        let same = |other: &&Document| {
            other.text("protocol") == port.text("protocol") && other.int("port") == port.int("port")
        };
        let allocated = old.list("spec.ports").iter().find(same).map_or(0, node_port);
        if node_port(port) == 0 && allocated != 0 && used.insert(allocated) {
            port.put("nodePort", allocated);
        }
    }
}

/// A field that the new type does not have is dropped, unless the user changed it: then validation refuses it.
fn drop_what_the_type_has_not(new: &mut Document, old: &Document) {
    let lost = |needs: fn(&Document) -> bool, new: &Document| needs(old) && !needs(new);
    let drop_unchanged = |new: &mut Document, paths: &[&str]| {
        if paths.iter().all(|path| equivalent(new.at(path), old.at(path))) {
            for path in paths {
                new.remove(path);
            }
        }
    };
    if lost(needs_cluster_ip, new) {
        drop_unchanged(new, &["spec.clusterIP", "spec.clusterIPs"]);
        drop_unchanged(new, &["spec.ipFamilies"]);
        drop_unchanged(new, &["spec.ipFamilyPolicy"]);
    }
    if lost(needs_node_port, new) && same_node_ports(new, old) {
        for port in new.list_mut("spec.ports") {
            port.remove("nodePort");
        }
    }
    if lost(needs_health_check, new) {
        drop_unchanged(new, &["spec.healthCheckNodePort"]);
    }
    if lost(is_load_balancer, new) {
        drop_unchanged(new, &["spec.allocateLoadBalancerNodePorts"]);
        drop_unchanged(new, &["spec.loadBalancerClass"]);
        new.remove("status.loadBalancer.ingress");
    }
    if lost(defaults::service::is_externally_accessible, new) {
        drop_unchanged(new, &["spec.externalTrafficPolicy"]);
    }
}

fn same_node_ports(new: &Document, old: &Document) -> bool {
    let ports = |service: &Document| -> BTreeSet<i64> {
        service.list("spec.ports").iter().filter_map(|port| port.int("nodePort")).filter(|port| *port != 0).collect()
    };
    ports(new).is_subset(&ports(old))
}

fn needs_cluster_ip(service: &Document) -> bool {
    matches!(service.text("spec.type"), "ClusterIP" | "NodePort" | "LoadBalancer")
}

fn needs_node_port(service: &Document) -> bool {
    let balanced =
        is_load_balancer(service) && service.at("spec.allocateLoadBalancerNodePorts").as_bool().unwrap_or(true);
    service.text("spec.type") == "NodePort" || balanced
}

/// Whether a load balancer asks each node whether it has endpoints.
pub(crate) fn needs_health_check(service: &Document) -> bool {
    is_load_balancer(service) && service.text("spec.externalTrafficPolicy") == "Local"
}

fn is_load_balancer(service: &Document) -> bool {
    service.text("spec.type") == "LoadBalancer"
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::strategy::strategy_for;

    fn updated(old: Document, new: Document) -> Document {
        let (old, mut new) = (json!({ "spec": old }), json!({ "spec": new }));
        (strategy_for("", "Service").prepare_update)(&mut new, &old);
        new.at("spec").clone()
    }

    #[test]
    fn a_cluster_ip_is_also_the_first_of_the_cluster_ips() {
        let mut service = json!({"metadata": {}, "spec": {"clusterIP": "None"}, "status": {"a": 1}});
        (strategy_for("", "Service").prepare_create)(&mut service);
        assert_eq!(service.at("spec.clusterIPs"), &json!(["None"]));
        assert!(!service.has("status"));
    }

    #[test]
    fn an_update_keeps_what_was_allocated() {
        let old = json!({"type": "NodePort", "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"],
            "ports": [{"port": 80, "protocol": "TCP", "nodePort": 30001}]});
        let new = json!({"type": "NodePort", "ports": [
            {"port": 80, "protocol": "TCP", "targetPort": 8080}, {"port": 81, "protocol": "TCP"}]});
        let expected = json!({"type": "NodePort", "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "ports": [
            {"port": 80, "protocol": "TCP", "targetPort": 8080, "nodePort": 30001}, {"port": 81, "protocol": "TCP"}]});
        assert_eq!(updated(old, new), expected);
    }

    #[test]
    fn a_change_of_one_address_field_changes_the_other() {
        let old = json!({"type": "ClusterIP", "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"]});
        let new = json!({"type": "ClusterIP", "clusterIP": "10.0.0.2", "clusterIPs": ["10.0.0.1"]});
        assert_eq!(updated(old.clone(), new)["clusterIPs"], json!(["10.0.0.2"]));
        let cleared = json!({"type": "ClusterIP", "clusterIPs": ["10.0.0.1"]});
        assert_eq!(updated(old, cleared)["clusterIP"], "10.0.0.1");
    }

    #[test]
    fn a_change_of_type_drops_what_the_new_type_has_not() {
        let old = json!({"type": "NodePort", "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"],
            "externalTrafficPolicy": "Cluster", "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack",
            "ports": [{"port": 80, "protocol": "TCP", "nodePort": 30001}]});
        let mut to_cluster_ip = old.clone();
        to_cluster_ip["type"] = json!("ClusterIP");
        let result = updated(old.clone(), to_cluster_ip);
        assert!(!result.has("externalTrafficPolicy") && !result["ports"][0].has("nodePort"));
        assert_eq!(result["clusterIP"], "10.0.0.1");
        let mut to_name = old.clone();
        to_name["type"] = json!("ExternalName");
        let result = updated(old, to_name);
        assert!(!result.has("clusterIP") && !result.has("clusterIPs") && !result.has("ipFamilies"));
    }
}
