//! Who somebody is: tokens, bootstrap tokens, nobody, and whom one acts for.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use sheave_apiserver::{ApiServer, Identity};

use crate::support::{anonymous, request, send, server};

const REVIEWS: &str = "/apis/authentication.k8s.io/v1/tokenreviews";
const TOKENS: &str = "/api/v1/namespaces/default/serviceaccounts/default/token";

async fn token(server: &ApiServer, spec: Value) -> (StatusCode, Value) {
    send(server, Method::POST, TOKENS, &json!({"spec": spec}).to_string()).await
}

async fn review(server: &ApiServer, token: &str, audiences: &[&str]) -> Value {
    let body = json!({"spec": {"token": token, "audiences": audiences}}).to_string();
    send(server, Method::POST, REVIEWS, &body).await.1["status"].clone()
}

async fn pod(server: &ApiServer) -> Value {
    let pod = json!({"metadata": {"name": "web"}, "spec": {"containers": [{"name": "c", "image": "nginx"}]}});
    let (status, created) = send(server, Method::POST, "/api/v1/namespaces/default/pods", &pod.to_string()).await;
    assert_eq!(status, StatusCode::CREATED, "{created}");
    created
}

#[tokio::test]
async fn a_token_says_who_its_bearer_is() {
    let server = server().await;
    let (status, made) = token(&server, json!({})).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    assert!(made["status"]["expirationTimestamp"].is_string());
    let found = review(&server, made["status"]["token"].as_str().unwrap(), &[]).await;
    assert_eq!(
        (&found["authenticated"], &found["user"]["username"]),
        (&json!(true), &json!("system:serviceaccount:default:default"))
    );
    let groups = &found["user"]["groups"];
    for group in ["system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"] {
        assert!(groups.as_array().unwrap().contains(&json!(group)), "{groups}");
    }
    assert_eq!(review(&server, "not.a.token", &[]).await["authenticated"], false);
}

#[tokio::test]
async fn a_token_is_for_its_audience_and_its_time() {
    let server = server().await;
    let (_, made) = token(&server, json!({"audiences": ["vault"]})).await;
    let text = made["status"]["token"].as_str().unwrap().to_owned();
    assert_ne!(review(&server, &text, &[]).await["authenticated"], true);
    let found = review(&server, &text, &["vault", "other"]).await;
    assert_eq!((&found["authenticated"], &found["audiences"]), (&json!(true), &json!(["vault"])));
    let headers = [("authorization", format!("Bearer {text}"))];
    let (status, _) = anonymous(&server, Method::GET, "/api/v1/namespaces", &headers).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "a token for others is no token here");
    for (seconds, code) in [(599, 422), (600, 201), (4_294_967_297_i64, 422)] {
        assert_eq!(token(&server, json!({"expirationSeconds": seconds})).await.0.as_u16(), code, "{seconds}");
    }
}

#[tokio::test]
async fn a_token_of_a_pod_ends_with_the_pod() {
    let server = server().await;
    let created = pod(&server).await;
    let reference =
        |uid: &str| json!({"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "web", "uid": uid}});
    let (status, _) = token(&server, reference("another")).await;
    assert_eq!(status, StatusCode::CONFLICT);
    let (_, made) = token(&server, reference(created["metadata"]["uid"].as_str().unwrap())).await;
    let text = made["status"]["token"].as_str().unwrap().to_owned();
    let found = review(&server, &text, &[]).await;
    assert_eq!(found["user"]["extra"]["authentication.kubernetes.io/pod-name"], json!(["web"]), "{found}");
    send(&server, Method::DELETE, "/api/v1/namespaces/default/pods/web?gracePeriodSeconds=0", "").await;
    assert_eq!(review(&server, &text, &[]).await["authenticated"], false);
    pod(&server).await;
    assert_eq!(review(&server, &text, &[]).await["authenticated"], false, "a pod of the same name is another pod");
}

#[tokio::test]
async fn a_token_ends_with_its_account() {
    let server = server().await;
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    let account = json!({"metadata": {"name": "robot"}}).to_string();
    send(&server, Method::POST, accounts, &account).await;
    let (_, made) = send(&server, Method::POST, &format!("{accounts}/robot/token"), r#"{"spec":{}}"#).await;
    let text = made["status"]["token"].as_str().unwrap().to_owned();
    assert_eq!(review(&server, &text, &[]).await["authenticated"], true);
    send(&server, Method::DELETE, &format!("{accounts}/robot"), "").await;
    send(&server, Method::POST, accounts, &account).await;
    assert_eq!(review(&server, &text, &[]).await["authenticated"], false);
}

#[tokio::test]
async fn a_bootstrap_token_authenticates_while_it_lasts() {
    let server = server().await;
    let secret = |expiration: &str, usage: &str| {
        json!({"metadata": {"name": "bootstrap-token-abcdef"}, "type": "bootstrap.kubernetes.io/token", "stringData": {
            "token-id": "abcdef", "token-secret": "0123456789abcdef", "usage-bootstrap-authentication": usage,
            "expiration": expiration, "auth-extra-groups": "system:bootstrappers:workers,admins"}})
    };
    let secrets = "/api/v1/namespaces/kube-system/secrets";
    let put = async |object: Value| {
        send(&server, Method::DELETE, &format!("{secrets}/bootstrap-token-abcdef"), "").await;
        send(&server, Method::POST, secrets, &object.to_string()).await
    };
    let (status, answer) = put(secret("2999-01-01T00:00:00Z", "true")).await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
    let token = "abcdef.0123456789abcdef";
    let found = review(&server, token, &[]).await;
    assert_eq!(found["user"]["username"], "system:bootstrap:abcdef");
    let groups = found["user"]["groups"].as_array().unwrap();
    assert!(groups.contains(&json!("system:bootstrappers:workers")) && !groups.contains(&json!("admins")), "{found}");
    assert_eq!(review(&server, "abcdef.0123456789abcdeX", &[]).await["authenticated"], false);
    let headers = [("authorization", format!("Bearer {token}"))];
    let csr = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
    assert_eq!(anonymous(&server, Method::GET, csr, &headers).await.0, StatusCode::OK);
    assert_eq!(anonymous(&server, Method::GET, "/api/v1/nodes", &headers).await.0, StatusCode::FORBIDDEN);

    put(secret("2001-01-01T00:00:00Z", "true")).await;
    assert_eq!(review(&server, token, &[]).await["authenticated"], false);
    put(secret("2999-01-01T00:00:00Z", "false")).await;
    assert_eq!(review(&server, token, &[]).await["authenticated"], false);
}

#[tokio::test]
async fn nobody_gets_health_and_a_refusal_in_json() {
    let server = server().await;
    for path in ["/healthz", "/livez", "/readyz", "/version"] {
        assert_eq!(anonymous(&server, Method::GET, path, &[]).await.0, StatusCode::OK, "{path}");
    }
    let (status, refused) = anonymous(&server, Method::GET, "/", &[]).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert_eq!(refused["message"], r#"forbidden: User "system:anonymous" cannot get path "/""#);
    let (status, refused) = anonymous(&server, Method::GET, "/api/v1/namespaces/default/pods", &[]).await;
    assert_eq!(
        (status, refused["message"].as_str().unwrap()),
        (
            StatusCode::FORBIDDEN,
            r#"pods is forbidden: User "system:anonymous" cannot list resource "pods" in API group "" in the namespace "default""#
        )
    );
    let bad = [("authorization", "Bearer nonsense".to_owned())];
    let (status, refused) = anonymous(&server, Method::GET, "/healthz", &bad).await;
    assert_eq!(
        (status, &refused["reason"], &refused["code"]),
        (StatusCode::UNAUTHORIZED, &json!("Unauthorized"), &json!(401))
    );
}

#[tokio::test]
async fn one_acts_for_another_only_where_that_is_allowed() {
    let server = server().await;
    let reviews = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let json_type = ("content-type", "application/json");
    let jane =
        [json_type, ("impersonate-user", "jane"), ("impersonate-group", "devs"), ("impersonate-extra-scopes", "view")];
    let (status, who) = request(&server, &Identity::admin(), Method::POST, reviews, &jane, "{}").await;
    assert_eq!(status, StatusCode::CREATED, "{who}");
    let user = &who["status"]["userInfo"];
    assert_eq!((&user["username"], &user["groups"]), (&json!("jane"), &json!(["devs", "system:authenticated"])));
    assert_eq!(user["extra"]["scopes"], json!(["view"]));

    let (status, refused) = request(&server, &Identity::admin(), Method::GET, "/api/v1/nodes", &jane, "").await;
    assert_eq!(status, StatusCode::FORBIDDEN, "the rights are jane's: {refused}");
    let account = [json_type, ("impersonate-user", "system:serviceaccount:default:robot")];
    let (_, who) = request(&server, &Identity::admin(), Method::POST, reviews, &account, "{}").await;
    assert!(
        who["status"]["userInfo"]["groups"].as_array().unwrap().contains(&json!("system:serviceaccounts:default")),
        "{who}"
    );

    let eve = Identity::user("eve", &[]);
    let (status, refused) = request(&server, &eve, Method::POST, reviews, &jane, "{}").await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert_eq!(
        refused["message"],
        r#"users "jane" is forbidden: User "eve" cannot impersonate resource "users" in API group "" at the cluster scope"#
    );
    let group_alone = [json_type, ("impersonate-group", "system:masters")];
    let (status, _) = request(&server, &eve, Method::POST, reviews, &group_alone, "{}").await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR, "a group without a user is a mistake of the client");
}

#[tokio::test]
async fn access_is_reviewed_for_oneself_and_for_others() {
    let server = server().await;
    let api = "/apis/authorization.k8s.io/v1";
    let ask = async |who: &Identity, path: &str, spec: Value| {
        let body = json!({"spec": spec}).to_string();
        request(&server, who, Method::POST, path, &[("content-type", "application/json")], &body).await
    };
    let binding = json!({"metadata": {"name": "eve"}, "subjects": [{"kind": "User", "name": "eve",
        "apiGroup": "rbac.authorization.k8s.io"}], "roleRef":
        {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}});
    let path = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings";
    send(&server, Method::POST, path, &binding.to_string()).await;
    let eve = Identity::user("eve", &[]);
    let pods = |verb: &str, namespace: &str| json!({"resourceAttributes": {"verb": verb, "resource": "pods", "namespace": namespace}});
    let own = format!("{api}/selfsubjectaccessreviews");
    for (spec, allowed) in [
        (pods("list", "default"), true),
        (pods("delete", "default"), false),
        (pods("list", "kube-system"), false),
        (json!({"nonResourceAttributes": {"verb": "get", "path": "/healthz"}}), true),
        (json!({"nonResourceAttributes": {"verb": "get", "path": "/metrics"}}), false),
    ] {
        let (status, answer) = ask(&eve, &own, spec.clone()).await;
        assert_eq!((status, &answer["status"]["allowed"]), (StatusCode::CREATED, &json!(allowed)), "{spec}");
    }
    let (status, _) = ask(&eve, &format!("{api}/subjectaccessreviews"), pods("list", "default")).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "questions about others are for those who may ask them");
    let mut of_eve = pods("list", "default");
    of_eve["user"] = json!("eve");
    let local = format!("{api}/namespaces/default/localsubjectaccessreviews");
    assert_eq!(ask(&Identity::admin(), &local, of_eve.clone()).await.1["status"]["allowed"], true);
    of_eve["resourceAttributes"]["namespace"] = json!("kube-system");
    assert!(ask(&Identity::admin(), &local, of_eve).await.0.is_client_error());
    let (_, rules) = ask(&eve, &format!("{api}/selfsubjectrulesreviews"), json!({"namespace": "default"})).await;
    let rules = rules["status"]["resourceRules"].as_array().unwrap();
    assert!(rules.iter().any(|rule| rule["resources"].as_array().unwrap().contains(&json!("pods"))), "{rules:?}");
}
