//! Cluster IPs and node ports are handed out once.

use std::collections::BTreeSet;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{send, server};

const SERVICES: &str = "/api/v1/namespaces/default/services";

fn service(name: &str, spec: Value) -> String {
    let mut spec = spec;
    spec["ports"] = json!([{"name": "a", "port": 80}]);
    json!({"metadata": {"name": name}, "spec": spec}).to_string()
}

#[tokio::test]
async fn the_kubernetes_service_has_the_first_address() {
    let server = server().await;
    let (_, found) = send(&server, Method::GET, &format!("{SERVICES}/kubernetes"), "").await;
    assert_eq!(found["spec"]["clusterIP"], "10.96.0.1");
    let (_, slice) =
        send(&server, Method::GET, "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes", "").await;
    assert_eq!(slice["endpoints"][0]["addresses"][0], "192.0.2.1");
}

#[tokio::test]
async fn racing_services_get_different_addresses_and_ports() {
    let server = server().await;
    let creations = (0..64).map(|index| {
        let server = server.clone();
        async move {
            let body = service(&format!("s{index}"), json!({"type": "NodePort"}));
            send(&server, Method::POST, SERVICES, &body).await
        }
    });
    let created = futures::future::join_all(creations).await;
    assert!(created.iter().all(|(status, _)| *status == StatusCode::CREATED), "{created:?}");
    let addresses: BTreeSet<String> = created.iter().map(|(_, it)| it["spec"]["clusterIP"].to_string()).collect();
    let ports: BTreeSet<String> =
        created.iter().map(|(_, it)| it["spec"]["ports"][0]["nodePort"].to_string()).collect();
    assert_eq!((addresses.len(), ports.len()), (64, 64));
}

#[tokio::test]
async fn an_address_can_be_asked_for_once_and_is_free_after_the_service() {
    let server = server().await;
    let ask = json!({"clusterIP": "10.96.0.10"});
    let (status, _) = send(&server, Method::POST, SERVICES, &service("a", ask.clone())).await;
    assert_eq!(status, StatusCode::CREATED);
    let (status, refused) = send(&server, Method::POST, SERVICES, &service("b", ask.clone())).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused["message"].as_str().unwrap().contains("provided IP is already allocated"), "{refused}");
    send(&server, Method::DELETE, &format!("{SERVICES}/a"), "").await;
    let (status, _) = send(&server, Method::POST, SERVICES, &service("b", ask)).await;
    assert_eq!(status, StatusCode::CREATED);
}

#[tokio::test]
async fn an_address_outside_the_range_is_refused() {
    let server = server().await;
    let (status, refused) = send(&server, Method::POST, SERVICES, &service("a", json!({"clusterIP": "1.2.3.4"}))).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused["message"].as_str().unwrap().contains("not in the valid range"), "{refused}");
}

#[tokio::test]
async fn dual_stack_is_had_by_policy() {
    let server = server().await;
    let (_, created) =
        send(&server, Method::POST, SERVICES, &service("a", json!({"ipFamilyPolicy": "PreferDualStack"}))).await;
    assert_eq!(created["spec"]["ipFamilies"], json!(["IPv4", "IPv6"]));
    assert_eq!(created["spec"]["clusterIPs"].as_array().unwrap().len(), 2);
    let (_, created) = send(&server, Method::POST, SERVICES, &service("b", json!({"ipFamilies": ["IPv6"]}))).await;
    assert!(created["spec"]["clusterIP"].as_str().unwrap().starts_with("fd00:96::"), "{created}");
}

#[tokio::test]
async fn a_service_that_becomes_a_cluster_ip_gives_its_node_port_back() {
    let server = server().await;
    let spec = json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 30080}]});
    let body = json!({"metadata": {"name": "a"}, "spec": spec}).to_string();
    let (status, _) = send(&server, Method::POST, SERVICES, &body).await;
    assert_eq!(status, StatusCode::CREATED);
    let taken = body.replace("\"a\"", "\"b\"");
    let (status, _) = send(&server, Method::POST, SERVICES, &taken).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let change = json!({"metadata": {"name": "a"}, "spec": {"type": "ClusterIP", "ports": [{"port": 80}]}}).to_string();
    let (status, changed) = send(&server, Method::PUT, &format!("{SERVICES}/a"), &change).await;
    assert_eq!(status, StatusCode::OK, "{changed}");
    let (status, _) = send(&server, Method::POST, SERVICES, &taken).await;
    assert_eq!(status, StatusCode::CREATED);
}
