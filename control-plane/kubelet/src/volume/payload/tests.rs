//! Files from specs.

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;

fn objects() -> Objects {
    let mut objects = Objects::default();
    let map = json!({"data": {"a.conf": "A", "b.conf": "B"}, "binaryData": {"bin": "/w=="}});
    objects.insert_config_map("settings", Ok(Arc::new(serde_json::from_value(map).unwrap())));
    let secret = json!({"data": {"password": "cGFzcw=="}});
    objects.insert_secret("login", Ok(Arc::new(serde_json::from_value(secret).unwrap())));
    objects
}

fn made(sources: &[Value], pod: Value) -> Result<Payload, VolumeCause> {
    let sources: Vec<VolumeProjection> = sources.iter().map(|s| serde_json::from_value(s.clone()).unwrap()).collect();
    let sources: Vec<_> = sources.iter().map(Source::projected).collect();
    let pod = serde_json::from_value(pod).unwrap();
    let token = serde_json::from_value::<ServiceAccountTokenProjection>(json!({"path": "t"})).unwrap();
    let tokens = BTreeMap::from([(wish(&token), Ok(Token::for_test("jwt")))]);
    let capacity = Capacity::new(2000, 1 << 30, 0);
    Payload::of(&Inputs { pod: &pod, objects: &objects(), tokens: &tokens, allocatable: &capacity }, &sources, 0o640)
}

fn shown(payload: &Payload) -> Vec<String> {
    let shown = |(path, file): (&str, &File)| {
        let user = file.user.map(|user| format!(" of {user}")).unwrap_or_default();
        format!("{path}={} {:o}{user}", String::from_utf8_lossy(&file.content), file.mode)
    };
    payload.files().map(shown).collect()
}

#[test]
fn all_keys_or_the_named_ones_become_files() {
    let table = [
        (vec![json!({"configMap": {"name": "settings"}})], vec!["a.conf=A 640", "b.conf=B 640", "bin=\u{fffd} 640"]),
        (
            vec![json!({"configMap": {"name": "settings", "items": [
                {"key": "a.conf", "path": "etc/a", "mode": 256}, {"key": "b.conf", "path": "b"},
            ]}})],
            vec!["b=B 640", "etc/a=A 400"],
        ),
        (
            vec![
                json!({"configMap": {"name": "settings", "items": [{"key": "a.conf", "path": "x"}]}}),
                json!({"secret": {"name": "login", "items": [{"key": "password", "path": "x"}]}}),
            ],
            vec!["x=pass 640"],
        ),
        (vec![json!({"configMap": {"name": "no", "optional": true}})], vec![]),
        (vec![json!({"secret": {"name": "login", "optional": true, "items": [{"key": "no", "path": "x"}]}})], vec![]),
    ];
    for (sources, expected) in table {
        assert_eq!(shown(&made(&sources, json!({})).unwrap_or_else(|e| panic!("{e}"))), expected, "{sources:?}");
    }
}

#[test]
fn fields_of_the_pod_and_resources_of_its_containers_become_files() {
    let items = json!([
        {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
        {"path": "cpu", "mode": 292, "resourceFieldRef": {"containerName": "c", "resource": "limits.cpu"}},
    ]);
    let pod = json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c"}]}});
    let made = made(&[json!({"downwardAPI": {"items": items}})], pod).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(shown(&made), ["cpu=2 444", "labels=app=\"web\" 640"]);
}

#[test]
fn a_token_is_its_users_alone_where_there_is_one() {
    let token = [json!({"serviceAccountToken": {"path": "token"}})];
    let containers = json!([{"name": "a"}, {"name": "b", "securityContext": {"runAsUser": 7}}]);
    let table = [
        (json!({}), "token=jwt 640"),
        (json!({"fsGroup": 5}), "token=jwt 600"),
        (json!({"runAsUser": 7}), "token=jwt 600 of 7"),
        (json!({"runAsUser": 8}), "token=jwt 640"),
    ];
    for (context, expected) in table {
        let pod = json!({"spec": {"securityContext": context, "containers": containers}});
        assert_eq!(shown(&made(&token, pod).unwrap_or_else(|error| panic!("{error}"))), [expected], "{context}");
    }
}

#[test]
fn what_is_missing_or_dangerous_is_refused() {
    let item = |path: &str| json!({"configMap": {"name": "settings", "items": [{"key": "a.conf", "path": path}]}});
    let table = [
        (json!({"configMap": {"name": "no"}}), "configmap \"no\" not found"),
        (json!({"secret": {"name": "no"}}), "secret \"no\" not found"),
        (
            json!({"configMap": {"name": "settings", "items": [{"key": "no", "path": "x"}]}}),
            "configmap references non-existent config key: no",
        ),
        (
            json!({"secret": {"name": "login", "items": [{"key": "no", "path": "x"}]}}),
            "references non-existent secret key: no",
        ),
        (item("../x"), "invalid path \"../x\": it must be relative and must not contain '..'"),
        (item("a/../x"), "invalid path \"a/../x\": it must be relative and must not contain '..'"),
        (item("/x"), "invalid path \"/x\": it must be relative and must not contain '..'"),
        (item("..data"), "invalid path \"..data\": it must be relative and must not contain '..'"),
        (item(""), "invalid path \"\": it must be relative and must not contain '..'"),
        (
            json!({"clusterTrustBundle": {"path": "x"}}),
            "no volume plugin matched: clusterTrustBundle volumes are not supported on this node",
        ),
    ];
    for (source, expected) in table {
        let error = made(std::slice::from_ref(&source), json!({})).err().map(|error| error.to_string());
        assert_eq!(error.as_deref(), Some(expected), "{source}");
    }
}
