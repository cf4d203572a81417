//! Whether the node takes a pod that was bound to it: the scheduler may have been wrong, or not asked.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{NodeSelectorRequirement, NodeSelectorTerm, Pod};
use parking_lot::Mutex;
use sheave_api::quantity::{Notation, Quantity};

use super::spec;
use crate::resource::pod::total_request;
use crate::resource::{Capacity, Resource};
use crate::security;

/// Why a pod is refused, in Kubernetes' words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Such as `OutOfcpu`.
    pub reason: String,
    /// The details.
    pub message: String,
}

/// What of the node admission looks at.
#[derive(Clone, Debug)]
pub struct Room {
    /// The node's name.
    pub name: String,
    /// What pods may have in all.
    pub allocatable: Capacity,
    /// Most pods.
    pub pods: usize,
}

/// Pods that were taken and are not over, by UID.
#[derive(Debug, Default)]
pub struct Admitted {
    pods: Mutex<BTreeMap<String, Arc<Pod>>>,
}

// === impl Admitted ===

impl Admitted {
    /// Takes a pod if there is room for it; `labels` are the node's.
    ///
    /// # Errors
    /// What there is no room for, or what the pod asks of another node.
    pub fn admit(&self, pod: &Arc<Pod>, room: &Room, labels: &BTreeMap<String, String>) -> Result<(), Rejection> {
        // One at a time: two pods must not both get the last of something.
        let mut pods = self.pods.lock();
        let others = pods.iter().filter(|(uid, _)| **uid != spec::uid(pod)).map(|(_, other)| other.as_ref());
        check(pod, &others.collect::<Vec<_>>(), room, labels)?;
        pods.insert(spec::uid(pod), Arc::clone(pod));
        Ok(())
    }

    /// Takes a pod that runs here already.
    pub fn keep(&self, pod: &Arc<Pod>) {
        self.pods.lock().insert(spec::uid(pod), Arc::clone(pod));
    }

    /// Gives back what a pod had.
    pub fn release(&self, uid: &str) {
        self.pods.lock().remove(uid);
    }
}

/// Checks a pod against what the others leave.
fn check(pod: &Pod, others: &[&Pod], room: &Room, labels: &BTreeMap<String, String>) -> Result<(), Rejection> {
    if others.len() + 1 > room.pods {
        return Err(out_of("pods", 1, others.len() as u64, room.pods as u64));
    }
    for resource in [Resource::Cpu, Resource::Memory, Resource::EphemeralStorage] {
        check_resource(resource, pod, others, room)?;
    }
    if !selects(pod, labels, &room.name) {
        return Err(predicate("NodeAffinity", "node(s) didn't match Pod's node affinity/selector"));
    }
    let taken = others.iter().flat_map(|other| host_ports(other)).collect::<Vec<_>>();
    if host_ports(pod).iter().any(|port| taken.iter().any(|other| port.conflicts(other))) {
        return Err(predicate("NodePorts", "node(s) didn't have free ports for the requested pod ports"));
    }
    security::check_sysctls(pod)
        .map_err(|error| Rejection { reason: "SysctlForbidden".to_owned(), message: error.to_string() })
}

fn check_resource(resource: Resource, pod: &Pod, others: &[&Pod], room: &Room) -> Result<(), Rejection> {
    let zero = Quantity::from_milli(0, Notation::DecimalSi);
    let request = |pod: &Pod| total_request(spec::spec(pod), resource).unwrap_or(zero);
    let requested = request(pod);
    if requested.is_zero() {
        return Ok(());
    }
    let used = others.iter().fold(zero, |used, other| used.plus(&request(other)));
    let capacity = room.allocatable.of(resource);
    if capacity.minus(&used).minus(&requested).is_negative() {
        // CPU in thousandths of a core, the others in bytes.
        let shown = |quantity: &Quantity| {
            let amount = if resource == Resource::Cpu { quantity.milli_value() } else { quantity.value() };
            u64::try_from(amount).unwrap_or_default()
        };
        return Err(out_of(resource.key(), shown(&requested), shown(&used), shown(&capacity)));
    }
    Ok(())
}

fn out_of(resource: &str, requested: u64, used: u64, capacity: u64) -> Rejection {
    let message = format!(
        "Node didn't have enough resource: {resource}, requested: {requested}, used: {used}, capacity: {capacity}"
    );
    Rejection { reason: format!("OutOf{resource}"), message }
}

fn predicate(name: &str, cause: &str) -> Rejection {
    Rejection { reason: name.to_owned(), message: format!("Predicate {name} failed: {cause}") }
}

/// A port of the node that a pod takes.
#[derive(Debug)]
struct HostPort<'a> {
    address: &'a str,
    protocol: &'a str,
    port: i32,
}

// === impl HostPort ===

impl HostPort<'_> {
    fn conflicts(&self, other: &HostPort<'_>) -> bool {
        let is_any = |address: &str| matches!(address, "" | "0.0.0.0" | "::");
        let meet = self.address == other.address || is_any(self.address) || is_any(other.address);
        self.port == other.port && self.protocol == other.protocol && meet
    }
}

fn host_ports(pod: &Pod) -> Vec<HostPort<'_>> {
    let spec = spec::spec(pod);
    let sidecars = spec.init_containers.iter().flatten();
    let sidecars = sidecars.filter(|container| container.restart_policy.as_deref() == Some("Always"));
    let ports = spec.containers.iter().chain(sidecars).flat_map(|container| container.ports.iter().flatten());
    let taken = ports.filter_map(|port| {
        Some(HostPort {
            address: port.host_ip.as_deref().unwrap_or_default(),
            protocol: port.protocol.as_deref().unwrap_or("TCP"),
            port: port.host_port.filter(|port| *port > 0)?,
        })
    });
    taken.collect()
}

/// Whether a pod's node selector and its required node affinity take a node with these labels.
#[must_use]
pub fn selects(pod: &Pod, labels: &BTreeMap<String, String>, name: &str) -> bool {
    let spec = spec::spec(pod);
    let mut wanted = spec.node_selector.iter().flatten();
    if !wanted.all(|(key, value)| labels.get(key) == Some(value)) {
        return false;
    }
    let affinity = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
    let required = affinity.and_then(|node| node.required_during_scheduling_ignored_during_execution.as_ref());
    required.is_none_or(|required| required.node_selector_terms.iter().any(|term| term_selects(term, labels, name)))
}

/// Whether the pod asks for anything that depends on the node's labels.
#[must_use]
pub fn asks_for_labels(pod: &Pod) -> bool {
    let spec = spec::spec(pod);
    spec.node_selector.as_ref().is_some_and(|selector| !selector.is_empty()) || spec.affinity.is_some()
}

/// An empty term selects nothing.
fn term_selects(term: &NodeSelectorTerm, labels: &BTreeMap<String, String>, name: &str) -> bool {
    let (expressions, fields) = (term.match_expressions.iter().flatten(), term.match_fields.iter().flatten());
    let is_empty = expressions.clone().next().is_none() && fields.clone().next().is_none();
    let field = |key: &str| (key == "metadata.name").then_some(name);
    !is_empty
        && expressions.into_iter().all(|one| holds(one, labels.get(&one.key).map(String::as_str)))
        && fields.into_iter().all(|one| holds(one, field(&one.key)))
}

fn holds(requirement: &NodeSelectorRequirement, value: Option<&str>) -> bool {
    let values = requirement.values.as_deref().unwrap_or_default();
    let is_listed = || value.is_some_and(|value| values.iter().any(|listed| listed == value));
    let number = |text: &str| text.parse::<i64>().ok();
    let compared = || Some((number(value?)?, number(values.first()?)?));
    match requirement.operator.as_str() {
        "In" => is_listed(),
        "NotIn" => !is_listed(),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => compared().is_some_and(|(value, than)| value > than),
        "Lt" => compared().is_some_and(|(value, than)| value < than),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(uid: &str, spec: Value) -> Arc<Pod> {
        Arc::new(serde_json::from_value(json!({ "metadata": { "name": uid, "uid": uid }, "spec": spec })).unwrap())
    }

    fn with_cpu(uid: &str, cpu: &str) -> Arc<Pod> {
        let resources = json!({ "requests": { "cpu": cpu } });
        pod(uid, json!({ "containers": [{ "name": "c", "resources": resources }] }))
    }

    fn room() -> Room {
        Room { name: "n1".into(), allocatable: Capacity::new(2000, 1 << 30, 1 << 40), pods: 3 }
    }

    fn labels() -> BTreeMap<String, String> {
        [("disk", "ssd"), ("cores", "8")].map(|(key, value)| (key.to_owned(), value.to_owned())).into()
    }

    #[test]
    fn what_others_have_is_not_given_twice_and_is_given_again_when_they_are_over() {
        let admitted = Admitted::default();
        admitted.admit(&with_cpu("a", "1500m"), &room(), &labels()).unwrap();
        let refused = admitted.admit(&with_cpu("b", "1"), &room(), &labels()).unwrap_err();
        assert_eq!(refused.reason, "OutOfcpu");
        let message = "Node didn't have enough resource: cpu, requested: 1000, used: 1500, capacity: 2000";
        assert_eq!(refused.message, message);
        admitted.admit(&with_cpu("c", "500m"), &room(), &labels()).unwrap();
        admitted.release("a");
        admitted.admit(&with_cpu("b", "1"), &room(), &labels()).unwrap();
    }

    #[test]
    fn a_node_takes_so_many_pods() {
        let admitted = Admitted::default();
        for uid in ["a", "b", "c"] {
            admitted.admit(&pod(uid, json!({ "containers": [] })), &room(), &labels()).unwrap();
        }
        let refused = admitted.admit(&pod("d", json!({ "containers": [] })), &room(), &labels()).unwrap_err();
        assert_eq!(refused.reason, "OutOfpods");
    }

    #[test]
    fn a_port_of_the_node_is_taken_once() {
        let port = |uid: &str, address: &str, protocol: &str| {
            let port = json!({ "containerPort": 80, "hostPort": 8080, "hostIP": address, "protocol": protocol });
            pod(uid, json!({ "containers": [{ "name": "c", "ports": [port] }] }))
        };
        let admitted = Admitted::default();
        admitted.admit(&port("a", "127.0.0.1", "TCP"), &room(), &labels()).unwrap();
        admitted.admit(&port("b", "127.0.0.2", "TCP"), &room(), &labels()).unwrap();
        assert_eq!(admitted.admit(&port("c", "", "TCP"), &room(), &labels()).unwrap_err().reason, "NodePorts");
        admitted.admit(&port("c", "", "UDP"), &room(), &labels()).unwrap();
    }

    #[test]
    fn a_node_is_selected_by_labels_and_by_affinity() {
        let affinity = |operator: &str, key: &str, values: Value| {
            let terms = json!([{ "matchExpressions": [{ "key": key, "operator": operator, "values": values }] }]);
            json!({ "containers": [], "affinity": { "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": terms } } } })
        };
        for (spec, expected) in [
            (json!({ "containers": [], "nodeSelector": { "disk": "ssd" } }), true),
            (json!({ "containers": [], "nodeSelector": { "disk": "hdd" } }), false),
            (affinity("In", "disk", json!(["hdd", "ssd"])), true),
            (affinity("NotIn", "disk", json!(["ssd"])), false),
            (affinity("NotIn", "zone", json!(["a"])), true),
            (affinity("Exists", "zone", Value::Null), false),
            (affinity("DoesNotExist", "zone", Value::Null), true),
            (affinity("Gt", "cores", json!(["4"])), true),
            (affinity("Lt", "cores", json!(["4"])), false),
        ] {
            assert_eq!(selects(&pod("p", spec.clone()), &labels(), "n1"), expected, "{spec}");
        }
    }
}
