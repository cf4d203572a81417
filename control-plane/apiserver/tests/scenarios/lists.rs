//! Lists: pages, versions, selectors, and what is refused.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use sheave_apiserver::ApiServer;

use crate::support::{send, send_as, server, server_over, store};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

async fn create(server: &ApiServer, name: &str) -> Value {
    let body = json!({"metadata": {"name": name, "labels": {"page": "yes"}}}).to_string();
    send(server, Method::POST, MAPS, &body).await.1
}

async fn list(server: &ApiServer, query: &str) -> (StatusCode, Value) {
    send(server, Method::GET, &format!("{MAPS}?labelSelector=page%3Dyes&{query}"), "").await
}

fn names(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().expect("a list");
    items.iter().map(|item| item["metadata"]["name"].as_str().expect("a name")).collect()
}

fn token(list: &Value) -> &str {
    list["metadata"]["continue"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn pages_show_one_moment_whatever_happens_between_them() {
    let server = server().await;
    for name in ["a", "b", "c", "d", "e"] {
        create(&server, name).await;
    }
    let (_, first) = list(&server, "limit=2").await;
    assert_eq!(names(&first), ["a", "b"]);
    create(&server, "bb").await;
    send(&server, Method::DELETE, &format!("{MAPS}/d"), "").await;
    let (_, second) = list(&server, &format!("limit=2&continue={}", token(&first))).await;
    assert_eq!(names(&second), ["c", "d"]);
    assert_eq!(second["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
    let (_, third) = list(&server, &format!("limit=2&continue={}", token(&second))).await;
    assert_eq!((names(&third), token(&third)), (vec!["e"], ""));
}

#[tokio::test]
async fn remaining_items_are_counted_where_nothing_is_selected() {
    let server = server().await;
    for name in ["a", "b", "c"] {
        create(&server, name).await;
    }
    let (_, page) = send(&server, Method::GET, &format!("{MAPS}?limit=1"), "").await;
    let (_, all) = send(&server, Method::GET, MAPS, "").await;
    let count = all["items"].as_array().unwrap().len();
    assert_eq!(page["metadata"]["remainingItemCount"], count - 1);
    let (_, selected) = list(&server, "limit=1").await;
    assert!(selected["metadata"].get("remainingItemCount").is_none(), "{selected}");
}

#[tokio::test]
async fn a_token_of_forgotten_history_comes_back_as_410_with_one_that_goes_on() {
    let store = store();
    let server = server_over(std::sync::Arc::clone(&store)).await;
    for name in ["a", "b", "c"] {
        create(&server, name).await;
    }
    let (_, first) = list(&server, "limit=1").await;
    create(&server, "aa").await;
    store.compact(store.revision()).await.expect("it compacts");
    let (status, gone) = list(&server, &format!("limit=1&continue={}", token(&first))).await;
    assert_eq!((status, &gone["reason"]), (StatusCode::GONE, &json!("Expired")), "{gone}");
    assert!(gone["message"].as_str().unwrap().starts_with("The provided continue parameter is too old"), "{gone}");
    let (status, rest) = list(&server, &format!("limit=5&continue={}", token(&gone))).await;
    assert_eq!((status, names(&rest)), (StatusCode::OK, vec!["aa", "b", "c"]));
}

#[tokio::test]
async fn versions_of_a_list() {
    let store = store();
    let server = server_over(std::sync::Arc::clone(&store)).await;
    let a = create(&server, "a").await;
    let at = a["metadata"]["resourceVersion"].as_str().unwrap();
    create(&server, "b").await;
    for (query, expected) in [
        (String::new(), vec!["a", "b"]),
        ("resourceVersion=0".into(), vec!["a", "b"]),
        (format!("resourceVersion={at}"), vec!["a", "b"]),
        (format!("resourceVersion={at}&resourceVersionMatch=NotOlderThan"), vec!["a", "b"]),
        (format!("resourceVersion={at}&resourceVersionMatch=Exact"), vec!["a"]),
        (format!("resourceVersion={at}&limit=9"), vec!["a"]),
        ("resourceVersion=0&limit=9".into(), vec!["a", "b"]),
    ] {
        let (status, found) = list(&server, &query).await;
        assert_eq!((status, names(&found)), (StatusCode::OK, expected), "{query}");
    }
    for (query, code) in [
        ("resourceVersion=99999999", 504),
        ("resourceVersion=99999999&resourceVersionMatch=Exact", 504),
        ("resourceVersion=0&resourceVersionMatch=Exact", 422),
        ("resourceVersionMatch=Exact", 422),
        ("resourceVersion=7&resourceVersionMatch=Never", 422),
        ("sendInitialEvents=true", 422),
        ("continue=not-a-token", 400),
        ("limit=x", 400),
    ] {
        let (status, answer) = list(&server, query).await;
        assert_eq!((status.as_u16(), &answer["kind"]), (code, &json!("Status")), "{query}: {answer}");
    }
    store.compact(store.revision()).await.expect("it compacts");
    create(&server, "c").await;
    let (status, gone) = list(&server, &format!("resourceVersion={at}&resourceVersionMatch=Exact")).await;
    assert_eq!((status, &gone["reason"]), (StatusCode::GONE, &json!("Expired")), "{gone}");
}

#[tokio::test]
async fn every_kind_is_selected_by_name_and_some_by_more() {
    let server = server().await;
    let pod = |name: &str, node: &str, phase: &str| {
        json!({"metadata": {"name": name}, "status": {"phase": phase},
            "spec": {"nodeName": node, "containers": [{"name": "c", "image": "nginx"}]}})
    };
    for (name, node) in [("x", "n1"), ("y", "n2")] {
        let path = "/api/v1/namespaces/default/pods";
        let (status, answer) = send(&server, Method::POST, path, &pod(name, node, "").to_string()).await;
        assert_eq!(status, StatusCode::CREATED, "{answer}");
    }
    let secret = json!({"metadata": {"name": "s"}, "type": "example.com/t"}).to_string();
    send(&server, Method::POST, "/api/v1/namespaces/default/secrets", &secret).await;
    for (path, selector, expected) in [
        ("/api/v1/pods", "spec.nodeName=n2", vec!["y"]),
        ("/api/v1/pods", "spec.nodeName!=n2,status.phase=Pending", vec!["x"]),
        ("/api/v1/pods", "metadata.name=x,metadata.namespace=default", vec!["x"]),
        ("/api/v1/pods", "metadata.namespace=kube-system", vec![]),
        ("/api/v1/pods", "spec.restartPolicy=Always,spec.schedulerName=default-scheduler", vec!["x", "y"]),
        ("/api/v1/secrets", "type=example.com/t", vec!["s"]),
        ("/api/v1/namespaces", "metadata.name=default,status.phase=Active", vec!["default"]),
        ("/apis/scheduling.k8s.io/v1/priorityclasses", "metadata.name=nothing", vec![]),
        ("/apis/rbac.authorization.k8s.io/v1/clusterroles", "metadata.name=view", vec!["view"]),
    ] {
        let selector = selector.replace('=', "%3D").replace('!', "%21");
        let (status, found) = send(&server, Method::GET, &format!("{path}?fieldSelector={selector}"), "").await;
        assert_eq!((status, names(&found)), (StatusCode::OK, expected), "{path} {selector}");
    }
    let (status, refused) = send(&server, Method::GET, "/api/v1/pods?fieldSelector=spec.nothing%3Da", "").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(refused["message"].as_str().unwrap().contains("field label not supported: spec.nothing"), "{refused}");
}

#[tokio::test]
async fn a_collection_is_deleted_by_selector_and_names_what_went() {
    let server = server().await;
    for name in ["a", "b"] {
        create(&server, name).await;
    }
    let kept = json!({"metadata": {"name": "kept"}}).to_string();
    send(&server, Method::POST, MAPS, &kept).await;
    let held = json!({"metadata": {"name": "held", "labels": {"page": "yes"}, "finalizers": ["example.com/x"]}});
    send(&server, Method::POST, MAPS, &held.to_string()).await;
    let path = format!("{MAPS}?labelSelector=page%3Dyes");
    let (status, dry) = send(&server, Method::DELETE, &format!("{path}&dryRun=All"), "").await;
    assert_eq!((status, names(&dry)), (StatusCode::OK, vec!["a", "b", "held"]), "{dry}");
    let (status, gone) = send(&server, Method::DELETE, &path, "").await;
    assert_eq!(
        (status, &gone["kind"], names(&gone)),
        (StatusCode::OK, &json!("ConfigMapList"), vec!["a", "b", "held"])
    );
    let (_, left) = send(&server, Method::GET, &path, "").await;
    assert_eq!(names(&left), ["held"], "a finalizer holds it");
    assert!(left["items"][0]["metadata"]["deletionTimestamp"].is_string());
    let (_, all) = send(&server, Method::GET, MAPS, "").await;
    assert!(names(&all).contains(&"kept"));
}

#[tokio::test]
async fn collections_of_all_namespaces_are_read_only() {
    let server = server().await;
    for method in [Method::POST, Method::DELETE, Method::PUT, Method::PATCH] {
        let headers = [("content-type", "application/merge-patch+json")];
        let (status, answer) = send_as(&server, method.clone(), "/api/v1/configmaps", &headers, "{}").await;
        assert_eq!(
            (status, &answer["reason"]),
            (StatusCode::METHOD_NOT_ALLOWED, &json!("MethodNotAllowed")),
            "{method}: {answer}"
        );
    }
}

#[tokio::test]
async fn lists_come_as_metadata_and_as_tables() {
    let server = server().await;
    create(&server, "a").await;
    let metadata = [("accept", "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1")];
    let (_, list) = send_as(&server, Method::GET, MAPS, &metadata, "").await;
    assert_eq!(list["kind"], "PartialObjectMetadataList");
    assert!(list["items"][0].get("data").is_none());
    let table = [("accept", "application/json;as=Table;g=meta.k8s.io;v=v1")];
    let (_, list) = send_as(&server, Method::GET, &format!("{MAPS}?includeObject=None"), &table, "").await;
    assert_eq!((&list["kind"], &list["rows"][0]["object"]), (&json!("Table"), &Value::Null));
    let nothing = [("accept", "text/html")];
    let (status, refused) = send_as(&server, Method::GET, MAPS, &nothing, "").await;
    assert_eq!((status, &refused["reason"]), (StatusCode::NOT_ACCEPTABLE, &json!("NotAcceptable")));
}
