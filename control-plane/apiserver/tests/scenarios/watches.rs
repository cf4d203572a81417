//! Watches: what they begin with, what follows, and how they end.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use sheave_apiserver::ApiServer;

use crate::support::{Lines, send, send_as, server, server_over, store, watch};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

async fn create(server: &ApiServer, name: &str, labels: Value) -> Value {
    let body = json!({"metadata": {"name": name, "labels": labels}}).to_string();
    let (status, created) = send(server, Method::POST, MAPS, &body).await;
    assert_eq!(status, StatusCode::CREATED, "{created}");
    created
}

async fn relabel(server: &ApiServer, name: &str, labels: Value) {
    let patch = [("content-type", "application/merge-patch+json")];
    let body = json!({"metadata": {"labels": labels}}).to_string();
    let (status, answer) = send_as(server, Method::PATCH, &format!("{MAPS}/{name}"), &patch, &body).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
}

fn seen(event: &Value) -> String {
    format!(
        "{} {}",
        event["type"].as_str().expect("a type"),
        event["object"]["metadata"]["name"].as_str().unwrap_or("-")
    )
}

async fn next(lines: &mut Lines) -> String {
    seen(&lines.next().await.expect("the watch goes on"))
}

fn version(object: &Value) -> &str {
    object["metadata"]["resourceVersion"].as_str().expect("a resource version")
}

#[tokio::test]
async fn a_watch_list_ends_its_beginning_with_a_bookmark() {
    let server = server().await;
    let last = create(&server, "b", json!({"a": "b"})).await;
    create(&server, "other", json!({})).await;
    let query = "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true\
        &labelSelector=a%3Db";
    let mut lines = watch(&server, &format!("{MAPS}?{query}"), &[]).await;
    assert_eq!(next(&mut lines).await, "ADDED b");
    let bookmark = lines.next().await.unwrap();
    assert_eq!(bookmark["type"], "BOOKMARK");
    assert_eq!(bookmark["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true", "{bookmark}");
    assert_eq!((&bookmark["object"]["kind"], &bookmark["object"]["apiVersion"]), (&json!("ConfigMap"), &json!("v1")));
    let (at, of_last): (u64, u64) = (version(&bookmark["object"]).parse().unwrap(), version(&last).parse().unwrap());
    assert!(at >= of_last);
    create(&server, "c", json!({"a": "b"})).await;
    assert_eq!(next(&mut lines).await, "ADDED c");
}

#[tokio::test]
async fn a_watch_ends_in_time_with_a_last_bookmark() {
    let server = server().await;
    let mut lines = watch(&server, &format!("{MAPS}?watch=true&allowWatchBookmarks=true&timeoutSeconds=3"), &[]).await;
    create(&server, "a", json!({})).await;
    // An event of another kind moves the bookmark on, which is what it is for.
    let secret = json!({"metadata": {"name": "s"}}).to_string();
    let (_, secret) = send(&server, Method::POST, "/api/v1/namespaces/default/secrets", &secret).await;
    let mut types = Vec::new();
    let mut bookmark = None;
    while let Some(event) = lines.next().await {
        types.push(event["type"].as_str().expect("a type").to_owned());
        if event["type"] == "BOOKMARK" {
            bookmark = version(&event["object"]).parse::<u64>().ok();
        }
    }
    assert_eq!(types, ["ADDED", "BOOKMARK"]);
    assert!(bookmark.unwrap() >= version(&secret).parse().unwrap());
}

#[tokio::test]
async fn an_object_that_leaves_a_selection_is_deleted_for_its_watchers() {
    let server = server().await;
    let created = create(&server, "a", json!({"a": "b"})).await;
    let from = version(&created);
    let mut lines = watch(&server, &format!("{MAPS}?watch=true&labelSelector=a%3Db&resourceVersion={from}"), &[]).await;
    relabel(&server, "a", json!({"a": "c"})).await;
    let left = lines.next().await.unwrap();
    assert_eq!(seen(&left), "DELETED a");
    assert_eq!(left["object"]["metadata"]["labels"]["a"], "b", "its last selected state");
    let (_, now) = send(&server, Method::GET, &format!("{MAPS}/a"), "").await;
    assert_eq!(version(&left["object"]), version(&now), "with the version of the change");
    relabel(&server, "a", json!({"a": "b", "x": "y"})).await;
    assert_eq!(next(&mut lines).await, "ADDED a");
    relabel(&server, "a", json!({"x": "z"})).await;
    assert_eq!(next(&mut lines).await, "MODIFIED a");
    send(&server, Method::DELETE, &format!("{MAPS}/a"), "").await;
    assert_eq!(next(&mut lines).await, "DELETED a");
}

#[tokio::test]
async fn the_table_of_requests_that_are_no_watch() {
    let server = server().await;
    for (query, status) in [
        ("sendInitialEvents=true", 422),
        ("resourceVersionMatch=NotOlderThan&resourceVersion=1", 422),
        ("resourceVersionMatch=Exact&resourceVersion=1&sendInitialEvents=true", 422),
        ("resourceVersion=abc", 400),
        ("resourceVersion=99999999", 504),
        ("continue=abc", 422),
        ("labelSelector=a%20b%20c", 400),
        ("fieldSelector=spec.nothing%3Da", 400),
    ] {
        let (code, answer) = send(&server, Method::GET, &format!("{MAPS}?watch=true&{query}"), "").await;
        assert_eq!((code.as_u16(), &answer["kind"]), (status, &json!("Status")), "{query}: {answer}");
    }
}

#[tokio::test]
async fn a_watch_from_forgotten_history_ends_with_410() {
    let store = store();
    let server = server_over(std::sync::Arc::clone(&store)).await;
    let first = create(&server, "a", json!({})).await;
    create(&server, "b", json!({})).await;
    let revision = store.revision();
    store.compact(revision).await.expect("it compacts");
    let mut lines = watch(&server, &format!("{MAPS}?watch=true&resourceVersion={}", version(&first)), &[]).await;
    let error = lines.next().await.unwrap();
    assert_eq!((&error["type"], &error["object"]["code"]), (&json!("ERROR"), &json!(410)), "{error}");
    assert_eq!(error["object"]["reason"], "Expired");
    assert!(lines.next().await.is_none(), "nothing follows");
}

#[tokio::test]
async fn a_table_watch_names_its_columns_once() {
    let server = server().await;
    create(&server, "a", json!({})).await;
    let accept = [("accept", "application/json;as=Table;v=v1;g=meta.k8s.io,application/json")];
    let mut lines = watch(&server, &format!("{MAPS}?watch=true"), &accept).await;
    let first = lines.next().await.unwrap();
    assert_eq!(first["object"]["kind"], "Table");
    assert_eq!(first["object"]["columnDefinitions"][0]["name"], "Name");
    create(&server, "b", json!({})).await;
    let second = loop {
        let event = lines.next().await.unwrap();
        if event["object"]["rows"][0]["object"]["metadata"]["name"] == "b" {
            break event;
        }
    };
    assert_eq!(second["object"]["columnDefinitions"], json!([]));
    assert_eq!(second["object"]["rows"][0]["cells"][0], "b");
}

#[tokio::test]
async fn the_deprecated_watch_paths_still_watch() {
    let server = server().await;
    create(&server, "a", json!({})).await;
    create(&server, "b", json!({})).await;
    let mut lines = watch(&server, "/api/v1/watch/namespaces/default/configmaps/b", &[]).await;
    assert_eq!(next(&mut lines).await, "ADDED b");
}

#[tokio::test]
async fn a_server_that_drains_ends_its_watches() {
    let server = server().await;
    let mut lines =
        watch(&server, &format!("{MAPS}?watch=true&resourceVersion={}", store_version(&server).await), &[]).await;
    server.drain();
    assert!(lines.next().await.is_none());
    let (status, _) = send(&server, Method::GET, "/readyz", "").await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
}

async fn store_version(server: &ApiServer) -> String {
    let (_, list) = send(server, Method::GET, MAPS, "").await;
    list["metadata"]["resourceVersion"].as_str().expect("a resource version").to_owned()
}
