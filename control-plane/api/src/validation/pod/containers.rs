//! Containers, init containers and ephemeral containers.

use std::collections::BTreeSet;

use super::volumes::{self, Volumes};
use super::{env, probes, security};
use crate::field::Errors;
use crate::names;
use crate::validation::{Place, dns_label, optional_one_of, port_number, required_one_of, resources};
use crate::view::{View, is_empty};

const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];
const RESTART_POLICIES: [&str; 3] = ["Always", "OnFailure", "Never"];

/// What an ephemeral container may say; it has no part in what the pod is for.
const EPHEMERAL_FIELDS: [&str; 17] = [
    "name",
    "image",
    "command",
    "args",
    "workingDir",
    "envFrom",
    "env",
    "volumeMounts",
    "volumeDevices",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "imagePullPolicy",
    "securityContext",
    "stdin",
    "stdinOnce",
    "tty",
    "targetContainerName",
];

/// The containers proper.
pub(super) fn containers(spec: &Place<'_>, volumes: &Volumes<'_>, errors: &mut Errors) {
    let list = spec.child("containers");
    if list.len() == 0 {
        errors.required(&list, "");
        return;
    }
    let mut seen = BTreeSet::new();
    for container in list.items() {
        common(&container, spec, volumes, errors);
        let name = container.child("name");
        if !seen.insert(name.text().to_owned()) {
            errors.duplicate(&name);
        }
        probes::lifecycle_and_probes(&container, spec, errors);
        restart_policy(&container, errors);
    }
    let mut host_ports = BTreeSet::new();
    for container in list.items() {
        unique_host_ports(&container, &mut host_ports, errors);
    }
}

/// What runs before the containers proper, or beside them.
pub(super) fn init_containers(spec: &Place<'_>, volumes: &Volumes<'_>, errors: &mut Errors) {
    let list = spec.child("initContainers");
    let mut seen: BTreeSet<String> = names_in(spec, "containers");
    for container in list.items() {
        common(&container, spec, volumes, errors);
        restart_policy(&container, errors);
        let name = container.child("name");
        if !name.text().is_empty() && !seen.insert(name.text().to_owned()) {
            errors.duplicate(&name);
        }
        // One runs at a time, so two may use the same port.
        unique_host_ports(&container, &mut BTreeSet::new(), errors);
        if container.value().text("restartPolicy") == "Always" {
            probes::lifecycle_and_probes(&container, spec, errors);
            continue;
        }
        for field in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
            let place = container.child(field);
            if place.is_set() {
                errors.forbidden(&place, "may not be set for init containers without restartPolicy=Always");
            }
        }
        let resize = container.child("resizePolicy");
        if resize.len() > 0 {
            errors.invalid(&resize, "must not be set for init containers");
        }
    }
}

/// What is added to look into a running pod.
pub(super) fn ephemeral_containers(spec: &Place<'_>, volumes: &Volumes<'_>, errors: &mut Errors) {
    let mut others = names_in(spec, "containers");
    others.extend(names_in(spec, "initContainers"));
    let mut seen = others.clone();
    for container in spec.child("ephemeralContainers").items() {
        common(&container, spec, volumes, errors);
        image_without_white_space(&container, errors);
        let name = container.child("name");
        if !seen.insert(name.text().to_owned()) {
            errors.duplicate(&name);
        }
        let target = container.child("targetContainerName");
        if !target.text().is_empty() && !others.contains(target.text()) {
            errors.not_found(&target);
        }
        only_ephemeral_fields(&container, errors);
        for mount in container.child("volumeMounts").items() {
            for field in ["subPath", "subPathExpr"] {
                let place = mount.child(field);
                if !place.text().is_empty() {
                    errors.forbidden(&place, "cannot be set for an Ephemeral Container");
                }
            }
        }
    }
}

/// A pod, unlike a template, says exactly which image.
pub(super) fn images_without_white_space(spec: &Place<'_>, errors: &mut Errors) {
    for list in ["containers", "initContainers"] {
        for container in spec.child(list).items() {
            image_without_white_space(&container, errors);
        }
    }
}

/// `image` must not begin or end with white space.
pub(super) fn image_without_white_space(container: &Place<'_>, errors: &mut Errors) {
    let image = container.child("image");
    if image.text().trim() != image.text() {
        errors.invalid_text(&image, "must not have leading or trailing whitespace");
    }
}

fn names_in(spec: &Place<'_>, list: &str) -> BTreeSet<String> {
    spec.value().list(list).iter().map(|container| container.text("name").to_owned()).collect()
}

fn only_ephemeral_fields(container: &Place<'_>, errors: &mut Errors) {
    for (field, value) in container.value().as_object().into_iter().flatten() {
        // Defaults fill in empty resources; only what somebody asked for is refused.
        if !is_empty(value) && !EPHEMERAL_FIELDS.contains(&field.as_str()) {
            errors.forbidden(&container.child(field), "cannot be set for an Ephemeral Container");
        }
    }
}

/// What holds for containers of every sort.
fn common(container: &Place<'_>, spec: &Place<'_>, volumes: &Volumes<'_>, errors: &mut Errors) {
    let name = container.child("name");
    if name.text().is_empty() {
        errors.required(&name, "");
    } else {
        dns_label(&name, errors);
    }
    let image = container.child("image");
    if image.text().is_empty() {
        errors.required(&image, "");
    }
    required_one_of(&container.child("terminationMessagePolicy"), &["File", "FallbackToLogsOnError"], errors);
    ports(&container.child("ports"), errors);
    env::variables(&container.child("env"), errors);
    env::sources(&container.child("envFrom"), errors);
    volumes::mounts(container, volumes, errors);
    volumes::devices(container, volumes, errors);
    required_one_of(&container.child("imagePullPolicy"), &["Always", "IfNotPresent", "Never"], errors);
    let resources = container.child("resources");
    resources::requirements(&resources, errors);
    claims(&resources.child("claims"), spec, errors);
    resize_policies(&container.child("resizePolicy"), spec, errors);
    security::security_context(&container.child("securityContext"), spec, errors);
}

fn ports(ports: &Place<'_>, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for port in ports.items() {
        let name = port.child("name");
        if !name.text().is_empty() {
            let reasons = names::port_name(name.text());
            let well_formed = reasons.is_empty();
            errors.reasons(&name, reasons);
            if well_formed && !seen.insert(name.text().to_owned()) {
                errors.duplicate(&name);
            }
        }
        let number = port.child("containerPort");
        if number.int().unwrap_or_default() == 0 {
            errors.required(&number, "");
        } else {
            port_number(&number, errors);
        }
        let host_port = port.child("hostPort");
        if host_port.int().unwrap_or_default() != 0 {
            port_number(&host_port, errors);
        }
        required_one_of(&port.child("protocol"), &PROTOCOLS, errors);
    }
}

/// Two containers cannot have the same port of the host.
fn unique_host_ports(container: &Place<'_>, seen: &mut BTreeSet<String>, errors: &mut Errors) {
    for port in container.child("ports").items() {
        let host_port = port.child("hostPort");
        let Some(number) = host_port.int().filter(|number| *number != 0) else { continue };
        let key = format!("{}/{}/{number}", port.value().text("protocol"), port.value().text("hostIP"));
        if !seen.insert(key.clone()) {
            errors.duplicate_as(&host_port, key);
        }
    }
}

fn claims(claims: &Place<'_>, spec: &Place<'_>, errors: &mut Errors) {
    let known: Vec<&str> = spec.value().list("resourceClaims").iter().map(|claim| claim.text("name")).collect();
    for claim in claims.items() {
        match claim.value().text("name") {
            "" => errors.required(&claim, ""),
            name if !known.contains(&name) => {
                let list =
                    if known.is_empty() { " which is empty".to_owned() } else { format!(": {}", known.join(", ")) };
                let detail = format!("must be one of the names in pod.spec.resourceClaims{list}");
                let mut error = crate::field::FieldError::not_found(&claim.path(), name);
                error.message = format!("{}: {detail}", error.message);
                errors.push(error);
            }
            _ => {}
        }
    }
}

fn resize_policies(policies: &Place<'_>, spec: &Place<'_>, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for policy in policies.items() {
        let resource = policy.value().text("resourceName");
        if !seen.insert(resource.to_owned()) {
            errors.duplicate_as(&policy, resource);
        }
        for (field, supported) in
            [("resourceName", ["cpu", "memory"]), ("restartPolicy", ["NotRequired", "RestartContainer"])]
        {
            let value = policy.value().text(field);
            if value.is_empty() {
                errors.required(policies, "");
            } else if !supported.contains(&value) {
                errors.push(crate::field::FieldError::not_supported(&policies.path(), value, &supported));
            }
        }
        let restart = policy.value().text("restartPolicy");
        if spec.value().text("restartPolicy") == "Never" && restart != "NotRequired" {
            errors.invalid_as(policies, restart, "must be 'NotRequired' when `restartPolicy` is 'Never'");
        }
    }
}

/// A container's own restart policy, and the rules that say more (KEP-5307).
fn restart_policy(container: &Place<'_>, errors: &mut Errors) {
    let policy = container.child("restartPolicy");
    optional_one_of(&policy, &RESTART_POLICIES, errors);
    let rules = container.child("restartPolicyRules");
    if rules.len() > 0 && !policy.is_set() {
        errors.required(&policy, "must specify restartPolicy when restart rules are used");
    }
    if rules.len() > 20 {
        errors.too_many(&rules, 20);
    }
    for rule in rules.items() {
        required_one_of(&rule.child("action"), &["Restart"], errors);
        let codes = rule.child("exitCodes");
        if !codes.is_set() {
            errors.required(&codes, "must be specified");
            continue;
        }
        required_one_of(&codes.child("operator"), &["In", "NotIn"], errors);
        let values = codes.child("values");
        if values.len() == 0 {
            errors.required(&values, "must specify at least one value");
        } else if values.len() > 255 {
            errors.too_many(&values, 255);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::refusals_of_spec;

    #[test]
    fn containers_are_refused_in_kubernetes_words() {
        let table = [
            (json!([{"image": "x"}]), "spec.containers[0].name: Required value"),
            (json!([{"name": "a"}]), "spec.containers[0].image: Required value"),
            (
                json!([{"name": "a", "image": "x"}, {"name": "a", "image": "x"}]),
                "spec.containers[1].name: Duplicate value: \"a\"",
            ),
            (
                json!([{"name": "a", "image": " x"}]),
                "spec.containers[0].image: Invalid value: \" x\": must not have leading or trailing whitespace",
            ),
            (
                json!([{"name": "a", "image": "x", "ports": [{"containerPort": 70000}]}]),
                "spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
            ),
            (
                json!([{"name": "a", "image": "x", "ports": [{"containerPort": 80, "protocol": "ICMP"}]}]),
                "spec.containers[0].ports[0].protocol: Unsupported value: \"ICMP\": supported values: \"SCTP\", \"TCP\", \
              \"UDP\"",
            ),
            (
                json!([{"name": "a", "image": "x", "ports": [{"containerPort": 80, "name": "web"},
                {"containerPort": 81, "name": "web"}]}]),
                "spec.containers[0].ports[1].name: Duplicate value: \"web\"",
            ),
            (
                json!([{"name": "a", "image": "x", "ports": [{"containerPort": 80, "hostPort": 80}]},
                {"name": "b", "image": "x", "ports": [{"containerPort": 81, "hostPort": 80}]}]),
                "spec.containers[1].ports[0].hostPort: Duplicate value: \"TCP//80\"",
            ),
            (
                json!([{"name": "a", "image": "x", "imagePullPolicy": "Often"}]),
                "spec.containers[0].imagePullPolicy: Unsupported value: \"Often\": supported values: \"Always\", \
              \"IfNotPresent\", \"Never\"",
            ),
            (
                json!([{"name": "a", "image": "x", "resources": {"limits": {"cpu": "1"}, "requests": {"cpu": "2"}}}]),
                "spec.containers[0].resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1",
            ),
            (
                json!([{"name": "a", "image": "x", "resources": {"claims": [{"name": "gpu"}]}}]),
                "spec.containers[0].resources.claims[0]: Not found: \"gpu\": must be one of the names in \
              pod.spec.resourceClaims which is empty",
            ),
            (
                json!([{"name": "a", "image": "x", "restartPolicy": "Never",
                "restartPolicyRules": [{"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}]}]),
                "",
            ),
        ];
        for (containers, expected) in table {
            assert_eq!(refusals_of_spec(&json!({"containers": containers})), expected, "{containers}");
        }
    }

    #[test]
    fn init_containers_have_no_probes_unless_they_stay() {
        let probe = json!({"tcpSocket": {"port": 80}});
        let table = [
            (
                json!([{"name": "i", "image": "x", "livenessProbe": probe}]),
                "spec.initContainers[0].livenessProbe: Forbidden: may not be set for init containers without \
              restartPolicy=Always",
            ),
            (json!([{"name": "i", "image": "x", "livenessProbe": probe, "restartPolicy": "Always"}]), ""),
            (json!([{"name": "a", "image": "x"}]), "spec.initContainers[0].name: Duplicate value: \"a\""),
        ];
        for (containers, expected) in table {
            let text = refusals_of_spec(&json!({"initContainers": containers}));
            assert_eq!(text, expected, "{containers}");
        }
    }
}
