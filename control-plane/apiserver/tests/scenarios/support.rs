//! A server for each test, and raw requests to it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use serde_json::Value;
use sheave_apiserver::{ApiServer, Identity, Options, ResponseBody, store_options};
use sheave_store::Store;

/// An empty store in memory.
pub(crate) fn store() -> Arc<Store> {
    Arc::new(Store::in_memory(store_options()).expect("a store in memory opens"))
}

/// A server over an empty store in memory, with its bootstrap objects.
pub(crate) async fn server() -> ApiServer {
    server_over(store()).await
}

/// A server over this store, with its bootstrap objects.
pub(crate) async fn server_over(store: Arc<Store>) -> ApiServer {
    let advertise = "192.0.2.1:6443".parse().expect("an address");
    let options = Options { advertise, ..Options::default() };
    ApiServer::start(store, options).await.expect("the bootstrap objects are made")
}

/// A client that may do everything.
pub(crate) async fn client() -> kube::Client {
    server().await.client(Identity::admin())
}

/// A raw request as the administrator; gives status and body.
pub(crate) async fn send(server: &ApiServer, method: Method, path: &str, body: &str) -> (StatusCode, Value) {
    send_as(server, method, path, &[("content-type", "application/json")], body).await
}

/// As [`send`] with headers of its own.
pub(crate) async fn send_as(
    server: &ApiServer,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> (StatusCode, Value) {
    request(server, &Identity::admin(), method, path, headers, body).await
}

/// As [`send_as`] on behalf of somebody.
pub(crate) async fn request(
    server: &ApiServer,
    identity: &Identity,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> (StatusCode, Value) {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(Full::new(Bytes::from(body.to_owned()))).expect("a valid request");
    request.extensions_mut().insert(identity.clone());
    let response = server.handle(request).await;
    let status = response.status();
    let bytes = response.into_body().collect().await.expect("a whole body").to_bytes();
    let value =
        serde_json::from_slice(&bytes).unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
    (status, value)
}

/// A request of somebody whom nobody has authenticated yet.
pub(crate) async fn anonymous(
    server: &ApiServer,
    method: Method,
    path: &str,
    headers: &[(&str, String)],
) -> (StatusCode, Value) {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    let request = request.body(Full::new(Bytes::new())).expect("a valid request");
    let response = server.handle(request).await;
    let status = response.status();
    let bytes = response.into_body().collect().await.expect("a whole body").to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap_or_default())
}

/// The lines of a watch.
pub(crate) struct Lines {
    body: ResponseBody,
    read: Vec<u8>,
}

/// Longer than this no test waits for a line.
const PATIENCE: Duration = Duration::from_secs(30);

/// Opens a watch as the administrator.
pub(crate) async fn watch(server: &ApiServer, path: &str, headers: &[(&str, &str)]) -> Lines {
    let mut request = Request::builder().uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(Full::new(Bytes::new())).expect("a valid request");
    request.extensions_mut().insert(Identity::admin());
    let response = server.handle(request).await;
    assert_eq!(response.status(), StatusCode::OK);
    Lines { body: response.into_body(), read: Vec::new() }
}

impl Lines {
    /// The next line; none when the watch has ended.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.read.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).expect("a line of JSON"));
            }
            let frame = tokio::time::timeout(PATIENCE, self.body.frame()).await.expect("a line within 30 s")?;
            self.read.extend_from_slice(&frame.expect("no error of the body").into_data().expect("data"));
        }
    }
}
