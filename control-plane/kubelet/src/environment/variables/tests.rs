//! Environments from specs, and what keeps a container from having one.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use serde_json::{Value, json};

use super::*;

fn objects() -> Objects {
    let mut objects = Objects::default();
    let map: ConfigMap =
        serde_json::from_value(json!({"data": {"level": "debug", "port": "80", "1bad": "x"}})).unwrap();
    objects.insert_config_map("settings", Ok(Arc::new(map)));
    // "pass", and bytes that are no text.
    let secret: Secret = serde_json::from_value(json!({"data": {"password": "cGFzcw=="}})).unwrap();
    objects.insert_secret("login", Ok(Arc::new(secret)));
    let secret: Secret = serde_json::from_value(json!({"data": {"key": "/w=="}})).unwrap();
    objects.insert_secret("binary", Ok(Arc::new(secret)));
    let unavailable = SourceError::Unavailable { kind: "secret", name: "far".into(), cause: "timed out".into() };
    objects.insert_secret("far", Err(unavailable));
    objects
}

fn made(container: Value) -> Result<Environment, EnvironmentError> {
    let mut container = container;
    container["name"] = json!("c");
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"containers": [container]},
    }))
    .unwrap();
    let service = json!({
        "metadata": {"namespace": "default", "name": "kubernetes"},
        "spec": {"clusterIP": "10.96.0.1", "ports": [{"port": 443}]},
    });
    environment(Inputs {
        pod: &pod,
        container: &pod.spec.as_ref().unwrap().containers[0],
        objects: &objects(),
        services: &[Arc::new(serde_json::from_value(service).unwrap())],
        addresses: &Addresses { pod: vec!["10.244.0.9".parse().unwrap()], host: Vec::new() },
        allocatable: &Capacity::new(2000, 1 << 30, 1 << 30),
    })
}

/// The container's own variables; those of Services are tested beside their module.
fn own(container: Value) -> Vec<String> {
    let made = made(container).unwrap_or_else(|error| panic!("{error}"));
    let own = made.variables.iter().filter(|(name, _)| !name.starts_with("KUBERNETES_"));
    own.map(|(name, value)| format!("{name}={value}")).collect()
}

#[test]
fn variables_have_their_values_in_the_order_of_the_spec() {
    let env = json!([
        {"name": "Z", "value": "last letter"},
        {"name": "EMPTY"},
        {"name": "A", "value": "[$(Z)] $(LATER) $(KUBERNETES_SERVICE_HOST)"},
        {"name": "LATER", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "level"}}},
        {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "login", "key": "password"}}},
        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1m"}}},
    ]);
    let expected = [
        "Z=last letter",
        "EMPTY=",
        "A=[last letter] $(LATER) 10.96.0.1",
        "LATER=debug",
        "PASSWORD=pass",
        "IP=10.244.0.9",
        "CPU=2000",
    ];
    assert_eq!(own(json!({"env": env})), expected);
}

#[test]
fn whole_maps_come_with_a_prefix_and_the_containers_own_variables_win() {
    let container = json!({
        "envFrom": [
            {"prefix": "S_", "configMapRef": {"name": "settings"}},
            {"secretRef": {"name": "login"}},
            {"configMapRef": {"name": "absent", "optional": true}},
        ],
        "env": [{"name": "password", "value": "own"}, {"name": "X", "value": "$(S_port)"}],
    });
    assert_eq!(own(container), ["S_1bad=x", "S_level=debug", "S_port=80", "password=own", "X=80"]);
}

#[test]
fn keys_that_are_no_names_are_left_out_and_reported() {
    let made = made(json!({"envFrom": [{"configMapRef": {"name": "settings"}}]})).unwrap_or_else(|e| panic!("{e}"));
    assert!(made.variables.iter().all(|(name, _)| name != "1bad"));
    let messages = made.skipped.iter().map(Skipped::message).collect::<Vec<_>>();
    let expected = "Keys [1bad] from the EnvFrom configMap shop/settings were skipped since they are considered \
                    invalid environment variable names.";
    assert_eq!(messages, [expected]);
}

#[test]
fn a_variable_of_the_container_hides_one_of_a_service() {
    let made = made(json!({"env": [{"name": "KUBERNETES_SERVICE_HOST", "value": "mine"}]}));
    let made = made.unwrap_or_else(|error| panic!("{error}"));
    let values = made.variables.iter().filter(|(name, _)| name == "KUBERNETES_SERVICE_HOST");
    assert_eq!(values.map(|(_, value)| value.as_str()).collect::<Vec<_>>(), ["mine"]);
}

#[test]
fn what_is_missing_is_said_in_kubernetes_words_unless_it_is_optional() {
    let key_of = |kind: &str, name: &str, key: &str, optional: bool| {
        let reference = json!({"name": name, "key": key, "optional": optional});
        json!({"env": [{"name": "V", "valueFrom": {kind: reference}}]})
    };
    let from = |kind: &str, name: &str| json!({"envFrom": [{kind: {"name": name}}]});
    let table = [
        (
            key_of("configMapKeyRef", "settings", "log_level", false),
            Some("couldn't find key log_level in ConfigMap shop/settings"),
        ),
        (key_of("configMapKeyRef", "settings", "log_level", true), None),
        (key_of("configMapKeyRef", "no", "k", false), Some("configmap \"no\" not found")),
        (key_of("configMapKeyRef", "no", "k", true), None),
        (key_of("secretKeyRef", "login", "user", false), Some("couldn't find key user in Secret shop/login")),
        (key_of("secretKeyRef", "login", "user", true), None),
        (key_of("secretKeyRef", "no", "k", false), Some("secret \"no\" not found")),
        (
            key_of("secretKeyRef", "binary", "key", false),
            Some(
                "the value of key key in Secret shop/binary is not UTF-8, which a variable must be: mount it as a file",
            ),
        ),
        (key_of("secretKeyRef", "far", "k", true), Some("failed to get secret \"far\": timed out")),
        (from("configMapRef", "no"), Some("configmap \"no\" not found")),
        (from("secretRef", "no"), Some("secret \"no\" not found")),
        (key_of("fieldRef", "x", "k", false), Some("unsupported fieldPath: ")),
    ];
    for (container, expected) in table {
        let error = made(container.clone()).err().map(|error| error.to_string());
        assert_eq!(error.as_deref(), expected, "{container}");
    }
}
