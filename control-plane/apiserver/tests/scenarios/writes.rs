//! Writes: names, versions, dry runs, deletion step by step, and what the wire refuses.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use sheave_apiserver::{ApiServer, Identity};

use crate::support::{request as request_as, send, send_as, server};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const PODS: &str = "/api/v1/namespaces/default/pods";
const JSON: &str = "application/json";

async fn create(server: &ApiServer, path: &str, object: Value) -> Value {
    let (status, created) = send(server, Method::POST, path, &object.to_string()).await;
    assert_eq!(status, StatusCode::CREATED, "{created}");
    created
}

fn pod(name: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "nginx"}]}})
}

#[tokio::test]
async fn every_refusal_is_a_status() {
    let server = server().await;
    create(&server, MAPS, json!({"metadata": {"name": "x"}})).await;
    for (method, path, content_type, body, code, reason) in [
        (Method::GET, format!("{MAPS}/none"), JSON, "", 404, "NotFound"),
        (Method::GET, "/apis/nothing.example.com/v1/things".into(), JSON, "", 404, "NotFound"),
        (Method::GET, "/nothing".into(), JSON, "", 404, "NotFound"),
        (Method::GET, format!("{MAPS}/x/nothing"), JSON, "", 404, "NotFound"),
        (Method::GET, "/api/v1/namespaces/default/nodes".into(), JSON, "", 404, "NotFound"),
        (Method::GET, "/api/v1/configmaps/x".into(), JSON, "", 404, "NotFound"),
        (Method::POST, format!("{MAPS}/x"), JSON, "{}", 405, "MethodNotAllowed"),
        (Method::PUT, MAPS.into(), JSON, "{}", 405, "MethodNotAllowed"),
        (Method::TRACE, MAPS.into(), JSON, "", 405, "MethodNotAllowed"),
        (Method::POST, MAPS.into(), "text/plain", "{}", 415, "UnsupportedMediaType"),
        (Method::PATCH, format!("{MAPS}/x"), JSON, "{}", 415, "UnsupportedMediaType"),
        (Method::POST, MAPS.into(), JSON, "{", 400, "BadRequest"),
        (Method::POST, MAPS.into(), JSON, "", 400, "BadRequest"),
        (Method::POST, MAPS.into(), JSON, "[]", 400, "BadRequest"),
        (Method::POST, MAPS.into(), JSON, r#"{"kind":"Secret","apiVersion":"v1"}"#, 400, "BadRequest"),
        (Method::POST, MAPS.into(), JSON, r#"{"metadata":{"name":"x","namespace":"other"}}"#, 400, "BadRequest"),
        (Method::PUT, format!("{MAPS}/x"), JSON, r#"{"metadata":{"name":"y"}}"#, 400, "BadRequest"),
        (Method::POST, MAPS.into(), JSON, r#"{"metadata":{"name":"UPPER"}}"#, 422, "Invalid"),
        (Method::POST, MAPS.into(), JSON, r#"{"metadata":{}}"#, 422, "Invalid"),
        (Method::POST, MAPS.into(), JSON, r#"{"metadata":{"name":"x"}}"#, 409, "AlreadyExists"),
        (Method::PUT, format!("{MAPS}/x"), JSON, r#"{"metadata":{"name":"x","uid":"other"}}"#, 409, "Conflict"),
        (Method::POST, format!("{MAPS}?dryRun=some"), JSON, "{}", 422, "Invalid"),
        (Method::POST, format!("{MAPS}?fieldValidation=loud"), JSON, "{}", 422, "Invalid"),
        (
            Method::POST,
            "/api/v1/namespaces/none/configmaps".into(),
            JSON,
            r#"{"metadata":{"name":"x"}}"#,
            404,
            "NotFound",
        ),
        (Method::DELETE, "/api/v1/namespaces/kube-system".into(), JSON, "", 403, "Forbidden"),
    ] {
        let (status, answer) = send_as(&server, method.clone(), &path, &[("content-type", content_type)], body).await;
        let found = (status.as_u16(), answer["kind"].as_str(), answer["reason"].as_str(), answer["code"].as_u64());
        let expected = (code, Some("Status"), Some(reason), Some(u64::from(code)));
        assert_eq!(found, expected, "{method} {path} {body}: {answer}");
        assert!(!answer["message"].as_str().unwrap_or_default().is_empty(), "{method} {path}: {answer}");
    }
}

#[tokio::test]
async fn unknown_fields_are_refused_named_or_dropped() {
    let server = server().await;
    let body = r#"{"metadata":{"name":"x"},"dat":{"a":"b"},"data":{"k":"1","k":"2"}}"#;
    let (status, refused) = send(&server, Method::POST, &format!("{MAPS}?fieldValidation=Strict"), body).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let message = refused["message"].as_str().unwrap();
    assert!(message.contains(r#"strict decoding error: "#) && message.contains(r#"unknown field "dat""#), "{message}");
    assert!(message.contains(r#"duplicate field "data.k""#), "{message}");
    let (status, created) = send(&server, Method::POST, MAPS, body).await;
    assert_eq!((status, created.get("dat")), (StatusCode::CREATED, None));
}

#[tokio::test]
async fn a_dry_run_leaves_nothing_behind() {
    let server = server().await;
    let (status, dry) = send(&server, Method::POST, &format!("{PODS}?dryRun=All"), &pod("x").to_string()).await;
    assert_eq!(status, StatusCode::CREATED);
    assert!(dry["metadata"]["uid"].is_string() && dry["spec"]["restartPolicy"] == "Always", "{dry}");
    assert_eq!(send(&server, Method::GET, &format!("{PODS}/x"), "").await.0, StatusCode::NOT_FOUND);
    let before = create(&server, MAPS, json!({"metadata": {"name": "m"}})).await;
    let patch = [("content-type", "application/merge-patch+json")];
    let path = format!("{MAPS}/m?dryRun=All");
    let (_, dry) = send_as(&server, Method::PATCH, &path, &patch, r#"{"data":{"a":"b"}}"#).await;
    assert_eq!(dry["data"]["a"], "b");
    assert_eq!(send(&server, Method::DELETE, &path, "").await.0, StatusCode::OK);
    let (_, after) = send(&server, Method::GET, &format!("{MAPS}/m"), "").await;
    assert_eq!(after, before);
}

#[tokio::test]
async fn generated_names_are_free_and_short_enough() {
    let server = server().await;
    let mut names = std::collections::BTreeSet::new();
    for _ in 0..50 {
        let created = create(&server, MAPS, json!({"metadata": {"generateName": "x-"}})).await;
        let name = created["metadata"]["name"].as_str().unwrap().to_owned();
        assert!(name.len() == 7 && name.starts_with("x-"), "{name}");
        names.insert(name);
    }
    assert_eq!(names.len(), 50);
    let long = create(&server, MAPS, json!({"metadata": {"generateName": "a".repeat(100)}})).await;
    assert_eq!(long["metadata"]["name"].as_str().unwrap().len(), 63);
}

#[tokio::test]
async fn deletion_has_preconditions() {
    let server = server().await;
    let created = create(&server, MAPS, json!({"metadata": {"name": "x"}})).await;
    let path = format!("{MAPS}/x");
    for preconditions in [json!({"uid": "another"}), json!({"resourceVersion": "1"})] {
        let body = json!({"preconditions": preconditions}).to_string();
        let (status, refused) = send(&server, Method::DELETE, &path, &body).await;
        assert_eq!((status, &refused["reason"]), (StatusCode::CONFLICT, &json!("Conflict")), "{refused}");
    }
    let body = json!({"preconditions": {"uid": created["metadata"]["uid"],
        "resourceVersion": created["metadata"]["resourceVersion"]}})
    .to_string();
    let (status, gone) = send(&server, Method::DELETE, &path, &body).await;
    assert_eq!((status, &gone["status"]), (StatusCode::OK, &json!("Success")));
    assert_eq!(gone["details"]["uid"], created["metadata"]["uid"]);
}

#[tokio::test]
async fn a_finalizer_holds_an_object_until_it_goes() {
    let server = server().await;
    let path = format!("{MAPS}/x");
    create(&server, MAPS, json!({"metadata": {"name": "x", "finalizers": ["example.com/a"]}})).await;
    let (status, held) = send(&server, Method::DELETE, &path, "").await;
    assert_eq!(status, StatusCode::OK);
    assert!(held["metadata"]["deletionTimestamp"].is_string(), "{held}");
    let patch = [("content-type", "application/merge-patch+json")];
    let add = r#"{"metadata":{"finalizers":["example.com/a","example.com/late"]}}"#;
    let (status, _) = send_as(&server, Method::PATCH, &path, &patch, add).await;
    assert!(status.is_client_error(), "nobody adds a finalizer to what is going away: {status}");
    let (status, _) = send_as(&server, Method::PATCH, &path, &patch, r#"{"metadata":{"finalizers":null}}"#).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(send(&server, Method::GET, &path, "").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn propagation_policies_become_finalizers() {
    let server = server().await;
    for (policy, finalizers) in [("Foreground", json!(["foregroundDeletion"])), ("Orphan", json!(["orphan"]))] {
        create(&server, MAPS, json!({"metadata": {"name": "x"}})).await;
        let body = json!({"propagationPolicy": policy}).to_string();
        let (_, held) = send(&server, Method::DELETE, &format!("{MAPS}/x"), &body).await;
        assert_eq!(held["metadata"]["finalizers"], finalizers, "{held}");
        let patch = [("content-type", "application/merge-patch+json")];
        send_as(&server, Method::PATCH, &format!("{MAPS}/x"), &patch, r#"{"metadata":{"finalizers":null}}"#).await;
    }
}

#[tokio::test]
async fn a_bound_pod_is_given_time_to_end() {
    let server = server().await;
    create(&server, PODS, pod("x")).await;
    let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "x"}, "target": {"kind": "Node", "name": "n1"}});
    let (status, answer) = send(&server, Method::POST, &format!("{PODS}/x/binding"), &binding.to_string()).await;
    assert_eq!((status, &answer["status"]), (StatusCode::CREATED, &json!("Success")), "{answer}");
    let (_, bound) = send(&server, Method::GET, &format!("{PODS}/x"), "").await;
    assert_eq!(bound["spec"]["nodeName"], "n1");
    assert_eq!(bound["status"]["conditions"][0]["type"], "PodScheduled");
    let (status, refused) = send(&server, Method::POST, &format!("{PODS}/x/binding"), &binding.to_string()).await;
    assert_eq!((status, &refused["reason"]), (StatusCode::CONFLICT, &json!("Conflict")), "{refused}");

    let (_, first) = send(&server, Method::DELETE, &format!("{PODS}/x"), "").await;
    assert_eq!(first["metadata"]["deletionGracePeriodSeconds"], 30);
    let (_, longer) = send(&server, Method::DELETE, &format!("{PODS}/x?gracePeriodSeconds=60"), "").await;
    assert_eq!(longer["metadata"]["deletionGracePeriodSeconds"], 30, "a second deletion only shortens");
    let (_, shorter) = send(&server, Method::DELETE, &format!("{PODS}/x?gracePeriodSeconds=5"), "").await;
    assert_eq!(shorter["metadata"]["deletionGracePeriodSeconds"], 5);
    send(&server, Method::DELETE, &format!("{PODS}/x?gracePeriodSeconds=0"), "").await;
    assert_eq!(send(&server, Method::GET, &format!("{PODS}/x"), "").await.0, StatusCode::NOT_FOUND);
    create(&server, PODS, pod("y")).await;
    send(&server, Method::DELETE, &format!("{PODS}/y"), "").await;
    assert_eq!(send(&server, Method::GET, &format!("{PODS}/y"), "").await.0, StatusCode::NOT_FOUND, "nothing runs yet");
}

#[tokio::test]
async fn a_request_is_approved_through_its_subresource_alone() {
    let server = server().await;
    let path = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
    let request = json!({"metadata": {"name": "r"}, "spec": {"request": REQUEST, "signerName": "example.com/own",
        "usages": ["client auth"]}});
    let created = create(&server, path, request).await;
    assert_eq!(created["spec"]["username"], "kubernetes-admin", "who asks is the server's to say");
    let mut approved = created;
    approved["status"]["conditions"] =
        json!([{"type": "Approved", "status": "True", "reason": "Test", "message": "by a test"}]);
    let text = approved.to_string();
    let (_, plain) = send(&server, Method::PUT, &format!("{path}/r"), &text).await;
    assert!(plain["status"].get("conditions").is_none(), "{plain}");
    approved["metadata"]["resourceVersion"] = plain["metadata"]["resourceVersion"].clone();
    let (status, answer) = send(&server, Method::PUT, &format!("{path}/r/approval"), &approved.to_string()).await;
    assert_eq!((status, &answer["status"]["conditions"][0]["type"]), (StatusCode::OK, &json!("Approved")), "{answer}");
}

#[tokio::test]
async fn approving_and_signing_need_rights_on_the_signer() {
    let server = server().await;
    let path = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
    let request = json!({"metadata": {"name": "r"}, "spec": {"request": REQUEST, "signerName": "example.com/own",
        "usages": ["client auth"], "username": "somebody-else", "groups": ["system:masters"]}});
    let created = create(&server, path, request).await;
    assert_eq!(created["spec"]["username"], "kubernetes-admin", "whatever the request says: {created}");
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    let rules = json!([{"apiGroups": ["certificates.k8s.io"], "verbs": ["*"],
        "resources": ["certificatesigningrequests", "certificatesigningrequests/approval", "certificatesigningrequests/status"]}]);
    create(&server, &format!("{rbac}/clusterroles"), json!({"metadata": {"name": "csr"}, "rules": rules})).await;
    let bind = |role: &str| {
        json!({"metadata": {"name": role}, "subjects": [{"kind": "User", "name": "carl",
            "apiGroup": "rbac.authorization.k8s.io"}],
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}})
    };
    create(&server, &format!("{rbac}/clusterrolebindings"), bind("csr")).await;
    let carl = Identity::user("carl", &[]);
    let mut approved = created;
    approved["status"]["conditions"] =
        json!([{"type": "Approved", "status": "True", "reason": "Test", "message": "by a test"}]);
    let approve = async |object: &Value| {
        let headers = [("content-type", JSON)];
        request_as(&server, &carl, Method::PUT, &format!("{path}/r/approval"), &headers, &object.to_string()).await
    };
    let (status, refused) = approve(&approved).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "{refused}");
    let why = r#"user not permitted to approve requests with signerName "example.com/own""#;
    assert!(refused["message"].as_str().unwrap().ends_with(why), "{refused}");
    let rules = json!([{"apiGroups": ["certificates.k8s.io"], "resources": ["signers"], "verbs": ["approve"],
        "resourceNames": ["example.com/*"]}]);
    create(&server, &format!("{rbac}/clusterroles"), json!({"metadata": {"name": "approver"}, "rules": rules})).await;
    create(&server, &format!("{rbac}/clusterrolebindings"), bind("approver")).await;
    let (status, answer) = approve(&approved).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
}

/// A certificate request for `CN=eve`, made by openssl.
const REQUEST: &str = "\
    LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlISk1IQUNBUUF3RGpFTU1Bb0dBMVVFQXd3RFpYWmxNRmt3RXdZ\
    SEtvWkl6ajBDQVFZSUtvWkl6ajBEQVFjRApRZ0FFY2t3cTdYd1p0WjN3ZFRMTUVxN0pmUTJuV1JSUFNiUEZXc1NiRXVFMnQzTHRS\
    Nk8ra24rUTQ2TkF3dHRKCng4OTQxcmRIVzVSWm9UZDBxWTlIOVZFNmNxQUFNQW9HQ0NxR1NNNDlCQU1DQTBrQU1FWUNJUUN4S1B6\
    MVgxOUQKTGhNQmVJS3Q0YVFxTFpkZE50OWhQc1A3Qlc2ZTdVVVZaUUloQU55aWJKTTU4ckxsbGRZaGdkQkxEWW1PUHVXVApCbzFw\
    ZVRsODJGYlhhdjJ3Ci0tLS0tRU5EIENFUlRJRklDQVRFIFJFUVVFU1QtLS0tLQo=";
