//! Environment variables and what they are taken from.

use crate::field::Errors;
use crate::names;
use crate::quantity::Quantity;
use crate::validation::{Place, subdomain};
use crate::view::View;

/// Fields of the pod that a variable can have the value of.
const VARIABLE_FIELDS: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

/// Fields of the pod that a file can have the content of.
const FILE_FIELDS: [&str; 5] =
    ["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];

/// Resources of a container that a variable or a file can tell.
const RESOURCES: [&str; 6] = [
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];

const DIVISORS: [&str; 13] = ["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];

/// `env` of a container.
pub(super) fn variables(variables: &Place<'_>, errors: &mut Errors) {
    for variable in variables.items() {
        let name = variable.child("name");
        if name.text().is_empty() {
            errors.required(&name, "");
        } else {
            errors.reasons(&name, names::env_var_name(name.text()));
        }
        value_from(&variable, errors);
    }
}

/// `envFrom` of a container.
pub(super) fn sources(sources: &Place<'_>, errors: &mut Errors) {
    for source in sources.items() {
        let prefix = source.child("prefix");
        if !prefix.text().is_empty() {
            errors.reasons(&prefix, names::env_var_name(prefix.text()));
        }
        let mut given = 0;
        for field in ["configMapRef", "secretRef"] {
            let reference = source.child(field);
            if reference.is_set() {
                given += 1;
                name_of_reference(&reference.child("name"), errors);
            }
        }
        match given {
            0 => errors.invalid_as(sources, "", "must specify one of: `configMapRef` or `secretRef`"),
            1 => {}
            _ => errors.invalid_as(sources, "", "may not have more than one field specified at a time"),
        }
    }
}

fn name_of_reference(name: &Place<'_>, errors: &mut Errors) {
    if name.text().is_empty() {
        errors.required(name, "");
    } else {
        errors.reasons(name, names::as_prefix(name.text(), names::dns_subdomain));
    }
}

fn value_from(variable: &Place<'_>, errors: &mut Errors) {
    let source = variable.child("valueFrom");
    if !source.is_set() {
        return;
    }
    let mut given = 0;
    let (field, resource) = (source.child("fieldRef"), source.child("resourceFieldRef"));
    if field.is_set() {
        given += 1;
        field_reference(&field, &VARIABLE_FIELDS, errors);
    }
    if resource.is_set() {
        given += 1;
        resource_reference(&resource, false, errors);
    }
    for name in ["configMapKeyRef", "secretKeyRef"] {
        let key = source.child(name);
        if key.is_set() {
            given += 1;
            key_reference(&key, errors);
        }
    }
    let file = source.child("fileKeyRef");
    if file.is_set() {
        given += 1;
        for name in ["volumeName", "path", "key"] {
            crate::validation::required_text(&file.child(name), errors);
        }
    }
    if given == 0 {
        let detail =
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`";
        errors.invalid_as(&source, "", detail);
    } else if !variable.value().text("value").is_empty() {
        errors.invalid_as(&source, "", "may not be specified when `value` is not empty");
    } else if given > 1 {
        errors.invalid_as(&source, "", "may not have more than one field specified at a time");
    }
}

/// A key of a config map or secret.
fn key_reference(reference: &Place<'_>, errors: &mut Errors) {
    subdomain(&reference.child("name"), errors);
    let key = reference.child("key");
    if key.text().is_empty() {
        errors.required(&key, "");
    } else {
        errors.reasons(&key, names::config_key(key.text()));
    }
}

/// A field of the pod in a file.
pub(super) fn file_field_reference(reference: &Place<'_>, errors: &mut Errors) {
    field_reference(reference, &FILE_FIELDS, errors);
}

fn field_reference(reference: &Place<'_>, supported: &[&str], errors: &mut Errors) {
    for name in ["apiVersion", "fieldPath"] {
        let place = reference.child(name);
        if place.text().is_empty() {
            errors.required(&place, "");
            return;
        }
    }
    let path = reference.child("fieldPath");
    match split_subscript(path.text()) {
        Some(("metadata.annotations", key)) => {
            let key = key.to_lowercase();
            for reason in names::qualified_name(&key) {
                errors.invalid_as(reference, key.as_str(), reason);
            }
        }
        Some(("metadata.labels", key)) => {
            for reason in names::qualified_name(key) {
                errors.invalid_as(reference, key, reason);
            }
        }
        Some((field, _)) => errors.invalid_as(reference, field, "does not support subscript"),
        None if !supported.contains(&path.text()) => errors.not_supported(&path, supported),
        None => {}
    }
}

/// `metadata.labels['key']`: the field and the key.
fn split_subscript(path: &str) -> Option<(&str, &str)> {
    path.strip_suffix("']")?.split_once("['")
}

/// A resource of a container. A file must say of which.
pub(super) fn resource_reference(reference: &Place<'_>, in_file: bool, errors: &mut Errors) {
    let (container, resource) = (reference.child("containerName"), reference.child("resource"));
    let is_huge = |name: &str| name.starts_with("requests.hugepages-") || name.starts_with("limits.hugepages-");
    if in_file && container.text().is_empty() {
        errors.required(&container, "");
    } else if resource.text().is_empty() {
        errors.required(&resource, "");
    } else if !RESOURCES.contains(&resource.text()) && !is_huge(resource.text()) {
        errors.not_supported(&resource, &RESOURCES);
    }
    let divisor = reference.child("divisor");
    let Some(quantity) = Quantity::of(divisor.value()).filter(|quantity| !quantity.is_zero()) else { return };
    let (supported, what): (&[&str], &str) = match resource.text() {
        "limits.cpu" | "requests.cpu" => {
            if !["1m", "1"].contains(&quantity.to_string().as_str()) {
                let detail = "only divisor's values 1m and 1 are supported with the cpu resource";
                errors.invalid_as(&divisor, resource.text(), detail);
            }
            return;
        }
        "limits.memory" | "requests.memory" => (&DIVISORS, "memory"),
        "limits.ephemeral-storage" | "requests.ephemeral-storage" => (&DIVISORS, "local ephemeral storage"),
        name if is_huge(name) => (&DIVISORS, "hugepages"),
        _ => return,
    };
    if !supported.contains(&quantity.to_string().as_str()) {
        let detail = format!("only divisor's values {} are supported with the {what} resource", supported.join(", "));
        errors.invalid_as(&divisor, resource.text(), detail);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::refusals_of_spec;

    #[test]
    fn variables_are_refused_in_kubernetes_words() {
        let table = [
            (json!([{"name": "A", "value": "b"}]), ""),
            (json!([{"name": "my var", "value": "b"}]), ""),
            (json!([{"value": "b"}]), ".env[0].name: Required value"),
            (
                json!([{"name": "A=B"}]),
                ".env[0].name: Invalid value: \"A=B\": a valid environment variable name must consist only of printable \
                 ASCII characters other than '='",
            ),
            (
                json!([{"name": "A", "valueFrom": {}}]),
                ".env[0].valueFrom: Invalid value: \"\": must specify one of: `fieldRef`, `resourceFieldRef`, \
                 `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
            ),
            (
                json!([{"name": "A", "value": "x", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]),
                ".env[0].valueFrom: Invalid value: \"\": may not be specified when `value` is not empty",
            ),
            (
                json!([{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.color"}}}]),
                ".env[0].valueFrom.fieldRef.fieldPath: Unsupported value: \"spec.color\": supported values: \
                 \"metadata.name\", \"metadata.namespace\", \"metadata.uid\", \"spec.nodeName\", \
                 \"spec.serviceAccountName\", \"status.hostIP\", \"status.hostIPs\", \"status.podIP\", \
                 \"status.podIPs\"",
            ),
            (json!([{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}}]), ""),
            (
                json!([{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name['app']"}}}]),
                ".env[0].valueFrom.fieldRef: Invalid value: \"metadata.name\": does not support subscript",
            ),
            (
                json!([{"name": "A", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1m"}}}]),
                "",
            ),
            (
                json!([{"name": "A", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "2"}}}]),
                ".env[0].valueFrom.resourceFieldRef.divisor: Invalid value: \"limits.cpu\": only divisor's values 1m and 1 \
                 are supported with the cpu resource",
            ),
        ];
        for (env, expected) in table {
            let text = refusals_of_spec(&json!({"containers": [{"name": "a", "image": "x", "env": env}]}));
            assert_eq!(text.replace("spec.containers[0]", ""), expected, "{env}");
        }
    }

    #[test]
    fn sources_of_variables_are_one_each() {
        let of = |source| refusals_of_spec(&json!({"containers": [{"name": "a", "image": "x", "envFrom": [source]}]}));
        assert_eq!(of(json!({"configMapRef": {"name": "c"}, "prefix": "P_"})), "");
        assert_eq!(
            of(json!({})),
            "spec.containers[0].envFrom: Invalid value: \"\": must specify one of: `configMapRef` or `secretRef`"
        );
        assert_eq!(of(json!({"secretRef": {}})), "spec.containers[0].envFrom[0].secretRef.name: Required value");
    }
}
