//! Who may do what: default roles, escalation, reviews.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use sheave_apiserver::{ApiServer, Identity};

use crate::support::{request, send, server, server_over};

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

async fn send_as_user(
    server: &ApiServer,
    user: &Identity,
    method: Method,
    path: &str,
    body: Value,
) -> (StatusCode, Value) {
    request(server, user, method, path, &[("content-type", "application/json")], &body.to_string()).await
}

async fn create(server: &ApiServer, path: &str, object: Value) {
    let (status, answer) = send(server, Method::POST, path, &object.to_string()).await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
}

fn rule(group: &str, resources: &[&str], verbs: &[&str]) -> Value {
    json!({"apiGroups": [group], "resources": resources, "verbs": verbs})
}

/// Somebody who may write roles and bindings, and read pods.
async fn role_writer(server: &ApiServer) -> Identity {
    let rules = [
        rule("rbac.authorization.k8s.io", &["roles", "rolebindings", "clusterroles", "clusterrolebindings"], &["*"]),
        rule("", &["pods"], &["get", "list"]),
    ];
    // "*" would hold "escalate" and "bind", which allow everything.
    let mut rules = json!(rules);
    rules[0]["verbs"] = json!(["create", "get", "update", "patch", "delete"]);
    create(server, &format!("{RBAC}/clusterroles"), json!({"metadata": {"name": "writer"}, "rules": rules})).await;
    let binding = json!({"metadata": {"name": "writer"}, "subjects": [{"kind": "User", "name": "wendy",
        "apiGroup": "rbac.authorization.k8s.io"}], "roleRef":
        {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "writer"}});
    create(server, &format!("{RBAC}/clusterrolebindings"), binding).await;
    Identity::user("wendy", &[])
}

fn binding_of(role: &str) -> Value {
    json!({"metadata": {"name": "mine"}, "subjects": [{"kind": "User", "name": "wendy",
        "apiGroup": "rbac.authorization.k8s.io"}], "roleRef":
        {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}})
}

#[tokio::test]
async fn nobody_gives_away_more_than_they_have() {
    let server = server().await;
    let wendy = role_writer(&server).await;
    let roles = format!("{RBAC}/clusterroles");
    let attempt = async |object: Value| send_as_user(&server, &wendy, Method::POST, &roles, object).await;

    let pods = json!({"metadata": {"name": "pods"}, "rules": [rule("", &["pods"], &["get"])]});
    assert_eq!(attempt(pods.clone()).await.0, StatusCode::CREATED);
    let (status, refused) =
        attempt(json!({"metadata": {"name": "secrets"}, "rules": [rule("", &["secrets"], &["get"])]})).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let message = refused["message"].as_str().unwrap();
    assert!(message.contains("is attempting to grant RBAC permissions not currently held:\n"), "{message}");
    assert!(message.contains(r#"{APIGroups:[""], Resources:["secrets"], Verbs:["get"]}"#), "{message}");

    let gathering = json!({"metadata": {"name": "all"}, "aggregationRule":
        {"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]}});
    assert_eq!(attempt(gathering).await.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_label_that_makes_a_role_gathered_counts_as_its_rules() {
    let server = server().await;
    let wendy = role_writer(&server).await;
    let secrets = json!({"metadata": {"name": "secrets"}, "rules": [rule("", &["secrets"], &["get"])]});
    create(&server, &format!("{RBAC}/clusterroles"), secrets.clone()).await;
    let mut labelled = secrets;
    labelled["metadata"]["labels"] = json!({"rbac.authorization.k8s.io/aggregate-to-view": "true"});
    let path = format!("{RBAC}/clusterroles/secrets");
    let (status, _) = send_as_user(&server, &wendy, Method::PUT, &path, labelled.clone()).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    labelled["metadata"]["labels"] = Value::Null;
    labelled["metadata"]["finalizers"] = json!(["example.com/kept"]);
    let (status, answer) = send_as_user(&server, &wendy, Method::PUT, &path, labelled).await;
    assert_eq!(status, StatusCode::OK, "what the collector needs is always allowed: {answer}");
}

#[tokio::test]
async fn a_binding_gives_only_a_role_that_is_held_or_may_be_bound() {
    let server = server().await;
    let wendy = role_writer(&server).await;
    let bindings = format!("{RBAC}/clusterrolebindings");
    let bind = async |role: &str| send_as_user(&server, &wendy, Method::POST, &bindings, binding_of(role)).await;
    assert_eq!(bind("cluster-admin").await.0, StatusCode::FORBIDDEN);
    let (status, refused) = bind("nobody-made-it").await;
    assert_eq!((status, &refused["reason"]), (StatusCode::NOT_FOUND, &json!("NotFound")), "{refused}");

    let binder = json!({"metadata": {"name": "binder"}, "rules": [{"apiGroups": ["rbac.authorization.k8s.io"],
        "resources": ["clusterroles"], "verbs": ["bind"], "resourceNames": ["cluster-admin"]}]});
    create(&server, &format!("{RBAC}/clusterroles"), binder).await;
    let mut gift = binding_of("binder");
    gift["metadata"]["name"] = json!("binder");
    create(&server, &bindings, gift).await;
    assert_eq!(bind("cluster-admin").await.0, StatusCode::CREATED);
}

#[tokio::test]
async fn a_role_of_a_binding_never_changes() {
    let server = server().await;
    create(&server, &format!("{RBAC}/clusterrolebindings"), binding_of("view")).await;
    let path = format!("{RBAC}/clusterrolebindings/mine");
    let (status, refused) = send(&server, Method::PUT, &path, &binding_of("edit").to_string()).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(refused["details"]["causes"][0]["field"], "roleRef", "{refused}");
}

#[tokio::test]
async fn a_default_role_that_lost_rules_gets_them_back_at_the_next_start() {
    let store = crate::support::store();
    let first = server_over(std::sync::Arc::clone(&store)).await;
    let path = format!("{RBAC}/clusterroles/system:kube-scheduler");
    let (_, mut role) = send(&first, Method::GET, &path, "").await;
    role["rules"] = json!([rule("example.com", &["mine"], &["get"])]);
    let (status, _) = send(&first, Method::PUT, &path, &role.to_string()).await;
    assert_eq!(status, StatusCode::OK);
    let (_, mut dns) = send(&first, Method::GET, &format!("{RBAC}/clusterroles/system:kube-dns"), "").await;
    dns["rules"] = json!([]);
    dns["metadata"]["annotations"]["rbac.authorization.kubernetes.io/autoupdate"] = json!("false");
    send(&first, Method::PUT, &format!("{RBAC}/clusterroles/system:kube-dns"), &dns.to_string()).await;
    send(&first, Method::DELETE, &format!("{RBAC}/clusterrolebindings/system:basic-user"), "").await;
    drop(first);

    let second = server_over(store).await;
    let (_, role) = send(&second, Method::GET, &path, "").await;
    let rules = role["rules"].as_array().unwrap();
    assert_eq!(rules[0], rule("example.com", &["mine"], &["get"]), "what an administrator added stays");
    assert!(rules.contains(&json!({"apiGroups": [""], "resources": ["pods/binding"], "verbs": ["create"]})), "{role}");
    let (_, dns) = send(&second, Method::GET, &format!("{RBAC}/clusterroles/system:kube-dns"), "").await;
    assert!(dns["rules"].as_array().is_none_or(Vec::is_empty), "{dns}");
    let (status, _) = send(&second, Method::GET, &format!("{RBAC}/clusterrolebindings/system:basic-user"), "").await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn every_controller_has_a_role_and_an_account() {
    let server = server().await;
    let may = async |account: &str, verb: &str, group: &str, resource: &str, subresource: &str| {
        let review = json!({"spec": {"user": format!("system:serviceaccount:kube-system:{account}"),
            "resourceAttributes": {"verb": verb, "group": group, "resource": resource, "subresource": subresource,
                "namespace": "default"}}});
        let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
        send(&server, Method::POST, path, &review.to_string()).await.1["status"]["allowed"].clone()
    };
    for (account, verb, group, resource, subresource, allowed) in [
        ("deployment-controller", "create", "apps", "replicasets", "", true),
        ("deployment-controller", "create", "", "pods", "", false),
        ("replicaset-controller", "create", "", "pods", "", true),
        ("replicaset-controller", "get", "", "secrets", "", false),
        ("disruption-controller", "get", "apps", "deployments", "scale", true),
        ("disruption-controller", "update", "policy", "poddisruptionbudgets", "status", true),
        ("generic-garbage-collector", "delete", "apps", "deployments", "", true),
        ("generic-garbage-collector", "create", "apps", "deployments", "", false),
        ("endpointslice-controller", "create", "discovery.k8s.io", "endpointslices", "", true),
    ] {
        assert_eq!(may(account, verb, group, resource, subresource).await, allowed, "{account} {verb} {resource}");
    }
}
