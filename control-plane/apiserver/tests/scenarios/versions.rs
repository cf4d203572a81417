//! Kinds with two versions: what is written in one is read in the other.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{send, send_as, server};

const CORE: &str = "/api/v1/namespaces/default/events";
const REGARDING: &str = "/apis/events.k8s.io/v1/namespaces/default/events";

fn regarding(name: &str) -> Value {
    json!({"metadata": {"name": name}, "eventTime": "2024-01-01T00:00:00.000000Z", "type": "Normal",
        "regarding": {"kind": "Pod", "namespace": "default", "name": "web"}, "note": "assigned to n1",
        "reason": "Scheduled", "action": "Binding", "reportingController": "default-scheduler",
        "reportingInstance": "default-scheduler-1"})
}

#[tokio::test]
async fn an_event_of_the_newer_group_is_one_of_core_too() {
    let server = server().await;
    let (status, created) = send(&server, Method::POST, REGARDING, &regarding("web.1").to_string()).await;
    assert_eq!(status, StatusCode::CREATED, "{created}");
    assert_eq!(created["regarding"]["name"], "web");

    let selected = format!("{CORE}?fieldSelector=involvedObject.name=web,reportingComponent=default-scheduler");
    let (_, list) = send(&server, Method::GET, &selected, "").await;
    let event = &list["items"][0];
    assert_eq!((&event["apiVersion"], &event["message"]), (&json!("v1"), &json!("assigned to n1")));
    assert_eq!(event["reportingComponent"], "default-scheduler");
    assert!(event.get("note").is_none(), "{event}");

    // What client-go's recorder does when it happens again.
    let series = json!({"series": {"count": 2, "lastObservedTime": "2024-01-01T00:00:09.000000Z"}}).to_string();
    let patch = [("content-type", "application/strategic-merge-patch+json")];
    let (status, patched) = send_as(&server, Method::PATCH, &format!("{REGARDING}/web.1"), &patch, &series).await;
    assert_eq!((status, &patched["series"]["count"]), (StatusCode::OK, &json!(2)), "{patched}");
    let (_, event) = send(&server, Method::GET, &format!("{CORE}/web.1"), "").await;
    assert_eq!(event["series"]["count"], 2);
}

#[tokio::test]
async fn an_event_of_core_is_read_in_the_newer_group() {
    let server = server().await;
    let event = json!({"metadata": {"name": "web.1"}, "message": "pulled", "reason": "Pulled", "type": "Normal",
        "involvedObject": {"kind": "Pod", "namespace": "default", "name": "web"}, "source": {"component": "kubelet"},
        "firstTimestamp": "2024-01-01T00:00:00Z", "lastTimestamp": "2024-01-01T00:00:05Z", "count": 3});
    let (status, created) = send(&server, Method::POST, CORE, &event.to_string()).await;
    assert_eq!(status, StatusCode::CREATED, "{created}");
    let (_, read) = send(&server, Method::GET, &format!("{REGARDING}/web.1"), "").await;
    assert_eq!((&read["note"], &read["deprecatedCount"]), (&json!("pulled"), &json!(3)));
    assert_eq!(read["deprecatedSource"]["component"], "kubelet");
    assert_eq!(read["deprecatedLastTimestamp"], "2024-01-01T00:00:05Z");
}

#[tokio::test]
async fn the_newer_group_is_strict() {
    let server = server().await;
    let mut event = regarding("web.1");
    event["deprecatedCount"] = json!(3);
    event["reportingController"] = json!("");
    let (status, refused) = send(&server, Method::POST, REGARDING, &event.to_string()).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let fields: Vec<&str> =
        refused["details"]["causes"].as_array().unwrap().iter().filter_map(|cause| cause["field"].as_str()).collect();
    assert!(fields.contains(&"count") && fields.contains(&"reportingController"), "{refused}");
}

#[tokio::test]
async fn an_autoscaler_is_read_in_both_versions() {
    let server = server().await;
    let v1 = "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers";
    let v2 = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers";
    let scaler = json!({"metadata": {"name": "web"}, "spec": {"maxReplicas": 3, "targetCPUUtilizationPercentage": 70,
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}}});
    let (status, created) = send(&server, Method::POST, v1, &scaler.to_string()).await;
    assert_eq!((status, &created["spec"]["targetCPUUtilizationPercentage"]), (StatusCode::CREATED, &json!(70)));
    let (_, read) = send(&server, Method::GET, &format!("{v2}/web"), "").await;
    assert_eq!(read["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"], 70, "{read}");
    assert!(read["spec"].get("targetCPUUtilizationPercentage").is_none(), "{read}");

    let memory = json!([{"op": "add", "path": "/spec/metrics/0", "value": {"type": "Resource", "resource":
        {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}}}}]);
    let patch = [("content-type", "application/json-patch+json")];
    let (status, _) = send_as(&server, Method::PATCH, &format!("{v2}/web"), &patch, &memory.to_string()).await;
    assert_eq!(status, StatusCode::OK);
    let (_, read) = send(&server, Method::GET, &format!("{v1}/web"), "").await;
    assert_eq!(read["spec"]["targetCPUUtilizationPercentage"], 70, "{read}");
    assert!(read["metadata"]["annotations"]["autoscaling.alpha.kubernetes.io/metrics"].is_string(), "{read}");

    // An update through the older version keeps what only the newer one has words for.
    let mut changed = read.clone();
    changed["spec"]["maxReplicas"] = json!(9);
    let (status, _) = send(&server, Method::PUT, &format!("{v1}/web"), &changed.to_string()).await;
    assert_eq!(status, StatusCode::OK);
    let (_, read) = send(&server, Method::GET, &format!("{v2}/web"), "").await;
    assert_eq!((&read["spec"]["maxReplicas"], read["spec"]["metrics"].as_array().unwrap().len()), (&json!(9), 2));
}
