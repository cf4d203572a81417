//! Create, read, change, delete.

use http::{Method, StatusCode};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::json;

use crate::support::{client, send, server};

fn config_map(name: &str) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name, "labels": {"app": "web"}}, "data": {"a": "1"}}))
        .expect("a ConfigMap")
}

#[tokio::test]
async fn an_object_lives_from_create_to_delete() {
    let maps: Api<ConfigMap> = Api::default_namespaced(client().await);
    let created = maps.create(&PostParams::default(), &config_map("x")).await.unwrap();
    assert!(created.metadata.uid.is_some() && created.metadata.creation_timestamp.is_some());
    assert_eq!(created.metadata.namespace.as_deref(), Some("default"));

    let patch = Patch::Merge(json!({"data": {"a": null, "b": "2"}}));
    let patched = maps.patch("x", &PatchParams::default(), &patch).await.unwrap();
    assert_eq!(patched.data.unwrap().into_iter().collect::<Vec<_>>(), [("b".to_owned(), "2".to_owned())]);
    assert_ne!(patched.metadata.resource_version, created.metadata.resource_version);

    let listed = maps.list(&ListParams::default().labels("app=web")).await.unwrap();
    assert_eq!(listed.items.len(), 1);
    assert!(maps.list(&ListParams::default().labels("app=db")).await.unwrap().items.is_empty());

    maps.delete("x", &DeleteParams::default()).await.unwrap();
    assert!(maps.get_opt("x").await.unwrap().is_none());
}

#[tokio::test]
async fn a_second_create_is_refused() {
    let maps: Api<ConfigMap> = Api::default_namespaced(client().await);
    maps.create(&PostParams::default(), &config_map("x")).await.unwrap();
    let error = maps.create(&PostParams::default(), &config_map("x")).await.unwrap_err();
    assert!(error.to_string().lines().next().unwrap_or_default().contains("already exists"), "{error}");
}

#[tokio::test]
async fn an_update_from_an_old_version_loses() {
    let server = server().await;
    let maps = "/api/v1/namespaces/default/configmaps";
    let (_, created) = send(&server, Method::POST, maps, r#"{"metadata":{"name":"x"}}"#).await;
    let version = created["metadata"]["resourceVersion"].as_str().unwrap();
    let body = json!({"metadata": {"name": "x", "resourceVersion": version}, "data": {"a": "1"}}).to_string();
    let (status, _) = send(&server, Method::PUT, &format!("{maps}/x"), &body).await;
    assert_eq!(status, StatusCode::OK);
    let (status, refused) = send(&server, Method::PUT, &format!("{maps}/x"), &body).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(
        refused["message"],
        "Operation cannot be fulfilled on configmaps \"x\": the object has been modified; please apply your changes to \
         the latest version and try again"
    );
    assert_eq!(refused["reason"], "Conflict");
    assert_eq!(refused["details"], json!({"name": "x", "kind": "configmaps"}));
}

#[tokio::test]
async fn server_side_apply_creates_and_owns() {
    let pods: Api<Pod> = Api::default_namespaced(client().await);
    let patch = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"},
        "spec": {"containers": [{"name": "c", "image": "nginx"}]}});
    let applied = pods.patch("web", &PatchParams::apply("me"), &Patch::Apply(&patch)).await.unwrap();
    let managers = applied.metadata.managed_fields.unwrap();
    assert_eq!(managers.len(), 1);
    assert_eq!(managers[0].manager.as_deref(), Some("me"));
    assert!(applied.spec.unwrap().volumes.unwrap()[0].name.starts_with("kube-api-access-"));
}
