//! What the status of a pod may become.

use std::collections::BTreeSet;

use crate::Document;
use crate::field::Errors;
use crate::names;
use crate::validation::{Place, net, subdomain};
use crate::view::View;

/// An update of a pod's status. `old` is the whole stored pod.
pub(crate) fn status(pod: &Place<'_>, old: &Document, errors: &mut Errors) {
    let status = pod.child("status");
    conditions(pod, &status, errors);
    let nominated = status.child("nominatedNodeName");
    if nominated.text() != old.text("status.nominatedNodeName") && !nominated.text().is_empty() {
        subdomain(&nominated, errors);
    }
    let policy = old.text("spec.restartPolicy");
    let restarts = |name: &str, list: &str| -> bool {
        old.list(list).iter().any(|spec| spec.text("name") == name && !spec.text("restartPolicy").is_empty())
    };
    let lists = [
        ("containerStatuses", policy, "spec.containers"),
        ("initContainerStatuses", policy, "spec.initContainers"),
        // An ephemeral container never runs again.
        ("ephemeralContainerStatuses", "Never", ""),
    ];
    for (list, policy, specs) in lists {
        let old_statuses = old.at("status").list(list);
        stay_terminated(&status.child(list), old_statuses, policy, |name| restarts(name, specs), errors);
    }
    claims(pod, &status.child("resourceClaimStatuses"), errors);
    addresses(&status.child("podIPs"), errors);
    let host_ips = status.child("hostIPs");
    if host_ips.len() > 0 {
        let first = host_ips.index(0);
        let first = first.child("ip");
        if first.text() != status.value().text("hostIP") {
            errors.invalid_text(&first, "must be equal to `hostIP`");
        }
        addresses(&host_ips, errors);
    }
}

/// Conditions of other kinds than the kubelet's have qualified names. Messages name them below metadata.
fn conditions(pod: &Place<'_>, status: &Place<'_>, errors: &mut Errors) {
    let metadata = pod.child("metadata");
    let shown = metadata.shown_as("conditions", status.value().at("conditions"));
    for condition in shown.items() {
        let ty = condition.value().text("type");
        if !matches!(ty, "PodScheduled" | "Ready" | "Initialized") {
            let place = condition.shown_as("Type", condition.value().at("type"));
            errors.reasons(&place, names::qualified_name(ty));
        }
    }
}

/// A container that ended and will not be started again stays ended.
fn stay_terminated(
    statuses: &Place<'_>,
    old: &[Document],
    policy: &str,
    has_own_policy: impl Fn(&str) -> bool,
    errors: &mut Errors,
) {
    if policy == "Always" {
        return;
    }
    for (index, before) in old.iter().enumerate() {
        let ended = before.at("state.terminated");
        let failed = ended.int("exitCode").unwrap_or_default() != 0;
        let name = before.text("name");
        if !ended.is_object() || (failed && policy == "OnFailure") || has_own_policy(name) {
            continue;
        }
        let runs =
            statuses.items().any(|after| after.value().text("name") == name && !after.value().has("state.terminated"));
        if runs {
            let place = statuses.index(index);
            errors.forbidden(&place.child("state"), "may not be transitioned to non-terminated state");
        }
    }
}

fn claims(pod: &Place<'_>, statuses: &Place<'_>, errors: &mut Errors) {
    let known = pod.value().list("spec.resourceClaims");
    let mut seen = BTreeSet::new();
    for status in statuses.items() {
        let name = status.child("name");
        if !known.iter().any(|claim| claim.text("name") == name.text()) {
            errors.invalid_text(&name, "must match the name of an entry in `spec.resourceClaims`");
        }
        if !seen.insert(name.text().to_owned()) {
            errors.duplicate(&name);
        }
    }
}

fn addresses(list: &Place<'_>, errors: &mut Errors) {
    let mut families = Vec::new();
    let mut seen = BTreeSet::new();
    for entry in list.items() {
        let address = entry.value().text("ip");
        net::ip(&entry.shown_as("ip", entry.value().at("ip")), errors);
        families.extend(net::parse_ip(address).map(net::family));
        if !seen.insert(address) {
            errors.duplicate(&entry);
        }
    }
    net::at_most_one_per_family(list, &families, "IP", errors);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::validation::check;

    fn refusals(old: &Document, new_status: Document) -> String {
        let mut new = old.clone();
        new["status"] = new_status;
        let errors = check(&new, |pod, errors| status(pod, old, errors));
        errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_container_that_ended_stays_ended_unless_it_is_restarted() {
        let with = |policy: &str, code: i64| {
            json!({
                "spec": {"restartPolicy": policy},
                "status": {"containerStatuses": [{"name": "a", "state": {"terminated": {"exitCode": code}}}]},
            })
        };
        let running = json!({"containerStatuses": [{"name": "a", "state": {"running": {}}}]});
        let refused = "status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state";
        let table = [
            (with("Always", 0), ""),
            (with("OnFailure", 1), ""),
            (with("OnFailure", 0), refused),
            (with("Never", 1), refused),
        ];
        for (old, expected) in table {
            assert_eq!(refusals(&old, running.clone()), expected, "{old}");
        }
    }

    #[test]
    fn addresses_are_one_of_each_family() {
        let old = json!({});
        assert_eq!(refusals(&old, json!({"podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]})), "");
        assert_eq!(
            refusals(&old, json!({"podIPs": [{"ip": "10.0.0.1"}, {"ip": "10.0.0.2"}]})),
            "status.podIPs: Invalid value: [{\"ip\":\"10.0.0.1\"},{\"ip\":\"10.0.0.2\"}]: may specify no more than one IP \
             for each IP family"
        );
        assert_eq!(
            refusals(&old, json!({"hostIP": "1.1.1.1", "hostIPs": [{"ip": "2.2.2.2"}]})),
            "status.hostIPs[0].ip: Invalid value: \"2.2.2.2\": must be equal to `hostIP`"
        );
    }
}
