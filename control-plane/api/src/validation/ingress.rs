//! Ingresses and their classes.

use super::net::parse_ip;
use super::{IMMUTABLE, Place, domain_prefixed_path, one_of, path_segment, port_number, required_text, subdomain};
use crate::Document;
use crate::field::Errors;
use crate::names;
use crate::view::{View, equivalent};

const PATH_TYPES: [&str; 3] = ["Exact", "ImplementationSpecific", "Prefix"];

/// The old way to say which class an ingress has.
const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";

/// What a path may not contain: it would mean another path once it is normalized.
const FORBIDDEN_IN_PATH: [&str; 5] = ["//", "/./", "/../", "%2f", "%2F"];

/// What a path may not end with, for the same reason.
const FORBIDDEN_AT_END: [&str; 2] = ["/..", "/."];

const CONTROLLER_LENGTH: usize = 250;

/// A new ingress, metadata apart.
pub(crate) fn create(ingress: &Place<'_>, errors: &mut Errors) {
    self::ingress(ingress, errors);
    let annotations = ingress.value().at("metadata.annotations");
    let old_form = annotations.get(CLASS_ANNOTATION).and_then(Document::as_str);
    let class = ingress.value().at("spec.ingressClassName");
    if let (Some(old_form), Some(class)) = (old_form, class.as_str())
        && old_form != class
    {
        // Messages name the annotation without `metadata`.
        let shown = ingress.shown_as("annotations", annotations);
        let place = shown.child(CLASS_ANNOTATION);
        errors.invalid_as(&place, old_form, "must match `ingressClassName` when both are specified");
    }
}

/// An ingress, metadata apart.
pub(crate) fn ingress(ingress: &Place<'_>, errors: &mut Errors) {
    let spec = ingress.child("spec");
    let (rules, backend) = (spec.child("rules"), spec.child("defaultBackend"));
    if rules.len() == 0 && !backend.is_set() {
        errors.invalid_as(&spec, Vec::<Document>::new(), "either `defaultBackend` or `rules` must be specified");
    }
    if backend.is_set() {
        self::backend(&backend, errors);
    }
    for rule in rules.items() {
        host(&rule.child("host"), errors);
        let http = rule.child("http");
        if http.is_set() {
            paths(&http.child("paths"), errors);
        }
    }
    for tls in spec.child("tls").items() {
        for name in tls.child("hosts").items() {
            if name.text().contains('*') {
                errors.reasons(&name, names::wildcard_subdomain(name.text()));
            } else {
                subdomain(&name, errors);
            }
        }
        let secret = tls.child("secretName");
        if !secret.text().is_empty() {
            subdomain(&secret, errors);
        }
    }
    let class = spec.child("ingressClassName");
    if class.is_set() {
        subdomain(&class, errors);
    }
}

fn host(host: &Place<'_>, errors: &mut Errors) {
    if host.text().is_empty() {
        return;
    }
    if parse_ip(host.text()).is_some() {
        errors.invalid_text(host, "must be a DNS name, not an IP address");
    }
    if host.text().contains('*') {
        errors.reasons(host, names::wildcard_subdomain(host.text()));
    } else {
        subdomain(host, errors);
    }
}

fn paths(paths: &Place<'_>, errors: &mut Errors) {
    if paths.len() == 0 {
        errors.required(paths, "");
    }
    for entry in paths.items() {
        let (path, path_type) = (entry.child("path"), entry.child("pathType"));
        match path_type.text() {
            "" => errors.required(&path_type, "pathType must be specified"),
            "Exact" | "Prefix" => {
                normal_path(&path, errors);
            }
            "ImplementationSpecific" => {
                if !path.text().is_empty() && !path.text().starts_with('/') {
                    errors.invalid_text(&path, "must be an absolute path");
                }
            }
            _ => errors.not_supported(&path_type, &PATH_TYPES),
        }
        backend(&entry.child("backend"), errors);
    }
}

/// A path that no client writes in another way.
fn normal_path(path: &Place<'_>, errors: &mut Errors) {
    if !path.text().starts_with('/') {
        errors.invalid_text(path, "must be an absolute path");
    }
    if path.text().is_empty() {
        return;
    }
    for piece in FORBIDDEN_IN_PATH {
        if path.text().contains(piece) {
            errors.invalid_text(path, format!("must not contain '{piece}'"));
        }
    }
    for piece in FORBIDDEN_AT_END {
        if path.text().ends_with(piece) {
            errors.invalid_text(path, format!("cannot end with '{piece}'"));
        }
    }
}

fn backend(backend: &Place<'_>, errors: &mut Errors) {
    let (service, resource) = (backend.child("service"), backend.child("resource"));
    match (service.is_set(), resource.is_set()) {
        (true, true) => errors.invalid_as(backend, "", "cannot set both resource and service backends"),
        (false, true) => resource_backend(&resource, errors),
        (true, false) => service_backend(&service, errors),
        (false, false) => errors.required(backend, "resource or service backend is required"),
    }
}

fn resource_backend(resource: &Place<'_>, errors: &mut Errors) {
    let group = resource.child("apiGroup");
    if group.is_set() {
        subdomain(&group, errors);
    }
    path_segment(&resource.child("kind"), "", errors);
    path_segment(&resource.child("name"), "", errors);
}

fn service_backend(service: &Place<'_>, errors: &mut Errors) {
    let (name, port) = (service.child("name"), service.child("port"));
    if name.text().is_empty() {
        errors.required(&name, "");
    } else {
        errors.reasons(&name, names::dns_1035_label(name.text()));
    }
    let (port_name, number) = (port.child("name"), port.child("number"));
    let has_number = number.int().unwrap_or_default() != 0;
    match (port_name.text().is_empty(), has_number) {
        (false, true) => errors.invalid_as(&port, "", "cannot set both port name & port number"),
        (false, false) => errors.reasons(&port_name, names::port_name(port_name.text())),
        (true, true) => port_number(&number, errors),
        (true, false) => errors.required(&port, "port name or number is required"),
    }
}

/// The status: where the ingress is reached.
pub(crate) fn status(ingress: &Place<'_>, errors: &mut Errors) {
    for point in ingress.child("status.loadBalancer.ingress").items() {
        let (ip, host) = (point.child("ip"), point.child("hostname"));
        if !ip.text().is_empty() {
            super::net::ip(&ip, errors);
        }
        if !host.text().is_empty() {
            subdomain(&host, errors);
            if parse_ip(host.text()).is_some() {
                errors.invalid_text(&host, "must be a DNS name, not an IP address");
            }
        }
    }
}

/// An ingress class, metadata apart.
pub(crate) fn class(class: &Place<'_>, errors: &mut Errors) {
    let spec = class.child("spec");
    let controller = spec.child("controller");
    if controller.text().is_empty() {
        errors.required(&controller, "");
    } else {
        if controller.text().len() > CONTROLLER_LENGTH {
            errors.too_long(&controller, CONTROLLER_LENGTH);
        }
        domain_prefixed_path(&controller, errors);
    }
    let parameters = spec.child("parameters");
    if parameters.is_set() {
        class_parameters(&parameters, errors);
    }
}

/// An update of a class: its controller stays.
pub(crate) fn class_update(new: &Place<'_>, old: &Document, errors: &mut Errors) {
    class(new, errors);
    let controller = new.child("spec.controller");
    if !equivalent(controller.value(), old.at("spec.controller")) {
        errors.invalid(&controller, IMMUTABLE);
    }
}

fn class_parameters(parameters: &Place<'_>, errors: &mut Errors) {
    let group = parameters.child("apiGroup");
    if group.is_set() {
        subdomain(&group, errors);
    }
    path_segment(&parameters.child("kind"), "kind is required", errors);
    path_segment(&parameters.child("name"), "name is required", errors);
    let (scope, namespace) = (parameters.child("scope"), parameters.child("namespace"));
    if !scope.is_set() {
        errors.required(&scope, "");
        return;
    }
    one_of(&scope, &["Cluster", "Namespace"], errors);
    match (scope.text(), namespace.is_set()) {
        ("Namespace", false) => errors.required(&namespace, "`parameters.scope` is set to 'Namespace'"),
        ("Namespace", true) => {
            required_text(&namespace, errors);
            errors.reasons(&namespace, names::dns_label(namespace.text()));
        }
        ("Cluster", true) => errors.forbidden(&namespace, "`parameters.scope` is set to 'Cluster'"),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::Document;
    use crate::validation::tests::{refusals, refusals_of_spec, refusals_of_update};

    const GROUP: &str = "networking.k8s.io";

    fn with_path(path: &Document) -> Document {
        json!({"rules": [{"host": "example.com", "http": {"paths": [path]}}]})
    }

    #[test]
    fn ingresses_are_refused_in_kubernetes_words() {
        let backend = json!({"service": {"name": "web", "port": {"number": 80}}});
        let path =
            |path: &str, path_type: &str| with_path(&json!({"path": path, "pathType": path_type, "backend": backend}));
        let with_backend =
            |backend: Document| with_path(&json!({"path": "/", "pathType": "Prefix", "backend": backend}));
        let table = [
            (path("/a", "Prefix"), ""),
            (json!({}), "spec: Invalid value: []: either `defaultBackend` or `rules` must be specified"),
            (
                json!({"defaultBackend": backend, "rules": [{"host": "10.0.0.1"}]}),
                "spec.rules[0].host: Invalid value: \"10.0.0.1\": must be a DNS name, not an IP address",
            ),
            (
                path("a//b", "Exact"),
                "spec.rules[0].http.paths[0].path: Invalid value: \"a//b\": must be an absolute path\n\
                 spec.rules[0].http.paths[0].path: Invalid value: \"a//b\": must not contain '//'",
            ),
            (
                path("/a/..", "Prefix"),
                "spec.rules[0].http.paths[0].path: Invalid value: \"/a/..\": cannot end with '/..'",
            ),
            (path("", "ImplementationSpecific"), ""),
            (
                path("/", "Regex"),
                "spec.rules[0].http.paths[0].pathType: Unsupported value: \"Regex\": supported values: \"Exact\", \
                 \"ImplementationSpecific\", \"Prefix\"",
            ),
            (path("/", ""), "spec.rules[0].http.paths[0].pathType: Required value: pathType must be specified"),
            (
                with_backend(json!({})),
                "spec.rules[0].http.paths[0].backend: Required value: resource or service backend is required",
            ),
            (
                with_backend(json!({"service": {"name": "web"}})),
                "spec.rules[0].http.paths[0].backend.service.port: Required value: port name or number is required",
            ),
            (
                with_backend(json!({"service": {"name": "web", "port": {"name": "http", "number": 80}}})),
                "spec.rules[0].http.paths[0].backend.service.port: Invalid value: \"\": cannot set both port name & \
                 port number",
            ),
        ];
        for (spec, expected) in table {
            assert_eq!(refusals_of_spec(GROUP, "Ingress", &spec), expected, "{spec}");
        }
    }

    #[test]
    fn both_ways_to_name_a_class_agree() {
        let ingress = json!({
            "metadata": {"annotations": {"kubernetes.io/ingress.class": "a"}},
            "spec": {"ingressClassName": "b", "defaultBackend": {"service": {"name": "web", "port": {"number": 80}}}},
        });
        assert_eq!(
            refusals(GROUP, "Ingress", &ingress),
            "annotations.kubernetes.io/ingress.class: Invalid value: \"a\": must match `ingressClassName` when both are \
             specified"
        );
    }

    #[test]
    fn classes_are_refused_in_kubernetes_words() {
        let table = [
            (json!({"controller": "example.com/ingress"}), ""),
            (json!({}), "spec.controller: Required value"),
            (
                json!({"controller": "ingress"}),
                "spec.controller: Invalid value: \"ingress\": must be a domain-prefixed path (such as \"acme.io/foo\")",
            ),
            (
                json!({"controller": "a.b/c", "parameters": {"kind": "K", "name": "n", "scope": "Namespace"}}),
                "spec.parameters.namespace: Required value: `parameters.scope` is set to 'Namespace'",
            ),
        ];
        for (spec, expected) in table {
            assert_eq!(refusals_of_spec(GROUP, "IngressClass", &spec), expected, "{spec}");
        }
        let class = |controller: &str| json!({"spec": {"controller": controller}});
        assert_eq!(
            refusals_of_update(GROUP, "IngressClass", &class("a.b/c"), &class("a.b/d")),
            "spec.controller: Invalid value: \"a.b/d\": field is immutable"
        );
    }
}
