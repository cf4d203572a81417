//! What keeps a number of pods running: apps/v1 and replication controllers.

use serde_json::json;

use super::pod;
use super::{IMMUTABLE, Place, int_or_percent, labels, not_negative, optional_one_of, required_text, storage};
use crate::Document;
use crate::field::{Errors, FieldError};
use crate::names;
use crate::selector::LabelSelector;
use crate::view::{Edit, View, equivalent, is_empty};

const STATUS_BOUND: &str = "cannot be greater than status.replicas";
const READY_BOUND: &str = "cannot be greater than readyReplicas";

/// A deployment, metadata apart.
pub(crate) fn deployment(deployment: &Place<'_>, errors: &mut Errors) {
    let spec = deployment.child("spec");
    not_negative(&spec.child("replicas"), errors);
    selector_and_template(&spec, "deployment", errors);
    deployment_strategy(&spec.child("strategy"), errors);
    for name in ["minReadySeconds", "revisionHistoryLimit"] {
        not_negative(&spec.child(name), errors);
    }
    let deadline = spec.child("progressDeadlineSeconds");
    not_negative(&deadline, errors);
    if deadline.int().is_some_and(|seconds| seconds <= spec.value().int("minReadySeconds").unwrap_or_default()) {
        errors.invalid_int(&deadline, "must be greater than minReadySeconds");
    }
}

/// A replica set, metadata apart.
pub(crate) fn replica_set(set: &Place<'_>, errors: &mut Errors) {
    let spec = set.child("spec");
    for name in ["replicas", "minReadySeconds"] {
        not_negative(&spec.child(name), errors);
    }
    // Its messages speak of the deployment that usually made it.
    selector_and_template(&spec, "deployment", errors);
}

/// A selector that selects the pods of the template beside it, and not every pod.
fn selector_and_template(spec: &Place<'_>, workload: &str, errors: &mut Errors) {
    let selector = spec.child("selector");
    match strict_selector(&selector, &format!("empty selector is invalid for {workload}"), errors) {
        Ok(selector) => pod::workload_template(&spec.child("template"), Some(&selector), "ReplicaSet", errors),
        Err(()) => errors.invalid(&selector, "invalid label selector"),
    }
}

/// The selector that an object stands for, refused where it is absent, malformed or selects everything.
fn strict_selector(place: &Place<'_>, if_empty: &str, errors: &mut Errors) -> Result<LabelSelector, ()> {
    if place.is_set() {
        labels::label_selector(place, errors);
        if is_empty(place.value().at("matchLabels")) && is_empty(place.value().at("matchExpressions")) {
            errors.invalid(place, if_empty);
        }
    } else {
        errors.required(place, "");
    }
    LabelSelector::from_object(place.value()).map_err(|_| ())
}

fn deployment_strategy(strategy: &Place<'_>, errors: &mut Errors) {
    let rolling = strategy.child("rollingUpdate");
    match strategy.value().text("type") {
        "Recreate" if rolling.is_set() => {
            errors.forbidden(&rolling, "may not be specified when strategy `type` is 'Recreate'");
        }
        "Recreate" => {}
        "RollingUpdate" if rolling.is_set() => {
            let (unavailable, surge) = (rolling.child("maxUnavailable"), rolling.child("maxSurge"));
            int_or_percent::check(&unavailable, errors);
            int_or_percent::check(&surge, errors);
            if int_or_percent::is_zero(&unavailable) && int_or_percent::is_zero(&surge) {
                errors.invalid(&unavailable, "may not be 0 when `maxSurge` is 0");
            }
            int_or_percent::not_more_than_all(&unavailable, errors);
        }
        "RollingUpdate" => errors.required(&rolling, "this should be defaulted and never be nil"),
        _ => {
            let path = strategy.path();
            let supported = ["Recreate", "RollingUpdate"];
            errors.push(FieldError::not_supported(&path, strategy.value().clone(), &supported));
        }
    }
}

/// A daemon set, metadata apart.
pub(crate) fn daemon_set(set: &Place<'_>, errors: &mut Errors) {
    let spec = set.child("spec");
    let (selector, template) = (spec.child("selector"), spec.child("template"));
    labels::label_selector(&selector, errors);
    let chosen = LabelSelector::from_object(selector.value()).ok();
    if chosen.as_ref().is_some_and(LabelSelector::is_empty) {
        errors.invalid(&selector, "empty selector is invalid for daemonset");
    }
    pod::workload_template(&template, chosen.as_ref(), "DaemonSet", errors);
    for name in ["minReadySeconds", "revisionHistoryLimit"] {
        not_negative(&spec.child(name), errors);
    }
    daemon_set_strategy(&spec.child("updateStrategy"), errors);
}

fn daemon_set_strategy(strategy: &Place<'_>, errors: &mut Errors) {
    let rolling = strategy.child("rollingUpdate");
    match strategy.value().text("type") {
        "OnDelete" => {}
        "RollingUpdate" if rolling.is_set() => {
            let (unavailable, surge) = (rolling.child("maxUnavailable"), rolling.child("maxSurge"));
            for place in [&unavailable, &surge] {
                int_or_percent::check(place, errors);
            }
            for place in [&unavailable, &surge] {
                int_or_percent::not_more_than_all(place, errors);
            }
            match (int_or_percent::is_zero(&unavailable), int_or_percent::is_zero(&surge)) {
                (false, false) => errors.invalid(&surge, "may not be set when maxUnavailable is non-zero"),
                (true, true) => errors.required(&unavailable, "cannot be 0 when maxSurge is 0"),
                _ => {}
            }
        }
        "RollingUpdate" => errors.required(&rolling, ""),
        _ => {
            let path = strategy.path();
            let supported = ["RollingUpdate", "OnDelete"];
            errors.push(FieldError::not_supported(&path, strategy.value().clone(), &supported));
        }
    }
}

/// The selector of a workload of apps/v1 stays.
pub(crate) fn fixed_selector(new: &Place<'_>, old: &Document, errors: &mut Errors) {
    super::immutable(&new.child("spec.selector"), old.at("spec.selector"), errors);
}

/// A stateful set, metadata apart.
pub(crate) fn stateful_set(set: &Place<'_>, errors: &mut Errors) {
    let spec = set.child("spec");
    let policy = spec.child("podManagementPolicy");
    match policy.text() {
        "OrderedReady" | "Parallel" => {}
        "" => errors.required(&policy, ""),
        _ => errors.invalid_text(&policy, "must be 'OrderedReady' or 'Parallel'"),
    }
    stateful_set_strategy(&spec.child("updateStrategy"), errors);
    let retention = spec.child("persistentVolumeClaimRetentionPolicy");
    for name in ["whenDeleted", "whenScaled"] {
        optional_one_of(&retention.child(name), &["Retain", "Delete"], errors);
    }
    for name in ["replicas", "minReadySeconds", "revisionHistoryLimit", "ordinals.start"] {
        not_negative(&spec.child(name), errors);
    }
    let service = spec.child("serviceName");
    if !service.text().is_empty() {
        errors.reasons(&service, names::dns_label(service.text()));
    }
    let selector = spec.child("selector");
    let template = with_claims_as_volumes(spec.value());
    let template = spec.shown_as("template", &template);
    match strict_selector(&selector, "empty selector is invalid for statefulset", errors) {
        Ok(selector) => pod::workload_template(&template, Some(&selector), "StatefulSet", errors),
        Err(()) => errors.invalid(&selector, ""),
    }
    for claim in spec.child("volumeClaimTemplates").items() {
        let name = claim.child("metadata.name");
        required_text(&name, errors);
        storage::claim_spec(&claim.child("spec"), errors);
    }
}

/// The template as its pods will be: each claim is a volume that containers mount.
fn with_claims_as_volumes(spec: &Document) -> Document {
    let mut template = spec.at("template").clone();
    let claims: Vec<&str> = spec.list("volumeClaimTemplates").iter().map(|claim| claim.text("metadata.name")).collect();
    if claims.is_empty() {
        return template;
    }
    let own = template.list("spec.volumes").iter().filter(|volume| !claims.contains(&volume.text("name"))).cloned();
    let made = claims.iter().map(|name| json!({"name": name, "persistentVolumeClaim": {"claimName": name}}));
    let volumes: Vec<Document> = own.chain(made).collect();
    template.put("spec.volumes", volumes);
    template
}

fn stateful_set_strategy(strategy: &Place<'_>, errors: &mut Errors) {
    let rolling = strategy.child("rollingUpdate");
    match strategy.value().text("type") {
        "" => errors.required(strategy, ""),
        "OnDelete" if rolling.is_set() => {
            errors.invalid(&rolling, "only allowed for updateStrategy 'RollingUpdate'");
        }
        "OnDelete" => {}
        "RollingUpdate" => {
            not_negative(&rolling.child("partition"), errors);
            let unavailable = rolling.child("maxUnavailable");
            if unavailable.is_set() {
                int_or_percent::check(&unavailable, errors);
                if int_or_percent::is_zero(&unavailable) {
                    errors.invalid(&unavailable, "cannot be 0");
                }
                int_or_percent::not_more_than_all(&unavailable, errors);
            }
        }
        _ => errors.invalid(strategy, "must be 'RollingUpdate' or 'OnDelete'"),
    }
}

/// An update of a stateful set: what its pods depend on stays.
pub(crate) fn stateful_set_update(set: &Place<'_>, old: &Document, errors: &mut Errors) {
    const MUTABLE: [&str; 7] = [
        "replicas",
        "ordinals",
        "template",
        "updateStrategy",
        "revisionHistoryLimit",
        "persistentVolumeClaimRetentionPolicy",
        "minReadySeconds",
    ];
    stateful_set(set, errors);
    let mut after = set.value().at("spec").clone();
    for field in MUTABLE {
        after.copy_from(old.at("spec"), field);
    }
    if !equivalent(&after, old.at("spec")) {
        let detail = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', \
                      'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and \
                      'minReadySeconds' are forbidden";
        errors.forbidden(&set.child("spec"), detail);
    }
}

/// A replication controller, metadata apart.
pub(crate) fn replication_controller(controller: &Place<'_>, errors: &mut Errors) {
    let spec = controller.child("spec");
    not_negative(&spec.child("minReadySeconds"), errors);
    let (selector, template) = (spec.child("selector"), spec.child("template"));
    if selector.len() == 0 {
        errors.required(&selector, "");
    }
    not_negative(&spec.child("replicas"), errors);
    if template.is_set() {
        let selector = LabelSelector::from_map(selector.value());
        pod::workload_template(&template, Some(&selector), "ReplicationController", errors);
    } else {
        errors.required(&template, "");
    }
}

/// A controller revision, metadata apart.
pub(crate) fn controller_revision(revision: &Place<'_>, errors: &mut Errors) {
    let data = revision.child("data");
    if !data.is_set() {
        errors.required(&data, "data is mandatory");
    }
    not_negative(&revision.child("revision"), errors);
}

/// An update of a controller revision: what it remembers stays.
pub(crate) fn controller_revision_update(new: &Place<'_>, old: &Document, errors: &mut Errors) {
    controller_revision(new, errors);
    let data = new.child("data");
    if data.value() != old.at("data") {
        errors.invalid(&data, IMMUTABLE);
    }
}

/// The counts of a status: none negative, none of `bounded` above `replicas`, none available that is not ready.
pub(crate) fn status(
    object: &Place<'_>,
    old: &Document,
    counts: &[&str],
    (bounded, if_not_ready): (&[&str], &str),
    errors: &mut Errors,
) {
    let status = object.child("status");
    for name in counts.iter().chain(&["observedGeneration", "collisionCount"]) {
        not_negative(&status.child(name), errors);
    }
    let count = |name: &str| status.value().int(name).unwrap_or_default();
    for name in bounded {
        if count(name) > count("replicas") {
            errors.invalid_int(&status.child(name), STATUS_BOUND);
        }
    }
    if bounded.contains(&"availableReplicas") && count("availableReplicas") > count("readyReplicas") {
        errors.invalid_int(&status.child("availableReplicas"), if_not_ready);
    }
    let collisions = status.child("collisionCount");
    if collisions.int().unwrap_or_default() < old.int("status.collisionCount").unwrap_or_default() {
        errors.invalid_int(&collisions, "cannot be decremented");
    }
}

/// The status of a deployment.
pub(crate) fn deployment_status(object: &Place<'_>, old: &Document, errors: &mut Errors) {
    const COUNTS: [&str; 5] =
        ["replicas", "updatedReplicas", "readyReplicas", "availableReplicas", "unavailableReplicas"];
    status(object, old, &COUNTS, (&COUNTS[1..4], READY_BOUND), errors);
}

/// The status of a replica set or replication controller.
pub(crate) fn replica_set_status(object: &Place<'_>, old: &Document, errors: &mut Errors) {
    const COUNTS: [&str; 4] = ["replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas"];
    status(object, old, &COUNTS, (&COUNTS[1..], READY_BOUND), errors);
}

/// The status of a stateful set.
pub(crate) fn stateful_set_status(object: &Place<'_>, old: &Document, errors: &mut Errors) {
    const COUNTS: [&str; 5] = ["replicas", "readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"];
    status(object, old, &COUNTS, (&COUNTS[1..], "cannot be greater than status.readyReplicas"), errors);
}

/// The status of a daemon set.
pub(crate) fn daemon_set_status(object: &Place<'_>, old: &Document, errors: &mut Errors) {
    const COUNTS: [&str; 7] = [
        "currentNumberScheduled",
        "numberMisscheduled",
        "desiredNumberScheduled",
        "numberReady",
        "updatedNumberScheduled",
        "numberAvailable",
        "numberUnavailable",
    ];
    status(object, old, &COUNTS, (&[], ""), errors);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::Document;
    use crate::validation::tests::{refusals, refusals_of_spec, refusals_of_status, refusals_of_update};
    use crate::view::Edit;

    fn spec(fields: Document) -> Document {
        let mut spec = json!({
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "a", "image": "x"}]}},
        });
        for (path, value) in fields.as_object().unwrap() {
            spec.put(path, value.clone());
        }
        spec
    }

    #[test]
    fn each_workload_selects_the_pods_of_its_template() {
        for kind in ["Deployment", "ReplicaSet", "StatefulSet", "DaemonSet"] {
            assert_eq!(refusals_of_spec("apps", kind, &spec(json!({}))), "", "{kind}");
            assert_eq!(
                refusals_of_spec("apps", kind, &spec(json!({"template.metadata.labels": {"app": "db"}}))),
                "spec.template.metadata.labels: Invalid value: {\"app\":\"db\"}: `selector` does not match template \
                 `labels`",
                "{kind}"
            );
            let never = refusals_of_spec("apps", kind, &spec(json!({"template.spec.restartPolicy": "Never"})));
            assert_eq!(
                never, "spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: \"Always\"",
                "{kind}"
            );
        }
        let controller = spec(json!({"selector": {"app": "db"}}));
        assert!(refusals_of_spec("", "ReplicationController", &controller).contains("does not match template"));
    }

    #[test]
    fn a_deployment_without_a_selector_is_refused() {
        let mut deployment = spec(json!({}));
        deployment.remove("selector");
        assert!(refusals_of_spec("apps", "Deployment", &deployment).starts_with("spec.selector: Required value\n"));
    }

    #[test]
    fn deployments_are_refused_in_kubernetes_words() {
        let table = [
            (json!({"replicas": -1}), "spec.replicas: Invalid value: -1: must be greater than or equal to 0"),
            (
                json!({"strategy": {"type": "Recreate", "rollingUpdate": {}}}),
                "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'",
            ),
            (
                json!({"strategy": {"type": "Magic"}}),
                "spec.strategy: Unsupported value: {\"type\":\"Magic\"}: supported values: \"Recreate\", \
                 \"RollingUpdate\"",
            ),
            (
                json!({"strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": "0%"}}}),
                "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0",
            ),
            (
                json!({"strategy": {"rollingUpdate": {"maxUnavailable": "101%", "maxSurge": "a"}}}),
                "spec.strategy.rollingUpdate.maxSurge: Invalid value: \"a\": a valid percent string must be a numeric \
                 string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')\n\
                 spec.strategy.rollingUpdate.maxUnavailable: Invalid value: \"101%\": must not be greater than 100%",
            ),
            (
                json!({"minReadySeconds": 600}),
                "spec.progressDeadlineSeconds: Invalid value: 600: must be greater than minReadySeconds",
            ),
            (
                json!({"template.spec.activeDeadlineSeconds": 5}),
                "spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in ReplicaSet is not \
                 Supported",
            ),
        ];
        for (fields, expected) in table {
            assert_eq!(refusals_of_spec("apps", "Deployment", &spec(fields.clone())), expected, "{fields}");
        }
    }

    #[test]
    fn selectors_stay() {
        for kind in ["Deployment", "ReplicaSet", "DaemonSet"] {
            let old = json!({"spec": spec(json!({}))});
            let mut new = old.clone();
            new.put("spec.selector.matchLabels.tier", "a");
            new.put("spec.template.metadata.labels.tier", "a");
            assert_eq!(
                refusals_of_update("apps", kind, &old, &new),
                "spec.selector: Invalid value: {\"matchLabels\":{\"app\":\"web\",\"tier\":\"a\"}}: field is immutable",
                "{kind}"
            );
        }
    }

    #[test]
    fn a_stateful_set_mounts_its_claims() {
        let claim = json!({"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}}}});
        let mut set = spec(json!({"volumeClaimTemplates": [claim]}));
        set["template"]["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "data", "mountPath": "/data"}]);
        assert_eq!(refusals_of_spec("apps", "StatefulSet", &set), "");
        set.put("volumeClaimTemplates", json!([]));
        assert!(refusals_of_spec("apps", "StatefulSet", &set).contains("volumeMounts[0].name: Not found: \"data\""));
    }

    #[test]
    fn a_stateful_set_changes_few_fields() {
        let old = json!({"spec": spec(json!({"serviceName": "web"}))});
        let mut scaled = old.clone();
        scaled.put("spec.replicas", 5);
        assert_eq!(refusals_of_update("apps", "StatefulSet", &old, &scaled), "");
        let mut renamed = old.clone();
        renamed.put("spec.serviceName", "db");
        assert_eq!(
            refusals_of_update("apps", "StatefulSet", &old, &renamed),
            "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', \
             'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are \
             forbidden"
        );
    }

    #[test]
    fn daemon_sets_are_refused_in_kubernetes_words() {
        let both = json!({"updateStrategy": {"rollingUpdate": {"maxUnavailable": 1, "maxSurge": 1}}});
        assert_eq!(
            refusals_of_spec("apps", "DaemonSet", &spec(both)),
            "spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: 1: may not be set when maxUnavailable is non-zero"
        );
        let none = json!({"updateStrategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 0}}});
        assert_eq!(
            refusals_of_spec("apps", "DaemonSet", &spec(none)),
            "spec.updateStrategy.rollingUpdate.maxUnavailable: Required value: cannot be 0 when maxSurge is 0"
        );
    }

    #[test]
    fn counts_of_a_status_agree() {
        let old = json!({"spec": spec(json!({})), "status": {"collisionCount": 2}});
        let mut new = old.clone();
        new.put("status", json!({"replicas": 1, "readyReplicas": 2, "availableReplicas": -1}));
        assert_eq!(
            refusals_of_status("apps", "Deployment", &old, &new),
            "status.availableReplicas: Invalid value: -1: must be greater than or equal to 0\n\
             status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas\n\
             status.collisionCount: Invalid value: 0: cannot be decremented"
        );
    }

    #[test]
    fn a_revision_keeps_its_data() {
        let old = json!({"data": {"a": 1}, "revision": 1});
        assert_eq!(refusals("apps", "ControllerRevision", &old), "");
        assert_eq!(
            refusals_of_update("apps", "ControllerRevision", &old, &json!({"data": {"a": 2}, "revision": 1})),
            "data: Invalid value: {\"a\":2}: field is immutable"
        );
        assert_eq!(
            refusals("apps", "ControllerRevision", &json!({"revision": 1})),
            "data: Required value: data is mandatory"
        );
    }
}
