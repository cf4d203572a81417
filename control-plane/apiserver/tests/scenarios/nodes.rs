//! What the API server passes on to nodes, pods and services, and what it keeps to itself.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::{Value, json};
use sheave_apiserver::{ApiServer, Connect, ConnectFuture, Destination, Identity, Options, store_options};
use sheave_store::Store;

use crate::support::{send, send_as};

/// Answers every connection itself, and remembers who was asked for what.
#[derive(Clone, Debug, Default)]
struct Nodes {
    seen: Arc<Mutex<Vec<String>>>,
}

impl Nodes {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.seen.lock())
    }

    fn answer(&self, destination: &Destination, request: &Request<hyper::body::Incoming>) -> Response<Full<Bytes>> {
        let mut line = format!("{destination:?} {} {}", request.method(), request.uri());
        for name in ["authorization", "cookie", "impersonate-user", "x-mine", "host"] {
            if let Some(value) = request.headers().get(name) {
                line.push_str(&format!(" {name}={}", value.to_str().expect("a text")));
            }
        }
        self.seen.lock().push(line);
        let (code, kind, body) = match request.uri().path() {
            "/containerLogs/default/waiting/c" => (400, "text/plain", "container \"c\" is waiting to start"),
            "/page" => (200, "text/html", "<a href=\"/rewriteme\">x</a>"),
            _ => (200, "text/plain", "from the node"),
        };
        let response = Response::builder().status(code).header("content-type", kind);
        response.body(Full::new(Bytes::from_static(body.as_bytes()))).expect("a response")
    }
}

impl Connect for Nodes {
    fn connect(&self, destination: Destination) -> ConnectFuture {
        let nodes = self.clone();
        Box::pin(async move {
            let (near, far) = tokio::io::duplex(1 << 16);
            let service = hyper::service::service_fn(move |request| {
                let response = nodes.answer(&destination, &request);
                async move { Ok::<_, std::convert::Infallible>(response) }
            });
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(far), service));
            Ok(Box::new(near) as Box<dyn sheave_apiserver::Connection>)
        })
    }
}

/// A server with one node and pods on it.
async fn cluster() -> (ApiServer, Nodes) {
    let nodes = Nodes::default();
    let store = Store::in_memory(store_options()).expect("a store in memory opens");
    let connector: Arc<dyn Connect> = Arc::new(nodes.clone());
    let options = Options { connector: Some(connector), ..Options::default() };
    let server = ApiServer::start(Arc::new(store), options).await.expect("the bootstrap objects are made");
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}, "status": {
        "addresses": [{"type": "InternalIP", "address": "192.0.2.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}}}});
    create(&server, "/api/v1/nodes", &node).await;
    for (name, node, containers) in
        [("web", "n1", &["c"][..]), ("two", "n1", &["a", "b"]), ("free", "", &["c"]), ("waiting", "n1", &["c"])]
    {
        let containers: Vec<Value> = containers
            .iter()
            .map(|name| json!({"name": name, "image": "busybox", "ports": [{"containerPort": 8080}]}))
            .collect();
        let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
            "spec": {"containers": containers}});
        if !node.is_empty() {
            pod["spec"]["nodeName"] = node.into();
        }
        create(&server, "/api/v1/namespaces/default/pods", &pod).await;
        let status = json!({"status": {"podIP": "10.244.0.7", "podIPs": [{"ip": "10.244.0.7"}]}});
        let path = format!("/api/v1/namespaces/default/pods/{name}/status");
        let headers = [("content-type", "application/merge-patch+json")];
        let (code, reply) = send_as(&server, Method::PATCH, &path, &headers, &status.to_string()).await;
        assert_eq!(code, StatusCode::OK, "{reply}");
    }
    (server, nodes)
}

async fn create(server: &ApiServer, path: &str, object: &Value) {
    let (code, reply) = send(server, Method::POST, path, &object.to_string()).await;
    assert_eq!(code, StatusCode::CREATED, "{reply}");
}

async fn get(server: &ApiServer, path: &str) -> (StatusCode, Value) {
    send(server, Method::GET, &format!("/api/v1/namespaces/default/{path}"), "").await
}

#[tokio::test]
async fn a_log_is_the_kubelets_answer_and_a_refusal_is_a_status() {
    let (server, nodes) = cluster().await;
    assert_eq!(get(&server, "pods/web/log?tailLines=3&follow=true").await.1, "from the node");
    assert_eq!(
        nodes.take(),
        ["Kubelet { host: \"192.0.2.1\", port: 10250, is_verified: true } GET \
          /containerLogs/default/web/c?follow=true&tailLines=3 host=192.0.2.1:10250"]
    );
    assert_eq!(get(&server, "pods/free/log").await, (StatusCode::OK, json!("")));
    for (path, code, message) in [
        ("pods/two/log", 400, "a container name must be specified for pod two, choose one of: [a b]"),
        ("pods/web/log?container=x", 400, "container x is not valid for pod web"),
        ("pods/none/log", 404, "pods \"none\" not found"),
        ("pods/waiting/log", 400, "container \"c\" is waiting to start"),
        (
            "pods/web/log?tailLines=-1",
            422,
            "PodLogOptions \"web\" is invalid: tailLines: Invalid value: -1: must be greater than or equal to 0",
        ),
    ] {
        let (status, reply) = get(&server, path).await;
        assert_eq!((status.as_u16(), reply["message"].as_str()), (code, Some(message)), "{path}");
    }
}

#[tokio::test]
async fn a_session_needs_a_node_and_an_upgrade() {
    let (server, nodes) = cluster().await;
    for (path, message) in [
        ("pods/free/exec?command=ls", "pod free does not have a host assigned"),
        ("pods/two/exec?command=ls", "a container name must be specified for pod two, choose one of: [a b]"),
        ("pods/web/exec?command=ls&stdout=true", "Upgrade request required"),
        ("pods/web/attach?container=x", "container x is not valid for pod web"),
        ("pods/web/portforward?ports=0", "invalid port \"0\": must be between 1 and 65535"),
    ] {
        let (status, reply) = get(&server, path).await;
        assert_eq!((status.as_u16(), reply["message"].as_str()), (400, Some(message)), "{path}");
    }
    assert_eq!(nodes.take(), [""; 0]);
}

#[tokio::test]
async fn a_proxied_request_keeps_its_method_path_and_headers_but_no_credential() {
    let (server, nodes) = cluster().await;
    let headers = [
        ("authorization", "Bearer secret"),
        ("impersonate-user", "admin"),
        ("impersonate-group", "system:masters"),
        ("x-mine", "1"),
        ("cookie", "site=1"),
        ("host", "api"),
    ];
    let path = "/api/v1/namespaces/default/pods/https:web:8443/proxy/a%20b?watch=true";
    let (status, reply) = send_as(&server, Method::DELETE, path, &headers, "").await;
    assert_eq!((status, reply), (StatusCode::OK, json!("from the node")));
    assert_eq!(
        nodes.take(),
        ["Backend { host: \"10.244.0.7\", port: 8443, is_tls: true } DELETE /a%20b?watch=true cookie=site=1 x-mine=1 \
          host=api"]
    );
    let (_, reply) = send_as(&server, Method::GET, "/api/v1/nodes/n1/proxy/metrics", &headers, "").await;
    assert_eq!(reply, "from the node");
    assert_eq!(
        nodes.take(),
        ["Kubelet { host: \"192.0.2.1\", port: 10250, is_verified: true } GET /metrics x-mine=1 host=192.0.2.1:10250"]
    );
}

#[tokio::test]
async fn a_proxied_page_links_to_itself() {
    let (server, _) = cluster().await;
    let page = get(&server, "pods/web/proxy/page").await.1;
    assert_eq!(page, "<a href=\"/api/v1/namespaces/default/pods/web/proxy/rewriteme\">x</a>");
    let (status, _) = get(&server, "pods/web/proxy?method=GET").await;
    assert_eq!(status, StatusCode::MOVED_PERMANENTLY);
}

#[tokio::test]
async fn a_service_is_proxied_to_one_of_its_ready_endpoints() {
    let (server, nodes) = cluster().await;
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"},
        "spec": {"ports": [{"name": "http", "port": 80, "targetPort": 8080}, {"name": "x", "port": 81}]}});
    create(&server, "/api/v1/namespaces/default/services", &service).await;
    let (status, reply) = get(&server, "services/s:http/proxy/").await;
    assert_eq!((status.as_u16(), reply["message"].as_str()), (503, Some("no endpoints available for service \"s\"")));
    let endpoints = json!({"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "s"}, "subsets": [{
        "addresses": [{"ip": "10.244.0.7"}], "ports": [{"name": "http", "port": 8080}]}]});
    create(&server, "/api/v1/namespaces/default/endpoints", &endpoints).await;
    assert_eq!(get(&server, "services/http:s:80/proxy/x").await.1, "from the node");
    assert!(nodes.take()[0].starts_with("Backend { host: \"10.244.0.7\", port: 8080, is_tls: false } GET /x"));
    let (status, reply) = get(&server, "services/s:99/proxy/").await;
    let message = "no service port \"99\" found for service \"s\"";
    assert_eq!((status.as_u16(), reply["message"].as_str()), (503, Some(message)));
}

/// As somebody whose rights in `default` are `verbs` on `pods/exec`.
async fn exec_with(verbs: &[&str], method: Method) -> (StatusCode, String) {
    let (server, _) = cluster().await;
    let group = "rbac.authorization.k8s.io";
    let role = json!({"apiVersion": format!("{group}/v1"), "kind": "Role", "metadata": {"name": "r"},
        "rules": [{"apiGroups": [""], "resources": ["pods/exec"], "verbs": verbs}]});
    create(&server, &format!("/apis/{group}/v1/namespaces/default/roles"), &role).await;
    let binding = json!({"apiVersion": format!("{group}/v1"), "kind": "RoleBinding", "metadata": {"name": "r"},
        "roleRef": {"apiGroup": group, "kind": "Role", "name": "r"},
        "subjects": [{"apiGroup": group, "kind": "User", "name": "jane"}]});
    create(&server, &format!("/apis/{group}/v1/namespaces/default/rolebindings"), &binding).await;
    let mut request = Request::builder()
        .method(method)
        .uri("/api/v1/namespaces/default/pods/web/exec?command=ls")
        .body(Full::new(Bytes::new()))
        .expect("a request");
    request.extensions_mut().insert(Identity::user("jane", &[]));
    let response = server.handle(request).await;
    let status = response.status();
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    let reply: Value = serde_json::from_slice(&body).expect("a Status");
    (status, reply["message"].as_str().expect("a message").to_owned())
}

#[tokio::test]
async fn whoever_may_only_read_pods_exec_starts_nothing_in_a_pod() {
    let denied = "pods \"web\" is forbidden: User \"jane\" cannot create resource \"pods/exec\"";
    for (verbs, method, expected) in [
        (&["get"][..], Method::GET, denied),
        (&["get"], Method::POST, denied),
        (&["get", "create"], Method::GET, "Upgrade request required"),
        (&["create"], Method::POST, "Upgrade request required"),
    ] {
        let (_, message) = exec_with(verbs, method.clone()).await;
        assert!(message.starts_with(expected), "{verbs:?} {method}: {message}");
    }
}
