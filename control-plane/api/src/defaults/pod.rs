//! Defaults of pods and pod templates.

use serde_json::json;

use super::{field_reference, pod_volumes, resource_list, resource_lists};
use crate::Document;
use crate::view::{Edit, View};

/// The lists of containers in a pod spec.
const CONTAINER_LISTS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

/// A pod: what its template would get, and what only the pod itself gets.
pub(crate) fn pod(pod: &mut Document) {
    let Some(spec) = ensure_spec(pod, "spec") else { return };
    pod_spec(spec);
    spec.default_to("enableServiceLinks", true);
    let host_network = spec.flag("hostNetwork");
    for list in ["initContainers", "containers"] {
        for container in spec.list_mut(list) {
            requests_from_limits(container);
            if host_network {
                host_ports(container);
            }
        }
    }
}

/// A pod template: labels, annotations and a pod spec.
pub(crate) fn pod_template(template: &mut Document) {
    template.default_to("metadata", json!({}));
    if let Some(spec) = ensure_spec(template, "spec") {
        pod_spec(spec);
    }
}

/// The pod template at `path`, made where there is none.
pub(crate) fn pod_template_at(object: &mut Document, path: &str) {
    if let Some(template) = ensure_spec(object, path) {
        pod_template(template);
    }
}

fn ensure_spec<'a>(object: &'a mut Document, path: &str) -> Option<&'a mut Document> {
    object.object_mut(path)?;
    object.at_mut(path)
}

fn pod_spec(spec: &mut Document) {
    spec.default_zero("restartPolicy", "Always");
    spec.default_to("terminationGracePeriodSeconds", 30);
    spec.default_zero("dnsPolicy", "ClusterFirst");
    spec.default_zero("schedulerName", "default-scheduler");
    spec.default_to("securityContext", json!({}));
    mirror_service_account(spec);
    for list in CONTAINER_LISTS {
        spec.list_mut(list).iter_mut().for_each(container);
    }
    spec.list_mut("volumes").iter_mut().for_each(pod_volumes::volume);
    resource_lists(spec, &["overhead", "resources.limits", "resources.requests"]);
}

/// `serviceAccount` is an old name of `serviceAccountName`: where either is given, both say it.
fn mirror_service_account(spec: &mut Document) {
    let name = match (spec.text("serviceAccountName"), spec.text("serviceAccount")) {
        ("", "") => return,
        ("", old) => old.to_owned(),
        (name, _) => name.to_owned(),
    };
    spec.put("serviceAccountName", name.as_str());
    spec.put("serviceAccount", name);
}

fn container(container: &mut Document) {
    let pull_policy = pull_policy(container.text("image"));
    container.default_zero("imagePullPolicy", pull_policy);
    container.default_zero("terminationMessagePath", "/dev/termination-log");
    container.default_zero("terminationMessagePolicy", "File");
    container.default_to("resources", json!({}));
    resource_lists(container, &["resources.limits", "resources.requests"]);
    for port in container.list_mut("ports") {
        port.default_zero("protocol", "TCP");
    }
    for variable in container.list_mut("env") {
        if let Some(source) = variable.at_mut("valueFrom") {
            field_reference(source);
        }
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = container.at_mut(name) {
            self::probe(probe);
        }
    }
    for name in ["lifecycle.postStart", "lifecycle.preStop"] {
        if let Some(handler) = container.at_mut(name) {
            http_get(handler);
        }
    }
}

fn probe(probe: &mut Document) {
    http_get(probe);
    if probe.has("grpc") {
        probe.default_to("grpc.service", "");
    }
    probe.default_zero("timeoutSeconds", 1);
    probe.default_zero("periodSeconds", 10);
    probe.default_zero("successThreshold", 1);
    probe.default_zero("failureThreshold", 3);
}

fn http_get(handler: &mut Document) {
    if handler.has("httpGet") {
        handler.default_zero("httpGet.path", "/");
        handler.default_zero("httpGet.scheme", "HTTP");
    }
}

/// A tag that moves is pulled each time, one that stays only where it is not there yet.
pub(super) fn pull_policy(image: &str) -> &'static str {
    let name = image.rsplit('/').next().unwrap_or_default();
    let is_latest = match (name.contains('@'), name.split_once(':')) {
        (true, _) => false,
        (false, None) => true,
        (false, Some((_, tag))) => tag == "latest",
    };
    if is_latest { "Always" } else { "IfNotPresent" }
}

/// What is limited but not requested is requested in full.
fn requests_from_limits(container: &mut Document) {
    let Some(limits) = container.at("resources.limits").as_object().cloned() else { return };
    if limits.is_empty() {
        return;
    }
    if let Some(requests) = container.object_mut("resources.requests") {
        for (resource, limit) in limits {
            requests.entry(resource).or_insert(limit);
        }
    }
    if let Some(requests) = container.at_mut("resources.requests") {
        resource_list(requests);
    }
}

/// On the host's network a container's ports are the host's.
fn host_ports(container: &mut Document) {
    for port in container.list_mut("ports") {
        if let Some(number) = port.int("containerPort") {
            port.default_zero("hostPort", number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_pod_gets_every_default() {
        let mut document =
            json!({"spec": {"containers": [{"name": "a", "image": "nginx", "ports": [{"containerPort": 80}]}]}});
        pod(&mut document);
        let expected = json!({"spec": {
            "containers": [{
                "name": "a",
                "image": "nginx",
                "imagePullPolicy": "Always",
                "ports": [{"containerPort": 80, "protocol": "TCP"}],
                "resources": {},
                "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File",
            }],
            "dnsPolicy": "ClusterFirst",
            "enableServiceLinks": true,
            "restartPolicy": "Always",
            "schedulerName": "default-scheduler",
            "securityContext": {},
            "terminationGracePeriodSeconds": 30,
        }});
        assert_eq!(document, expected);
    }

    #[test]
    fn defaulting_twice_changes_nothing_more() {
        let mut document = json!({"spec": {
            "hostNetwork": true,
            "containers": [{"image": "a:1", "ports": [{"containerPort": 80}], "resources": {"limits": {"cpu": 1}},
                "livenessProbe": {"httpGet": {"port": 80}}, "env": [{"valueFrom": {"fieldRef": {}}}]}],
            "volumes": [{"name": "a"}, {"name": "b", "secret": {}}],
        }});
        pod(&mut document);
        let once = document.clone();
        pod(&mut document);
        assert_eq!(document, once);
    }

    #[test]
    fn the_pull_policy_follows_the_tag() {
        let table = [
            ("nginx", "Always"),
            ("nginx:latest", "Always"),
            ("nginx:1.7.9", "IfNotPresent"),
            ("registry:5000/nginx", "Always"),
            ("registry:5000/a/nginx:v1", "IfNotPresent"),
            ("nginx@sha256:0123", "IfNotPresent"),
            ("nginx:latest@sha256:0123", "IfNotPresent"),
            ("", "Always"),
        ];
        for (image, expected) in table {
            assert_eq!(pull_policy(image), expected, "{image}");
        }
    }

    #[test]
    fn probes_and_hooks_are_filled_in() {
        let mut document = json!({"spec": {"containers": [{
            "livenessProbe": {"httpGet": {"port": 80}, "periodSeconds": 5},
            "readinessProbe": {"grpc": {"port": 1}},
            "lifecycle": {"preStop": {"httpGet": {"port": 80}}},
        }]}});
        pod(&mut document);
        let container = document.at("spec.containers").get(0).unwrap();
        assert_eq!(
            container.at("livenessProbe"),
            &json!({"httpGet": {"port": 80, "path": "/", "scheme": "HTTP"}, "periodSeconds": 5, "timeoutSeconds": 1,
                "successThreshold": 1, "failureThreshold": 3})
        );
        assert_eq!(container.at("readinessProbe.grpc"), &json!({"port": 1, "service": ""}));
        assert_eq!(container.at("lifecycle.preStop.httpGet.path"), "/");
    }

    #[test]
    fn limits_become_requests_in_a_pod_but_not_in_a_template() {
        let spec = json!({"containers": [{"resources": {"limits": {"cpu": "1", "memory": "1Gi"},
            "requests": {"cpu": "500m"}}}]});
        let mut document = json!({ "spec": spec });
        pod(&mut document);
        let requests = |document: &Document| document.at("spec.containers")[0].at("resources.requests").clone();
        assert_eq!(requests(&document), json!({"cpu": "500m", "memory": "1Gi"}));
        let mut template = json!({ "spec": spec });
        pod_template(&mut template);
        assert_eq!(requests(&template), json!({"cpu": "500m"}));
        assert!(!template.has("spec.enableServiceLinks"));
    }

    #[test]
    fn host_network_takes_the_ports_of_the_host() {
        let mut document = json!({"spec": {"hostNetwork": true, "containers": [{"ports": [{"containerPort": 80}]}]}});
        pod(&mut document);
        assert_eq!(document.at("spec.containers")[0].at("ports")[0].int("hostPort"), Some(80));
    }

    #[test]
    fn both_names_of_the_service_account_say_the_same() {
        for given in [json!({"serviceAccount": "x"}), json!({"serviceAccountName": "x", "serviceAccount": "y"})] {
            let mut document = json!({ "spec": given });
            pod(&mut document);
            assert_eq!(document.text("spec.serviceAccountName"), "x");
            assert_eq!(document.text("spec.serviceAccount"), "x");
        }
    }
}
