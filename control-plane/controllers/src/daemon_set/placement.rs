//! On which nodes a DaemonSet's pods belong.

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Node, NodeSelectorRequirement, NodeSelectorTerm, Pod, PodSpec, Taint, Toleration};
use serde_json::json;

use crate::node::taint_eviction::tolerates;
use crate::object::pod;

/// Whether a node runs a pod of the set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It should.
    Wanted,
    /// It gets no new one, and keeps one that it has: a taint came that only keeps new pods away.
    Kept,
    /// It should not.
    Refused,
}

/// Taints that a pod of a set bears although its template does not say so: it belongs to the node.
const TOLERATED: [(&str, &str); 6] = [
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
];
const NETWORK_UNAVAILABLE: &str = "node.kubernetes.io/network-unavailable";

/// Where `node` stands.
pub(super) fn place(set: &DaemonSet, node: &Node) -> Place {
    let Some(spec) = set.spec.as_ref().and_then(|spec| spec.template.spec.as_ref()) else { return Place::Refused };
    let name = node.metadata.name.as_deref().unwrap_or_default();
    if spec.node_name.as_deref().is_some_and(|wanted| !wanted.is_empty() && wanted != name) || !matches(spec, node) {
        return Place::Refused;
    }
    let tolerations = tolerations(spec);
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
    let untolerated: Vec<&Taint> =
        taints.iter().filter(|taint| !tolerations.iter().any(|it| tolerates(it, taint))).collect();
    match () {
        () if untolerated.iter().any(|taint| taint.effect == "NoExecute") => Place::Refused,
        () if untolerated.iter().any(|taint| taint.effect == "NoSchedule") => Place::Kept,
        () => Place::Wanted,
    }
}

/// The node that a pod is on or is meant for.
pub(super) fn node_of(pod: &Pod) -> Option<&str> {
    pod::node(pod).or_else(|| {
        let affinity = pod.spec.as_ref()?.affinity.as_ref()?.node_affinity.as_ref()?;
        let terms = &affinity.required_during_scheduling_ignored_during_execution.as_ref()?.node_selector_terms;
        let fields = terms.iter().flat_map(|term| term.match_fields.iter().flatten());
        let name = fields.into_iter().find(|field| field.key == "metadata.name" && field.operator == "In")?;
        name.values.as_ref()?.first().map(String::as_str)
    })
}

/// Binds the pod to its node through the scheduler, and lets it bear what belongs to nodes.
pub(super) fn destine(spec: &mut PodSpec, node: &str) {
    spec.tolerations = Some(tolerations(spec));
    let field = NodeSelectorRequirement {
        key: "metadata.name".into(),
        operator: "In".into(),
        values: Some(vec![node.to_owned()]),
    };
    let affinity = spec.affinity.get_or_insert_default().node_affinity.get_or_insert_default();
    let required = affinity.required_during_scheduling_ignored_during_execution.get_or_insert_default();
    // Whatever the terms said, the node was chosen by them.
    required.node_selector_terms = vec![NodeSelectorTerm { match_fields: Some(vec![field]), match_expressions: None }];
}

fn tolerations(spec: &PodSpec) -> Vec<Toleration> {
    let mut tolerations = spec.tolerations.clone().unwrap_or_default();
    let network = spec.host_network.unwrap_or(false).then_some((NETWORK_UNAVAILABLE, "NoSchedule"));
    for (key, effect) in TOLERATED.into_iter().chain(network) {
        let known = tolerations.iter().any(|it| it.key.as_deref() == Some(key) && it.effect.as_deref() == Some(effect));
        if !known {
            let (key, effect, operator) = (Some(key.into()), Some(effect.into()), Some("Exists".into()));
            tolerations.push(Toleration { key, effect, operator, ..Toleration::default() });
        }
    }
    tolerations
}

fn matches(spec: &PodSpec, node: &Node) -> bool {
    let label = |key: &str| node.metadata.labels.as_ref().and_then(|labels| labels.get(key));
    let selector = spec.node_selector.iter().flatten().all(|(key, value)| label(key) == Some(value));
    let affinity = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
    let required = affinity.and_then(|affinity| affinity.required_during_scheduling_ignored_during_execution.as_ref());
    selector && required.is_none_or(|required| required.node_selector_terms.iter().any(|term| matches_term(term, node)))
}

fn matches_term(term: &NodeSelectorTerm, node: &Node) -> bool {
    let labels = json!(node.metadata.labels.clone().unwrap_or_default());
    let label = |requirement: &NodeSelectorRequirement| {
        labels.get(&requirement.key).and_then(|value| value.as_str().map(str::to_owned))
    };
    let expressions = term.match_expressions.as_deref().unwrap_or_default();
    let fields = term.match_fields.as_deref().unwrap_or_default();
    let empty = expressions.is_empty() && fields.is_empty();
    !empty
        && expressions.iter().all(|requirement| holds(requirement, label(requirement).as_deref()))
        && fields
            .iter()
            .all(|requirement| requirement.key == "metadata.name" && holds(requirement, node.metadata.name.as_deref()))
}

fn holds(requirement: &NodeSelectorRequirement, found: Option<&str>) -> bool {
    let values = requirement.values.as_deref().unwrap_or_default();
    let listed = found.is_some_and(|found| values.iter().any(|value| value == found));
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<i64>().ok());
    let bound = number(values.first().map(String::as_str));
    match requirement.operator.as_str() {
        "In" => listed,
        "NotIn" => !listed,
        "Exists" => found.is_some(),
        "DoesNotExist" => found.is_none(),
        "Gt" => number(found).zip(bound).is_some_and(|(found, bound)| found > bound),
        "Lt" => number(found).zip(bound).is_some_and(|(found, bound)| found < bound),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn set(spec: Value) -> DaemonSet {
        serde_json::from_value(json!({"spec": {"selector": {}, "template": {"spec": spec}}})).unwrap()
    }

    #[test]
    fn labels_and_taints_decide_where_a_pod_belongs() {
        let node = |labels: Value, taints: Value| -> Node {
            serde_json::from_value(json!({"metadata": {"name": "n1", "labels": labels}, "spec": {"taints": taints}}))
                .unwrap()
        };
        let taint = |key: &str, effect: &str| json!([{"key": key, "effect": effect}]);
        let ssd = json!({"containers": [], "nodeSelector": {"ssd": "true"}});
        let any = json!({"containers": []});
        for (what, spec, labels, taints, expected) in [
            ("any node", any.clone(), json!({}), json!([]), Place::Wanted),
            ("the label", ssd.clone(), json!({"ssd": "true"}), json!([]), Place::Wanted),
            ("no label", ssd, json!({}), json!([]), Place::Refused),
            ("a taint against new pods", any.clone(), json!({}), taint("gpu", "NoSchedule"), Place::Kept),
            ("a taint against all", any.clone(), json!({}), taint("gpu", "NoExecute"), Place::Refused),
            ("a preference", any.clone(), json!({}), taint("gpu", "PreferNoSchedule"), Place::Wanted),
            (
                "a cordoned node",
                any.clone(),
                json!({}),
                taint("node.kubernetes.io/unschedulable", "NoSchedule"),
                Place::Wanted,
            ),
            ("a silent node", any, json!({}), taint("node.kubernetes.io/unreachable", "NoExecute"), Place::Wanted),
        ] {
            assert_eq!(place(&set(spec), &node(labels, taints)), expected, "{what}");
        }
    }

    #[test]
    fn a_pod_names_its_node_to_the_scheduler() {
        let mut spec = PodSpec::default();
        destine(&mut spec, "n7");
        let pod = Pod { spec: Some(spec), ..Pod::default() };
        assert_eq!(node_of(&pod), Some("n7"));
    }
}
