//! Pods and pod templates.

pub(crate) mod affinity;
pub(crate) mod containers;
mod env;
pub(crate) mod probes;
pub(crate) mod scheduling;
mod security;
pub(crate) mod status;
pub(crate) mod update;
pub(crate) mod volumes;

use crate::Document;
use crate::field::{Errors, FieldError};
use crate::names;
use crate::selector::LabelSelector;
use crate::validation::{Place, labels, metadata, net, required_one_of, resources, subdomain};
use crate::view::View;

/// What holds a pod spec: some rules are for pods alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder<'a> {
    /// A pod, with its name.
    Pod {
        /// `metadata.name`
        name: &'a str,
    },
    /// A template that pods are made of.
    Template,
}

/// The search paths that the C library takes.
const DNS_SEARCHES: usize = 32;

/// The characters that all search paths may have together.
const DNS_SEARCH_CHARACTERS: usize = 2048;

/// The name servers that the C library takes.
const DNS_NAME_SERVERS: usize = 3;

/// A new pod, metadata apart.
pub(crate) fn pod(pod: &Place<'_>, errors: &mut Errors) {
    pod_spec_of_pod(pod, errors);
    let spec = pod.child("spec");
    let ephemeral = spec.child("ephemeralContainers");
    if ephemeral.len() > 0 {
        errors.forbidden(&ephemeral, "cannot be set on create");
    }
    let node_name = spec.child("nodeName");
    if !node_name.text().is_empty() && spec.child("schedulingGates").len() > 0 {
        errors.forbidden(&node_name, "cannot be set until all schedulingGates have been cleared");
    }
}

/// The spec of a pod, new or updated.
pub(crate) fn pod_spec_of_pod(pod: &Place<'_>, errors: &mut Errors) {
    let spec = pod.child("spec");
    pod_spec(&spec, Holder::Pod { name: pod.value().text("metadata.name") }, errors);
    service_account_tokens(&spec, errors);
    containers::images_without_white_space(&spec, errors);
}

/// A pod template: labels, annotations and spec.
pub(crate) fn template(template: &Place<'_>, errors: &mut Errors) {
    // Messages name these two as if they were fields of the template itself.
    let metadata = template.value().at("metadata");
    labels::labels(&template.shown_as("labels", metadata.at("labels")), errors);
    metadata::validate_annotations(&template.shown_as("annotations", metadata.at("annotations")), errors);
    let spec = template.child("spec");
    pod_spec(&spec, Holder::Template, errors);
    let ephemeral = spec.child("ephemeralContainers");
    if ephemeral.len() > 0 {
        errors.forbidden(&ephemeral, "ephemeral containers not allowed in pod template");
    }
}

/// The template of a workload whose pods run until they are deleted. `selector` is a `LabelSelector` object that the
/// template's labels must match.
pub(crate) fn workload_template(
    place: &Place<'_>,
    selector: Option<&LabelSelector>,
    workload: &str,
    errors: &mut Errors,
) {
    selected_labels(place, selector, errors);
    template(place, errors);
    let spec = place.child("spec");
    let restart_policy = spec.child("restartPolicy");
    if restart_policy.text() != "Always" {
        errors.not_supported(&restart_policy, &["Always"]);
    }
    let deadline = spec.child("activeDeadlineSeconds");
    if deadline.is_set() {
        errors.forbidden(&deadline, format!("activeDeadlineSeconds in {workload} is not Supported"));
    }
}

/// The labels of a template must be what the selector selects.
pub(crate) fn selected_labels(template: &Place<'_>, selector: Option<&LabelSelector>, errors: &mut Errors) {
    let labels = template.child("metadata.labels");
    if let Some(selector) = selector
        && !selector.is_empty()
        && !selector.matches(labels.value())
    {
        let path = labels.path();
        let empty = Document::Object(serde_json::Map::new());
        let shown = if labels.is_set() { labels.value() } else { &empty };
        errors.push(FieldError::invalid_ref(&path, shown, "`selector` does not match template `labels`"));
    }
}

fn pod_spec(spec: &Place<'_>, holder: Holder<'_>, errors: &mut Errors) {
    let grace_period = spec.child("terminationGracePeriodSeconds");
    if !grace_period.is_set() {
        errors.required(&grace_period, "");
    }
    let volume_list = spec.child("volumes");
    let volumes = volumes::volumes(&volume_list, holder, errors);
    resource_claims(&spec.child("resourceClaims"), errors);
    containers::containers(spec, &volumes, errors);
    containers::init_containers(spec, &volumes, errors);
    containers::ephemeral_containers(spec, &volumes, errors);
    if spec.child("resources").is_set() {
        resources::requirements(&spec.child("resources"), errors);
    }
    host_network_ports(spec, holder, errors);
    required_one_of(&spec.child("restartPolicy"), &["Always", "OnFailure", "Never"], errors);
    required_one_of(&spec.child("dnsPolicy"), &["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"], errors);
    labels::labels(&spec.child("nodeSelector"), errors);
    security::pod_security_context(spec, errors);
    affinity::affinity(&spec.child("affinity"), errors);
    dns_config(spec, errors);
    for gate in spec.child("readinessGates").items() {
        let condition = gate.child("conditionType");
        errors.reasons(&condition, names::qualified_name(condition.text()));
    }
    scheduling::scheduling_gates(&spec.child("schedulingGates"), errors);
    scheduling::topology_spread(&spec.child("topologySpreadConstraints"), errors);
    security::host_users(spec, errors);
    references(spec, errors);
    scheduling::tolerations(&spec.child("tolerations"), errors);
    host_aliases(&spec.child("hostAliases"), errors);
    security::operating_system(spec, errors);
}

/// Names of other objects, and what bounds the pod's life.
fn references(spec: &Place<'_>, errors: &mut Errors) {
    for name in ["serviceAccountName", "nodeName", "priorityClassName", "runtimeClassName"] {
        let place = spec.child(name);
        if !place.text().is_empty() {
            subdomain(&place, errors);
        }
    }
    let deadline = spec.child("activeDeadlineSeconds");
    if let Some(seconds) = deadline.int() {
        for reason in names::in_range(seconds, 1, i64::from(i32::MAX)) {
            errors.invalid_int(&deadline, reason);
        }
    }
    for name in ["hostname", "subdomain"] {
        let place = spec.child(name);
        if !place.text().is_empty() {
            crate::validation::dns_label(&place, errors);
        }
    }
    let preemption = spec.child("preemptionPolicy");
    if preemption.is_set() {
        required_one_of(&preemption, &["PreemptLowerPriority", "Never"], errors);
    }
    resources::resource_list(&spec.child("overhead"), resources::container_resource, errors);
}

/// A token of a service account needs one to be named.
fn service_account_tokens(spec: &Place<'_>, errors: &mut Errors) {
    if !spec.value().text("serviceAccountName").is_empty() {
        return;
    }
    for volume in spec.child("volumes").items() {
        for source in volume.child("projected").child("sources").items() {
            let token = source.child("serviceAccountToken");
            if token.is_set() {
                errors.forbidden(&token, "must not be specified when serviceAccountName is not set");
            }
        }
    }
}

fn resource_claims(claims: &Place<'_>, errors: &mut Errors) {
    let mut seen = std::collections::BTreeSet::new();
    for claim in claims.items() {
        let name = claim.child("name");
        if name.text().is_empty() {
            errors.required(&name, "");
        } else if seen.insert(name.text().to_owned()) {
            crate::validation::dns_label(&name, errors);
        } else {
            errors.duplicate(&name);
        }
        let (direct, template) = (claim.child("resourceClaimName"), claim.child("resourceClaimTemplateName"));
        match (direct.is_set(), template.is_set()) {
            (true, true) => errors
                .invalid(&claim, "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"),
            (false, false) => {
                errors.invalid(&claim, "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`");
            }
            (true, false) => subdomain(&direct, errors),
            (false, true) => subdomain(&template, errors),
        }
    }
}

/// On the host's network a container's ports are the host's. A template may leave the host's out: pods fill it in.
fn host_network_ports(spec: &Place<'_>, holder: Holder<'_>, errors: &mut Errors) {
    if !spec.value().flag("hostNetwork") {
        return;
    }
    for container in spec.child("containers").items() {
        for port in container.child("ports").items() {
            let (host, own) = (port.child("hostPort"), port.child("containerPort"));
            let (host_port, own_port) = (host.int().unwrap_or_default(), own.int().unwrap_or_default());
            if (holder != Holder::Template || host_port != 0) && host_port != own_port {
                errors.invalid_int(&host, "must match `containerPort` when `hostNetwork` is true");
            }
        }
    }
}

fn dns_config(spec: &Place<'_>, errors: &mut Errors) {
    let config = spec.child("dnsConfig");
    let servers = config.child("nameservers");
    if spec.value().text("dnsPolicy") == "None" {
        if !config.is_set() {
            errors.required(&config, "must provide `dnsConfig` when `dnsPolicy` is None");
            return;
        }
        if servers.len() == 0 {
            errors.required(&servers, "must provide at least one DNS nameserver when `dnsPolicy` is None");
            return;
        }
    }
    if servers.len() > DNS_NAME_SERVERS {
        errors.invalid(&servers, format!("must not have more than {DNS_NAME_SERVERS} nameservers"));
    }
    for server in servers.items() {
        net::ip(&server, errors);
    }
    dns_searches(&config.child("searches"), errors);
    for option in config.child("options").items() {
        if option.value().text("name").is_empty() {
            errors.required(&option, "must not be empty");
        }
    }
}

fn dns_searches(searches: &Place<'_>, errors: &mut Errors) {
    if searches.len() > DNS_SEARCHES {
        errors.invalid(searches, format!("must not have more than {DNS_SEARCHES} search paths"));
    }
    let length = searches.items().map(|search| search.text().len() + 1).sum::<usize>().saturating_sub(1);
    if length > DNS_SEARCH_CHARACTERS {
        let detail =
            format!("must not have more than {DNS_SEARCH_CHARACTERS} characters (including spaces) in the search list");
        errors.invalid(searches, detail);
    }
    for search in searches.items() {
        // A dot at the end is well-formed, and one alone means the root; service names may begin with underscores.
        let name = search.text().strip_suffix('.').unwrap_or(search.text());
        if search.text() != "." {
            for reason in names::dns_subdomain_with_underscore(name) {
                errors.invalid_as(&search, name, reason);
            }
        }
    }
}

fn host_aliases(aliases: &Place<'_>, errors: &mut Errors) {
    for alias in aliases.items() {
        net::ip(&alias.child("ip"), errors);
        for name in alias.child("hostnames").items() {
            subdomain(&name, errors);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;
    use crate::strategy::strategy_for;
    use crate::view::Edit;

    /// What is wrong with a pod of one container `a`, changed by `change`, one line per error.
    pub(crate) fn refusals(change: impl FnOnce(&mut Document)) -> String {
        let mut pod = json!({
            "metadata": {"name": "p", "namespace": "default"},
            "spec": {"containers": [{"name": "a", "image": "nginx"}]},
        });
        change(&mut pod);
        let strategy = strategy_for("", "Pod");
        (strategy.default)(&mut pod);
        (strategy.prepare_create)(&mut pod);
        (strategy.validate)(&pod).iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    /// As [`refusals`], for a pod with these fields in its spec.
    pub(crate) fn refusals_of_spec(fields: &Document) -> String {
        refusals(|pod| {
            for (name, value) in fields.as_object().unwrap() {
                pod.put(&format!("spec.{name}"), value.clone());
            }
        })
    }

    #[test]
    fn a_plain_pod_is_fine() {
        assert_eq!(refusals(|_| {}), "");
    }

    #[test]
    fn pods_are_refused_in_kubernetes_words() {
        let table = [
            (json!({"containers": []}), "spec.containers: Required value"),
            (
                json!({"restartPolicy": "Sometimes"}),
                "spec.restartPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"OnFailure\", \
                 \"Never\"",
            ),
            (
                json!({"dnsPolicy": "None"}),
                "spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None",
            ),
            (
                json!({"activeDeadlineSeconds": 0}),
                "spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive",
            ),
            (json!({"hostname": "a.b"}), "spec.hostname: Invalid value: \"a.b\": must not contain dots"),
            (
                json!({"ephemeralContainers": [{"name": "x", "image": "y"}]}),
                "spec.ephemeralContainers: Forbidden: cannot be set on create",
            ),
            (
                json!({"hostAliases": [{"ip": "1.2.3"}]}),
                "spec.hostAliases[0].ip: Invalid value: \"1.2.3\": must be a valid IP address, (e.g. 10.9.8.7 or \
                 2001:db8::ffff)",
            ),
            (
                json!({"nodeName": "n", "schedulingGates": [{"name": "g"}]}),
                "spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared",
            ),
            (json!({"dnsConfig": {"searches": [".", "_tcp.example.com.", "a.b"], "nameservers": ["1.1.1.1"]}}), ""),
        ];
        for (fields, expected) in table {
            assert_eq!(refusals_of_spec(&fields), expected, "{fields}");
        }
    }

    #[test]
    fn a_name_with_capitals_is_refused() {
        let text = refusals(|pod| pod.put("metadata.name", "myPod"));
        assert!(text.starts_with(
            "metadata.name: Invalid value: \"myPod\": a lowercase RFC 1123 subdomain must consist of lower case \
             alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character"
        ));
    }

    #[test]
    fn everything_wrong_is_said_at_once() {
        let text = refusals_of_spec(&json!({
            "containers": [{"name": "A", "ports": [{"containerPort": 0}]}],
            "tolerations": [{"key": "a", "operator": "Maybe"}],
        }));
        assert_eq!(text.lines().count(), 4, "{text}");
    }
}
