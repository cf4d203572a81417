//! Evictions and the budgets that they honour.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use sheave_apiserver::ApiServer;

use crate::support::{send, server};

const PODS: &str = "/api/v1/namespaces/default/pods";
const BUDGETS: &str = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";

/// A pod that is bound, with this phase and readiness.
async fn pod(server: &ApiServer, name: &str, phase: &str, ready: &str) {
    let pod = json!({"metadata": {"name": name, "labels": {"app": "web"}},
        "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "nginx"}]}});
    let (status, created) = send(server, Method::POST, PODS, &pod.to_string()).await;
    assert_eq!(status, StatusCode::CREATED, "{created}");
    let mut running = created;
    running["status"] = json!({"phase": phase, "conditions": [{"type": "Ready", "status": ready}]});
    let (status, answer) = send(server, Method::PUT, &format!("{PODS}/{name}/status"), &running.to_string()).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
}

/// A budget whose controller has seen it.
async fn budget(server: &ApiServer, name: &str, spec: Value, status: Value) {
    let mut spec = spec;
    spec["selector"] = json!({"matchLabels": {"app": "web"}});
    let budget = json!({"metadata": {"name": name}, "spec": spec});
    let (_, mut created) = send(server, Method::POST, BUDGETS, &budget.to_string()).await;
    created["status"] = status;
    created["status"]["observedGeneration"] = json!(1);
    created["status"]["expectedPods"] = json!(2);
    let (status, answer) = send(server, Method::PUT, &format!("{BUDGETS}/{name}/status"), &created.to_string()).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
}

fn status(allowed: i64, current: i64, desired: i64) -> Value {
    json!({"disruptionsAllowed": allowed, "currentHealthy": current, "desiredHealthy": desired})
}

async fn evict(server: &ApiServer, name: &str, query: &str) -> (StatusCode, Value) {
    let body = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name},
        "deleteOptions": {"gracePeriodSeconds": 0}});
    send(server, Method::POST, &format!("{PODS}/{name}/eviction{query}"), &body.to_string()).await
}

async fn allowed(server: &ApiServer) -> Value {
    let (_, budget) = send(server, Method::GET, &format!("{BUDGETS}/web"), "").await;
    budget["status"].clone()
}

#[tokio::test]
async fn each_eviction_takes_one_disruption_until_there_is_none() {
    let server = server().await;
    pod(&server, "a", "Running", "True").await;
    pod(&server, "b", "Running", "True").await;
    budget(&server, "web", json!({"minAvailable": 1}), status(1, 2, 1)).await;

    let (code, _) = evict(&server, "a", "?dryRun=All").await;
    assert_eq!((code, allowed(&server).await["disruptionsAllowed"].clone()), (StatusCode::CREATED, json!(1)));

    let (code, answer) = evict(&server, "a", "").await;
    assert_eq!((code, &answer["status"]), (StatusCode::CREATED, &json!("Success")), "{answer}");
    let after = allowed(&server).await;
    assert_eq!(after["disruptionsAllowed"], 0, "{after}");
    assert!(after["disruptedPods"]["a"].is_string(), "{after}");
    assert_eq!(after["conditions"][0]["reason"], "InsufficientPods");
    let (code, _) = send(&server, Method::GET, &format!("{PODS}/a"), "").await;
    assert_eq!(code, StatusCode::NOT_FOUND);

    let (code, refused) = evict(&server, "b", "").await;
    assert_eq!(code, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused["message"], "Cannot evict pod as it would violate the pod's disruption budget.");
    assert_eq!(
        refused["details"]["causes"][0],
        json!({"reason": "DisruptionBudget", "message": "The disruption budget web needs 1 healthy pods and has 2 currently"})
    );
}

#[tokio::test]
async fn racing_evictions_never_take_more_than_there_is() {
    let server = server().await;
    for index in 0..16 {
        pod(&server, &format!("p{index}"), "Running", "True").await;
    }
    budget(&server, "web", json!({"minAvailable": 11}), status(5, 16, 11)).await;
    let evictions = (0..16).map(|index| {
        let server = server.clone();
        async move { evict(&server, &format!("p{index}"), "").await.0 }
    });
    let outcomes = futures::future::join_all(evictions).await;
    let gone = outcomes.iter().filter(|&&code| code == StatusCode::CREATED).count();
    let refused = outcomes.iter().filter(|&&code| code == StatusCode::TOO_MANY_REQUESTS).count();
    assert_eq!((gone, refused), (5, 11), "{outcomes:?}");
    assert_eq!(allowed(&server).await["disruptedPods"].as_object().unwrap().len(), 5);
}

#[tokio::test]
async fn a_budget_that_its_controller_has_not_seen_allows_nothing() {
    let server = server().await;
    pod(&server, "a", "Running", "True").await;
    let budget = json!({"metadata": {"name": "web"}, "spec": {"minAvailable": 0, "selector": {}}});
    send(&server, Method::POST, BUDGETS, &budget.to_string()).await;
    let (code, refused) = evict(&server, "a", "").await;
    assert_eq!((code, &refused["details"]["retryAfterSeconds"]), (StatusCode::TOO_MANY_REQUESTS, &json!(10)));
}

#[tokio::test]
async fn pods_that_do_not_run_or_are_not_ready_need_no_disruption() {
    let server = server().await;
    pod(&server, "pending", "Pending", "False").await;
    pod(&server, "done", "Succeeded", "False").await;
    pod(&server, "unready", "Running", "False").await;
    pod(&server, "ready", "Running", "True").await;
    budget(&server, "web", json!({"minAvailable": 1}), status(0, 1, 1)).await;
    for (name, expected) in [
        ("pending", StatusCode::CREATED),
        ("done", StatusCode::CREATED),
        ("unready", StatusCode::CREATED),
        ("ready", StatusCode::TOO_MANY_REQUESTS),
    ] {
        let (code, answer) = evict(&server, name, "").await;
        assert_eq!(code, expected, "{name}: {answer}");
    }
}

#[tokio::test]
async fn an_unready_pod_stays_while_its_budget_is_not_met_unless_the_policy_lets_it_go() {
    let server = server().await;
    pod(&server, "a", "Running", "False").await;
    budget(&server, "web", json!({"minAvailable": 2}), status(0, 1, 2)).await;
    assert_eq!(evict(&server, "a", "").await.0, StatusCode::TOO_MANY_REQUESTS);
    send(&server, Method::DELETE, &format!("{BUDGETS}/web"), "").await;
    let always = json!({"minAvailable": 2, "unhealthyPodEvictionPolicy": "AlwaysAllow"});
    budget(&server, "web", always, status(0, 1, 2)).await;
    assert_eq!(evict(&server, "a", "").await.0, StatusCode::CREATED);
}

#[tokio::test]
async fn a_pod_with_two_budgets_is_not_evicted() {
    let server = server().await;
    pod(&server, "a", "Running", "True").await;
    budget(&server, "web", json!({"minAvailable": 0}), status(1, 1, 0)).await;
    budget(&server, "other", json!({"minAvailable": 0}), status(1, 1, 0)).await;
    let (code, refused) = evict(&server, "a", "").await;
    assert_eq!(code, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(
        refused["message"],
        "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
    );
}

#[tokio::test]
async fn an_evicted_pod_that_lingers_says_why_it_goes() {
    let server = server().await;
    pod(&server, "a", "Running", "True").await;
    let body = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "a"}}).to_string();
    let (code, _) = send(&server, Method::POST, &format!("{PODS}/a/eviction"), &body).await;
    assert_eq!(code, StatusCode::CREATED);
    let (_, pod) = send(&server, Method::GET, &format!("{PODS}/a"), "").await;
    assert_eq!(pod["metadata"]["deletionGracePeriodSeconds"], 30);
    let target = pod["status"]["conditions"].as_array().unwrap().iter().find(|it| it["type"] == "DisruptionTarget");
    assert_eq!(target.unwrap()["reason"], "EvictionByEvictionAPI", "{pod}");
    let misnamed = body.replace("\"a\"", "\"b\"");
    assert_eq!(send(&server, Method::POST, &format!("{PODS}/a/eviction"), &misnamed).await.0, StatusCode::BAD_REQUEST);
}
