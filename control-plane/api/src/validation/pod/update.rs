//! What of a pod can be changed: images, deadlines, more tolerations, fewer scheduling gates; by subresource also
//! ephemeral containers and resources.

use std::collections::BTreeSet;

use super::containers::image_without_white_space;
use super::pod_spec_of_pod;
use crate::Document;
use crate::field::{Errors, FieldError, Path, quote};
use crate::names;
use crate::strategy::qos_class;
use crate::validation::{Place, difference};
use crate::view::{Edit, View, equivalent};

/// The fields that an update may change, as the refusal of any other lists them.
const UPDATABLE: &str = "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,\
                         `spec.tolerations` (only additions to existing tolerations),\
                         `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

/// What a pod carries that the kubelet made from a file.
const MIRROR_ANNOTATION: &str = "kubernetes.io/config.mirror";

/// An update of a pod, metadata apart. `old` is the whole stored pod.
pub(crate) fn update(pod: &Place<'_>, old: &Document, errors: &mut Errors) {
    pod_spec_of_pod(pod, errors);
    let spec = pod.child("spec");
    for list in ["containers", "initContainers"] {
        let place = spec.child(list);
        if place.len() != old.at("spec").list(list).len() {
            errors.forbidden(&place, "pod updates may not add or remove containers");
            return;
        }
        for container in place.items() {
            image_without_white_space(&container, errors);
        }
    }
    if !active_deadline(&spec, old, errors) {
        return;
    }
    only_added_tolerations(&spec.child("tolerations"), old, errors);
    only_removed_gates(&spec.child("schedulingGates"), old, errors);
    if equivalent(spec.value(), old.at("spec")) {
        return;
    }
    let updated = without_updatable(pod.value(), old, errors);
    if !equivalent(&updated, old.at("spec")) {
        let changes = difference(old.at("spec"), &updated);
        let detail = format!("pod updates may not change fields other than {UPDATABLE}\n{changes}");
        errors.push(FieldError::forbidden(&spec.path(), detail));
    }
}

/// An update through `ephemeralcontainers`: more of them, the others as they were.
pub(crate) fn ephemeral_containers(pod: &Place<'_>, old: &Document, errors: &mut Errors) {
    if old.at("metadata.annotations").get(MIRROR_ANNOTATION).is_some() {
        errors.push(FieldError::forbidden(&Path::default(), "static pods do not support ephemeral containers"));
        return;
    }
    pod_spec_of_pod(pod, errors);
    let spec = pod.child("spec");
    let list = spec.child("ephemeralContainers");
    for before in old.list("spec.ephemeralContainers") {
        let name = before.text("name");
        match list.items().find(|container| container.value().text("name") == name) {
            None => {
                let detail = format!("existing ephemeral containers {} may not be removed\n", quote(name));
                errors.forbidden(&list, detail);
            }
            Some(after) if !equivalent(after.value(), before) => {
                let changes = difference(before, after.value());
                let name = quote(name);
                errors.forbidden(&list, format!("existing ephemeral containers {name} may not be changed\n{changes}"));
            }
            Some(_) => {}
        }
    }
}

/// An update through `resize`: other amounts of cpu and memory, the same quality of service.
pub(crate) fn resize(pod: &Place<'_>, old: &Document, errors: &mut Errors) {
    if old.at("metadata.annotations").get(MIRROR_ANNOTATION).is_some() {
        errors.push(FieldError::forbidden(&Path::default(), "static pods cannot be resized"));
        return;
    }
    pod_spec_of_pod(pod, errors);
    if qos_class(pod.value()) != qos_class(old) {
        let path = Path::new("spec");
        errors.push(FieldError::invalid(
            &path,
            qos_class(pod.value()),
            "Pod QOS Class may not change as a result of resizing",
        ));
    }
    let spec = pod.child("spec");
    for list in ["containers", "initContainers"] {
        for container in spec.child(list).items() {
            let name = container.value().text("name");
            let before = old.at("spec").list(list).iter().find(|before| before.text("name") == name);
            let Some(before) = before else { continue };
            let resources = container.child("resources");
            for amounts in ["requests", "limits"] {
                only_cpu_and_memory(&resources.child(amounts), before.at("resources").at(amounts), errors);
            }
        }
    }
}

/// Other resources than cpu and memory stay, and none is taken away.
fn only_cpu_and_memory(amounts: &Place<'_>, old: &Document, errors: &mut Errors) {
    let given = amounts.value();
    let names = old.as_object().into_iter().chain(given.as_object()).flatten().map(|(name, _)| name);
    for name in names.collect::<BTreeSet<_>>() {
        let (before, after) = (old.get(name), given.get(name));
        let is_resizable = matches!(name.as_str(), "cpu" | "memory");
        if is_resizable && before.is_some() && after.is_none() {
            errors.forbidden(&amounts.key(name), "resource cannot be removed");
        } else if !is_resizable && before != after {
            errors.forbidden(&amounts.key(name), "only cpu and memory resources are mutable");
        }
    }
}

/// A deadline can be set, or brought forward. False where it is so wrong that nothing more is to be said.
fn active_deadline(spec: &Place<'_>, old: &Document, errors: &mut Errors) -> bool {
    let deadline = spec.child("activeDeadlineSeconds");
    let before = old.int("spec.activeDeadlineSeconds");
    match (deadline.int(), before) {
        (Some(seconds), _) if !(0..=i64::from(i32::MAX)).contains(&seconds) => {
            errors.invalid_int(&deadline, names::out_of_range(0, i64::from(i32::MAX)));
            false
        }
        (Some(seconds), Some(before)) if before < seconds => {
            errors.invalid_int(&deadline, "must be less than or equal to previous value");
            false
        }
        (None, Some(_)) => {
            errors.invalid(&deadline, "must not update from a positive integer to nil value");
            true
        }
        _ => true,
    }
}

/// What is tolerated stays tolerated, for as long or as short as anyone likes.
fn only_added_tolerations(tolerations: &Place<'_>, old: &Document, errors: &mut Errors) {
    let without_seconds = |toleration: &Document| {
        let mut bare = toleration.clone();
        bare.remove("tolerationSeconds");
        bare
    };
    let given: Vec<Document> = tolerations.items().map(|toleration| without_seconds(toleration.value())).collect();
    let is_kept = |before: &Document| given.iter().any(|after| equivalent(after, &without_seconds(before)));
    if !old.list("spec.tolerations").iter().all(is_kept) {
        errors.forbidden(tolerations, "existing toleration can not be modified except its tolerationSeconds");
    }
}

fn only_removed_gates(gates: &Place<'_>, old: &Document, errors: &mut Errors) {
    let before = old.list("spec.schedulingGates");
    for gate in gates.items() {
        let name = gate.value().text("name");
        if !before.iter().any(|before| before.text("name") == name) {
            let detail = format!("only deletion is allowed, but found new scheduling gate '{name}'");
            errors.forbidden(&gate.child("name"), detail);
        }
    }
}

/// The new spec, with everything that may be changed as it was.
fn without_updatable(pod: &Document, old: &Document, errors: &mut Errors) -> Document {
    let mut spec = pod.at("spec").clone();
    let before = old.at("spec");
    for list in ["containers", "initContainers"] {
        for (index, container) in spec.list_mut(list).iter_mut().enumerate() {
            if let Some(before) = before.list(list).get(index) {
                container.copy_from(before, "image");
            }
        }
    }
    for field in ["activeDeadlineSeconds", "schedulingGates", "tolerations"] {
        spec.copy_from(before, field);
    }
    let was_negative = before.int("terminationGracePeriodSeconds").is_some_and(|seconds| seconds < 0);
    if was_negative && spec.int("terminationGracePeriodSeconds") == Some(1) {
        spec.copy_from(before, "terminationGracePeriodSeconds");
    }
    if !before.list("schedulingGates").is_empty() {
        while_gated(pod, &mut spec, before, errors);
    }
    spec
}

/// Before it is scheduled, a gated pod can be restricted to fewer nodes.
fn while_gated(pod: &Document, spec: &mut Document, before: &Document, errors: &mut Errors) {
    let pod = Place::root(pod);
    let selector = pod.child("spec.nodeSelector");
    if !equivalent(selector.value(), before.at("nodeSelector")) {
        let kept = |(key, value): (&String, &Document)| selector.value().get(key) == Some(value);
        if !before.fields("nodeSelector").iter().all(kept) {
            let detail = "only additions to spec.nodeSelector are allowed (no mutations or deletions)";
            errors.invalid(&selector, detail);
        }
        spec.copy_from(before, "nodeSelector");
    }
    let required = "requiredDuringSchedulingIgnoredDuringExecution";
    let terms_path = format!("spec.affinity.nodeAffinity.{required}.nodeSelectorTerms");
    let terms = pod.child(&terms_path);
    let old_terms = before.at("affinity.nodeAffinity").at(required).list("nodeSelectorTerms");
    if !old_terms.is_empty() {
        only_added_requirements(&terms, old_terms, errors);
    }
    spec.copy_from(before, "affinity.nodeAffinity");
    if !before.has("affinity") && spec.fields("affinity").is_empty() {
        spec.remove("affinity");
    }
}

fn only_added_requirements(terms: &Place<'_>, old: &[Document], errors: &mut Errors) {
    if terms.len() != old.len() {
        errors.invalid(terms, "no additions/deletions to non-empty NodeSelectorTerms list are allowed");
        return;
    }
    for (term, before) in terms.items().zip(old) {
        let is_kept = |list: &str| {
            let after = term.value().list(list);
            let before = before.list(list);
            before.len() <= after.len() && before.iter().zip(after).all(|(before, after)| equivalent(before, after))
        };
        let matched_nothing = before.list("matchExpressions").is_empty() && before.list("matchFields").is_empty();
        if matched_nothing || !is_kept("matchExpressions") || !is_kept("matchFields") {
            errors.invalid(&term, "only additions are allowed (no mutations or deletions)");
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::strategy::strategy_for;

    fn stored(change: impl FnOnce(&mut Document)) -> Document {
        let mut pod = json!({
            "metadata": {"name": "p", "namespace": "default"},
            "spec": {"containers": [{"name": "a", "image": "nginx:1"}], "tolerations": [{"key": "x", "operator": "Exists"}]},
        });
        change(&mut pod);
        let strategy = strategy_for("", "Pod");
        (strategy.default)(&mut pod);
        (strategy.prepare_create)(&mut pod);
        assert_eq!((strategy.validate)(&pod), []);
        pod
    }

    fn refusals_of(old: &Document, change: impl FnOnce(&mut Document)) -> String {
        let mut new = old.clone();
        change(&mut new);
        let strategy = strategy_for("", "Pod");
        (strategy.default)(&mut new);
        (strategy.prepare_update)(&mut new, old);
        let errors = (strategy.validate_update)(&new, old);
        errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn images_deadlines_tolerations_and_labels_can_be_changed() {
        let old = stored(|_| {});
        let changes: [fn(&mut Document); 5] = [
            |pod| pod["spec"]["containers"][0]["image"] = json!("nginx:2"),
            |pod| pod["spec"]["activeDeadlineSeconds"] = json!(60),
            |pod| pod["spec"]["tolerations"] = json!([{"key": "x", "operator": "Exists"}, {"operator": "Exists"}]),
            |pod| pod["metadata"]["labels"] = json!({"color": "red"}),
            |_| {},
        ];
        for change in changes {
            assert_eq!(refusals_of(&old, change), "");
        }
    }

    #[test]
    fn nothing_else_can_be_changed() {
        let old = stored(|_| {});
        let text = refusals_of(&old, |pod| pod["spec"]["containers"][0]["args"] = json!(["-x"]));
        assert!(
            text.starts_with(
                "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,\
                 `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing \
                 tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n"
            ),
            "{text}"
        );
        let text = refusals_of(&old, |pod| {
            pod["spec"]["containers"].as_array_mut().unwrap().push(json!({"name": "b", "image": "x"}));
        });
        assert_eq!(text, "spec.containers: Forbidden: pod updates may not add or remove containers");
        let text = refusals_of(&old, |pod| pod["spec"]["tolerations"] = json!([]));
        assert_eq!(
            text,
            "spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds"
        );
        let text = refusals_of(&old, |pod| pod["spec"]["schedulingGates"] = json!([{"name": "g"}]));
        assert_eq!(
            text,
            "spec.schedulingGates[0].name: Forbidden: only deletion is allowed, but found new scheduling gate 'g'"
        );
    }

    #[test]
    fn a_gated_pod_can_be_restricted_further() {
        let old = stored(|pod| pod["spec"]["schedulingGates"] = json!([{"name": "g"}]));
        assert_eq!(refusals_of(&old, |pod| pod["spec"]["nodeSelector"] = json!({"zone": "a"})), "");
        let affinity = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
            {"matchExpressions": [{"key": "a", "operator": "Exists"}]}]}}});
        assert_eq!(refusals_of(&old, |pod| pod["spec"]["affinity"] = affinity), "");
        let old = stored(|pod| {
            pod["spec"]["schedulingGates"] = json!([{"name": "g"}]);
            pod["spec"]["nodeSelector"] = json!({"zone": "a"});
        });
        assert_eq!(
            refusals_of(&old, |pod| pod["spec"]["nodeSelector"] = json!({"zone": "b"})),
            "spec.nodeSelector: Invalid value: {\"zone\":\"b\"}: only additions to spec.nodeSelector are allowed (no \
             mutations or deletions)"
        );
    }

    #[test]
    fn ephemeral_containers_can_only_be_added() {
        let old = stored(|_| {});
        let update = strategy_for("", "Pod").subresource_updates[0];
        let refusals = |old: &Document, containers: Document| {
            let mut new = old.clone();
            new["spec"]["ephemeralContainers"] = containers;
            (strategy_for("", "Pod").default)(&mut new);
            (update.prepare)(&mut new, old);
            let errors = (update.validate)(&new, old);
            (errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"), new)
        };
        let debugger = json!({"name": "debug", "image": "busybox", "targetContainerName": "a"});
        let (text, with_debugger) = refusals(&old, json!([debugger]));
        assert_eq!(text, "");
        assert_eq!(
            refusals(&old, json!([{"name": "debug", "image": "busybox", "ports": [{"containerPort": 80}]}])).0,
            "spec.ephemeralContainers[0].ports: Forbidden: cannot be set for an Ephemeral Container"
        );
        assert_eq!(
            refusals(&old, json!([{"name": "debug", "image": "busybox", "targetContainerName": "z"}])).0,
            "spec.ephemeralContainers[0].targetContainerName: Not found: \"z\""
        );
        assert_eq!(
            refusals(&with_debugger, json!([])).0,
            "spec.ephemeralContainers: Forbidden: existing ephemeral containers \"debug\" may not be removed\n"
        );
    }

    #[test]
    fn a_resize_keeps_the_quality_of_service() {
        let old = stored(|pod| pod["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": "1"}}));
        let update = strategy_for("", "Pod").subresource_updates[1];
        let refusals = |resources: Document| {
            let mut new = old.clone();
            new["spec"]["containers"][0]["resources"] = resources;
            (update.prepare)(&mut new, &old);
            let errors = (update.validate)(&new, &old);
            errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        };
        assert_eq!(refusals(json!({"requests": {"cpu": "2"}})), "");
        assert!(refusals(json!({})).contains("Pod QOS Class may not change as a result of resizing"));
        assert!(
            refusals(json!({"requests": {"cpu": "1", "ephemeral-storage": "1Gi"}}))
                .contains("only cpu and memory resources are mutable")
        );
    }
}
