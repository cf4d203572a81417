//! Pods and pod templates.

use serde_json::json;

use crate::Document;
use crate::columns::{self, Table};
use crate::defaults;
use crate::field::Errors;
use crate::quantity::Quantity;
use crate::strategy::rules::{FOLLOWS_SPEC, Generation, Rules};
use crate::strategy::{FieldReader, SubresourceUpdate, pod_subresources};
use crate::validation::{self, Place};
use crate::view::{Edit, View, is_empty};

/// core/v1 Pod
pub(super) struct Pod;

/// core/v1 `PodTemplate`
pub(super) struct PodTemplate;

/// How long a pod has to stop, unless it says otherwise.
const GRACE_PERIOD_SECONDS: i64 = 30;

/// What decides on the quality of service.
const QOS_RESOURCES: [&str; 2] = ["cpu", "memory"];

// === impl Pod ===

impl Rules for Pod {
    const STATUS: bool = true;
    const GENERATION: Generation = FOLLOWS_SPEC;
    const TABLE: Table = columns::pod::POD;
    const FIELDS: &'static [(&'static str, FieldReader)] = &[
        ("spec.nodeName", |pod| pod.text("spec.nodeName").to_owned()),
        ("spec.restartPolicy", |pod| pod.text("spec.restartPolicy").to_owned()),
        ("spec.schedulerName", |pod| pod.text("spec.schedulerName").to_owned()),
        ("spec.serviceAccountName", |pod| pod.text("spec.serviceAccountName").to_owned()),
        ("spec.hostNetwork", |pod| pod.flag("spec.hostNetwork").to_string()),
        ("status.phase", |pod| pod.text("status.phase").to_owned()),
        ("status.podIP", pod_ip),
        ("status.podIPs", pod_ip),
        ("status.nominatedNodeName", |pod| pod.text("status.nominatedNodeName").to_owned()),
    ];
    const SUBRESOURCES: &'static [SubresourceUpdate] = pod_subresources::UPDATES;
    const GRACE_PERIOD: Option<fn(&Document) -> i64> = Some(grace_period);

    fn default(object: &mut Document) {
        defaults::pod::pod(object);
    }

    fn prepare_create(pod: &mut Document) {
        pod.put("status", json!({"phase": "Pending", "qosClass": qos_class(pod)}));
        if !pod.list("spec.schedulingGates").is_empty() {
            let condition = json!({
                "type": "PodScheduled",
                "status": "False",
                "reason": "SchedulingGated",
                "message": "Scheduling is blocked due to non-empty scheduling gates",
            });
            pod.put("status.conditions", vec![condition]);
        }
        merge_label_keys(pod);
    }

    fn prepare_status_update(new: &mut Document, old: &Document) {
        new.copy_from(old, "metadata.ownerReferences");
        new.copy_from(old, "status.qosClass");
    }

    fn validate(pod: &Place<'_>, errors: &mut Errors) {
        validation::pod::pod(pod, errors);
    }

    fn validate_update(pod: &Place<'_>, old: &Document, errors: &mut Errors) {
        validation::pod::update::update(pod, old, errors);
    }

    fn validate_status_update(pod: &Place<'_>, old: &Document, errors: &mut Errors) {
        validation::pod::status::status(pod, old, errors);
    }
}

// === impl PodTemplate ===

impl Rules for PodTemplate {
    const GENERATION: Generation = Generation::Tracks(&["template"]);
    const TABLE: Table = columns::workloads::POD_TEMPLATE;

    fn default(template: &mut Document) {
        defaults::pod::pod_template_at(template, "template");
    }

    fn validate(template: &Place<'_>, errors: &mut Errors) {
        validation::pod::template(&template.child("template"), errors);
    }
}

fn pod_ip(pod: &Document) -> String {
    let first = pod.list("status.podIPs").first();
    first.map_or_else(|| pod.text("status.podIP"), |address| address.text("ip")).to_owned()
}

/// Nothing runs of a pod that has no node or has ended, so it needs no time to stop.
fn grace_period(pod: &Document) -> i64 {
    let ended = matches!(pod.text("status.phase"), "Succeeded" | "Failed");
    if ended || pod.text("spec.nodeName").is_empty() {
        return 0;
    }
    match pod.int("spec.terminationGracePeriodSeconds") {
        None => GRACE_PERIOD_SECONDS,
        // Stored before negative periods were refused.
        Some(negative) if negative < 0 => 1,
        Some(seconds) => seconds,
    }
}

/// The pod's quality of service: `Guaranteed` when each container's limits are also its requests, `BestEffort` when it
/// asks for nothing, else `Burstable`.
pub(crate) fn qos_class(pod: &Document) -> &'static str {
    let mut requests = [Quantity::ZERO; QOS_RESOURCES.len()];
    let mut limits = requests;
    let mut all_limited = true;
    let of_pod = pod.at("spec.resources");
    let containers: Vec<&Document> = if is_empty(of_pod.at("limits")) && is_empty(of_pod.at("requests")) {
        let lists = pod.list("spec.containers").iter().chain(pod.list("spec.initContainers"));
        lists.map(|container| container.at("resources")).collect()
    } else {
        vec![of_pod]
    };
    for resources in containers {
        for (index, resource) in QOS_RESOURCES.into_iter().enumerate() {
            let amount = |list: &str| resources.at(list).get(resource).and_then(Quantity::of).unwrap_or(Quantity::ZERO);
            let (request, limit) = (amount("requests"), amount("limits"));
            if request.signum() > 0 {
                requests[index] = requests[index].plus(&request);
            }
            if limit.signum() > 0 {
                limits[index] = limits[index].plus(&limit);
            } else {
                all_limited = false;
            }
        }
    }
    if requests.iter().chain(&limits).all(Quantity::is_zero) {
        "BestEffort"
    } else if all_limited && requests == limits {
        "Guaranteed"
    } else {
        "Burstable"
    }
}

/// Turns `matchLabelKeys` and `mismatchLabelKeys` into requirements of the selector beside them, with the values that
/// the pod's own labels have (KEP-3633, KEP-3243).
fn merge_label_keys(pod: &mut Document) {
    let labels = pod.at("metadata.labels").clone();
    for term in pod.list_mut("spec.topologySpreadConstraints") {
        merge_keys(term, &labels, "matchLabelKeys", "In");
    }
    for affinity in ["podAffinity", "podAntiAffinity"] {
        let path = |list: &str| format!("spec.affinity.{affinity}.{list}");
        for term in pod.list_mut(&path("requiredDuringSchedulingIgnoredDuringExecution")) {
            merge_keys(term, &labels, "matchLabelKeys", "In");
            merge_keys(term, &labels, "mismatchLabelKeys", "NotIn");
        }
        for weighted in pod.list_mut(&path("preferredDuringSchedulingIgnoredDuringExecution")) {
            if let Some(term) = weighted.at_mut("podAffinityTerm") {
                merge_keys(term, &labels, "matchLabelKeys", "In");
                merge_keys(term, &labels, "mismatchLabelKeys", "NotIn");
            }
        }
    }
}

fn merge_keys(term: &mut Document, labels: &Document, keys: &str, operator: &str) {
    let requirements: Vec<Document> = term
        .texts(keys)
        .filter_map(|key| Some(json!({"key": key, "operator": operator, "values": [labels.get(key)?]})))
        .collect();
    if requirements.is_empty() || !term.at("labelSelector").is_object() {
        return;
    }
    term.default_to("labelSelector.matchExpressions", Vec::<Document>::new());
    if let Some(Document::Array(expressions)) = term.at_mut("labelSelector.matchExpressions") {
        expressions.extend(requirements);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::strategy_for;

    fn pod_with(containers: Document) -> Document {
        json!({"spec": { "containers": containers }})
    }

    #[test]
    fn the_quality_of_service_follows_requests_and_limits() {
        let both = json!({"cpu": "1", "memory": "1Gi"});
        let table = [
            (json!([{}]), "BestEffort"),
            (json!([{"resources": {"requests": {"nvidia.com/gpu": "1"}}}]), "BestEffort"),
            (json!([{"resources": {"requests": {"cpu": "0"}}}]), "BestEffort"),
            (json!([{"resources": {"requests": {"cpu": "1"}}}]), "Burstable"),
            (json!([{"resources": {"requests": both, "limits": both}}]), "Guaranteed"),
            (json!([{"resources": {"requests": {"cpu": "1000m", "memory": "1024Mi"}, "limits": both}}]), "Guaranteed"),
            (json!([{"resources": {"requests": both, "limits": both}}, {}]), "Burstable"),
            (json!([{"resources": {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": both}}]), "Burstable"),
        ];
        for (containers, expected) in table {
            assert_eq!(qos_class(&pod_with(containers.clone())), expected, "{containers}");
        }
    }

    #[test]
    fn a_new_pod_is_pending_whatever_it_says() {
        let mut pod =
            json!({"metadata": {}, "spec": {"schedulingGates": [{"name": "a"}]}, "status": {"phase": "Running"}});
        (strategy_for("", "Pod").prepare_create)(&mut pod);
        assert_eq!(pod.text("status.phase"), "Pending");
        assert_eq!(pod.text("status.qosClass"), "BestEffort");
        assert_eq!(pod.at("status.conditions")[0].text("reason"), "SchedulingGated");
        assert_eq!(pod.int("metadata.generation"), Some(1));
    }

    #[test]
    fn a_pod_that_does_not_run_needs_no_time_to_stop() {
        let table = [
            (json!({"spec": {"terminationGracePeriodSeconds": 30}}), 0),
            (json!({"spec": {"nodeName": "n", "terminationGracePeriodSeconds": 60}}), 60),
            (json!({"spec": {"nodeName": "n"}}), 30),
            (json!({"spec": {"nodeName": "n", "terminationGracePeriodSeconds": -5}}), 1),
            (json!({"spec": {"nodeName": "n"}, "status": {"phase": "Succeeded"}}), 0),
        ];
        let grace_period = strategy_for("", "Pod").default_grace_period.unwrap();
        for (pod, expected) in table {
            assert_eq!(grace_period(&pod), expected, "{pod}");
        }
    }

    #[test]
    fn label_keys_become_requirements_of_the_selector() {
        let mut pod = json!({
            "metadata": {"labels": {"pod-template-hash": "abc"}},
            "spec": {"topologySpreadConstraints": [
                {"labelSelector": {"matchLabels": {"a": "b"}}, "matchLabelKeys": ["pod-template-hash", "missing"]},
                {"matchLabelKeys": ["pod-template-hash"]},
            ]},
        });
        (strategy_for("", "Pod").prepare_create)(&mut pod);
        let constraints = pod.at("spec.topologySpreadConstraints");
        let expected = json!([{"key": "pod-template-hash", "operator": "In", "values": ["abc"]}]);
        assert_eq!(constraints[0].at("labelSelector.matchExpressions"), &expected);
        assert!(!constraints[1].has("labelSelector"));
    }

    #[test]
    fn pods_are_selected_by_fields() {
        let pod = json!({"spec": {"nodeName": "n1"}, "status": {"phase": "Running", "podIPs": [{"ip": "10.0.0.1"}]}});
        let strategy = strategy_for("", "Pod");
        let value = |field: &str| {
            let (_, read) = strategy.selectable_fields.iter().find(|(name, _)| *name == field).unwrap();
            read(&pod)
        };
        assert_eq!(value("spec.nodeName"), "n1");
        assert_eq!(value("status.podIP"), "10.0.0.1");
        assert_eq!(value("spec.hostNetwork"), "false");
        assert_eq!(value("spec.restartPolicy"), "");
    }
}
